"""A prepared file: scanpy's numbers, train cells alone choose its genes, nothing of the file gets lost unsaid."""

import json
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse as sp

from h5ad_files import transcriptome, written
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, LeakError
from pertura.core.expression import InMemory, as_expression
from pertura.core.split import Outline, Split
from pertura.data.anndata_io import cells_from_anndata, cells_from_file, open_cells, open_screen
from pertura.data.backed import BackedRows
from pertura.data.datasets import DATASETS
from pertura.data.manifest import write_manifest
from pertura.data.preparation import passes
from pertura.data.preparation.account import PLACE, chosen_elsewhere, notes_of
from pertura.data.preparation.knockdown import KnockDown
from pertura.data.preparation.material import Material, material_of, open_material
from pertura.data.preparation.prepare import Wish, planned, prepare, without_absent
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit

LABELS = ("ctrl", "GENE1+ctrl", "GENE150+ctrl", "GENE3+ctrl", "GENE1+GENE150", "OUTSIDE+ctrl", "GENE7+ctrl")


def whole_screen(cells: int = 280) -> anndata.AnnData:
    """Counts of a transcriptome of 200 genes, in the labels of GEARS, with things that all cells had a part in."""
    counts = transcriptome(cells)
    obs = pd.DataFrame({"condition": np.resize(LABELS, cells), "n_counts": counts.sum(axis=1)})
    obs.index = [f"cell{i}" for i in range(cells)]
    obs["condition"] = pd.Categorical(obs["condition"])
    obs["leiden"] = pd.Categorical(np.resize(["0", "1"], cells))
    var = pd.DataFrame({"highly_variable": False, "biotype": "x"}, index=[f"GENE{i}" for i in range(200)])
    adata = anndata.AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)
    adata.obsm["X_pca"] = np.zeros((cells, 2))
    adata.layers["other"] = adata.X.copy()
    return adata


def opened(adata: anndata.AnnData, folder: Path, **flags: object) -> Material:
    path = written(adata, folder)
    flags = {"whole_transcriptome": True, "library_size_column": "n_counts", **flags}
    write_manifest(folder / "dataset.toml", path, open_screen(path, **flags).reading)
    return open_material(str(folder / "dataset.toml"))


def held(adata: anndata.AnnData, **flags: object) -> Material:
    """The same without a file."""
    flags = {"whole_transcriptome": True, "library_size_column": "n_counts", **flags}
    column = "" if flags["library_size_column"] == "none" else "n_counts"
    counts = as_expression(adata.layers["counts"]) if "counts" in adata.layers else None
    var = adata.var.drop(columns="highly_variable")
    return Material(cells_from_anndata(adata, **flags), counts, adata.obs, var, column, {"name": "made"})


def read(path: Path) -> Cells:
    return cells_from_anndata(anndata.read_h5ad(path))


def split_of(cells: Cells, seed: int = 2) -> Split:
    return SPLITS["folds"](Outline.of(cells), seed=seed, folds=3, fold=0)


def poisoned(material: Material, split: Split) -> Material:
    """The same with other counts in every cell that a choice of genes must not see."""
    cells = material.cells
    hidden = [cells.rows_of(one) for one in split.test | split.valid]
    hidden += [split.judge_controls(cells, name) for name in split.controls]
    matrix = cells.dense(np.arange(len(cells)))
    matrix[np.concatenate(hidden)] = np.random.default_rng(5).poisson(3, size=matrix[np.concatenate(hidden)].shape)
    return replace(material, cells=replace(cells, expression=InMemory(matrix)))


def test_values_and_counts_are_those_of_scanpy(tmp_path):
    adata = whole_screen()
    made = prepare(held(adata), tmp_path / "p.h5ad", Wish(genes=50, target_sum=5e3))
    found = anndata.read_h5ad(tmp_path / "p.h5ad")
    scanpy.pp.normalize_total(adata, target_sum=5e3)
    scanpy.pp.log1p(adata)
    table = scanpy.pp.highly_variable_genes(adata, n_top_genes=50, inplace=False)
    expected = set(table.index[table["highly_variable"]]) | {"GENE1", "GENE150", "GENE3", "GENE7"}
    assert set(found.var_names) == expected
    np.testing.assert_allclose(found.X.toarray(), adata[:, found.var_names].X.toarray(), rtol=2e-6)
    assert (found.layers["counts"] != whole_screen()[:, found.var_names].X).nnz == 0
    assert set(made.account.variable) == set(table.index[table["highly_variable"]])
    assert made.account.unmeasured == ("OUTSIDE",)


