"""Each convention is read right and with evidence; where two readings are possible, pertura asks for the flag."""

import anndata
import numpy as np
import pandas as pd
import pytest

from h5ad_files import (
    GENES,
    WRITERS,
    cellflow,
    gears,
    mixscape,
    pertpy,
    perturbench,
    scperturb,
    screen,
    state,
    x_atlas,
)
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
    assert reading.convention == "State / cell-load"
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


@pytest.mark.parametrize(("name", "make"), WRITERS.items())
def test_small_files_of_seven_writers_are_recognised(name, make):
    reading = read(make())
    assert (reading.convention, reading.control_column) == (name, "")
    assert {one.perturbation.label for one in cells_from_anndata(make()).conditions} <= {
        *("control", "GENE1", "GENE2", "GENE1+GENE2", "OUTSIDE")
    }


@pytest.mark.parametrize("make", WRITERS.values(), ids=WRITERS)
def test_every_writer_gives_the_genes_that_its_labels_name(make):
    """The same 20 cells a label; pairs are pairs in each spelling, and no other cell is one."""
    cells = cells_from_anndata(make())
    sizes = {one.perturbation.label: len(cells.rows_of(one)) for one in cells.conditions}
    assert sizes["GENE1"] in (10, 20)
    assert ("GENE1+GENE2" in sizes) == (make not in (state, x_atlas))
    assert cells.is_control.sum() == 20


def test_the_table_has_seven_writers_and_no_pair_of_column_and_label_twice():
    pairs = [
        (column, label) for one in CONVENTIONS for column in one.perturbation_columns for label in one.control_labels
    ]
    assert len(CONVENTIONS) == len(WRITERS) == 7
    assert len(set(pairs)) == len(pairs)


def test_scperturb_joins_genes_with_underscores_and_counts_them():
    reading = read(scperturb())
    assert (reading.separator, reading.guide_separator, reading.batch_column) == ("_", "", "")
    text = " ".join(reading.evidence)
    assert "genes stand on both sides of '_'" in text
    assert "obs['nperts'], the number of perturbations, agrees" in text
    assert "obs['guide_id'] names 4 guides" in text


def test_a_count_of_perturbations_that_differs_is_told_and_labels_count():
    adata = scperturb()
    adata.obs["nperts"] = 2
    assert any("counts otherwise in 60 cells" in one for one in read(adata).evidence)


def test_cellflow_reads_one_gene_from_each_column():
    reading = read(cellflow())
    assert (reading.target_columns, reading.perturbation_column) == (("gene_1", "gene_2"), "")
    assert assigned(cellflow())[:4] == [condition(text, "K562") for text in ("", "GENE1", "GENE2", "GENE1+GENE2")]
    assert "obs['control'] marks the same cells as controls" in reading.evidence
    cells = cells_from_anndata(cellflow())
    assert cells.spellings[condition("GENE2", "K562")] == "ctrl+GENE2"
    assert cells.spellings[condition("", "K562")] == "ctrl"


@pytest.mark.parametrize("nothing", [None, "", "control"])
def test_a_cell_without_a_second_gene_has_one(nothing):
    adata = cellflow()
    for name in ("gene_1", "gene_2"):
        adata.obs[name] = adata.obs[name].astype(object).where(adata.obs[name] != "ctrl", nothing)
    assert assigned(adata)[:4] == [condition(text, "K562") for text in ("", "GENE1", "GENE2", "GENE1+GENE2")]


def test_cellflow_and_gears_columns_that_agree_are_one():
    adata = cellflow()
    adata.obs["condition"] = [
        "ctrl" if a == b == "ctrl" else f"{a}+{b}"
        for a, b in zip(adata.obs["gene_1"], adata.obs["gene_2"], strict=True)
    ]
    reading = read(adata)
    assert reading.convention == "CellFlow"
    assert "(the same in condition)" in reading.evidence[0]
    adata.obs["condition"] = np.roll(adata.obs["condition"], 1)
    asks(adata, "gene_1 and gene_2", "condition", "--perturbation-column")


def test_a_boolean_column_marks_controls_that_no_label_tells():
    adata = screen("gene", ("NegCtrl0", "GENE1", "GENE2"))
    adata.obs["control"] = adata.obs["gene"] == "NegCtrl0"
    reading = read(adata)
    assert (reading.control_column, reading.controls) == ("control", ("control",))
    assert assigned(adata)[:3] == [condition(""), condition("GENE1"), condition("GENE2")]
    assert cells_from_anndata(adata, reading).is_control.sum() == 20
    adata.obs["gene"] = adata.obs["gene"].astype(object).where(~adata.obs["control"], None)
    assert assigned(adata)[:3] == [condition(""), condition("GENE1"), condition("GENE2")]


