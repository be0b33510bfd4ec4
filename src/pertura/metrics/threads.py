"""Work shared among threads: for kernels that release the interpreter's lock."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")


def usable_threads(wanted: int | None) -> int:
    """Return `wanted`, at most as many threads as the process has cores; None means all of them."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return there if wanted is None else max(1, min(wanted, there))


def each(work: Callable[[Task], None], tasks: Iterable[Task], threads: int) -> None:
    """Do `work` on every task; the first error of any of them is raised. One thread means this very one."""
    if threads == 1:
        for task in tasks:
            work(task)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, tasks):
            pass


def ranges(total: int, size: int) -> list[tuple[int, int]]:
    """Return the stretches of at most `size` that 0..total-1 is cut into."""
    return [(start, min(start + size, total)) for start in range(0, total, size)]
