"""Emitters: the mean is kept, values are possible, zeros stay where they can."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from pertura.core.seeds import generator
from pertura.prediction.emit import EMITTERS, chosen, control_shift, draw, resampled, shift_to
from screens import pairs_screen


@st.composite
def drawn(draw_from):
    """Control cells with zeros, silent genes and ties, and a profile that may lie below zero."""
    cells, genes = draw_from(st.integers(1, 30)), draw_from(st.integers(1, 8))
    seed = draw_from(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    controls = rng.gamma(2.0, 0.8, size=(cells, genes)) * (rng.random((cells, genes)) < rng.random(genes))
    controls = np.minimum(np.round(controls, draw_from(st.sampled_from([1, 15]))), 9.0)
    profile = rng.uniform(-0.5, 6.0, genes) * (rng.random(genes) < 0.8)
    return controls, profile


@pytest.mark.parametrize("name", EMITTERS)
@given(case=drawn())
@settings(max_examples=150, deadline=None)
def test_the_mean_is_the_profile_clipped_at_zero(name, case):
    controls, profile = case
    emitted = EMITTERS[name](controls, profile, np.random.default_rng(0))
    assert emitted.dtype == np.float32
    assert emitted.shape == controls.shape
    assert (emitted >= 0).all()
    reached = emitted.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(reached, np.maximum(profile, 0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", EMITTERS)
def test_the_mean_is_kept_for_many_cells_and_genes(name):
    rng = np.random.default_rng(5)
    controls = np.log1p(rng.poisson(rng.gamma(0.4, 2.0, 1300), size=(700, 1300)) * 1.7)
    profile = controls.mean(axis=0) + rng.normal(scale=0.3, size=1300)
    emitted = EMITTERS[name](controls, profile, rng)
    error = emitted.astype(np.float64).mean(axis=0) - np.maximum(profile, 0)
    assert np.abs(error).max() < 1e-6


@given(case=drawn())
@settings(max_examples=50, deadline=None)
def test_the_shift_is_the_root_of_its_equation(case):
    controls, profile = case
    target = np.abs(profile) + 0.01
    found = shift_to(controls, target)
    for gene, (wanted, shift) in enumerate(zip(target, found, strict=True)):
        root = brentq(lambda s, g=gene, t=wanted: np.maximum(controls[:, g] + s, 0).mean() - t, -20, 20, xtol=1e-13)
        assert shift == pytest.approx(root, abs=1e-9)


def test_a_shift_without_clipping_is_the_plain_difference():
    rng = np.random.default_rng(0)
    controls = 3 + rng.random((20, 4))
    delta = np.array([0.5, -0.5, 0.0, 2.0])
    emitted = control_shift(controls, controls.mean(axis=0) + delta, rng)
    np.testing.assert_allclose(emitted, controls + delta, atol=1e-6)


def test_plain_clipping_would_miss_the_mean_that_the_solved_shift_keeps():
    rng = np.random.default_rng(0)
    controls = rng.gamma(1.0, 1.0, (200, 1)) * (rng.random((200, 1)) < 0.5)
    target = controls.mean(axis=0) * 0.4
    plain = np.maximum(controls + target - controls.mean(axis=0), 0).mean(axis=0)
    assert abs(plain - target) > 0.01
    solved = control_shift(controls, target, rng).astype(np.float64)
    assert abs(solved.mean(axis=0) - target) < 1e-6


def test_resampling_keeps_zeros_and_relative_dispersion_where_it_can():
    rng = np.random.default_rng(0)
    controls = rng.gamma(4.0, 0.5, (300, 6)) * (rng.random((300, 6)) < 0.4)
    factor = np.array([0.2, 0.7, 1.0, 1.2, 1.5, 1.05])
    emitted = resampled(controls, controls.mean(axis=0) * factor, rng)
    assert np.array_equal(emitted > 0, controls > 0)
    spread = [np.std(one, axis=0) / np.mean(one, axis=0) for one in (emitted, controls)]
    np.testing.assert_allclose(spread[0], spread[1], rtol=1e-4)


def test_resampling_lets_the_fewest_further_cells_express_a_gene():
    controls = np.zeros((100, 2))
    controls[:5, 0] = 2.0
    emitted = resampled(controls, np.array([0.5, 0.1]), np.random.default_rng(0))
    assert (emitted[:, 0] > 0).sum() == 25
    assert (emitted[:5, 0] > 0).all()
    assert (emitted[:, 1] > 0).sum() == 5
    np.testing.assert_allclose(emitted.astype(np.float64).mean(axis=0), [0.5, 0.1], atol=1e-6)


def test_a_control_is_drawn_again_only_when_all_were_drawn():
    controls = pairs_screen(batches=0).cells
    controls = controls.take(controls.control_rows("K562"))
    few = draw(controls, 50, None, generator(0, "draw"))
    assert (len(set(few.rows.tolist())), few.repeated, few.unmatched) == (50, 0, 0)
    many = draw(controls, 150, None, generator(0, "draw"))
    times = np.bincount(many.rows, minlength=60)
    assert set(times) == {2, 3}
    assert many.repeated == 90


def test_controls_are_drawn_from_the_batch_of_each_cell():
    cells = pairs_screen(batches=3).cells
    controls = cells.take(cells.control_rows("K562"))
    wanted = ["batch-2", "batch-0", "batch-2", "batch-1", "elsewhere"]
    drawing = draw(controls, 5, wanted, generator(0, "draw"))
    found = [controls.batches[controls.batch_codes[row]] for row in drawing.rows]
    assert found[:4] == wanted[:4]
    assert drawing.unmatched == 1


def test_the_draw_goes_by_cell_names_not_by_rows():
    cells = pairs_screen().cells
    controls = cells.take(cells.control_rows("K562"))
    turned = controls.take(np.arange(len(controls))[::-1].copy())
    wanted = ["batch-0", "batch-1"] * 10
    first, second = (draw(one, 20, wanted, generator(0, "draw")) for one in (controls, turned))
    assert list(controls.ids[first.rows]) == list(turned.ids[second.rows])


def test_choosing_all_keeps_their_order():
    assert list(chosen(4, 4, generator(0, "choose"))) == [0, 1, 2, 3]
    assert sorted(chosen(4, 8, generator(0, "choose"))) == [0, 0, 1, 1, 2, 2, 3, 3]