def test_pertpy_has_two_spellings():
    reading = read(mixscape())
    assert (reading.convention, reading.controls, reading.batch_column) == ("pertpy", ("NT",), "replicate")
    assert any("obs['perturbation'] says only whether a cell was perturbed" in one for one in reading.evidence)
    assert read(pertpy()).batch_column == "gemgroup"


def test_x_atlas_knows_its_mode_and_batch():
    reading = read(x_atlas())
    assert (reading.mode, reading.batch_column) == (Mode.INTERFERENCE, "sample")
    assert any("by obs['sample'] all cells are HCT116" in one for one in reading.evidence)
    assert cells_from_anndata(x_atlas()).library_sizes is not None


def test_x_atlas_cells_that_failed_their_guide_filter_are_counted():
    adata = x_atlas()
    adata.obs.loc[adata.obs_names[:7], "pass_guide_filter"] = 0
    assert any("7 cells did not pass" in one for one in read(adata).evidence)


def test_two_lines_in_the_batch_names_ask():
    adata = x_atlas()
    adata.obs["sample"] = np.resize(["HCT116_Batch1", "HEK293T_Batch1"], 80)
    asks(adata, "HCT116, HEK293T", "--context-column")
    assert read(adata, context_column="none").context_columns == ()


@pytest.mark.parametrize(
    "convention", [one for one in CONVENTIONS if one.perturbation_columns], ids=lambda one: one.name
)
def test_every_row_of_the_table_recognises_its_own_columns_and_labels(convention):
    for column in convention.perturbation_columns:
        for label in convention.control_labels:
            reading = read(screen(column, (label, "GENE1")))
            assert (reading.convention, reading.controls) == (convention.name, (label,))
            assert "1 other label beside control" in reading.evidence[0]


def test_values_on_another_scale_than_the_writers_are_told():
    usual = "scPerturb files usually hold counts; this one holds logarithms"
    reading = open_reading(scperturb(scale="lognormalised"))
    assert usual in reading.evidence
    assert usual not in open_reading(scperturb()).evidence


def open_reading(adata: anndata.AnnData) -> Reading:
    from pertura.data.anndata_io import _source_of_anndata, read_as

    return read_as(_source_of_anndata(adata), Flags())


def test_evidence_counts_what_was_seen():
    text = " ".join(read(gears()).evidence)
    assert "4 other labels beside control: ctrl (20 cells)" in text
    assert "1 label with '+' between genes" in text
    assert "3 labels with one gene beside the control label" in text


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


def test_a_condition_that_is_a_state_of_the_cells_asks_twice():
    adata = screen("gene_target", ("NT", "GENE1"), condition=["control", "stimulated"])
    asks(adata, "two columns may hold the perturbations", "condition", "gene_target", "--perturbation-column")
    asks(adata, "condition: control (20), stimulated (20)", "--context-column", perturbation_column="gene_target")
    flags = {"perturbation_column": "gene_target", "context_column": "condition"}
    assert read(adata, **flags).context_columns == ("condition",)


def test_several_control_labels_are_no_several_contexts():
    reading = read(screen("condition", ("control_1", "control_2", "GENE1")))
    assert (reading.context_columns, reading.controls) == ((), ("control_1", "control_2"))


def scperturb_stimulated(**second: object) -> anndata.AnnData:
    return screen("perturbation", ("control", "GENE1"), cell_line=["a"], **second)


def test_a_second_perturbation_that_controls_have_too_is_a_part_of_the_context():
    reading = read(scperturb_stimulated(perturbation_2=["stimulated", "unstimulated"]))
    assert reading.context_columns == ("cell_line", "perturbation_2")
    assert any("controls of its own state" in one for one in reading.evidence)
    adata = scperturb_stimulated(perturbation_2=["stimulated", "unstimulated"])
    assert cells_from_anndata(adata).contexts == ("a:stimulated", "a:unstimulated")
    assert read(adata, context_column="cell_line").context_columns == ("cell_line",)


def test_a_second_perturbation_of_genes_asks():
    adata = scperturb_stimulated(perturbation_2=["GENE2", "GENE3"])
    asks(adata, "GENE2, GENE3", "--target-column", "--context-column none")
    assert read(adata, context_column="none").context_columns == ()


def test_a_label_and_a_column_that_disagree_on_controls_ask():
    adata = gears()
    adata.obs["control"] = (adata.obs["condition"] == "ctrl").astype(int)
    assert "obs['control'] marks the same cells as controls" in read(adata).evidence
    adata.obs.loc[adata.obs_names[1], "control"] = 1
    asks(adata, "marks 21 cells", "1 cells differ", "--control-column none", "--control-column control")
    assert read(adata, control_column="none").control_column == ""
    asks(adata, "GENE1+ctrl", "controls and others not", control_column="control")


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
