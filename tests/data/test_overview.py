"""The numbers of an overview equal what can be counted by hand."""

import numpy as np

from h5ad_files import GEARS_LABELS, GENES, gears, screen, state
from pertura.data.anndata_io import cells_from_anndata
from pertura.data.overview import Spread, overview


def test_counts_of_a_gears_screen():
    found = overview(cells_from_anndata(gears()))
    assert (found.cells, found.genes, found.controls) == (100, 30, 20)
    assert (found.singles, found.pairs, found.larger) == (3, 1, 0)
    assert found.conditions == Spread(len(GEARS_LABELS) - 1, 20, 20.0, 20)
    assert (found.targets, found.outside) == (3, ("OUTSIDE",))
    assert "K562 has only 20 control cells" in found.warnings[0]


def test_contexts_and_batches_of_a_state_screen():
    adata = state()
    found = overview(cells_from_anndata(adata))
    for one in found.contexts:
        here = adata.obs[adata.obs["cell_line"] == one.name]
        assert one.controls == (here["gene"] == "non-targeting").sum()
        assert one.conditions.groups == 3
    assert found.batches.groups == 3
    assert found.unmatched == ()


def test_a_batch_without_controls_is_named_with_its_cells():
    adata = screen("gene", ("non-targeting", "GENE1"), gem_group=[1, 2])
    lonely = (adata.obs["gem_group"] == 2) & (adata.obs["gene"] == "non-targeting")
    found = overview(cells_from_anndata(adata[~lonely].copy()))
    assert found.unmatched == (("", "2", 10),)
    assert any("1 batches without control cells" in one for one in found.warnings)


def test_a_context_without_controls_is_named():
    adata = state()
    bare = (adata.obs["cell_line"] == "rpe1") & (adata.obs["gene"] == "non-targeting")
    found = overview(cells_from_anndata(adata[~bare].copy()))
    assert any(one.startswith("rpe1 has no control cells") for one in found.warnings)
    assert {one.name: one.controls for one in found.contexts} == {"k562": 10, "rpe1": 0}


def test_labels_and_genes_of_different_kinds_are_noticed():
    adata = screen("gene", ("non-targeting", "ENSG1", "ENSG2"))
    assert any("of one kind" in one for one in overview(cells_from_anndata(adata)).warnings)


def test_the_smallest_conditions_come_first():
    adata = gears()
    keep = np.ones(100, dtype=bool)
    keep[np.flatnonzero(adata.obs["condition"] == "ctrl+GENE2")[4:]] = False
    found = overview(cells_from_anndata(adata[keep].copy()))
    assert found.smallest[0] == ("GENE2@K562", 4)
    assert any("fewer than 10 cells" in one for one in found.warnings)


def test_a_target_that_is_measured_under_another_name_is_not_outside():
    adata = screen("condition", ("control", "KIAA1804", "OUTSIDE"))
    adata.var_names = ["MAP3K21", *GENES[1:]]
    found = overview(cells_from_anndata(adata))
    assert (found.outside, found.elsewhere) == (("OUTSIDE",), (("KIAA1804", "MAP3K21"),))
    assert any("KIAA1804 as MAP3K21" in one and "--gene-names approved" in one for one in found.warnings)
    renamed = overview(cells_from_anndata(adata, gene_names="approved"))
    assert (renamed.outside, renamed.elsewhere) == (("OUTSIDE",), ())


def test_pairs_without_their_singles_are_counted():
    adata = screen("condition", ("control", "GENE1", "GENE2", "GENE1+GENE2", "GENE1+GENE3"))
    found = overview(cells_from_anndata(adata))
    assert found.without_singles == ("GENE1+GENE3",)
    assert any("1 of 2 pairs lack a single" in one for one in found.warnings)


def test_a_single_of_another_context_or_mode_does_not_count():
    adata = screen("condition", ("control", "GENE1", "GENE2", "GENE1+GENE2"), cell_line=["a", "b"])
    drop = (adata.obs["cell_line"] == "a") & (adata.obs["condition"] == "GENE2")
    found = overview(cells_from_anndata(adata[~drop].copy()))
    assert found.without_singles == ("GENE1+GENE2@a",)


def test_modes_that_differ_between_contexts_are_told():
    adata = screen("condition", ("control", "GENE1"), cell_line=["a", "b"], perturbation_type=["CRISPRa", "CRISPRi"])
    found = overview(cells_from_anndata(adata))
    assert any("activation in a; interference in b" in one for one in found.warnings)
    assert not any("modes differ" in one for one in overview(cells_from_anndata(state())).warnings)


def test_controls_of_another_depth_are_told():
    adata = gears(scale="counts")
    control = (adata.obs["condition"] == "ctrl").to_numpy()
    adata.obs["ncounts"] = adata.obs["ncounts"] + np.where(control, 10 * adata.obs["ncounts"].max(), 0)
    assert any("a part of every change is depth" in one for one in overview(cells_from_anndata(adata)).warnings)
    assert not any("depth" in one for one in overview(cells_from_anndata(gears(scale="counts"))).warnings)


def test_many_contexts_with_few_controls_are_one_warning():
    adata = screen("condition", ("control", "GENE1"), cell_line=[f"line{i}" for i in range(6)])
    warnings = overview(cells_from_anndata(adata)).warnings
    assert any(
        "line0, line1, line2, line3 and 2 more have under 100 control cells (line2 only 3)" in one for one in warnings
    )
    assert sum("control cells" in one for one in warnings) == 1
