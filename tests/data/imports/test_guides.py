"""Guide tables: which gene, which control, and asking where a spelling may mean either."""

import pytest

from pertura.core.errors import BadDataError, UsageError
from pertura.data.imports.guides import GuideReading, is_non_targeting, read_guides
from tenx_folders import write_guides


def read(tmp_path, table, header="guide_id,gene", **reading):
    return read_guides(write_guides(tmp_path / "guides.csv", table, header), GuideReading(**reading))


@pytest.mark.parametrize(
    "label",
    [
        "non-targeting",
        "Non-Targeting",
        "nontargeting_0012",
        "NTC",
        "NT-3",
        "negCtrl10",
        "neg_ctrl_2",
        "Scramble",
        "ctrl",
    ],
)
def test_spellings_of_no_target_are_control(label):
    assert is_non_targeting(label)


@pytest.mark.parametrize("label", ["NT5C", "NEGR1", "CTRL", "CTR9", "AAVS1", "SCRIB", "NTRK1", "safe-targeting"])
def test_genes_and_unclear_spellings_are_not_taken_for_control(label):
    assert not is_non_targeting(label)


def test_a_table_leads_from_guide_to_gene_and_counts_its_controls(tmp_path):
    guides = read(tmp_path, {"a1": "A", "a2": "A", "n1": "NTC", "n2": "negCtrl2"})
    assert guides.targets == {"a1": ("A",), "a2": ("A",), "n1": (), "n2": ()}
    assert guides.controls == ("n1", "n2")
    assert guides.genes == ("A",)
    assert "directed at no gene: NTC (1 guide), negCtrl2 (1 guide)" in guides.lines


def test_the_feature_reference_of_cellranger_is_a_guide_table(tmp_path):
    path = tmp_path / "ref.csv"
    path.write_text(
        "id,name,read,pattern,sequence,feature_type,target_gene_id,target_gene_name\n"
        "g1,A_first,R2,x,ACGT,CRISPR Guide Capture,ENSG1,A\n"
        "g2,none_1,R2,x,ACGA,CRISPR Guide Capture,Non-Targeting,Non-Targeting\n"
        "g3,skip,R2,x,ACGC,CRISPR Guide Capture,Ignore,Ignore\n"
    )
    guides = read_guides(path, GuideReading())
    assert guides.targets == {"g1": ("A",), "g2": ()}
    assert guides.left_out == {"g3"}
    assert guides.known("A_first") == "g1"
    assert guides.known("skip") == "g3"
    assert guides.known("g4") is None


def test_an_empty_gene_is_control_only_where_the_guide_says_so(tmp_path):
    assert read(tmp_path, {"NT_1": "", "a": "A"}).controls == ("NT_1",)
    with pytest.raises(BadDataError, match=r"line 3: guide 'b' has no gene"):
        read(tmp_path, {"NT_1": "", "b": ""})


@pytest.mark.parametrize("label", ["AAVS1", "safe-targeting_3", "CTRL", "LacZ"])
def test_what_may_be_control_is_asked_for(label, tmp_path):
    table = {"a": "A", "n": "NTC", "x": label}
    with pytest.raises(UsageError, match=rf"{label}.*may be control.*--control.*certain are NTC"):
        read(tmp_path, table)
    assert read(tmp_path, table, controls=("NTC", label)).controls == ("n", "x")
    as_target = read(tmp_path, table, controls=("NTC",))
    assert as_target.genes == tuple(sorted(("A", label)))
    assert any("read as targets" in line and label in line for line in as_target.lines)
    assert read(tmp_path, table, left_out=(label,)).left_out == {"x"}


@pytest.mark.parametrize(
    ("table", "reading", "words"),
    [
        ({"a": "A", "b": "B"}, {}, "no guide is recognised as directed at no gene"),
        ({"a": "A", "n": "NTC"}, {"controls": ("NT",)}, "no guide is directed at 'NT'"),
        ({"a": "A", "n": "NTC", "m": "ctrl"}, {"controls": ("NTC",)}, "'ctrl' is no gene and --control does not name"),
        ({"a": "A+B", "n": "NTC"}, {}, "say --pairs"),
        ({"a": "A", "n": "NTC"}, {"guide_column": "sgrna"}, "--guide-column 'sgrna'"),
        ({"a": "A", "n": "NTC"}, {"guide_column": "gene"}, "cannot both be"),
    ],
)
def test_an_unclear_table_asks(table, reading, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        read(tmp_path, table, **reading)


def test_a_guide_of_two_genes_is_a_pair_and_control_in_it_is_none(tmp_path):
    guides = read(tmp_path, {"ab": "B+A", "an": "A+NTC", "n": "NTC"}, pairs=True)
    assert guides.targets == {"ab": ("A", "B"), "an": ("A",), "n": ()}


@pytest.mark.parametrize("label", ["A+B+C", "A+", "A@x"])
def test_what_cannot_be_a_gene_is_refused(label, tmp_path):
    with pytest.raises(BadDataError, match="is not the name of one gene or two"):
        read(tmp_path, {"a": label, "n": "NTC"}, pairs=True)


def test_one_guide_of_two_genes_in_two_lines_is_refused(tmp_path):
    path = tmp_path / "guides.csv"
    path.write_text("guide,gene\na,A\nn,NTC\na,B\n")
    with pytest.raises(BadDataError, match=r"line 4: guide 'a' is directed at 'B' here and at 'A' above"):
        read_guides(path, GuideReading())
    path.write_text("guide,gene\n")
    with pytest.raises(BadDataError, match="lists no guide"):
        read_guides(path, GuideReading())