def test_the_file_reads_by_itself_as_what_it_is(tmp_path):
    material = opened(whole_screen(), tmp_path)
    prepare(material, tmp_path / "p.h5ad", Wish(genes=50))
    again = open_cells(tmp_path / "p.h5ad")
    assert (again.scale.kind, again.scale.target_sum, again.scale.whole_transcriptome) == ("lognormalised", 1e4, True)
    assert again.conditions == material.cells.conditions
    np.testing.assert_array_equal(again.ids, material.cells.ids)
    np.testing.assert_array_equal(again.library_sizes, material.cells.library_sizes)


def test_what_all_cells_had_a_part_in_is_left_behind_and_named(tmp_path):
    made = prepare(opened(whole_screen(), tmp_path), tmp_path / "p.h5ad", Wish(genes=50))
    found = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert set(made.account.behind) >= {
        "obs['leiden']",
        "var['highly_variable']",
        "obsm['X_pca']",
        "layers['other']",
    }
    assert not found.obsm
    assert set(found.layers) == {"counts"}
    assert "leiden" not in found.obs
    assert list(found.var["biotype"].unique()) == ["x"]


def test_only_train_cells_choose_the_genes(tmp_path):
    material = held(whole_screen())
    split = split_of(material.cells)
    other = poisoned(material, split)
    clean = prepare(material, tmp_path / "a.h5ad", Wish(genes=40), split).account
    spoilt = prepare(other, tmp_path / "b.h5ad", Wish(genes=40), split).account
    assert clean.variable == spoilt.variable
    assert prepare(material, tmp_path / "c.h5ad", Wish(genes=40)).account.variable != clean.variable
    assert clean.chosen_on["split"] == split.fingerprint
    assert "highly_variable" not in anndata.read_h5ad(tmp_path / "a.h5ad").var


def test_fewer_variable_genes_than_were_asked_for_are_explained(tmp_path):
    adata = whole_screen()
    adata.X = adata.X.toarray()
    adata.X[:, 30:] = 0
    account = prepare(held(adata), tmp_path / "p.h5ad", Wish(genes=120)).account
    said = f"120 variable ones were asked for: no more than {len(account.variable)} of the {adata.n_vars} genes vary"
    assert len(account.variable) <= 30
    assert any(said in line for line in account.lines)
    enough = prepare(held(whole_screen()), tmp_path / "q.h5ad", Wish(genes=40)).account
    assert not any("asked for" in line for line in enough.lines)


def test_without_a_split_readers_learn_that_all_cells_chose(tmp_path):
    made = prepare(held(whole_screen()), tmp_path / "p.h5ad", Wish(genes=40))
    assert any("--split" in line for line in made.account.warnings)
    assert any("computed before any split" in note for note in read(tmp_path / "p.h5ad").notes)
    text = anndata.read_h5ad(tmp_path / "p.h5ad").uns[PLACE]
    assert any("test cells included" in note for note in notes_of(text))


def test_a_panel_of_another_split_is_told(tmp_path):
    material = opened(whole_screen(), tmp_path)
    split = split_of(material.cells)
    prepare(material, tmp_path / "p.h5ad", Wish(genes=40), split)
    notes = open_cells(tmp_path / "p.h5ad").notes
    assert chosen_elsewhere(notes, split) is None
    assert chosen_elsewhere((), split) is None
    other = replace(split, seed=split.seed + 1)
    assert split.fingerprint[:12] in chosen_elsewhere(notes, other)


def test_a_choice_that_the_file_brought_is_not_forgotten(tmp_path):
    adata = whole_screen()
    adata.var["highly_variable"] = True
    material = opened(adata, tmp_path)
    prepare(material, tmp_path / "p.h5ad", Wish(genes=40), split_of(material.cells))
    assert any("panel itself is a choice" in note for note in open_cells(tmp_path / "p.h5ad").notes)


def test_blocks_order_of_cells_and_disk_change_nothing(tmp_path, monkeypatch):
    adata = whole_screen()
    prepare(held(adata), tmp_path / "a.h5ad", Wish(genes=40))
    turned = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    material = opened(turned, tmp_path)
    reading = open_screen(tmp_path / "dataset.toml").reading
    on_disk = cells_from_file(tmp_path / "screen.h5ad", reading, in_memory_bytes=0)
    assert isinstance(on_disk.expression, BackedRows)
    monkeypatch.setattr(passes, "BLOCK_BYTES", 1)
    prepare(replace(material, cells=on_disk), tmp_path / "b.h5ad", Wish(genes=40))
    first, second = anndata.read_h5ad(tmp_path / "a.h5ad"), anndata.read_h5ad(tmp_path / "b.h5ad")
    second = second[first.obs_names]
    assert list(first.var_names) == list(second.var_names)
    assert (first.X != second.X).nnz == 0
    assert (first.layers["counts"] != second.layers["counts"]).nnz == 0


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        prepare(held(whole_screen()), tmp_path / f"{name}.h5ad", Wish(genes=40))
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()


