from dataclasses import replace

import numpy as np
import pytest

from pertura.evaluation.presets import shown
from pertura.evaluation.table import METRICS
from pertura.recipes.reach import FEWEST, oracle_table, saturation_table

pytestmark = pytest.mark.slow


def test_oracles_are_scored_by_every_metric_that_a_report_shows(screens):
    table = oracle_table(screens[0])
    assert [row.cells[0] for row in table.rows] == ["technical-duplicate", "interpolated-duplicate"]
    names = [column.title for column in table.columns[1:]]
    assert names == [name for name in shown(tuple(METRICS)) if name in names]
    errors = [row.cells[1 + names.index("mse")] for row in table.rows]
    assert 0 < errors[1] < errors[0]  # interpolation takes noise away


def test_perturbations_of_few_cells_are_left_out_of_oracles_and_counted(screens):
    screen = screens[0]
    one = screen.observed.conditions[0]
    rows = np.setdiff1d(np.arange(len(screen.cells)), screen.cells.rows_of(one)[FEWEST - 1 :])
    fewer = replace(screen, cells=screen.cells.take(rows))
    assert "1 perturbations with fewer than 4 cells are left out" in oracle_table(fewer).note
    none = replace(screen, observed=replace(screen.observed, conditions=screen.observed.conditions[:1]))
    assert oracle_table(none) is None


def test_every_model_is_scored_in_every_stratum_and_the_perturbations_are_counted(screens):
    made = screens[0].comparison
    table = saturation_table(made)
    counted = [int(column.title.rpartition("(")[2][:-1]) for column in table.columns[1:]]
    assert sum(counted) == len(made.scores[0].conditions)
    assert [row.cells[0] for row in table.rows] == [one.model for one in made.headline]
    foreign = replace(made, scores=tuple(replace(one, model=f"my-{one.model}") for one in made.scores))
    assert saturation_table(foreign) is None


def test_the_report_shows_both(finished):
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Oracles on" in page
    assert "by what baselines solve" in page
