"""A template holds what a foreign model has to fill in, and is not judged before it is filled in."""

import anndata
import numpy as np
import pytest

from foreign_screens import CONTROL, LABELS, prediction, screen
from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import ControlPartition, Split
from pertura.data.splits.files import write_split
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.compatible import ask_files
from pertura.recipes.foreign.files import Files, Reading, open_pair
from pertura.recipes.foreign.skeletons import skeleton

RULES = ("cell-eval-0.8/pds", 1)


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    path = tmp_path_factory.mktemp("observed") / "observed.h5ad"
    screen().write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def template(observed, tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "template.h5ad"
    assert skeleton(observed, path, Reading(), rules=RULES).labels == len(LABELS)
    return path


def test_it_has_genes_conditions_and_controls(observed, template):
    made, seen = anndata.read_h5ad(template), anndata.read_h5ad(observed)
    assert list(made.var_names) == list(seen.var_names)
    assert made.obs["target_gene"].value_counts().to_dict() == seen.obs["target_gene"].value_counts().to_dict()
    own = (made.obs["target_gene"] == CONTROL).to_numpy()
    np.testing.assert_array_equal(made[own].X, seen[made[own].obs_names].X.toarray())
    assert np.isnan(made[~own].X).all()


def test_unfilled_it_is_refused_by_both_families(observed, template):
    with pytest.raises(BadDataError, match=r"this template is not filled in: .* NaN values"):
        open_pair(Files(template, observed), Reading(), 1)
    with pytest.raises(BadDataError, match=r"this template is not filled in: .* NaN values"):
        ask_files(Files(template, observed), Reading(), Asked(RULES[0]))


def test_filled_in_it_scores_what_the_cells_score(observed, template, tmp_path):
    seen = anndata.read_h5ad(observed)
    values = prediction(seen)
    values.write_h5ad(tmp_path / "plain.h5ad")
    made = anndata.read_h5ad(template)
    for label in LABELS:
        made.X[(made.obs["target_gene"] == label).to_numpy()] = values[
            (values.obs["target_gene"] == label).to_numpy()
        ].X.toarray()
    made.write_h5ad(tmp_path / "filled.h5ad")
    asked = Asked(RULES[0], effort="less", threads=1)
    one, other = (
        ask_files(Files(tmp_path / name, observed), Reading(), asked)[0]
        .judged.columns["discrimination_score_l1"]
        .values
        for name in ("filled.h5ad", "plain.h5ad")
    )
    np.testing.assert_array_equal(one, other)


def test_partly_filled_it_is_refused_too(observed, template, tmp_path):
    made = anndata.read_h5ad(template)
    made.X[(made.obs["target_gene"] != "GENE03").to_numpy()] = 1.5
    made.write_h5ad(tmp_path / "partly.h5ad")
    with pytest.raises(BadDataError, match="this template is not filled in: 480 NaN values"):
        open_pair(Files(tmp_path / "partly.h5ad", observed), Reading(), 1)


def test_of_a_split_it_holds_the_test_part_and_the_model_side_of_the_controls(observed, tmp_path):
    names = [str(one) for one in anndata.read_h5ad(observed).obs_names]
    controls = [one for one, label in zip(names, anndata.read_h5ad(observed).obs["target_gene"]) if label == CONTROL]
    conditions = [Condition(Perturbation.of(one)) for one in LABELS]
    part = {"": ControlPartition.halves(controls, 4, "")}
    split = Split("mine", frozenset(conditions[2:]), frozenset(), frozenset(conditions[:2]), {}, part, seed=4)
    write_split(split, tmp_path / "split.json")
    made = skeleton(observed, tmp_path / "t.h5ad", Reading(), split=tmp_path / "split.json")
    assert (made.labels, made.controls) == (2, 15)
    written = anndata.read_h5ad(tmp_path / "t.h5ad")
    own = written[(written.obs["target_gene"] == CONTROL).to_numpy()]
    assert set(own.obs_names) == set(part[""].model)


def test_under_the_default_preset_it_holds_the_half_that_judging_will_not_use(observed, tmp_path):
    skeleton(observed, tmp_path / "t.h5ad", Reading(), rules=("pertura", 3))
    made = anndata.read_h5ad(tmp_path / "t.h5ad")
    made.X[:] = np.nan_to_num(made.X, nan=1.0)
    made.write_h5ad(tmp_path / "filled.h5ad")
    pair = open_pair(Files(tmp_path / "filled.h5ad", observed), Reading(), 3)
    assert set(made.obs_names[(made.obs["target_gene"] == CONTROL).to_numpy()]) == set(pair.split.controls[""].model)


def test_equal_input_makes_an_equal_template(observed, template, tmp_path):
    skeleton(observed, tmp_path / "again.h5ad", Reading(), rules=RULES)
    assert (tmp_path / "again.h5ad").read_bytes() == template.read_bytes()


def test_what_cannot_be_meant_is_refused(observed, tmp_path):
    with pytest.raises(UsageError, match=r"name an \.h5ad file"):
        skeleton(observed, tmp_path / "t.csv", Reading())
    with pytest.raises(UsageError, match="no preset 'magic'"):
        skeleton(observed, tmp_path / "t.h5ad", Reading(), rules=("magic", 1))
    assert not list(tmp_path.iterdir())