def test_library_sizes_are_summed_where_none_are_stored(tmp_path):
    adata = whole_screen()
    sums = adata.obs.pop("n_counts").to_numpy()
    material = held(adata, library_size_column="none")
    prepare(material, tmp_path / "p.h5ad", Wish(genes=30))
    found = anndata.read_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_array_equal(found.obs["ncounts"], sums)
    assert read(tmp_path / "p.h5ad").scale.target_sum == 1e4


def test_a_panel_without_library_sizes_is_refused_before_anything_is_written(tmp_path):
    adata = whole_screen()[:, :60].copy()
    material = held(adata, library_size_column="none", whole_transcriptome=False)
    for attempt in (lambda: planned(material, Wish()), lambda: prepare(material, tmp_path / "p.h5ad", Wish())):
        with pytest.raises(BadDataError, match="library sizes are not known"):
            attempt()
    assert not (tmp_path / "p.h5ad").exists()
    sized = held(adata, whole_transcriptome=None)
    assert prepare(sized, tmp_path / "p.h5ad", Wish()).account.genes == 60


def logs_of(adata: anndata.AnnData, base: float = np.e, target: float = 1e4, panel: int = 60) -> anndata.AnnData:
    """A panel normalised over all genes, as logarithms of `base`; without counts."""
    values = np.log1p(adata.X.toarray() / adata.obs["n_counts"].to_numpy()[:, None] * target) / np.log(base)
    made = adata[:, :panel].copy()
    made.X = sp.csr_matrix(values[:, :panel].astype(np.float32))
    return made


@pytest.mark.parametrize(("base", "target"), [(np.e, 1e4), (2.0, 1e4), (10.0, 5e3)])
def test_logarithms_of_any_base_and_target_become_natural_ones(base, target, tmp_path):
    adata = whole_screen()
    material = held(logs_of(adata, base, target), whole_transcriptome=None)
    account = prepare(material, tmp_path / "p.h5ad", Wish(genes=200)).account
    found = anndata.read_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_allclose(found.X.toarray(), logs_of(adata).X.toarray(), rtol=1e-5)
    assert "library sizes (whole numbers" in account.counts_from
    assert (found.layers["counts"] != adata[:, :60].X).nnz == 0


def test_logarithms_of_a_panel_by_its_own_sum_are_refused_unless_counts_stand_beside(tmp_path):
    adata = whole_screen()
    panel = adata[:, :60].copy()
    panel.layers["counts"] = panel.X.copy()
    scanpy.pp.normalize_total(panel, target_sum=1e4)
    scanpy.pp.log1p(panel)
    without = panel.copy()
    del without.layers["counts"]
    with pytest.raises(BadDataError, match="panel alone"):
        prepare(held(without, whole_transcriptome=False), tmp_path / "p.h5ad", Wish())
    prepare(held(panel, whole_transcriptome=False), tmp_path / "p.h5ad", Wish(genes=200))
    np.testing.assert_allclose(
        anndata.read_h5ad(tmp_path / "p.h5ad").X.toarray(), logs_of(adata).X.toarray(), rtol=1e-5
    )


def test_cells_without_enough_counts_go_and_the_split_follows(tmp_path):
    adata = whole_screen()
    counts = adata.X.toarray()
    counts[:2] = 0  # the first is a control
    adata.X = sp.csr_matrix(counts)
    adata.obs["n_counts"] = np.asarray(adata.X.sum(axis=1)).reshape(-1)
    material = held(adata)
    split = split_of(material.cells)
    made = prepare(material, tmp_path / "p.h5ad", Wish(genes=30), split)
    again = read(tmp_path / "p.h5ad")
    assert len(again) == 278
    assert made.account.left_out == {"with fewer than 1 counts": 2}
    assert made.split is not None
    assert made.split.options["left_out_by_prepare"] == "0 conditions, 1 control cells"
    audit(made.split, again)
    fewer = prepare(material, tmp_path / "q.h5ad", Wish(genes=30, min_counts=300)).account
    assert sum(fewer.left_out.values()) == int((adata.obs["n_counts"] < 300).sum())


