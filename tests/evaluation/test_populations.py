from dataclasses import replace

import numpy as np
import pytest
from judged_screens import MADE, observed_of, populated, right_change

from pertura.evaluation.effort import Effort
from pertura.evaluation.predicted import Predicted
from pertura.evaluation.table import METRICS
from pertura.metrics.population import energy_distance
from screens import reordered

FEW = Effort(bootstrap=4, permutations=3, halves=2, effect_permutations=19)
CAPPED = replace(FEW, most_cells=8)


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param](noise=1.0)


@pytest.fixture(scope="module")
def observed(screen):
    return observed_of(screen, effort=FEW)


@pytest.fixture(scope="module")
def predicted(observed):
    return Predicted.of(populated(observed, right_change(observed), size=17, spread=1.0), observed)


def score(sides, name="energy_distance"):
    return METRICS[name].score(sides)


def test_the_energy_is_that_of_all_cells_of_either_side(screen, observed, predicted):
    found = score(observed.populations.plain(predicted.few()))
    for i, one in enumerate(observed.conditions):
        cells = screen.cells.dense(screen.cells.rows_of(one))
        assert found[i] == pytest.approx(energy_distance(predicted.cells(one), cells), rel=1e-6)


def test_redraws_are_those_of_the_means(screen, observed, predicted):
    """Cells copied as often as they are drawn: their means are those of the redrawn means, their energy is found."""
    found = [score(one) for one in observed.populations.redrawn(predicted.few())]
    for i, one in enumerate(observed.conditions):
        weights = observed.populations._copies[i]
        rows = observed.populations._chosen[i]
        cells = screen.cells.dense(rows)
        np.testing.assert_allclose(weights @ cells, observed.bootstrap.means[:, i], rtol=1e-4)
        for draw in range(4):
            copied = np.repeat(cells, np.rint(weights[draw] * len(cells)).astype(int), axis=0)
            assert found[draw][i] == pytest.approx(energy_distance(predicted.cells(one), copied), rel=1e-6)


def test_permuted_cells_are_those_of_the_means(screen, observed, predicted):
    first, again = (observed.populations.permuted(predicted.few()) for _ in range(2))
    assert len(first) == observed.rounds["cells"].permutations >= 3
    for draw in range(3):
        found = score(first[draw])
        np.testing.assert_array_equal(score(again[draw]), found)
        for i, one in enumerate(observed.conditions):
            cells = screen.cells.dense(observed.populations._relabelled[draw][i])
            np.testing.assert_allclose(cells.mean(axis=0), observed.permuted.means[draw, i], rtol=1e-4)
            assert found[i] == pytest.approx(energy_distance(predicted.cells(one), cells), rel=1e-6, abs=1e-9)


def test_the_same_cells_have_no_distance(screen, observed):
    own = [screen.cells.dense(screen.cells.rows_of(one)) for one in observed.conditions]
    for name in ("energy_distance", "mmd"):
        np.testing.assert_allclose(score(observed.populations.plain(own), name), 0.0, atol=1e-9)


def test_a_prediction_without_spread_is_seen_by_distances_and_not_by_means(screen, observed):
    """One cell, repeated, at the observed mean."""
    flat = [np.tile(observed.means[i], (15, 1)) for i in range(len(observed.conditions))]
    own = [screen.cells.dense(screen.cells.rows_of(one)) for one in observed.conditions]
    for name in ("energy_distance", "mmd"):
        assert (score(observed.populations.plain(flat), name) > 0.1).all()
        assert (score(observed.populations.plain(own), name) < 0.01).all()


def test_only_so_many_cells_take_part_chosen_without_regard_to_order(screen):
    one, other = (
        observed_of(screen, effort=CAPPED),
        observed_of(replace(screen, cells=reordered(screen.cells)), effort=CAPPED),
    )
    columns = [one.genes.index(gene) for gene in other.genes]
    made = populated(one, right_change(one), size=17, spread=1.0)
    turned = [made.cells[c][::-1][:, columns] for c in one.conditions]
    first = one.populations.plain([one.populations.few(made.cells[c]) for c in one.conditions])
    second = other.populations.plain([other.populations.few(cells) for cells in turned])
    assert max(len(rows) for rows in one.populations._chosen) == 8
    for name in ("energy_distance", "mmd"):
        np.testing.assert_allclose(score(second, name), score(first, name), rtol=1e-9)


def test_halves_have_half_as_many_cells_as_take_part(screen):
    """So that doubling them halves what is left of two samples of one law."""
    observed = observed_of(screen, effort=CAPPED)
    whole = observed_of(screen, effort=FEW)
    for made in (observed, whole):
        assert all(np.isfinite(score(one)).all() for one in made.populations.halves())
    # 4 against 4 cells lie twice as far apart as 10 against 10
    ratio = np.mean([score(one) for one in observed.populations.halves()]) / np.mean(
        [score(one) for one in whole.populations.halves()]
    )
    assert ratio == pytest.approx(10 / 4, rel=0.35)
