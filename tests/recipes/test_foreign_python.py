"""`pertura.evaluate` takes what people have in memory, and gives tidy tables."""

import warnings

import numpy as np
import pandas as pd
import pytest

import pertura
from foreign_screens import LABELS, means_frame, prediction, screen
from pertura.core.errors import UsageError
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.compatible import ask_files
from pertura.recipes.foreign.files import Files, Reading

PRESET = "cell-eval-0.8/minimal"
WORK = {"effort": "less", "threads": 1}
pytestmark = pytest.mark.filterwarnings("ignore::pertura.recipes.foreign.in_python.PerturaWarning")


@pytest.fixture(scope="module")
def observed():
    return screen()


@pytest.fixture(scope="module")
def made(observed):
    return prediction(observed)


@pytest.fixture(scope="module")
def answer(made, observed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pertura.evaluate(made, observed, preset=PRESET, **WORK)


def test_scores_are_tidy(answer):
    assert list(answer.scores.columns) == ["condition", "metric", "value"]
    assert sorted(answer.scores["condition"].unique()) == list(LABELS)
    wide = answer.scores.pivot(index="condition", columns="metric", values="value")
    row = answer.aggregate.set_index("metric").loc["pearson_delta"]
    assert row["score"] == pytest.approx(wide["pearson_delta"].mean())
    assert row["low"] < row["score"] < row["high"]
    assert {"no-change", "leave-one-out-mean", "permuted", "ceiling", "inflation"} <= set(row.index)


@pytest.mark.slow
def test_files_and_anndata_give_the_same(answer, made, observed, tmp_path):
    made.write_h5ad(tmp_path / "p.h5ad")
    observed.write_h5ad(tmp_path / "o.h5ad")
    files = Files(tmp_path / "p.h5ad", tmp_path / "o.h5ad")
    by_file = ask_files(files, Reading(), Asked(PRESET, **WORK))[0]
    by_path = pertura.evaluate(str(files.predicted), files.observed, preset=PRESET, **WORK)
    pd.testing.assert_frame_equal(by_path.scores, answer.scores)
    pd.testing.assert_frame_equal(by_path.aggregate, answer.aggregate)
    assert by_file.worth.of("mse").score.value == answer.aggregate.set_index("metric").loc["mse", "score"]


def test_what_must_be_known_is_a_warning(made, observed):
    with pytest.warns(pertura.PerturaWarning, match="100% of the predicted control cells are observed control cells"):
        pertura.evaluate(made, observed, preset="cell-eval-0.8/pds", **WORK)


def test_means_need_no_cells(answer, made, observed):
    by_means = pertura.evaluate(means_frame(made), observed, preset=PRESET, **WORK)
    ours, theirs = (one.aggregate.set_index("metric")["score"] for one in (by_means, answer))
    for name in ("pearson_delta", "mse", "mae"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4)
    assert "overlap_at_N" not in ours


def test_a_prediction_object_is_judged_under_either_family(made, observed):
    cells = pertura.cells_from_anndata(made)
    profiles = {one: cells.dense(cells.rows_of(one)) for one in cells.perturbed}
    own = pertura.Prediction(cells.genes, profiles, pertura.Provenance("mine"))
    by_cells = pertura.evaluate(made, observed, preset="cell-eval-0.8/pds", **WORK)
    by_object = pertura.evaluate(own, observed, preset="cell-eval-0.8/pds", **WORK)
    np.testing.assert_allclose(by_object.scores["value"], by_cells.scores["value"], rtol=1e-6)
    assert list(by_object.scores["condition"]) == list(by_cells.scores["condition"])


@pytest.mark.slow
def test_the_default_preset_has_its_references_too(made, observed):
    answer = pertura.evaluate(made, observed, skip=["mse"], effort="less")
    rows = answer.aggregate.set_index("metric")
    assert {"no-change", "leave-one-out-mean", "floor", "ceiling", "permuted"} <= set(rows.columns)
    assert "mse" not in rows.index
    assert rows.loc["pearson_delta", "score"] > rows.loc["pearson_delta", "leave-one-out-mean"]
    means = pertura.evaluate(means_frame(made), observed, effort="less").aggregate.set_index("metric")
    assert means.loc["pearson_delta", "score"] == pytest.approx(rows.loc["pearson_delta", "score"], rel=1e-4)


def test_what_cannot_be_meant_is_refused(made, observed):
    with pytest.raises(UsageError, match="unknown flag 'contexts'"):
        pertura.evaluate(made, observed, contexts="cell_line")
    with pytest.raises(UsageError, match="no preset 'magic'"):
        pertura.evaluate(made, observed, preset="magic")
    with pytest.raises(UsageError, match=r"give observed=, or predicted cells with layers\['truth'\]"):
        pertura.evaluate(made, preset=PRESET)
    with pytest.raises(UsageError, match="give an AnnData"):
        pertura.evaluate(means_frame(made))