def knocked_down_screen(**changes: object) -> Material:
    """Replogle-like counts: most targets are knocked down, some hardly, one of them is not measured."""
    from pertura.data.datasets.simulate import simulate_replogle
    from pertura.data.datasets.simulation import replogle_like

    preset = {"lines": ("line-a",), "genes": 60, "targets": 12, "output": "counts", "density": 0.8}
    config = replogle_like(**{**preset, "target_effect": -1.5, "library_sd": 0.1, **changes})
    return material_of(simulate_replogle(config, seed=3).cells)


def test_the_knockdown_filter_is_counted_by_part_and_the_split_follows(tmp_path):
    material = knocked_down_screen()
    split = split_of(material.cells)
    made = prepare(material, tmp_path / "p.h5ad", Wish(knockdown=KnockDown(cells=5)), split)
    found, again = made.account.knockdown, read(tmp_path / "p.h5ad")
    counts = {name: (one["before"], one["kept"]) for name, one in found["conditions"].items()}
    assert counts["test"][0] == len(split.test)
    assert made.split is not None
    assert {one.label for one in again.perturbed} == {
        one.label for one in made.split.train | made.split.valid | made.split.test
    }
    assert len(made.split.test) == counts["test"][1]
    assert "target not measured" in found["left_out"]
    assert any("easier" in line for line in made.account.warnings) == bool(found["test_left_out"])
    assert json.loads(made.account.as_json())["knockdown"]["controls"] == "model-side controls of the context"
    audit(made.split, again)


def test_judge_controls_set_no_threshold(tmp_path):
    material = knocked_down_screen()
    split, cells = split_of(material.cells), material.cells
    matrix = cells.dense(np.arange(len(cells)))
    matrix[split.judge_controls(cells, cells.contexts[0])] *= 50
    other = replace(material, cells=replace(cells, expression=InMemory(matrix)))
    wish = Wish(knockdown=KnockDown(cells=5))
    accounts = [prepare(one, tmp_path / "p.h5ad", wish, split).account for one in (material, other)]
    assert accounts[0].knockdown == accounts[1].knockdown


def test_normalised_values_take_depth_out_of_the_filter(tmp_path):
    """Perturbed cells at a quarter of the depth and no effect: by stored counts all targets look knocked down."""
    material = knocked_down_screen(target_effect=0.0, effect_sd=0.0)
    cells = material.cells
    perturbed = ~cells.is_control
    shallow, sizes = cells.dense(np.arange(len(cells))), cells.library_sizes.copy()
    shallow[perturbed] = np.random.default_rng(0).binomial(shallow[perturbed].astype(int), 0.25)
    sizes[perturbed] /= 4
    thin = replace(material, cells=replace(cells, expression=InMemory(shallow), library_sizes=sizes))
    found = prepare(thin, tmp_path / "a.h5ad", Wish(knockdown=KnockDown(cells=1))).account.knockdown
    assert found["conditions"]["all"]["kept"] > 8
    with pytest.raises(BadDataError, match="leaves no perturbed cell"):
        prepare(thin, tmp_path / "b.h5ad", Wish(knockdown=KnockDown(cells=1, values="normalised")))


def test_a_split_without_its_absent_cells_is_itself_where_all_are_there():
    cells = DATASETS["norman-500"].load()
    split = split_of(cells)
    assert without_absent(split, cells) is split


def test_a_split_of_another_screen_is_refused(tmp_path):
    material = held(whole_screen())
    split = split_of(DATASETS["norman-500"].load())
    with pytest.raises((LeakError, BadDataError)):
        prepare(material, tmp_path / "p.h5ad", Wish(), split)
    assert not (tmp_path / "p.h5ad").exists()


def test_a_bundled_screen_keeps_its_counts_and_its_history(tmp_path):
    made = prepare(open_material("norman-500"), tmp_path / "p.h5ad", Wish(genes=20))
    again = read(tmp_path / "p.h5ad")
    assert again.perturbed == DATASETS["norman-500"].load().perturbed
    assert any("500-gene panel" in note for note in made.account.notes)
    counts = anndata.read_h5ad(tmp_path / "p.h5ad").layers["counts"]
    assert (counts.data == np.rint(counts.data)).all()
    assert made.account.added == ("TMSB4X",)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"format": "pertura-prepare", "version": 99}'])
def test_an_account_that_is_none_is_refused(text):
    with pytest.raises(BadDataError, match="pertura prepare"):
        notes_of(text)
