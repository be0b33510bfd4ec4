from dataclasses import replace

import numpy as np
import pytest
from judged_screens import observed_of

from pertura.core.expression import InMemory
from pertura.evaluation.effort import Effort
from pertura.evaluation.interactions import interactions
from screens import measured, pairs_screen, perturbed, with_nan

PAIR = perturbed("G06+G07", "K562")


def controls_of(screen):
    return {"K562": screen.split.judge_controls(screen.cells, "K562")}


def interacting(screen, size, pair=PAIR):
    matrix = screen.cells.dense(np.arange(len(screen.cells))).astype(np.float32)
    matrix[screen.cells.rows_of(pair), 8:] += size
    return replace(screen, cells=replace(screen.cells, expression=InMemory(matrix)))


def found(screen, draws=99, seed=0):
    return interactions(screen.cells, screen.asked, controls_of(screen), draws, seed)


def test_a_pair_that_departs_is_found_with_the_sum_of_its_singles():
    screen = interacting(pairs_screen(batches=0), 1.0)
    one, cells = found(screen), screen.cells
    place = screen.asked.index(PAIR)
    assert one.p[place] == 0.01
    start = cells.dense(controls_of(screen)["K562"]).mean(axis=0)
    singles = [cells.dense(cells.rows_of(perturbed(name, "K562"))).mean(axis=0) for name in ("G06", "G07")]
    np.testing.assert_allclose(one.expected[place], singles[0] + singles[1] - 2 * start, rtol=1e-6, atol=1e-6)
    variance = sum(cells.dense(cells.rows_of(perturbed(name, "K562"))).var(axis=0) / 20 for name in ("G06", "G07"))
    np.testing.assert_allclose(one.noise[place], variance, rtol=0.6)


def test_only_pairs_have_an_expectation_and_every_pair_is_counted():
    screen = interacting(pairs_screen(), 1.0)
    one = found(screen)
    pairs = [i for i, c in enumerate(screen.asked) if c.perturbation.is_pair]
    known = np.flatnonzero(np.isfinite(one.expected).all(axis=1))
    assert set(known) <= set(pairs)
    assert one.pairs == len(pairs) == len(known) + len(one.lacking) + len(one.additive)
    assert f"{len(known)} of {len(pairs)} pairs" in one.notes[0]


def test_a_pair_whose_single_was_not_seen_is_left_out_and_counted():
    screen = interacting(pairs_screen(), 1.0)
    gone = screen.cells.rows_of(perturbed("G07", "K562"))[1:]
    fewer = replace(screen, cells=screen.cells.take(np.setdiff1d(np.arange(len(screen.cells)), gone)))
    one = found(fewer)
    assert one.lacking == (PAIR,)
    assert "1 lack cells of a single" in one.notes[0]
    assert np.isnan(one.expected[fewer.asked.index(PAIR)]).all()


def test_unknown_values_of_a_single_are_no_departure():
    screen = interacting(pairs_screen(), 1.0)
    rows = screen.cells.rows_of(perturbed("G00", "K562"))
    one = found(replace(screen, cells=with_nan(screen.cells, rows)))
    touched = screen.asked.index(perturbed("G00+MAP2K6", "K562"))
    assert np.isnan(one.expected[touched]).all()
    assert np.isfinite(one.expected[screen.asked.index(PAIR)]).all()


def test_screens_without_pairs_have_nothing_to_say():
    screen = pairs_screen()
    single = replace(screen, split=replace(screen.split, test=frozenset({perturbed("G06", "K562")}), strata={}))
    assert found(single).notes == ()
    assert found(single).pairs == 0


def test_additive_pairs_depart_as_often_as_chance_has():
    """The null draws the noise of all four means; of additive pairs one in twenty departs."""
    genes = [f"G{i}" for i in range(30)]
    hits = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(2, 30))
        deltas = {perturbed("G0"): a, perturbed("G1"): b, perturbed("G0+G1"): a + b}
        cells = measured(genes, {"": np.full(30, 20.0)}, deltas, cells=25)
        own = cells.dense(np.arange(len(cells))) + rng.normal(size=(len(cells), 30))
        noisy = replace(cells, expression=InMemory(own))
        rows = noisy.control_rows("")
        hits.append(interactions(noisy, [perturbed("G0+G1")], {"": rows}, 99, seed).p[0])
    assert np.mean(np.asarray(hits) <= 0.05) <= 0.15
    assert np.mean(np.asarray(hits) <= 0.5) == pytest.approx(0.5, abs=0.25)


def test_an_observed_side_says_of_how_many_pairs_additivity_can_be_judged():
    observed = observed_of(interacting(pairs_screen(), 1.0), effort=Effort(2, 1, 1, 39))
    assert any("additivity is judged for" in note for note in observed.notes)
