"""All files of cell-eval 0.8.2 on two screens; the predicted cells of B are dense and of low variance."""

import anndata as ad
import pytest
from cell_eval_screens import REFERENCE, differences, own_files, table_agrees

SLOW_TO_START = "clustering_agreement"
"""Its libraries take seconds to load."""


def cells_of(name):
    return (ad.read_h5ad(REFERENCE / name / f"{side}.h5ad") for side in ("pred", "real"))


@pytest.fixture(params=["A", "B"], scope="module")
def judged_screen(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    result = own_files(*cells_of(request.param), folder, skip=frozenset({SLOW_TO_START}))
    return result, folder, REFERENCE / request.param


def test_results_and_aggregate_agree(judged_screen):
    result, folder, reference = judged_screen
    assert result.undone == {}
    assert differences(folder, reference, without=[SLOW_TO_START]) == []


def test_the_table_of_differential_expression_agrees(judged_screen):
    _, folder, reference = judged_screen
    table_agrees(folder / "real_de.csv", reference / "real_de_first.csv", rows=1200)


def test_a_prediction_without_spread_is_told_from_others(judged_screen):
    result, _, reference = judged_screen
    assert bool(result.warnings) == (reference.name == "B")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A", "B"])
def test_all_28_columns_agree(name, tmp_path):
    result = own_files(*cells_of(name), tmp_path)
    assert len(result.columns) == 28
    assert differences(tmp_path, REFERENCE / name) == []
