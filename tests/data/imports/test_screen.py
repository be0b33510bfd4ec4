"""From folders to a file that reads by itself, with an account of every cell."""

import json

import anndata
import numpy as np
import pytest

from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Mode
from pertura.data.anndata_io import open_screen
from pertura.data.imports.guides import GuideReading
from pertura.data.imports.screen import NOTE, Wish, import_tenx, write_screen
from tenx_folders import GUIDE_TABLE, library, outs, without_genes, write_guides

PLAN = [
    *[("KLF1-1",), ("KLF1-2",), ("BAK1-1",), ("NT-1",), ("NT-2",)] * 6,
    *[(), (), ()],  # no call
    *[("KLF1-1", "BAK1-2"), ("KLF1-1", "BAK1-1")],  # two genes
    *[("KLF1-1", "KLF1-2"), ("NT-1", "NT-2")],  # one gene, no gene
    ("KLF1-1", "NT-1"),  # beside control
    ("KLF1-1", "BAK1-1", "NT-1"),  # three
    ("STRANGER",),
]


@pytest.fixture
def folder(tmp_path):
    return outs(library(PLAN), tmp_path / "run" / "outs", "triple")


@pytest.fixture
def guides(tmp_path):
    return write_guides(tmp_path / "guides.csv")


def test_cells_are_counted_by_what_becomes_of_them(folder, guides):
    made = import_tenx([folder], Wish(guides=guides, mode=Mode.INTERFERENCE))
    assert made.adata.obs["condition"].value_counts().to_dict() == {"KLF1": 13, "control": 13, "BAK1": 6}
    fates = {str(fate): size for fate, size in made.summary.fates.items() if size}
    assert fates == {
        "control": 13,
        "single": 19,
        "no guide called": 3,
        "guides of more genes than designed": 4,
        "a guide that the guide table does not list": 1,
    }
    assert made.summary.lanes[0].numbers == {"0": 3, "1": 31, "2": 5, "3": 1}
    assert made.summary.lanes[0].suffixes == {"1": 40}
    text = "\n".join(line for _, lines in made.summary.sections for line in lines)
    assert "32 of 40 are kept (80.0%): 13 control, 19 with one gene perturbed, 0 with two" in text
    assert "guides called: 0 in 3, 1 in 31, 2 in 5, 3 or more in 1 cells" in text
    assert "2 of the kept carry several guides" in text
    assert "called, but not in the guide table: STRANGER" in text
    assert "in none: BAK1-2" in text


def test_in_a_screen_of_pairs_two_genes_are_a_pair(folder, guides):
    made = import_tenx([folder], Wish(guides=guides, reading=GuideReading(pairs=True)))
    sizes = made.adata.obs["condition"].value_counts().to_dict()
    assert sizes == {"KLF1": 14, "control": 13, "BAK1": 6, "BAK1+KLF1": 2}
    assert made.adata.obs.loc[made.adata.obs["condition"] == "BAK1+KLF1", "n_guides"].tolist() == [2, 2]


@pytest.mark.parametrize("pairs", [False, True])
def test_the_file_reads_without_flags(pairs, folder, guides, tmp_path):
    wish = Wish(guides=guides, reading=GuideReading(pairs=pairs), mode=Mode.INTERFERENCE, contexts=("K562",))
    write_screen(import_tenx([folder], wish), tmp_path / "screen.h5ad")
    screen = open_screen(tmp_path / "screen.h5ad")
    cells = screen.cells
    assert cells.scale.kind == "counts"
    assert cells.contexts == ("K562",)
    assert cells.modes == {Mode.INTERFERENCE}
    assert {one.perturbation.label for one in cells.perturbed} == {"KLF1", "BAK1", *["BAK1+KLF1"][: int(pairs)]}
    assert int(cells.is_control.sum()) == 13
    assert not cells.notes
    assert {"KLF1", "BAK1"} < set(cells.genes)


