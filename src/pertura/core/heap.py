"""Memory that Python has done with, given back to the system."""

import ctypes
import sys


def give_back() -> None:
    """Let the C library return what was freed; without effect where it has no such call.

    The allocator of Linux keeps freed arrays of up to 32 MiB for later ones. After a stage of work with many of them
    that is up to a gigabyte, which the next stage, with arrays of other sizes, finds no use for.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
