"""Each convention is read right and with evidence; where two readings are possible, pertura asks for the flag."""

import anndata
import numpy as np
import pandas as pd
import pytest

from h5ad_files import GENES, gears, perturbench, screen, state
from pertura.core import Condition, Mode, Perturbation
from pertura.core.errors import BadDataError, UsageError
from pertura.data.anndata_io import cells_from_anndata
from pertura.data.conventions import CONVENTIONS, Flags, Reading
from pertura.data.labels import assign, names_in
from pertura.data.recognise import gene_names, recognise


def read(adata: anndata.AnnData, **flags: object) -> Reading:
    return recognise(adata.obs, list(adata.var_names), Flags.of(flags))


def condition(text: str, context: str = "", mode: Mode = Mode.UNSPECIFIED) -> Condition:
    return Condition(Perturbation.parse(text, mode), context)


def assigned(adata: anndata.AnnData, **flags: object) -> list[Condition]:
    found = assign(adata.obs, read(adata, **flags))
    return [found.conditions[code] for code in found.codes]


def test_gears_placeholders_carry_no_meaning():
    reading = read(gears())
    assert (reading.convention, reading.perturbation_column, reading.controls) == (
        "GEARS / scGPT",
        "condition",
        ("ctrl",),
    )
    assert reading.context_columns == ("cell_type",)
    expected = [condition(text, "K562") for text in ("", "GENE1", "GENE2", "GENE1+GENE2", "OUTSIDE")]
    assert assigned(gears())[:5] == expected


def test_gears_spellings_are_kept_as_the_file_has_them():
    cells = cells_from_anndata(gears())
    assert cells.spellings[condition("GENE2", "K562")] == "ctrl+GENE2"
    assert cells.spellings[condition("GENE1", "K562")] == "GENE1+ctrl"


def test_state_reads_lines_and_gem_groups():
    reading = read(state())
    assert reading.convention == "State / cell-eval"
    assert (reading.perturbation_column, reading.controls) == ("gene", ("non-targeting",))
    assert (reading.context_columns, reading.batch_column) == (("cell_line",), "gem_group")
    cells = cells_from_anndata(state())
    assert cells.contexts == ("k562", "rpe1")
    assert cells.batches == ("1", "2", "3")


@pytest.mark.parametrize("column", ["gene", "target_gene"])
def test_state_has_two_names_for_the_column(column):
    assert read(screen(column, ("non-targeting", "GENE1"))).perturbation_column == column


def test_perturbench_reads_mode_and_pairs_in_any_order():
    reading = read(perturbench())
    assert (reading.convention, reading.mode_column) == ("PerturBench", "perturbation_type")
    assert assigned(perturbench())[3] == condition("GENE1+GENE2", "K562", Mode.ACTIVATION)
    cells = cells_from_anndata(perturbench())
    assert cells.spellings[condition("GENE1+GENE2", "K562", Mode.ACTIVATION)] == "GENE2+GENE1"


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda one: one.name)
def test_every_row_of_the_table_recognises_its_own_columns_and_labels(convention):
    for column in convention.perturbation_columns:
        for label in convention.control_labels:
            reading = read(screen(column, (label, "GENE1")))
            assert (reading.convention, reading.controls) == (convention.name, (label,))


def test_evidence_counts_what_was_seen():
    text = " ".join(read(gears()).evidence)
    assert "4 other labels beside control: ctrl (20 cells)" in text
    assert "1 labels join genes with '+'" in text
    assert "3 labels name one gene beside the control label" in text


def test_everything_can_be_said_by_flags():
    adata = screen("guide", ("NT", "NTC", "GENE1|GENE2", "GENE2"), line=["a", "b"], dish=["x", "y", "z"])
    reading = read(
        adata,
        perturbation_column="guide",
        control=["NT", "NTC"],
        separator="|",
        mode="knockout",
        context_column=["line", "dish"],
        batch_column="dish",
    )
    assert reading.controls == ("NT", "NTC")
    found = assigned(
        adata,
        perturbation_column="guide",
        control=["NT", "NTC"],
        separator="|",
        mode="knockout",
        context_column=["line", "dish"],
    )
    assert found[:3] == [
        condition("", "a:x"),
        condition("", "a:x"),
        condition("GENE1+GENE2", "a:x", Mode.KNOCKOUT),
    ]


