"""What many names stand for is counted, listed and never decided where it is not certain."""

import pytest

from pertura.genes.identified import approved_names, found_among, identified
from pertura.genes.identifiers import read_identifiers


def test_names_are_sorted_by_what_they_stand_for():
    found = identified(["KLF1", "OCT4", "7-Sep", "ENSG00000105610.5", "DEC1", "Klf1", "Gm1992", "NOGENE99", "TP53"])
    assert (found.names, found.approved, found.certain) == (9, 2, 5)
    assert found.renamed == {"OCT4": "POU5F1", "7-Sep": "SEPTIN7", "ENSG00000105610.5": "KLF1"}
    assert found.ambiguous == {"DEC1": ("BHLHE40", "DELEC1")}
    assert (found.mouse, found.unknown, found.dates) == (("Klf1", "Gm1992"), ("NOGENE99",), ("7-Sep",))
    assert found.shared == {"KLF1": ("ENSG00000105610.5", "KLF1")}
    assert sum(found.how.values()) == 9


def test_every_name_is_counted_once():
    found = identified(["KLF1", "OCT4", "DEC1", "Klf1", "NOGENE99", "ENSG00000999999"])
    parts = (found.renamed, found.ambiguous, found.mouse, found.nameless, found.unknown)
    assert found.approved + sum(map(len, parts)) == found.names


def test_panels_of_two_species_are_told_apart():
    assert identified(["KLF1", "TP53", "AC118549.1"]).is_human
    mouse = identified(["Klf1", "Trp53", "Actb", "Gapdh", "Gm1992"])
    assert (mouse.is_human, mouse.is_mouse) == (False, True)
    made_up = identified([f"Gene{i}" for i in range(50)] + ["Klf1"])
    assert (made_up.is_human, made_up.is_mouse) == (False, False)
    assert not identified([]).is_human


def test_a_name_is_found_under_whatever_the_others_call_its_gene():
    assert found_among(["KIAA1804", "KLF1"], ["MAP3K21", "KLF1"]) == {"KIAA1804": "MAP3K21", "KLF1": "KLF1"}
    assert found_among(["MAP3K21"], ["KIAA1804"]) == {"MAP3K21": "KIAA1804"}
    assert found_among(["ENSG00000105610"], ["10661", "TP53"]) == {"ENSG00000105610": "10661"}


def test_its_own_name_and_the_symbol_go_before_other_names():
    assert found_among(["OCT4"], ["POU5F1", "OTF3"]) == {"OCT4": "POU5F1"}
    assert found_among(["OCT4"], ["OTF3", "POU5F1"]) == {"OCT4": "POU5F1"}
    assert found_among(["OCT4"], ["OCT4", "POU5F1"]) == {"OCT4": "OCT4"}


def test_of_several_other_names_none_is_taken():
    assert found_among(["POU5F1"], ["OCT4", "OTF3"]) == {}


@pytest.mark.parametrize("name", ["DEC1", "Klf1", "NOGENE99"])
def test_what_is_not_certain_is_not_found(name):
    assert found_among([name], ["BHLHE40", "DELEC1", "KLF1"]) == {}


def test_the_order_of_names_plays_no_role():
    names, others = ["KIAA1804", "OCT4", "KLF1"], ["MAP3K21", "POU5F1", "OTF3", "KLF1"]
    assert found_among(names, others) == found_among(names[::-1], others[::-1])


def test_names_are_only_replaced_where_none_becomes_another():
    assert approved_names(["KIAA1804", "KLF1"]) == {"KIAA1804": "MAP3K21"}
    assert approved_names(["KIAA1804", "MAP3K21"]) == {}
    assert approved_names(["OCT4", "OTF3"]) == {}
    renamed = approved_names(["KIAA1804", "7-Sep", "DEC1"])
    assert len(set(renamed.values())) == len(renamed) == 2


def test_other_identifiers_can_be_given():
    table = read_identifiers(["A1\t5\t7\tOLD", "B1\t\t\tOLD2"])
    assert found_among(["OLD"], ["A1"], table) == {"OLD": "A1"}
    assert identified(["OLD2", "OLD3"], table).renamed == {"OLD2": "B1"}
