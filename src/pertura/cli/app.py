"""The commands, and what their errors become."""

import errno
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from pertura import __version__
from pertura.cli.interruption import Interrupted, interrupt
from pertura.core.errors import PerturaError

EXIT_CODES = (
    "Exit codes: 0 ok · 1 unexpected · 2 usage · 3 bad data · 4 something missing or offline · "
    "5 diverged · 6 out of memory · 130 interrupted"
)
INTERRUPTED, OUT_OF_MEMORY, MISSING = 130, 6, 4
STOPS = (signal.SIGINT, signal.SIGTERM)
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.ENAMETOOLONG}
"""What the system denies and no traceback explains better: rights, room, a place that is no folder."""


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"pertura {__version__}")
        raise typer.Exit
    return wanted


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Predict what a transcriptome does when genes are perturbed, and say how far to trust it.

    Start with `pertura run demo`; then `pertura inspect` your own file.
    """


def application() -> typer.Typer:
    """Return the application with all commands."""
    from pertura.cli.annotate import annotate
    from pertura.cli.compare import compare
    from pertura.cli.convert import convert
    from pertura.cli.data import data
    from pertura.cli.design import design
    from pertura.cli.embed import embed
    from pertura.cli.evaluate import evaluate
    from pertura.cli.import_ import import_application
    from pertura.cli.inspect import inspect
    from pertura.cli.plot import plot_application
    from pertura.cli.predict import predict
    from pertura.cli.prepare import prepare
    from pertura.cli.prior import prior_application
    from pertura.cli.quality import quality
    from pertura.cli.run import run
    from pertura.cli.screen import screen
    from pertura.cli.split import split

    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        epilog=EXIT_CODES,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for command in (run, inspect, prepare, quality, split, evaluate, compare, data, convert, embed, predict):
        app.command()(command)
    app.command()(screen)
    app.command()(design)
    app.command()(annotate)
    app.add_typer(prior_application(), name="prior")
    app.add_typer(import_application(), name="import")
    app.add_typer(plot_application(), name="plot")
    return app


def main() -> NoReturn:
    """Run the command line and exit with the code its outcome has."""
    code = _outcome()
    for sign in STOPS:  # all is said and done: a late Ctrl-C must not change the code while Python shuts down
        signal.signal(sign, signal.SIG_IGN)
    sys.exit(code)


def _outcome() -> int:
    for sign in STOPS:  # a polite kill leaves a resumable run, like Ctrl-C
        signal.signal(sign, interrupt)
    try:
        application()()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except PerturaError as error:
        return _told(str(error), error.exit_code)
    except Interrupted as stop:
        return _told(str(stop) or "interrupted; nothing is left half written", INTERRUPTED)
    except MemoryError as error:
        return _told(f"out of memory: {error}; `pertura run --dry-run` estimates what is needed", OUT_OF_MEMORY)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return _told(f"{error.filename or 'writing'}: {os.strerror(error.errno).lower()}", MISSING)
    return 0


def _told(message: str, code: int) -> int:
    typer.echo(f"pertura: {message}", err=True)
    return code
