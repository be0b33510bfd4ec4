"""Laws of what a flow is trained on: which conditions, which cells, which random numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pertura.models.cellflow.config import CellFlowConfig, Covariate
from pertura.models.cellflow.feed import FlowFeed
from pertura.models.cellflow.options import CellFlowOptions
from pertura.models.cellflow.space import Space
from pertura.models.cellflow.vectors import ContextVectors, GeneVectors, told
from pertura.training.options import TrainingOptions
from screens import contexts_screen, pairs_screen

NETWORK = CellFlowConfig(dims=5, covariates=(Covariate(name="gene", width=1),), condition_width=4)
OPTIONS = CellFlowOptions(network=NETWORK, cells=40, updates=7, training=TrainingOptions(batch=6))


def fed(made, options=OPTIONS, order=None):
    cells = made.split.visible(made.cells if order is None else made.cells.take(order))
    conditions = tuple(one for one in cells.perturbed if one in made.split.train)
    space = Space.of(cells, np.arange(len(cells)), 5)
    points = space.points(cells, np.arange(len(cells)))
    genes = GeneVectors.learnt((), {t for one in conditions for t in one.perturbation.targets}, equal_length=True)
    return FlowFeed(cells, points, conditions, told(conditions, genes, None, {}, 2), options, 3), cells, points


def rows_like(points, found):
    """The rows of `points` that drawn coordinates are."""
    place = {one.tobytes(): row for row, one in enumerate(points)}
    return np.asarray([[place[one.numpy().tobytes()] for one in cells] for cells in found])


def test_cells_of_a_draw_are_of_its_condition_and_controls_of_its_context():
    feed, cells, points = fed(contexts_screen())
    for step in range(4):
        batch = feed.batch(0, step, feed.places(0, step), "0")
        conditions, _ = feed.drawn(0, step, "0")
        for target, source, code in zip(
            rows_like(points, batch.target), rows_like(points, batch.source), conditions.tolist()
        ):
            condition = feed.conditions[code]
            assert set(target.tolist()) <= set(cells.rows_of(condition).tolist())
            assert set(source.tolist()) <= set(cells.control_rows(condition.context).tolist())


@pytest.mark.parametrize("match", [True, False])
def test_controls_come_from_the_batch_of_their_cell_if_asked(match):
    feed, cells, points = fed(pairs_screen(batches=2), replace(OPTIONS, match_batches=match))
    batch = feed.batch(1, 0, feed.places(1, 0), "0")
    codes = [cells.batch_codes[rows_like(points, side)] for side in (batch.target, batch.source)]
    assert bool((codes[0] == codes[1]).all()) == match


def test_contexts_are_drawn_evenly_and_then_their_conditions():
    made = contexts_screen()
    feed, _, _ = fed(made, replace(OPTIONS, training=TrainingOptions(batch=200), cells=1))
    drawn = np.concatenate([feed.drawn(0, step, "0")[0].numpy() for step in range(20)])
    contexts = np.asarray([one.context for one in feed.conditions])
    counts = {name: (contexts[drawn] == name).mean() for name in set(contexts.tolist())}
    assert len(counts) == 3
    np.testing.assert_allclose(list(counts.values()), 1 / 3, atol=0.03)
    rare = np.bincount(drawn[contexts[drawn] == "RPE1"], minlength=len(contexts))
    several = rare[contexts == "RPE1"]
    np.testing.assert_allclose(several / several.sum(), 1 / len(several), atol=0.05)


def test_a_draw_does_not_depend_on_which_others_are_asked_for():
    feed, _, _ = fed(pairs_screen())
    whole = feed.batch(2, 3, [0, 1, 2, 3, 4, 5], "0")
    some = feed.batch(2, 3, [4, 1], "0")
    assert torch.equal(some.source, whole.source[[4, 1]])
    assert torch.equal(some.draws.noise, whole.draws.noise[[4, 1]])
    assert torch.equal(some.told.vectors["gene"], whole.told.vectors["gene"][[4, 1]])


@pytest.mark.parametrize("place", [(0, 1, "0"), (1, 0, "0"), (0, 0, "1")])
def test_every_update_and_every_attempt_draws_anew(place):
    feed, _, _ = fed(pairs_screen())
    first, other = feed.batch(0, 0, [0], "0"), feed.batch(place[0], place[1], [0], place[2])
    assert not torch.equal(first.draws.noise, other.draws.noise)
    assert not torch.equal(first.target, other.target)


def test_the_order_of_cells_in_the_file_changes_no_draw():
    made = pairs_screen()
    order = np.random.default_rng(0).permutation(len(made.cells))
    (first, _, _), (second, _, _) = fed(made), fed(made, order=order)
    assert first.fingerprint == second.fingerprint
    batches = [feed.batch(0, 0, [0, 1, 2], "0") for feed in (first, second)]
    assert torch.equal(batches[0].source, batches[1].source)
    assert torch.equal(batches[0].target, batches[1].target)


def test_other_options_or_data_have_another_fingerprint():
    made = pairs_screen()
    plain = fed(made)[0].fingerprint
    assert fed(made, replace(OPTIONS, cells=41))[0].fingerprint != plain
    assert fed(pairs_screen(noise=0.31))[0].fingerprint != plain


def test_components_span_the_data_and_lead_back():
    made = pairs_screen()
    rows = np.arange(len(made.cells))
    space = Space.of(made.cells, rows, 15)
    back = space.expression(space.points(made.cells, rows))
    np.testing.assert_allclose(back, made.cells.with_genes(space.genes).dense(rows), atol=1e-4)
    few = Space.of(made.cells, rows[:4], 15)
    assert few.dims == 3


def test_a_context_is_told_by_its_name_or_by_its_controls():
    means = {"a": np.asarray([1.0, 0.0]), "b": np.asarray([-1.0, 0.0])}
    label, controls = (ContextVectors.learnt(kind, means) for kind in ("label", "controls"))
    np.testing.assert_array_equal(label.of("b", means["b"]), [0, 1])
    np.testing.assert_array_equal(label.of("new", means["b"]), [0, 0])
    np.testing.assert_allclose(controls.of("new", np.asarray([1.0, 0.0])), controls.of("a", means["a"]))
    assert ContextVectors.learnt("label", {"a": means["a"]}) is None
    assert ContextVectors.learnt("none", means) is None
