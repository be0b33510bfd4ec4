"""Commands of `pertura` in this process."""

import functools

import typer

from pertura.cli.app import application


def command(*words: object) -> None:
    """Run a command of `pertura` in this process."""
    _application()([str(one) for one in words], standalone_mode=False)


@functools.cache
def _application() -> typer.Typer:
    return application()