def test_counts_guides_and_account_are_in_the_file(folder, guides, tmp_path):
    write_screen(import_tenx([folder], Wish(guides=guides)), tmp_path / "screen.h5ad")
    made, adata = library(PLAN), anndata.read_h5ad(tmp_path / "screen.h5ad")
    rows = [list(made.calls).index(barcode) for barcode in adata.obs_names]
    assert adata.X.format == "csr"
    assert adata.X.dtype == np.int32
    np.testing.assert_array_equal(adata.X.toarray(), made.counts[rows])
    np.testing.assert_array_equal(adata.obs["total_counts"], made.counts[rows].sum(axis=1))
    assert adata.obs["guide"].tolist() == ["|".join(list(made.calls.values())[row]) for row in rows]
    assert set(adata.obs["guide_umis"]) == {"7", "7|7"}
    assert adata.var["gene_id"].tolist() == [gene for gene, _ in made.genes]
    assert adata.var_names[2:4].tolist() == ["ENSG00000000002", "ENSG00000000003"]
    account = json.loads(adata.uns[NOTE])
    assert account["cells"] == adata.n_obs
    assert account["lanes"][0]["fates"]["no guide called"] == 3


def test_folders_join_with_a_batch_and_their_own_totals(tmp_path, guides):
    first, second = library(), without_genes(library(seed=1), [5, 6])
    folders = [outs(first, tmp_path / "a" / "outs", "h5"), outs(second, tmp_path / "b" / "outs", "triple")]
    made = import_tenx(folders, Wish(guides=guides, contexts=("K562", "RPE1")))
    adata = made.adata
    assert adata.shape == (80, 28)
    assert adata.obs["batch"].value_counts().to_dict() == {"a": 40, "b": 40}
    assert adata.obs.groupby("batch", observed=True)["cell_line"].unique().map(list).to_dict() == {
        "a": ["K562"],
        "b": ["RPE1"],
    }
    assert all(name.startswith(("a_", "b_")) for name in adata.obs_names)
    np.testing.assert_array_equal(adata.obs["total_counts"][:40], first.counts.sum(axis=1))
    assert made.summary.lanes[0].lost == {"ENSG00000000005": "GENE5", "ENSG00000000006": "GENE6"}
    assert made.summary.lanes[1].lost == {}
    named = import_tenx(folders, Wish(guides=guides, batches=("x", "y"))).adata
    assert set(named.obs["batch"]) == {"x", "y"}


def test_lanes_within_a_folder_are_batches(tmp_path, guides):
    one, two = library(), library(seed=1, suffix="-2")
    both = library(list(one.calls.values()) + list(two.calls.values()))
    both = type(both)(calls={**one.calls, **two.calls}, genes=both.genes, counts=both.counts)
    adata = import_tenx([outs(both, tmp_path / "outs", "triple")], Wish(guides=guides)).adata
    assert adata.obs["batch"].value_counts().to_dict() == {"1": 40, "2": 40}


def test_assignments_of_another_tool_take_the_place_of_calls(tmp_path, guides):
    made = library()
    folders = [outs(made, tmp_path / name / "outs", "triple") for name in "ab"]
    bare = [barcode.removesuffix("-1") for barcode in made.calls]
    table = tmp_path / "assigned.tsv"
    rows = [f"{one}-{lane}\tBAK1-1\n" for lane in (1, 2) for one in bare[:30]]
    rows += [f"{one}-{lane}\tNT-1\n" for lane in (1, 2) for one in bare[30:39]]
    rows += [f"{bare[39]}-1\tunassigned\n", f"{bare[39]}-2\tdoublet\n"]
    table.write_text("barcode\tmine\n" + "".join(rows))
    wish = Wish(guides=guides, assignments=(table,), assignment_column="mine")
    found = import_tenx(folders, wish)
    assert found.adata.obs["condition"].value_counts().to_dict() == {"BAK1": 60, "control": 18}
    fates = {str(fate): size for fate, size in found.summary.fates.items() if size}
    assert fates["no guide called"] == fates["guides of more genes than designed"] == 1
    with pytest.raises(UsageError, match="go together"):
        import_tenx(folders, Wish(guides=guides, assignments=(table,)))


