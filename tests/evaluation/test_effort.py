from dataclasses import replace

import pytest

from pertura.evaluation.effort import Effort, Rounds

NORMAN = (1500, 16, 500)
LARGE = (120_000, 1_000, 6_546)


def test_a_small_screen_is_judged_with_all_draws_that_were_asked_for():
    effort = Effort()
    rounds = effort.rounds(*NORMAN)
    asked = Rounds(200, 100, 10)
    assert (rounds["means"], rounds["ranks"], rounds["tests"]) == (asked, asked, asked)
    assert rounds["cells"].bootstrap == 200
    assert len(effort.notes(rounds)) == 1


def test_a_large_screen_is_judged_with_fewer_draws_and_never_with_too_few():
    effort = Effort()
    rounds = effort.rounds(*LARGE)
    for made in rounds.values():
        assert 20 <= made.bootstrap <= 200
        assert 10 <= made.permutations <= 100
        assert 2 <= made.halves <= 10
    assert rounds["means"].bootstrap < 200
    assert rounds["ranks"].bootstrap <= rounds["means"].bootstrap
    notes = effort.notes(rounds)
    assert len(notes) == 4
    assert all("of 200 redraws" in note for note in notes)


@pytest.mark.parametrize("place", range(3))
def test_more_cells_conditions_or_genes_are_never_judged_with_more_draws(place):
    before = Effort().rounds(*NORMAN)
    for factor in (2, 10, 100):
        size = [one * factor if i == place else one for i, one in enumerate(NORMAN)]
        now = Effort().rounds(*size)
        for cost, made in now.items():
            assert made.at_most(before[cost]) == made
        before = now


def test_no_more_draws_are_made_than_were_asked_for():
    few = Effort(bootstrap=3, permutations=2, halves=1)
    for size in (NORMAN, LARGE):
        assert set(few.rounds(*size).values()) == {Rounds(3, 2, 1)}
        assert not few.notes(few.rounds(*size))


def test_bounds_that_are_lifted_give_all_draws():
    endless = replace(Effort(), means=1e99, ranks=1e99, tests=1e99, cells=1e99)
    assert set(endless.rounds(*LARGE).values()) == {Rounds(200, 100, 10)}
