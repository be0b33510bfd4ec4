"""Every outcome has its exit code, one message for the user, and no traceback but for the unexpected."""

import errno
import os

import pytest

from pertura.cli import app
from pertura.cli.interruption import Interrupted
from pertura.core import errors
from pertura.core.errors import PerturaError
from small_runs import shell


def raising(error: BaseException):
    """An application that ends in this error."""

    def application():
        def run():
            raise error

        return run

    return application


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (errors.UsageError("say more"), 2, "say more"),
        (errors.ModeError("another mode"), 2, "another mode"),
        (errors.UnknownGeneError({"ABC"}), 2, "ABC"),
        (
            errors.BadDataError("is broken", file="a.h5ad", place="X", remedy="mend it"),
            3,
            "a.h5ad: X: is broken. mend it",
        ),
        (errors.ContextError("another line"), 3, "another line"),
        (errors.LeakError("seen"), 3, "seen"),
        (errors.MissingError("not there"), 4, "not there"),
        (errors.DivergedError("not finite"), 5, "not finite"),
        (errors.OutOfMemoryError("too large"), 6, "too large"),
        (MemoryError("12 GiB"), 6, "out of memory: 12 GiB; `pertura run --dry-run`"),
        (Interrupted(), 130, "interrupted"),
        (Interrupted("go on with this"), 130, "go on with this"),
        (PermissionError(errno.EACCES, "x", "/root/out"), 4, "/root/out: permission denied"),
        (OSError(errno.ENOSPC, "x", "out/file"), 4, "out/file: no space left on device"),
        (OSError(errno.ENOSPC, "x"), 4, "writing: no space left on device"),
        (OSError(errno.EROFS, "x", "out"), 4, "out: read-only file system"),
        (NotADirectoryError(errno.ENOTDIR, "x", "a.h5ad/out"), 4, "a.h5ad/out: not a directory"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "",
)
def test_what_an_error_becomes(error, code, words, command, monkeypatch):
    monkeypatch.setattr(app, "application", raising(error))
    done = command()
    assert done.code == code
    assert done.err.startswith("pertura: ")
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_every_error_of_ours_has_a_code_that_the_help_names():
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PerturaError)]
    codes = {one.exit_code for one in kinds}
    assert codes <= {1, 2, 3, 4, 5, 6}
    for code in (0, *codes, app.INTERRUPTED):
        assert f"{code} " in app.EXIT_CODES


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(errno.ENOENT, "x"), KeyboardInterrupt()])
def test_the_unexpected_keeps_its_traceback(error, command, monkeypatch):
    monkeypatch.setattr(app, "application", raising(error))
    with pytest.raises(type(error)):
        command()


def test_an_ordinary_end_is_zero(command, monkeypatch):
    monkeypatch.setattr(app, "application", lambda: lambda: None)
    assert command().code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Usage"),
        (("magic",), 2, "No such command"),
        (("run",), 2, "Missing argument"),
        (("run", "--magic", "x"), 2, "No such option"),
        (("run", "norman-500", "--bootstrap", "3"), 2, "--bootstrap"),
        (("run", "norman-500", "--seed", "-1"), 2, "--seed"),
        (("run", "norman-500", "--seed", "4294967296"), 2, "--seed"),
        (("run", "norman-500", "--rule", "magic"), 2, "no split rule 'magic'; there are gears-simulation"),
        (("run", "norman-500", "--option", "magic=1"), 2, "has no option magic"),
        (("run", "norman-500", "--option", "magic"), 2, "write it as name=value"),
        (("run", "norman-500", "--option", "train-gene-fraction=x"), 2, "it takes a number"),
        (("run", "norman-500", "--rule", "folds", "--option", "fold=9"), 2, "fold 9 of 5"),
        (("run", "norman-500", "--model", "magic"), 2, "no model 'magic'; there are no-change"),
        (("run", "norman-500", "--model", "magic:Model"), 4, "cannot import 'magic'"),
        (("run", "norman-500", "--emitter", "magic"), 2, "no emitter 'magic'; there are control-shift"),
        (("run", "norman-500", "--split", "x.json", "--rule", "folds"), 2, "--split takes the place of --rule"),
        (("run", "norman-500", "--split", "x.json"), 4, "x.json: no such file"),
        (("run", "nowhere.h5ad"), 4, "no file"),
        (("run", "nowhere/recipe.toml"), 4, "no recipe at"),
        (("run", "."), 2, "'.' is a folder"),
        (("run", ""), 2, "'' is a folder"),
        (("run", __file__), 3, "not an HDF5 file"),
        (("run", "new\nline.h5ad"), 2, "rename the file"),
        (("run", "norman-500", "-o", __file__), 2, "this is a file; name a folder"),
        (("run", "norman-500", "-o", f"{__file__}/below"), 4, "not a directory"),
        (("inspect", "nowhere.h5ad"), 4, "no such file"),
        (("inspect", __file__), 3, "not an HDF5 file"),
        (("split", "norman-500", "--rule", "magic"), 2, "--rule magic"),
        (("evaluate",), 2, "--predicted"),
        (("evaluate", "--predicted", "nowhere.h5ad"), 4, "no such file"),
        (("evaluate", "--predicted", __file__), 3, "not an HDF5 file"),
        (("evaluate", "--predicted", __file__, "-o", __file__), 2, "this is a file; name a folder"),
        (("evaluate", "--predicted", __file__, "--preset", "magic"), 2, "no preset 'magic'"),
        (("compare",), 2, "Missing argument"),
        (("compare", "nowhere"), 4, "no scores under nowhere"),
    ],
    ids=lambda one: " ".join(map(str, one)).replace("\n", " ") if isinstance(one, tuple) else "",
)
def test_what_is_refused_says_why_and_writes_nothing(arguments, code, words, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(*arguments)
    assert done.code == code
    assert words in done.err + (done.out if not arguments else "")
    assert "Traceback" not in done.err
    told = [line for line in done.err.splitlines() if not line.startswith("[")]
    assert told == [] or told[0].startswith(("pertura: ", "Usage: "))
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_process_ends_with_these_codes(tmp_path):
    refused = shell("run", "nowhere.h5ad", cwd=tmp_path)
    assert refused.returncode == 4
    assert refused.stdout == ""
    assert "\npertura: no file" in refused.stderr
    (tmp_path / "broken.py").write_text("raise ValueError('a bug of mine')\n")
    broken = shell("run", "norman-500", "--model", "broken:Model", cwd=tmp_path)
    assert broken.returncode == 1
    assert broken.stderr.startswith("Traceback")
    assert "a bug of mine" in broken.stderr
