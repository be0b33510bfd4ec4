"""A signal that meets Python where exceptions are swallowed is not lost."""

import os
import signal
import time
import weakref
from collections.abc import Callable

import pytest

from pertura.cli.interruption import Interrupted, interrupt


class Thing:
    """Something that can be referred to weakly."""


class Last:
    """Asks to stop while it is thrown away."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # where Python looks for signals


class Noisy:
    """A key that asks to stop while it is looked up."""

    loud = False

    def __hash__(self) -> int:
        if Noisy.loud:
            Noisy.loud = False
            os.kill(os.getpid(), signal.SIGTERM)
        return 1


def in_a_finaliser() -> None:
    Last()


def in_a_callback() -> None:
    """The callback of the library's own dictionary, through which a value leaves."""
    things: weakref.WeakValueDictionary[Noisy, Thing] = weakref.WeakValueDictionary()
    thing = things[Noisy()] = Thing()
    Noisy.loud = True
    del thing


def plainly() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def work_after(signalled: Callable[[], None]) -> None:
    signalled()
    time.sleep(5)


@pytest.mark.parametrize("where", [in_a_finaliser, in_a_callback, plainly])
def test_a_signal_stops_the_work_wherever_it_comes(where):
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(Interrupted):
            work_after(where)
    finally:
        signal.signal(signal.SIGTERM, before)
