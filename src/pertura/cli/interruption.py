"""Ctrl-C and a polite kill, as something that no library takes for an ordinary error."""

import os
import threading
import weakref
from types import FrameType

AGAIN_S = 0.02
FINALISER = "__del__"
"""Python prints and forgets what is raised in it, and in callbacks of `weakref`."""


class Interrupted(BaseException):
    """The user, or the system, asked to stop; the message says how to go on."""


def interrupt(sign: int, frame: FrameType | None) -> None:
    """Raise `Interrupted`, or send the signal again a little later where the exception would be swallowed."""
    if not _is_swallowed(frame):
        raise Interrupted
    later = threading.Timer(AGAIN_S, os.kill, (os.getpid(), sign))
    later.daemon = True
    later.start()


def _is_swallowed(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code.co_name == FINALISER or code.co_filename == weakref.__file__:
            return True
        frame = frame.f_back
    return False