def test_modes_of_a_column_are_kept_apart():
    adata = screen("condition", ("control", "GENE1"), perturbation_type=["CRISPRa", "CRISPRi"])
    assert {one.perturbation.modes for one in assigned(adata) if not one.is_control} == {
        frozenset({Mode.ACTIVATION}),
        frozenset({Mode.INTERFERENCE}),
    }
    assert {mode for one in assigned(adata, mode="knockout") for mode in one.perturbation.modes} == {Mode.KNOCKOUT}


def test_a_word_that_does_not_tell_the_mode_leaves_it_open():
    adata = screen("condition", ("control", "GENE1"), perturbation_type=["CRISPR"])
    reading = read(adata)
    assert (reading.mode, reading.mode_column) == (Mode.UNSPECIFIED, "")
    assert any("does not tell it; say it with --mode" in one for one in reading.evidence)
    with pytest.raises(UsageError, match="does not tell the mode"):
        read(adata, mode_column="perturbation_type")


# ---- ambiguities ask


def asks(adata: anndata.AnnData, *words: str, **flags: object) -> None:
    with pytest.raises(UsageError) as caught:
        read(adata, **flags)
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)


def test_two_columns_of_different_content_ask():
    adata = screen("condition", ("control", "GENE1"))
    adata.obs["perturbation"] = np.roll(adata.obs["condition"], 1)
    asks(adata, "condition", "perturbation", "--perturbation-column")
    assert read(adata, perturbation_column="perturbation").perturbation_column == "perturbation"


def test_two_columns_of_equal_content_do_not_ask():
    adata = screen("condition", ("control", "GENE1"))
    adata.obs["perturbation"] = adata.obs["condition"].astype("category")
    reading = read(adata)
    assert reading.perturbation_column == "condition"
    assert "the same in perturbation" in reading.evidence[0]


def test_two_contexts_ask_unless_they_cut_alike():
    adata = screen("condition", ("control", "GENE1"), cell_type=["a", "b"], cell_line=["x", "y", "z"])
    asks(adata, "cell_type", "cell_line", "--context-column")
    assert read(adata, context_column=("cell_type", "cell_line")).context_columns == ("cell_type", "cell_line")
    assert read(adata, context_column="none").context_columns == ()
    alike = screen("condition", ("control", "GENE1"), cell_type=["a", "b"], cell_line=["x", "y"])
    assert read(alike).context_columns == ("cell_type",)


def test_a_stimulus_that_splits_the_controls_asks():
    adata = screen("condition", ("control", "GENE1"), cell_type=["a"], treatment=["none", "interferon"])
    asks(adata, "treatment", "interferon", "--context-column cell_type --context-column treatment")
    told = screen("condition", ("control", "GENE1"), cell_type=["a", "b"], treatment=["none", "interferon"])
    assert read(told).context_columns == ("cell_type",)


def test_two_batches_ask():
    adata = screen("gene", ("non-targeting", "GENE1"), gem_group=[1, 2], batch=["x", "y", "z"])
    asks(adata, "gem_group", "batch", "--batch-column")
    assert read(adata, batch_column="batch").batch_column == "batch"
    assert read(adata, batch_column="none").batch_column == ""


def test_two_control_labels_ask():
    adata = screen("condition", ("control", "non-targeting", "GENE1"))
    asks(adata, "'control'", "'non-targeting'", "--control")
    asks(adata, "'control'", "'non-targeting'", control="control")
    assert set(read(adata, control=["control", "non-targeting"]).controls) == {"control", "non-targeting"}


