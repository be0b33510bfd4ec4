"""Cells needed: the textbook formula, confirmed by drawing cells, and thinner cells need more of them."""

import numpy as np
import pytest
from scipy import stats

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.data.datasets.simulate import simulate
from pertura.data.datasets.simulation import norman_like
from pertura.screening.goal import Goal
from pertura.screening.power import DEPTHS, cells_needed, power_table, score_of_cells
from screens import measured


def programme(genes: tuple[str, ...], statistic: str = "weighted-mean") -> Goal:
    weights = np.zeros(len(genes))
    weights[:10] = 1.0
    return Goal("g", genes, weights, statistic)


@pytest.mark.parametrize(("effect", "tests"), [(0.3, 1), (0.5, 48)])
def test_the_stated_power_is_reached_and_not_with_fewer_cells(effect, tests):
    sd, controls = 0.8, 500
    cells = cells_needed(sd, effect, controls, tests=tests)
    assert cells is not None
    rng = generator(0, "power")
    for count, expected in ((cells, 0.8), (cells // 2, 0.6)):
        error = sd * np.sqrt(1 / count + 1 / controls)
        found = (rng.normal(effect, error, 20_000) / error > stats.norm.isf(0.05 / tests)).mean()
        assert found >= 0.79 if count == cells else found < expected + 0.01


def test_too_few_controls_are_never_enough():
    assert cells_needed(1.0, 0.1, 50) is None
    assert cells_needed(1.0, 0.0, 10_000) is None


def test_thinner_cells_need_more_of_them_and_thinning_is_that_of_shallower_sequencing():
    deep = simulate(norman_like(genes=60, targets=4, pairs=0, controls_per_line=1500, cells_per_condition=2), 0)
    controls = deep.cells.take(deep.cells.control_rows("line-a"))
    goal = programme(controls.genes)
    rows, notes = power_table(controls, goal, [0.3], tests=1)
    assert notes == ()
    assert [one.depth for one in rows] == list(DEPTHS)
    cells = [one.cells for one in rows]
    assert cells == sorted(cells)
    assert cells[0] < cells[-1]
    assert rows[0].sd == pytest.approx(score_of_cells(goal, controls.dense(np.arange(len(controls)))).std(ddof=1))


def test_without_counts_only_the_own_depth_is_given():
    cells = measured([f"G{i}" for i in range(20)], {"K562": np.full(20, 2.0)}, {})
    rows, notes = power_table(cells, programme(cells.genes), [0.2, 0.4])
    assert {one.depth for one in rows} == {1.0}
    assert "counts cannot be told" in notes[0]


def test_ranks_have_no_power_formula():
    with pytest.raises(UsageError, match="means over cells"):
        score_of_cells(programme(tuple(f"G{i}" for i in range(20)), "enrichment"), np.zeros((3, 20)))
