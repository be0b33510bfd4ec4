"""Splits in columns of obs, as `split1` with `subgroup1`."""

import anndata
import numpy as np
import pytest

from h5ad_files import gears, written
from pertura.core.errors import LeakError, UsageError
from pertura.data.anndata_io import cells_from_anndata
from pertura.data.splits.audit import audit
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_column import split_from_column

PARTS = {"ctrl": "train", "GENE1+ctrl": "train", "ctrl+GENE2": "val", "GENE1+GENE2": "test", "OUTSIDE+ctrl": "test"}
GROUPS = {"GENE1+GENE2": "combo_seen2", "OUTSIDE+ctrl": "unseen_single"}


def adata_with(column="split1", parts=PARTS, groups=GROUPS):
    adata = gears()
    adata.obs[column] = [parts[one] for one in adata.obs["condition"]]
    adata.obs["subgroup1"] = [groups.get(one) for one in adata.obs["condition"]]
    return adata


REFUSING = Rules()


def read(adata, tmp_path, column="split1", rules=REFUSING):
    cells = cells_from_anndata(adata)
    found = split_from_column(cells, written(adata, tmp_path), column, rules)
    audit(found.split, cells)
    return found


def labels(part):
    return {one.perturbation.label for one in part}


@pytest.mark.parametrize("category", [False, True])
def test_a_column_of_parts_is_a_split_with_its_subgroups(category, tmp_path):
    adata = adata_with()
    if category:
        adata.obs["split1"] = adata.obs["split1"].astype("category")
    found = read(adata, tmp_path)
    assert labels(found.split.train) == {"GENE1"}
    assert labels(found.split.valid) == {"GENE2"}
    assert labels(found.split.test) == {"GENE1+GENE2", "OUTSIDE"}
    assert {name: labels(part) for name, part in found.split.strata.items()} == {
        "combo_seen2": {"GENE1+GENE2"},
        "unseen_single": {"OUTSIDE"},
    }
    assert "strata from obs['subgroup1']" in found.lines
    assert [len(one.model) for one in found.split.controls.values()] == [10]


def test_ood_is_the_test_part_where_it_occurs_and_that_is_said(tmp_path):
    words = {"train": "train", "val": "test", "test": "ood"}
    found = read(adata_with(parts={one: words[part] for one, part in PARTS.items()}), tmp_path)
    assert labels(found.split.valid) == {"GENE2"}
    assert labels(found.split.test) == {"GENE1+GENE2", "OUTSIDE"}
    assert any(line.startswith("ood is the test part") for line in found.lines)
    with pytest.raises(UsageError, match="which of the last two is to judge by"):
        read(adata_with(parts=PARTS | {"ctrl": "ood"}), tmp_path)


def test_a_condition_cut_between_parts_overlaps(tmp_path):
    adata = adata_with()
    rows = np.flatnonzero(adata.obs["condition"] == "GENE1+ctrl")[:3]
    adata.obs.iloc[rows, adata.obs.columns.get_loc("split1")] = "test"
    with pytest.raises(LeakError, match=r"1 conditions are in two parts \(GENE1@K562\)"):
        read(adata, tmp_path)
    found = read(adata, tmp_path, rules=Rules(TEST_WINS))
    assert "GENE1" in labels(found.split.test)
    assert not found.split.train


def test_cells_without_a_part_leave_their_condition_out(tmp_path):
    adata = adata_with()
    adata.obs["split1"] = adata.obs["split1"].where(adata.obs["condition"] != "GENE1+ctrl")
    found = read(adata, tmp_path)
    assert found.split.options["in_no_part"] == "1: GENE1@K562"


def test_the_order_of_cells_plays_no_role(tmp_path):
    adata = adata_with()
    order = np.random.default_rng(0).permutation(adata.n_obs)
    (tmp_path / "b").mkdir()
    first, second = read(adata, tmp_path), read(anndata.AnnData.copy(adata[order]), tmp_path / "b")
    assert first.split.fingerprint == second.split.fingerprint


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("splt1", "--from-column 'splt1'.*did you mean 'split1'"),
        ("condition", r"'GENE1\+GENE2' is no part"),
    ],
)
def test_a_column_that_holds_no_parts_is_refused(column, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        read(adata_with(), tmp_path, column)


def test_a_column_without_values_is_refused_and_mixed_subgroups_are_said(tmp_path):
    adata = adata_with()
    adata.obs["split2"] = np.where(adata.obs["condition"] == "ctrl", "train", None)
    with pytest.raises(UsageError, match="no perturbed cell has a value"):
        read(adata, tmp_path, "split2")
    adata.obs["subgroup1"] = ["a", "b"] * (adata.n_obs // 2)
    assert any("in several subgroups" in line for line in read(adata, tmp_path).lines)
