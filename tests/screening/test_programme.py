"""Programmes read from words, lists and tables, and placed on a panel."""

import numpy as np
import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.screening.programme import Programme, placed, programme_of


def test_words_name_genes_with_signs_and_weights():
    assert programme_of("HBZ, HBG2:2.5,-SPI1; GYPB=-1e-1").weights == {"HBZ": 1, "HBG2": 2.5, "SPI1": -1, "GYPB": -0.1}


def test_a_list_of_lines_may_hold_comments_and_a_heading(tmp_path):
    file = tmp_path / "erythroid.txt"
    file.write_text("gene\n# globins\nHBZ\nHBG2\t2\n\n-SPI1\n")
    found = programme_of(str(file))
    assert found.name == "erythroid"
    assert found.weights == {"HBZ": 1, "HBG2": 2, "SPI1": -1}


def test_a_published_table_gives_its_significant_fold_changes(tmp_path):
    file = tmp_path / "signature.csv"
    file.write_text("gene,baseMean,log2FoldChange,padj\nHBZ,5,1.5,0.001\nSPI1,9,-2,0.04\nMYC,9,3,0.05\nGAPDH,9,1,NA\n")
    with pytest.raises(BadDataError, match="line 5"):
        programme_of(str(file))
    file.write_text("gene,baseMean,log2FoldChange,padj\nHBZ,5,1.5,0.001\nSPI1,9,-2,0.04\nMYC,9,3,0.05\n")
    found = programme_of(str(file))
    assert found.weights == {"HBZ": 1.5, "SPI1": -2}
    assert "1 rows" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no gene"),
        ("HBZ,HBZ", "twice"),
        ("HBZ:much", "no gene|no number"),
        ("HBZ:0", "weight of HBZ is 0"),
        ("HBZ:1e999", "weight of HBZ"),
        ("two genes here", "no gene"),
    ],
)
def test_what_is_no_programme_is_refused_by_name(text, told):
    with pytest.raises(UsageError, match=told):
        programme_of(text)


def test_a_file_that_is_not_there_is_no_gene():
    with pytest.raises(MissingError):
        programme_of("programmes/erythroid.txt")


def test_genes_are_found_under_other_names_and_the_others_are_told():
    found = placed(Programme("p", {"HBZ": 1.0, "C14orf4": -2.0, "ABSENT": 1.0}), ("IRF2BPL", "HBZ", "MYC"))
    np.testing.assert_array_equal(found.weights, [-2, 1, 0])
    assert found.renamed == {"C14orf4": "IRF2BPL"}
    assert found.missing == ("ABSENT",)


def test_a_programme_without_a_measured_gene_is_refused():
    with pytest.raises(UsageError, match=r"HBZX \(did you mean HBZ"):
        placed(Programme("p", {"HBZX": 1.0}), ("HBZ",))


def test_two_names_of_one_gene_are_refused():
    with pytest.raises(UsageError, match="both IRF2BPL"):
        placed(Programme("p", {"IRF2BPL": 1.0, "C14orf4": -2.0}), ("IRF2BPL",))
