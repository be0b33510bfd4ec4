"""Published screens: a file is checked against what is declared of it, remembered, and found again by name."""

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from pertura.core.errors import BadDataError, MissingError
from pertura.core.perturbation import Mode
from pertura.data.conventions import Flags
from pertura.data.datasets import DATASETS, declared, named
from pertura.data.datasets.declared import DECLARED
from pertura.data.datasets.declared_check import check
from pertura.data.datasets.named import cells_named, is_name, known_file, located
from pertura.data.datasets.remembered import home, place_of, remember, remembered
from pertura.recipes.sources import cells_of, data_fingerprint

LABELS = ("ctrl", "A+ctrl", "ctrl+B", "A+B", "C+ctrl")
TINY = replace(DECLARED["norman"], cells=100, genes=30, conditions=4)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("PERTURA_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(declared.DECLARED, "norman", TINY)
    return tmp_path / "home"


def written(path, cells=100, genes=30, labels=LABELS, columns=TINY.columns):
    """A file in the layout of the published one: Ensembl row names, gene_name, a wrong cell type."""
    rng = np.random.default_rng(0)
    values = np.log1p(rng.poisson(2.0, (cells, genes)) / 7.0).astype(np.float32)
    obs = pd.DataFrame(dict.fromkeys(columns, "1"), index=[f"cell{i}" for i in range(cells)])
    obs["condition"] = np.resize(np.asarray(labels), cells)
    obs["cell_type"] = "A549"
    var = pd.DataFrame(
        {"gene_name": [*"ABC", *(f"G{i}" for i in range(3, genes))]},
        index=[f"ENSG{i:011d}" for i in range(genes)],
    )
    anndata.AnnData(sp.csr_matrix(values), obs=obs, var=var).write_h5ad(path)
    return path


def test_what_is_declared_is_complete_and_its_flags_are_understood():
    for name, one in DECLARED.items():
        assert one.name == name
        assert name not in DATASETS
        assert f"`pertura data add {name} FILE.h5ad`" in one.way
        assert f"{one.genes:,} genes" in one.description or name == "norman"
        assert Flags.of(one.flags).mode == one.mode != Mode.UNSPECIFIED
        assert "http" not in one.fetch


def test_what_was_not_confirmed_is_said_where_it_could_mislead(tmp_path):
    doubted = replace(TINY, unconfirmed="its shape was not confirmed")
    assert any("not confirmed" in line for line in DECLARED["adamson"].told)
    assert doubted.told[0].startswith("its shape was not confirmed")
    assert doubted.told[1:] == TINY.told == TINY.remarks
    with pytest.raises(BadDataError, match="its shape was not confirmed"):
        check(written(tmp_path / "a.h5ad", genes=60), doubted)


def test_its_source_says_what_it_is_and_where_to_have_it():
    for one in DECLARED.values():
        assert one.source.startswith(one.description)
        assert one.source.endswith(one.fetch.removeprefix("fetch "))


def test_the_declared_file_is_accepted_without_a_difference(tmp_path):
    checked = check(written(tmp_path / "a.h5ad"), TINY)
    assert checked.differences == ()
    cells = checked.screen.cells
    assert cells.modes == {Mode.ACTIVATION}
    assert cells.contexts == ("",)  # the file calls its K562 cells A549
    assert {one.perturbation.label for one in cells.perturbed} == {"A", "B", "C", "A+B"}
    assert cells.genes[:3] == ("A", "B", "C")


def test_small_differences_are_listed(tmp_path):
    path = written(tmp_path / "a.h5ad", cells=95, columns=TINY.columns[:3])
    assert check(path, TINY).differences == ("95 cells, 100 declared", "obs has no control, condition_name")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cells": 60}, "it has 60 cells and not 100"),
        ({"genes": 40}, "it has 40 genes and not 30"),
        ({"labels": ("ctrl", "A+ctrl", "B+ctrl")}, "it has 2 conditions and not 4"),
        ({"labels": ("control", "A", "B", "A+B", "C")}, "--control 'ctrl'"),
    ],
)
def test_another_file_is_refused_with_what_to_fetch(options, words, tmp_path):
    path = written(tmp_path / "a.h5ad", **options)
    with pytest.raises(BadDataError, match=words) as refused:
        check(path, TINY)
    assert "is not the published screen norman" in str(refused.value)
    assert "pertura data add norman" in str(refused.value)


def test_a_file_that_is_no_screen_keeps_its_own_error(tmp_path):
    (tmp_path / "a.h5ad").write_text("text")
    with pytest.raises(BadDataError, match="not an HDF5 file"):
        check(tmp_path / "a.h5ad", TINY)


def test_a_remembered_file_is_found_by_name_from_anywhere(tmp_path, monkeypatch):
    path = written(tmp_path / "a.h5ad")
    with pytest.raises(MissingError, match=r"norman is not on this machine yet: fetch perturb_processed.h5ad"):
        cells_named("norman")
    place = remember("norman", check(path, TINY).screen)
    assert place == place_of("norman") == located("norman") == known_file(Path("norman"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    cells = cells_of("norman")
    assert (cells.name, len(cells)) == ("norman", 100)
    other = written(tmp_path / "elsewhere" / "b.h5ad", cells=99)
    before = data_fingerprint("norman")
    remember("norman", check(other, TINY).screen)
    assert len(cells_named("norman")) == 99
    assert data_fingerprint("norman") != before


def test_a_file_that_changed_or_went_is_noticed(tmp_path):
    path = written(tmp_path / "a.h5ad")
    remember("norman", check(path, TINY).screen)
    written(path, cells=98)
    with pytest.raises(BadDataError, match=r"bytes|sha256"):
        cells_named("norman")
    path.unlink()
    with pytest.raises(MissingError, match=r"is not there any more: bring it back or `pertura data add norman"):
        remembered("norman")


def test_the_home_follows_the_rules_for_users_folders(monkeypatch, tmp_path):
    assert home() == tmp_path / "home"
    monkeypatch.delenv("PERTURA_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert home() == tmp_path / "share" / "pertura"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".local" / "share" / "pertura"


def test_names_and_paths_are_told_apart(tmp_path):
    assert is_name("norman")
    assert is_name("norman-500")
    assert not is_name("norman.h5ad")
    assert cells_named("norman-500").name == "norman-500"
    assert known_file(tmp_path) == tmp_path
    with pytest.raises(
        MissingError, match=r"no file 'nowhere', and no data set of that name \(bundled: norman-500.*norman"
    ):
        located("nowhere")
    assert named.located(str(tmp_path)) == tmp_path
