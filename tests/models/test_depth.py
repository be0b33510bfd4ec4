"""The depth baseline knows what thinning does, looks at no perturbed expression, and says where depth is unknown."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from pertura.core import Cells, Scale, Split
from pertura.core.expression import InMemory
from pertura.data.datasets.simulate import simulate_replogle
from pertura.data.datasets.simulation import replogle_like
from pertura.models.baselines.baseline import Baseline
from pertura.models.baselines.depth import Depth, expected_log
from screens import contexts_screen, controls_of, split_of

SHALLOWER = 0.3


def thinned_screen(keep: float = SHALLOWER, output: str = "lognormalised") -> Cells:
    """Perturbed cells are control cells of `keep` times the depth and nothing else; with keep > 1 controls are thin."""
    config = replogle_like(
        lines=("line-a", "line-b"), genes=80, targets=8, controls_per_line=600, cells_per_condition=120,
        effect_sd=0.0, target_effect=0.0, output="counts", library_sd=0.2, batches=2, density=0.6,
    )  # fmt: skip
    cells = simulate_replogle(config, seed=1).cells
    counts, sizes = cells.dense(np.arange(len(cells))), cells.library_sizes.copy()
    thin = ~cells.is_control if keep < 1 else cells.is_control
    share = min(keep, 1 / keep)
    counts[thin] = np.random.default_rng(0).binomial(counts[thin].astype(int), share)
    sizes[thin] = np.round(sizes[thin] * share)
    made = replace(cells, expression=InMemory(counts), library_sizes=sizes)
    if output == "counts":
        return made
    logs = np.log1p(counts / sizes[:, None] * 1e4)
    scale = Scale("lognormalised", 1e4, float(np.e), whole_transcriptome=True)
    return replace(made, expression=InMemory(sp.csr_matrix(logs)), scale=scale)


def answered(cells: Cells) -> tuple[Baseline, Split, dict]:
    split = split_of(cells, [one for one in cells.perturbed if one.genes[0] == cells.perturbed[0].genes[0]])
    model = Baseline(Depth())
    model.fit(cells, split, seed=0)
    rows = np.concatenate([split.model_controls(cells, name) for name in cells.contexts])
    asked = sorted(split.test | split.train)
    prediction = model.predict(cells.take(rows), asked, seed=0)
    return model, split, {one: prediction.mean(one) for one in asked}


@pytest.mark.parametrize("output", ["lognormalised", "counts"])
def test_where_depth_is_all_that_changes_it_predicts_the_change(output):
    cells = thinned_screen(output=output)
    _, split, found = answered(cells)
    rest = before = 0.0
    for context in cells.contexts:
        here = [one for one in cells.perturbed if one.context == context]
        observed = np.mean([cells.dense(cells.rows_of(one)).mean(axis=0) for one in here], axis=0)
        control = cells.dense(split.model_controls(cells, context)).mean(axis=0)
        rest += np.square(found[here[0]] - observed).sum()
        before += np.square(control - observed).sum()
    assert rest < 0.1 * before


def test_deeper_cells_change_the_other_way():
    shallow, deep = thinned_screen(0.7), thinned_screen(1 / 0.7)
    change = []
    for cells in (shallow, deep):
        _, split, found = answered(cells)
        control = cells.dense(split.model_controls(cells, "line-a")).mean(axis=0)
        change.append(next(iter(found.values())) - control)
    assert np.corrcoef(*change)[0, 1] < -0.7


def test_the_expectation_is_that_of_drawn_counts():
    rng = np.random.default_rng(0)
    counts = np.asarray([0.0, 1, 2, 7, 40, 41, 300])
    per_count = np.asarray([3.0, 5.0, 0.2, 1.0, 2.0, 2.0, 0.1])
    drawn = np.log1p(per_count * rng.binomial(counts.astype(int), 0.6, size=(200_000, 7)))
    np.testing.assert_allclose(expected_log(counts, per_count, 0.6), drawn.mean(axis=0), atol=0.006)
    np.testing.assert_allclose(expected_log(counts, per_count, 1.0), np.log1p(counts * per_count), rtol=1e-12)


def test_neither_perturbed_expression_nor_the_depth_of_test_cells_is_looked_at():
    cells = thinned_screen()
    _, split, clean = answered(cells)
    matrix, sizes = cells.dense(np.arange(len(cells))), cells.library_sizes.copy()
    matrix[~cells.is_control] = 1.0
    test = np.concatenate([cells.rows_of(one) for one in split.test])
    sizes[test] *= 3
    _, _, other = answered(replace(cells, expression=InMemory(matrix), library_sizes=sizes))
    assert all(clean[one].tobytes() == other[one].tobytes() for one in clean)


def test_without_library_sizes_it_says_so_and_answers_with_the_train_mean():
    screen = contexts_screen()
    model = Baseline(Depth())
    model.fit(screen.cells, screen.split, seed=0)
    prediction = model.predict(controls_of(screen), screen.asked, seed=0)
    assert {*prediction.fallbacks.values()} == {"library sizes are not known: answered with train-mean"}


def test_values_that_are_no_multiples_of_counts_are_not_thinned():
    cells = thinned_screen()
    jittered = cells.dense(np.arange(len(cells)))
    jittered *= np.random.default_rng(0).uniform(0.5, 1.5, size=jittered.shape)
    cells = replace(cells, expression=InMemory(jittered))
    split = split_of(cells, cells.perturbed[:2])
    model = Baseline(Depth())
    model.fit(cells, split, seed=0)
    controls = cells.take(split.model_controls(cells, "line-a"))
    asked = [one for one in cells.perturbed if one.context == "line-a"]
    assert "counts cannot be told" in next(iter(model.predict(controls, asked, seed=0).fallbacks.values()))


def test_a_context_without_train_conditions_gets_the_others_mean_and_a_note():
    cells = thinned_screen()
    split = split_of(cells, [one for one in cells.perturbed if one.context == "line-b"])
    model = Baseline(Depth())
    model.fit(cells, split, seed=0)
    controls = cells.take(split.model_controls(cells, "line-b"))
    prediction = model.predict(controls, sorted(split.test), seed=0)
    assert not prediction.fallbacks
    assert "line-b is not known from train" in prediction.provenance.versions["notes"]