def test_numbered_guides_are_not_pairs():
    adata = screen("perturbation", ("control", "ZAP70_1", "ZAP70_2", "LCK_1"))
    asks(adata, "guide 1 of gene LCK", "LCK_1", "--guide-separator '_'", "--separator '_'")
    merged = assigned(adata, guide_separator="_")
    assert merged[1] == merged[2] == condition("ZAP70")
    assert condition("LCK") in merged
    assert condition("1+LCK") in assigned(adata, separator="_")
    assert condition("LCK_1") in assigned(adata, separator="+")


def test_a_measured_gene_with_a_mark_in_its_name_does_not_ask():
    adata = screen("perturbation", ("control", "Y_RNA"))
    adata.var_names = ["Y_RNA", *GENES[1:]]
    assert condition("Y_RNA") in assigned(adata)


def test_a_column_nobody_knows_asks_and_names_where_a_label_was_seen():
    asks(screen("guide", ("control", "GENE1")), "guide", "--perturbation-column", "--control")


@pytest.mark.parametrize("flag", ["perturbation_column", "mode_column", "context_column", "batch_column"])
def test_a_column_that_is_not_there_is_named_with_the_nearest(flag):
    with pytest.raises(UsageError, match="did you mean 'condition'"):
        read(gears(), **{flag: "conditoin"})


def test_flags_that_contradict_or_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="not both"):
        Flags.of({"mode": "knockout", "mode_column": "x"})
    with pytest.raises(UsageError, match="did you mean 'control'"):
        Flags.of({"contrl": "x"})
    with pytest.raises(UsageError, match="mode"):
        Flags.of({"mode": "knock-out-ish"})
    asks(gears(), "no cell of obs['condition']", perturbation_column="condition", control="NT")


# ---- bad labels


def test_no_controls_is_bad_data_with_a_way_out():
    with pytest.raises(BadDataError, match="no control cells") as caught:
        read(screen("condition", ("NT-ctrl", "GENE1", "GENE2")))
    assert "--control LABEL" in caught.value.remedy
    assert "NT-ctrl" in caught.value.remedy


def test_a_cell_without_label_is_named():
    adata = gears()
    adata.obs["condition"] = adata.obs["condition"].astype(object).where(np.arange(100) != 7)
    with pytest.raises(BadDataError, match=r"1 cells have no value \(first: cell7\)"):
        read(adata)


@pytest.mark.parametrize("label", ["GENE1+", "GENE1++GENE2", "a@b"])
def test_a_label_that_names_no_gene_is_refused(label):
    with pytest.raises(BadDataError, match="not a gene's name"):
        read(screen("condition", ("control", label)))


def test_a_gene_named_twice_is_counted():
    reading = read(screen("condition", ("control", "GENE1+GENE1", "GENE1")))
    assert any("name a gene twice" in one for one in reading.evidence)


@pytest.mark.parametrize(
    ("label", "expected"),
    [("ctrl", []), ("A+ctrl", ["A"]), ("ctrl+A", ["A"]), ("B+A", ["B", "A"]), ("A_1+B_2", ["A", "B"]), ("ctrl_3", [])],
)
def test_names_in_a_label(label, expected):
    assert names_in(label, ("ctrl",), "+", "_") == expected


# ---- gene names


def test_ensembl_rows_give_way_to_symbols_and_shared_symbols_are_counted():
    var = pd.DataFrame({"gene_name": ["A", "B", "B", None]}, index=[f"ENSG{i}" for i in range(4)])
    names, column, evidence = gene_names(var, None)
    assert (names, column) == (("A", "ENSG1", "ENSG2", "ENSG3"), "gene_name")
    assert "3 without a symbol of their own" in evidence[0]
    assert gene_names(var, "none")[0] == tuple(var.index)


def test_symbol_rows_are_kept_beside_a_column_of_symbols():
    var = pd.DataFrame({"gene_name": ["x", "y"]}, index=["A", "B"])
    assert gene_names(var, None)[0] == ("A", "B")
    assert gene_names(var, "gene_name")[0] == ("x", "y")
    with pytest.raises(UsageError, match="did you mean 'gene_name'"):
        gene_names(var, "gene_nam")
