"""Prediction files of any model are judged like our own, and refused where they would be misjudged."""

from pathlib import Path

import anndata
import numpy as np
import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.evaluation.files import read_scores
from pertura.models.table import BASELINES
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.evaluating import evaluate_files
from pertura.recipes.foreign.files import Files, Reading
from pertura.recipes.run import run
from small_runs import lines_file, pairs_file, small_recipe

pytestmark = pytest.mark.slow  # whole runs

REFERENCES = {"no-change", "leave-one-out-mean"}
QUICK = Asked(effort="less")
MEASURED = {"genes": 30, "targets": 5, "pairs": 0, "cells_per_condition": 12, "controls_per_line": 40}


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> Path:
    """Observed cells in the State convention."""
    folder = tmp_path_factory.mktemp("observed")
    cells = anndata.read_h5ad(pairs_file(folder, **MEASURED))
    cells.obs["target_gene"] = [label.removesuffix("+ctrl") for label in cells.obs.pop("condition").astype(str)]
    cells.obs["target_gene"] = cells.obs["target_gene"].replace("ctrl", "non-targeting")
    cells.write_h5ad(folder / "state.h5ad")
    return folder / "state.h5ad"


def altered(path: Path, folder: Path, change, name: str = "predicted.h5ad") -> Path:
    cells = anndata.read_h5ad(path)
    made = change(cells)
    (cells if made is None else made).copy().write_h5ad(folder / name)
    return folder / name


def renumbered(cells):
    """The same cells in another order under other names, as another program would write them."""
    order = np.random.default_rng(0).permutation(cells.n_obs)
    turned = cells[order].copy()
    turned.obs_names = [f"p{i}" for i in range(cells.n_obs)]
    return turned


def test_a_runs_own_file_gets_the_scores_of_the_run(tmp_path, pairs):
    run(small_recipe(pairs, bootstrap=200, permutations=100), tmp_path / "run")
    home = tmp_path / "run" / "models" / "additive"
    made = evaluate_files(Files(home / "predictions.h5ad"), Reading(), tmp_path / "out")
    there, here = read_scores(home / "scores"), made.comparison.of("additive")
    assert (here.metrics, here.conditions, here.split, here.seed) == (there.metrics, there.conditions, there.split, 1)
    for table in ("values", "floor", "ceiling", "permuted", "bootstrap", "weights", "effect_p"):
        np.testing.assert_allclose(getattr(here, table), getattr(there, table), rtol=1e-5, atol=1e-6, err_msg=table)
    assert {one.model for one in made.comparison.scores} == {"additive", *REFERENCES}
    assert {one.name for one in (tmp_path / "out" / "models").iterdir()} == {"additive", *REFERENCES}


@pytest.mark.slow
def test_a_file_of_a_reference_takes_its_place(finished, tmp_path):
    path = finished / "models" / "no-change" / "predictions.h5ad"
    made = evaluate_files(Files(path), Reading(), tmp_path, asked=QUICK)
    assert sorted(one.model for one in made.comparison.scores) == ["leave-one-out-mean", "no-change"]


def test_observed_cells_predict_themselves_beyond_the_ceiling(observed, tmp_path):
    predicted = altered(observed, tmp_path, renumbered)
    made = evaluate_files(Files(predicted, observed, name="perfect"), Reading(), tmp_path / "out", asked=QUICK)
    scores = made.comparison.of("perfect")
    assert scores.summary("pearson_delta", "all").value > scores.beside("pearson_delta", "all")["ceiling"]
    np.testing.assert_allclose(scores.values[scores.row("mse")], 0, atol=1e-12)
    assert made.comparison.sentence.startswith("perfect ")
    assert (tmp_path / "out" / "comparison.csv").exists()


def test_observed_conditions_that_were_not_predicted_are_named_and_not_judged(observed, tmp_path):
    labels = anndata.read_h5ad(observed).obs["target_gene"].astype(str)
    left_out = sorted(set(labels) - {"non-targeting"})[-1]
    predicted = altered(observed, tmp_path, lambda cells: cells[(labels != left_out).to_numpy()])
    made = evaluate_files(Files(predicted, observed, name="some"), Reading(), tmp_path / "out", asked=QUICK)
    assert left_out not in {one.perturbation.label for one in made.comparison.scores[0].conditions}
    assert f"observed but not predicted, and so not judged: 1 ({left_out}" in " | ".join(made.warnings)