def test_targets_given_by_id_are_named_by_symbol(folder, tmp_path):
    table = {guide: {"KLF1": "ENSG00000000000"}.get(gene, gene) for guide, gene in GUIDE_TABLE.items()}
    made = import_tenx([folder], Wish(guides=write_guides(tmp_path / "g.csv", table)))
    assert set(made.adata.obs["condition"]) == {"KLF1", "BAK1", "control"}
    assert made.summary.outside == ()


def test_guides_in_the_gene_column_are_refused(folder, tmp_path):
    table = {guide: {"KLF1": "KLF1_1"}.get(gene, gene) for guide, gene in GUIDE_TABLE.items()}
    with pytest.raises(BadDataError, match="'KLF1_1', which is no measured gene and looks like a guide"):
        import_tenx([folder], Wish(guides=write_guides(tmp_path / "g.csv", table)))


def test_a_screen_without_control_cells_is_refused(tmp_path, guides):
    folder = outs(library([("KLF1-1",), ("BAK1-1",)] * 9), tmp_path / "outs", "triple")
    with pytest.raises(BadDataError, match=r"no cell carries a control guide alone \(NT-1, NT-2\)"):
        import_tenx([folder], Wish(guides=guides))


@pytest.mark.parametrize(
    ("plan", "words"), [(("KLF1-1", "BAK1-1"), "say --pairs"), (("STRANGE",), "guide table of this")]
)
def test_a_screen_without_perturbed_cells_is_refused_with_the_likely_way_out(plan, words, tmp_path, guides):
    folder = outs(library([plan, ("NT-1",)] * 9), tmp_path / "outs", "triple")
    with pytest.raises(BadDataError, match=f"no cell is perturbed as designed.*{words}"):
        import_tenx([folder], Wish(guides=guides))


def test_many_doublets_suggest_that_pairs_were_meant(tmp_path, guides):
    folder = outs(library([("KLF1-1", "BAK1-1"), ("KLF1-1",), ("NT-1",)] * 9), tmp_path / "outs", "triple")
    assert any("--pairs" in one for one in import_tenx([folder], Wish(guides=guides)).summary.warnings)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"batches": ("a", "b")}, "--batch is given 2 times for 1 folders"),
        ({"contexts": ("a", "b", "c")}, "--context is given 3 times"),
        ({"assignment_column": "x"}, "go together"),
    ],
)
def test_an_unclear_wish_is_refused(wish, words, folder, guides):
    with pytest.raises(UsageError, match=words):
        import_tenx([folder], Wish(guides=guides, **wish))
    with pytest.raises(UsageError, match="is given twice"):
        import_tenx([folder, folder], Wish(guides=guides))


def test_the_order_of_folders_and_a_second_import_change_no_cell(tmp_path, guides):
    folders = [outs(library(seed=seed), tmp_path / name / "outs", "triple") for seed, name in enumerate("ab")]
    there = import_tenx(folders, Wish(guides=guides)).adata
    back = import_tenx(folders[::-1], Wish(guides=guides)).adata[there.obs_names]
    np.testing.assert_array_equal(there.X.toarray(), back.X.toarray())
    assert there.obs["condition"].astype(str).equals(back.obs["condition"].astype(str))
    for name in ("1.h5ad", "2.h5ad"):
        write_screen(import_tenx(folders, Wish(guides=guides)), tmp_path / name)
    assert (tmp_path / "1.h5ad").read_bytes() == (tmp_path / "2.h5ad").read_bytes()


def test_a_file_is_only_replaced_when_asked(folder, guides, tmp_path):
    made = import_tenx([folder], Wish(guides=guides))
    path = tmp_path / "screen.h5ad"
    path.write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        write_screen(made, path)
    assert path.read_text() == "mine"
    write_screen(made, path, force=True)
    with pytest.raises(UsageError, match="name of an AnnData file ends"):
        write_screen(made, tmp_path / "screen.txt")
