"""What guides in a cell amount to."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core.errors import BadDataError, UsageError
from pertura.data.imports.assign import KEPT, Fate, assigned, fate_of, without_suffix
from pertura.data.imports.calls import SEVERAL, Calls, calls_of_lane, guides_in, read_calls
from pertura.data.imports.guides import Guides

TARGETS = {"a1": ("A",), "a2": ("A",), "b1": ("B",), "c1": ("C",), "n1": (), "n2": (), "x|1": ("X",)}
GUIDES = Guides(Path("guides.csv"), TARGETS, frozenset({"safe"}), {"second": "a1"}, ())
ANY = st.lists(st.sampled_from([*TARGETS, "safe", "second", "stranger"]), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("names", "singles", "pairs"),
    [
        ((), Fate.NO_CALL, Fate.NO_CALL),
        (("a1",), Fate.SINGLE, Fate.SINGLE),
        (("a1", "a2"), Fate.SINGLE, Fate.SINGLE),
        (("a1", "n1"), Fate.MULTIPLET, Fate.SINGLE),
        (("a1", "b1"), Fate.MULTIPLET, Fate.PAIR),
        (("a1", "a2", "b1"), Fate.MULTIPLET, Fate.MULTIPLET),
        (("a1", "b1", "c1"), Fate.MULTIPLET, Fate.MULTIPLET),
        (("n1",), Fate.CONTROL, Fate.CONTROL),
        (("n1", "n2"), Fate.CONTROL, Fate.CONTROL),
        (("a1", "stranger"), Fate.UNKNOWN, Fate.UNKNOWN),
        (("a1", "safe"), Fate.LEFT_OUT, Fate.LEFT_OUT),
        (("second",), Fate.SINGLE, Fate.SINGLE),
        (SEVERAL, Fate.MULTIPLET, Fate.MULTIPLET),
    ],
    ids=str,
)
def test_the_fate_of_a_cell_follows_from_its_guides_and_the_design(names, singles, pairs):
    assert fate_of(names, GUIDES, pairs=False)[0] is singles
    assert fate_of(names, GUIDES, pairs=True)[0] is pairs


@settings(deadline=None, max_examples=50)
@given(names=ANY, pairs=st.booleans())
def test_the_order_of_guides_plays_no_role_and_a_kept_cell_has_at_most_the_designed_genes(names, pairs):
    fate, genes = fate_of(names, GUIDES, pairs)
    assert fate_of(names[::-1], GUIDES, pairs) == (fate, genes)
    if fate in KEPT:
        assert len(genes) == KEPT.index(fate)
        assert list(genes) == sorted(set(genes))


@settings(deadline=None, max_examples=50)
@given(plan=st.lists(ANY, min_size=1, max_size=20), pairs=st.booleans())
def test_every_cell_has_one_fate_and_only_kept_cells_have_a_condition(plan, pairs):
    barcodes = [f"CELL{i}-1" for i in range(len(plan))]
    calls = Calls(Path("c.csv"), dict(zip(barcodes, plan)), {})
    found = assigned(barcodes, calls, GUIDES, pairs)
    assert sum(found.fates.values()) == sum(found.numbers.values()) == len(plan)
    assert len(found.rows) == sum(found.fates[fate] for fate in KEPT) == len(found.conditions)
    assert sum(one == "control" for one in found.conditions) == found.fates[Fate.CONTROL]
    assert sum("+" in one for one in found.conditions) == found.fates[Fate.PAIR]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a1", ("a1",)),
        ("a1|b1", ("a1", "b1")),
        ("a1;b1", ("a1", "b1")),
        ("x|1", ("x|1",)),
        ("", ()),
        ("None", ()),
        ("unassigned", ()),
        ("Doublet", SEVERAL),
        ("stranger", ("stranger",)),
    ],
)
def test_the_guides_of_a_call_are_told_apart(text, names):
    assert guides_in(text, GUIDES) == names


def test_calls_of_cellranger_are_checked_against_their_own_number(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("cell_barcode,num_features,feature_call,num_umis\nAA-1,2,a1|b1,5|6\nCC-1,0,None,0\n")
    calls = read_calls(path, GUIDES)
    assert calls.guides == {"AA-1": ("a1", "b1"), "CC-1": ()}
    assert calls.umis["AA-1"] == "5|6"
    path.write_text("cell_barcode,num_features,feature_call,num_umis\nAA-1,1,a1|b1,5|6\n")
    with pytest.raises(BadDataError, match=r"line 2: num_features is '1', but 'a1\|b1' names 2"):
        read_calls(path, GUIDES)


@pytest.mark.parametrize(("row", "words"), [("AA-1,a1", "AA-1 is there twice"), (",a1", "has no barcode")])
def test_a_barcode_is_there_once(row, words, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text(f"barcode,guide\nAA-1,a1\n{row}\n")
    with pytest.raises(BadDataError, match=f"line 3: .*{words}"):
        read_calls(path, GUIDES, "guide")


@pytest.mark.parametrize("ours", ["-1", ""])
@pytest.mark.parametrize("theirs", ["-1", "", "-7"])
def test_barcodes_match_whatever_lane_number_follows_them(ours, theirs):
    calls = Calls(Path("c.csv"), {f"AA{theirs}": ("a1",), f"CC{theirs}": ("n1",), f"GG{theirs}": ("b1",)}, {})
    found = assigned([f"AA{ours}", f"CC{ours}", f"TT{ours}"], calls, GUIDES, pairs=False)
    assert found.conditions == ("A", "control")
    assert found.not_measured == 1
    assert bool(found.matched) == (ours != theirs)


def test_calls_of_another_library_are_refused():
    calls = Calls(Path("c.csv"), {"GG-1": ("a1",)}, {})
    with pytest.raises(BadDataError, match="GG-1 here, AA-1 there"):
        assigned(["AA-1"], calls, GUIDES, pairs=False)
    twice = Calls(Path("c.csv"), {"AA-2": ("a1",), "AA-3": ("b1",)}, {})
    with pytest.raises(BadDataError, match="no barcode is one of the matrix"):
        assigned(["AA-1"], twice, GUIDES, pairs=False)


def test_one_table_of_several_lanes_is_cut_by_the_lane_number():
    calls = Calls(Path("c.csv"), {"AA-1": ("a1",), "AA-2": ("b1",)}, {"AA-2": "3"})
    assert calls_of_lane(calls, 1, 2).guides == {"AA-2": ("b1",)}
    assert calls_of_lane(calls, 0, 2).umis == {}
    assert calls_of_lane(calls, 0, 1) is calls
    with pytest.raises(UsageError, match="give --assignments once for each folder"):
        calls_of_lane(calls, 0, 3)


@pytest.mark.parametrize(("barcode", "bare"), [("AA-1", "AA"), ("AA", "AA"), ("AA-x", "AA-x"), ("s1-AA-12", "s1-AA")])
def test_only_a_number_is_a_lane(barcode, bare):
    assert without_suffix(barcode) == bare
