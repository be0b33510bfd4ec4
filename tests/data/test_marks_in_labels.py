"""Guide numbers, pairs and marks in gene names are told apart by the genes that are known; what is unclear asks."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5ad_files import GENES, screen
from pertura.core import Condition, Perturbation
from pertura.core.errors import BadDataError, PerturaError, UsageError
from pertura.data.anndata_io import cells_from_anndata
from pertura.data.conventions import Flags, Reading
from pertura.data.kept import kept
from pertura.data.known_genes import KnownGenes, NotGenesError, NotHumanError, sorted_names
from pertura.data.labels import assign
from pertura.data.recognise import recognise

HUMAN = ("KLF1", "SET", "TP53", "GAPDH", "ACTB", "CD4", "CD8A", "MYC", "JUN", "FOS", "EGR1", "HK2", "MT-CO1", "HBG1")


def labelled(*labels: str, column: str = "perturbation", control: str = "control") -> anndata.AnnData:
    return screen(column, (control, *labels))


def human(adata: anndata.AnnData) -> anndata.AnnData:
    """The same screen with human genes measured."""
    adata.var_names = [*HUMAN, "HLA-A", "NKX2-1", *GENES[len(HUMAN) + 2 :]]
    return adata


def read(adata: anndata.AnnData, **flags: object) -> Reading:
    return recognise(adata.obs, list(adata.var_names), Flags.of(flags))


def genes(adata: anndata.AnnData, **flags: object) -> set[tuple[str, ...]]:
    return {one.genes for one in cells_from_anndata(adata, **flags).perturbed}


# ---- guides, pairs, names


def test_numbered_guides_are_not_pairs():
    adata = labelled("ZAP70_1", "ZAP70_2", "LCK_1")
    reading = read(adata)
    assert (reading.separator, reading.guide_separator) == ("+", "_")
    assert genes(adata) == {("ZAP70",), ("LCK",)}
    assert "3 labels with a guide after '_', which is cut off: 2 genes" in reading.evidence


@pytest.mark.parametrize("guide", ["sg1", "SG2", "g3", "guide4", "a", "P1P2", "P1-2", "10"])
def test_guides_have_many_spellings(guide):
    assert genes(labelled(f"ZAP70_{guide}", "LCK_1")) == {("ZAP70",), ("LCK",)}


def test_two_genes_are_a_pair_whatever_joins_them():
    for mark in "_|;,&":
        assert genes(labelled(f"SET{mark}KLF1", "TP53")) == {("KLF1", "SET"), ("TP53",)}


def test_a_gene_beside_the_control_label_is_a_single():
    assert genes(labelled("KLF1_control", "SET_KLF1")) == {("KLF1",), ("KLF1", "SET")}


def test_a_gene_whose_own_name_holds_a_mark_is_one_gene():
    adata = labelled("Y_RNA", "KLF1")
    adata.var_names = ["Y_RNA", *GENES[1:]]
    assert genes(adata) == {("Y_RNA",), ("KLF1",)}
    assert genes(labelled("Metazoa_SRP", "KLF1")) == {("Metazoa_SRP",), ("KLF1",)}


@pytest.mark.parametrize(
    "labels",
    [
        ("C4B_2", "KLF1"),  # the approved symbol of a gene, and the second guide of C4B
        ("NOGENE99_1", "ZAP70_1"),  # a guide of a gene that nobody knows
        ("ZAP70_1", "SET_KLF1"),  # guides and pairs
        ("ZAP70_enhancer", "LCK_1"),
        ("SET+KLF1", "SET_KLF1"),  # two ways to join
    ],
)
def test_what_more_than_one_reading_explains_or_none_asks_for_the_flag(labels):
    with pytest.raises(UsageError, match=r"--guide-separator '_'.*--separator '_'.*--separator '\+'") as caught:
        read(labelled(*labels))
    assert caught.value.exit_code == 2


def test_the_flag_that_was_asked_for_decides():
    adata = labelled("C4B_2", "KLF1")
    assert genes(adata, guide_separator="_") == {("C4B",), ("KLF1",)}
    assert genes(adata, separator="+") == {("C4B_2",), ("KLF1",)}


def test_several_marks_ask():
    with pytest.raises(UsageError, match=r"several marks.*'_' as in .*'\|' as in"):
        read(labelled("ST14_P1P2-1|ST14_P1P2-2", "KLF1_P1P2-1|KLF1_P1P2-2"))


def test_numbered_controls_are_controls():
    adata = screen("perturbation", ("control_1", "control_2", "ZAP70_1", "ZAP70_2"))
    reading = read(adata)
    assert reading.controls == ("control_1", "control_2")
    assert cells_from_anndata(adata).is_control.sum() == 40
    assert genes(adata) == {("ZAP70",)}


def test_guides_of_one_gene_together_name_it_twice():
    adata = labelled("ZAP70_1+ZAP70_2", "LCK_1")
    assert genes(adata, guide_separator="_") == {("LCK",)}
    assert genes(adata, guide_separator="_", repeated_genes="once") == {("LCK",), ("ZAP70",)}


# ---- what is no gene


@pytest.mark.parametrize(
    "labels",
    [
        ("dexamethasone", "KLF1"),
        ("KLF1+Dabrafenib", "KLF1"),
        ("DMSO", "KLF1"),
        ("LPS", "KLF1"),
        ("Perturbed",),
        ("10uM", "KLF1"),
        ("JQ1", "SAHA", "TSA9"),
    ],
)
def test_a_drug_is_refused_with_examples_and_a_way_out(labels):
    with pytest.raises(NotGenesError, match="--not-genes exclude") as caught:
        read(human(labelled(*labels)))
    assert caught.value.exit_code == 3
    assert any(label.rpartition("+")[2] in str(caught.value) for label in labels)


def test_a_cytokine_whose_name_is_a_gene_is_told_by_the_kind_of_perturbation():
    adata = human(labelled("IL6", "TNF"))
    assert genes(adata) == {("IL6",), ("TNF",)}
    adata.obs["perturbation_type"] = "cytokines"
    with pytest.raises(NotGenesError, match="IL6, TNF"):
        read(adata)


def test_cells_of_no_gene_are_left_out_or_kept_as_asked():
    adata = human(labelled("KLF1", "DMSO", "KLF1+DMSO"))
    cells = cells_from_anndata(adata, not_genes="exclude")
    assert [one.genes for one in cells.perturbed] == [("KLF1",)]
    assert len(cells) == 40
    assert any("left out: 40 cells" in note and "DMSO, KLF1+DMSO" in note for note in cells.notes)
    assert genes(adata, not_genes="keep") == {("KLF1",), ("DMSO",), ("DMSO", "KLF1")}


def test_a_few_unknown_symbols_are_listed_and_kept():
    reading = read(human(labelled("KLF1", "SET", "TP53", "RHOXF2BB")))
    assert "1 perturbed gene known under no name of a human gene: RHOXF2BB" in reading.evidence


def test_genes_of_the_mouse_are_refused_with_the_reason():
    with pytest.raises(NotHumanError, match="Klf1"):
        read(human(labelled("Klf1", "Trp53")))
    adata = labelled("KLF1")
    adata.var_names = ["Klf1", "Actb", "Gapdh", "Gm1992", "1700001C02Rik", *(f"ENSMUSG{i:011d}" for i in range(25))]
    with pytest.raises(NotHumanError, match="orthologues") as caught:
        read(adata)
    assert "30 of 30 genes" in str(caught.value)


def test_names_of_a_made_up_panel_are_no_mouse_genes():
    adata = labelled("Gene1", "Gene2")
    adata.var_names = [f"Gene{i}" for i in range(30)]
    assert genes(adata) == {("Gene1",), ("Gene2",)}


def test_measured_names_are_genes_and_bare_numbers_and_letters_are_not():
    known = KnownGenes.of(["odd name", "KLF1"])
    assert known.has("odd name")
    assert known.has("OCT4")
    assert known.has("ENSG00000105610.5")
    assert not any(known.has(name) for name in ("1", "B", "2", "dexamethasone", "LPS"))
    found = sorted_names(["odd name", "SET", "NEWGENE", "dexamethasone", "Klf1"], known)
    assert (found.unknown, found.others, found.mouse) == (("NEWGENE",), ("dexamethasone",), ("Klf1",))


# ---- which cells are read


def test_a_gene_named_twice_is_left_out_unless_asked():
    adata = labelled("KLF1+KLF1", "KLF1")
    cells = cells_from_anndata(adata)
    assert len(cells) == 40
    assert any("left out: 20 cells, 1 label with one gene twice (KLF1+KLF1)" in one for one in cells.notes)
    pooled = cells_from_anndata(adata, repeated_genes="once")
    assert len(pooled.rows_of(Condition(Perturbation.of("KLF1")))) == 40
    assert any("read as naming it once" in note for note in pooled.notes)


def test_only_the_commonest_dose_is_kept_unless_asked():
    adata = labelled("KLF1", "SET")
    adata.obs["dose"] = ["0.5" if i % 30 == 1 else "1" for i in range(60)]
    low = int(((adata.obs["dose"] == "0.5") & (adata.obs["perturbation"] != "control")).sum())
    reading = read(adata)
    assert (reading.dose_column, reading.dose) == ("dose", "1")
    cells = cells_from_anndata(adata, reading)
    assert len(cells) == 60 - low
    assert any(f"left out: {low:,} cells, another dose than 1" in note for note in cells.notes)
    assert len(cells_from_anndata(adata, doses="pool")) == 60


def test_one_dose_for_each_gene_is_one_dose():
    adata = labelled("KLF1", "SET+KLF1")
    adata.obs["dose_val"] = ["1+1" if "+" in one else "1" for one in adata.obs["perturbation"]]
    assert read(adata).dose_column == ""
    assert len(cells_from_anndata(adata)) == 60


def test_a_label_can_be_excluded_and_one_that_is_not_there_is_named():
    cells = cells_from_anndata(labelled("KLF1", "odd one"), exclude="odd one")
    assert (len(cells), cells.perturbed) == (40, (Condition(Perturbation.of("KLF1")),))
    with pytest.raises(UsageError, match="did you mean 'odd one'"):
        cells_from_anndata(labelled("KLF1", "odd one"), exclude="odd on")


def test_a_second_control_label_can_be_excluded():
    adata = labelled("non-targeting", "KLF1")
    cells = cells_from_anndata(adata, control="control", exclude="non-targeting")
    assert len(cells) == 40


def test_nothing_left_is_refused():
    with pytest.raises(BadDataError, match="no cell is left"):
        cells_from_anndata(labelled("KLF1"), exclude=["KLF1", "control"])


# ---- whatever obs holds

NAMES = (
    "condition",
    "gene",
    "gene_1",
    "gene_2",
    "perturbation",
    "perturbation_2",
    "gene_target",
    "control",
    "is_control",
)
NAMES += ("cell_type", "cell_line", "batch", "sample", "treatment", "dose", "perturbation_type", "nperts", "guide_id")
VALUES = ("control", "ctrl", "NT", "KLF1", "SET_KLF1", "SET+KLF1", "ZAP70_1", "KLF1+ctrl", "+", "", "_", "DMSO", "Klf1")
VALUES += ("HCT116_Batch1", "HEK_Batch2", "1", "0", "0.5+1", "CRISPRi", "drug", None, True, False, 1, 2.5, float("nan"))
LABELS = ("control", "ctrl", "KLF1", "SET", "SET_KLF1", "SET+KLF1", "ZAP70_1", "KLF1+KLF1", "KLF1+ctrl")
COLUMN = st.lists(st.sampled_from(VALUES), min_size=6, max_size=6) | st.lists(
    st.sampled_from(LABELS), min_size=6, max_size=6
)
FLAGS = ({}, {"control": "control"}, {"not_genes": "exclude"}, {"separator": "_"}, {"context_column": "none"})


@settings(max_examples=100, deadline=None)
@given(columns=st.dictionaries(st.sampled_from(NAMES), COLUMN, min_size=1, max_size=4), flags=st.sampled_from(FLAGS))
def test_every_table_is_read_or_refused_with_a_typed_error(columns, flags):
    obs = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    obs.index = [f"cell{i}" for i in range(6)]
    try:
        reading = recognise(obs, [*HUMAN, "GENE1"], Flags.of(flags))
    except PerturaError:
        return
    chosen = kept(obs, reading)
    found = assign(obs[chosen.cells], reading)
    assert len(found.codes) == chosen.cells.sum()


def crop_seq() -> anndata.AnnData:
    """Written as scPerturb's Jurkat CROP-seq screen: numbered guides, a stimulus, a count of both together."""
    labels = ("control", "ZAP70_1", "ZAP70_2", "LCK_1", "LCK_2", "JUN_1")
    adata = screen("perturbation", labels, scale="counts", perturbation_2=["stimulated", "unstimulated"])
    adata.obs["nCount_originalexp"] = np.asarray(adata.X.sum(axis=1)).ravel()
    fixed = {"cell_line": "Jurkat cells", "celltype": "T cells", "perturbation_type": "CRISPR", "organism": "human"}
    for name, value in fixed.items():
        adata.obs[name] = value
    adata.obs["nperts"] = np.where(adata.obs["perturbation"] == "control", 1, 2)
    return human(adata)


def test_a_crop_seq_screen_of_two_states_is_read_as_it_is():
    reading = cells_reading(crop_seq())
    assert (reading.convention, reading.guide_separator) == ("scPerturb", "_")
    assert reading.context_columns == ("cell_line", "perturbation_2")
    assert (reading.scale.kind, reading.library_size_column) == ("counts", "ncounts")
    cells = cells_from_anndata(crop_seq(), reading)
    assert {one.genes for one in cells.perturbed} == {("ZAP70",), ("LCK",), ("JUN",)}
    assert cells.contexts == ("Jurkat cells:stimulated", "Jurkat cells:unstimulated")
    assert all(len(cells.control_rows(name)) == 10 for name in cells.contexts)


def cells_reading(adata: anndata.AnnData) -> Reading:
    from pertura.data.anndata_io import _source_of_anndata, read_as

    return read_as(_source_of_anndata(adata), Flags())
