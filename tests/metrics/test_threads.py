"""Work shared among threads."""

import pytest

from pertura.metrics.threads import each, ranges, usable_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_every_task_is_done_and_an_error_is_raised(threads):
    done = []
    each(done.append, range(20), threads)
    assert sorted(done) == list(range(20))
    with pytest.raises(ZeroDivisionError):
        each(lambda one: print(1 / one), [1, 0], threads)


def test_threads_are_at_most_the_cores_and_at_least_one():
    assert usable_threads(None) >= 1
    assert usable_threads(0) == 1
    assert usable_threads(10_000) == usable_threads(None)


def test_ranges_cover_everything_once():
    assert ranges(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert ranges(0, 3) == []