@pytest.mark.slow
def test_train_cells_bring_every_baseline_without_what_is_judged(observed, tmp_path):
    labels = anndata.read_h5ad(observed).obs["target_gene"].astype(str)
    tested = sorted(set(labels) - {"non-targeting"})[:2]
    test = altered(observed, tmp_path, lambda cells: cells[labels.isin([*tested, "non-targeting"]).to_numpy()])
    made = evaluate_files(Files(test, test, observed, name="mine"), Reading(), tmp_path / "out", asked=QUICK)
    assert {one.model for one in made.comparison.scores} == {"mine", *REFERENCES, *BASELINES}
    told = " | ".join(made.warnings)
    assert f"{len(tested)} conditions of the train cells are judged and were not shown" in told
    assert "20 control cells of the train cells serve the observed changes and were not shown" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells[:, ::-1], "the genes are not in the order of the observed cells"),
        (lambda cells: cells[:, 1:], "of the genes, 1 are missing"),
        (lambda cells: cells[cells.obs["target_gene"] != "non-targeting"], "control"),
        (lambda cells: cells.X.__setitem__((3, 4), np.nan), r"X\[3, 4\] .*1 NaN values"),
        (lambda cells: setattr(cells, "X", np.rint(np.expm1(cells.X))), "predicted cells are counts, observed"),
        (
            lambda cells: cells.obs.drop(columns="perturbation_type", inplace=True),
            "perturbed by unspecified.*give --mode",
        ),
        (
            lambda cells: cells.obs.__setitem__("cell_line", "other"),
            "predicted but not observed: .*@other",
        ),
    ],
    ids=["order", "genes", "no control", "nan", "counts", "mode", "context"],
)
def test_what_would_be_misjudged_is_refused(change, message, observed, tmp_path):
    def dense(cells):
        cells.X = cells.X.toarray()
        return change(cells)

    predicted = altered(observed, tmp_path, dense)
    with pytest.raises((BadDataError, UsageError), match=message) as refused:
        evaluate_files(Files(predicted, observed), Reading(), tmp_path / "out", asked=QUICK)
    assert refused.value.exit_code == 3
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_meant_is_refused_first(observed, finished, tmp_path):
    own = finished / "models" / "additive" / "predictions.h5ad"
    for files, reading, error, message in (
        (Files(observed), Reading(), UsageError, "give --observed FILE"),
        (Files(own), Reading(control="x", context_column="y"), UsageError, "leave out --control|--context-column"),
        (Files(tmp_path / "nowhere.h5ad"), Reading(), MissingError, "no such file"),
        (Files(own, name="../up"), Reading(), UsageError, "cannot be the name of a folder"),
        (Files(own, name="linear"), Reading(), UsageError, "what a reference is called"),
        (Files(observed, observed, observed), Reading(), BadDataError, "every condition in it is judged"),
    ):
        with pytest.raises(error, match=message):
            evaluate_files(files, reading, tmp_path / "out")
    with pytest.raises(UsageError, match="no preset 'magic'"):
        evaluate_files(Files(own), Reading(), tmp_path / "out", asked=Asked("magic"))
    assert not (tmp_path / "out").exists()


def test_a_name_in_a_file_does_not_lead_out_of_the_folder(finished, tmp_path):
    """A stranger's file could call its model ../../x; scores are written under that name."""
    import h5py

    path = tmp_path / "predictions.h5ad"
    path.write_bytes((finished / "models" / "additive" / "predictions.h5ad").read_bytes())
    with h5py.File(path, "r+") as file:
        record = file["uns/pertura"][()].decode()
        attributes = dict(file["uns/pertura"].attrs)
        del file["uns/pertura"]
        file["uns/pertura"] = record.replace('"model": "additive"', '"model": "../../additive"')
        file["uns/pertura"].attrs.update(attributes)
    with pytest.raises(BadDataError, match=r"the model is called '../../additive'\. give --name"):
        evaluate_files(Files(path), Reading(), tmp_path / "out" / "deep")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_several_contexts_are_judged_each_with_its_controls(tmp_path):
    data = lines_file(tmp_path, genes=30, targets=4)
    predicted = altered(data, tmp_path, renumbered)
    made = evaluate_files(Files(predicted, data, name="mine"), Reading(), tmp_path / "out", asked=QUICK)
    assert {one.context for one in made.comparison.of("mine").conditions} == {"line-a", "line-b"}
