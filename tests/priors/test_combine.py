"""A combination holds what its parts hold, and says what they lacked."""

import numpy as np
import pytest

from pertura.core.errors import BadDataError, UsageError
from pertura.priors.combine import combine, lacking
from pertura.priors.prior import GenePrior, PriorFacts

LEFT = GenePrior("left", ("B", "A"), np.asarray([[1, 2], [3, 4]], np.float32), PriorFacts("go-c", "e", "CC0", "aa"))
RIGHT = GenePrior("right", ("C", "B"), np.asarray([[5, 6], [7, 8]], np.float32), PriorFacts("ncbi", "e", "public"))
WIDE = GenePrior("wide", ("A",), np.asarray([[1, 2, 3]], np.float64))


def test_side_by_side_over_the_union_with_zeros_for_what_is_missing():
    made = combine([LEFT, RIGHT])
    assert made.genes == ("A", "B", "C")
    np.testing.assert_array_equal(made.table, [[3, 4, 0, 0], [1, 2, 7, 8], [0, 0, 5, 6]])
    assert made.table.dtype == np.float32
    assert lacking([LEFT, RIGHT], made.genes) == (1, 1)


def test_side_by_side_over_the_intersection():
    made = combine([LEFT, RIGHT], genes="intersection")
    assert made.genes == ("B",)
    np.testing.assert_array_equal(made.table, [[1, 2, 7, 8]])


def test_the_mean_is_that_of_the_priors_that_have_the_gene():
    made = combine([LEFT, RIGHT], "mean")
    np.testing.assert_array_equal(made.table, [[3, 4], [4, 5], [5, 6]])
    np.testing.assert_array_equal(combine([LEFT, RIGHT], "mean", genes="intersection").table, [[4, 5]])


def test_a_prior_with_itself_has_itself_as_mean():
    made = combine([LEFT, LEFT, LEFT], "mean")
    np.testing.assert_array_equal(made.aligned_to(LEFT.genes)[0], LEFT.table)


@pytest.mark.parametrize("how", ["concat", "mean"])
@pytest.mark.parametrize("genes", ["union", "intersection"])
def test_the_order_of_genes_has_no_influence(how, genes):
    turned = GenePrior(LEFT.name, LEFT.genes[::-1], LEFT.table[::-1], LEFT.facts)
    one, two = combine([LEFT, RIGHT], how, genes=genes), combine([turned, RIGHT], how, genes=genes)
    assert one.genes == two.genes
    np.testing.assert_array_equal(one.table, two.table)


def test_it_records_its_parts_and_what_they_lacked():
    facts = combine([LEFT, RIGHT]).facts
    assert (facts.kind, facts.made_from) == ("combined", ("left", "right"))
    assert facts.source == "concat of go-c + ncbi over the union of genes; genes without a vector: left 1, right 1"
    assert (facts.encoder, facts.licence, facts.text_sha256) == ("e", "CC0 + public", "aa + not recorded")


def test_the_mean_of_unequal_widths_names_both():
    with pytest.raises(BadDataError, match="left 2, wide 3"):
        combine([LEFT, WIDE], "mean")
    assert combine([LEFT, WIDE]).table.shape == (2, 5)
    assert combine([LEFT, WIDE]).table.dtype == np.float64


def test_requests_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="give two or more"):
        combine([LEFT])
    with pytest.raises(UsageError, match="by sum"):
        combine([LEFT, RIGHT], "sum")
    with pytest.raises(UsageError, match="over the all of genes"):
        combine([LEFT, RIGHT], genes="all")
    with pytest.raises(BadDataError, match="no gene is in all of right, wide"):
        combine([RIGHT, WIDE], genes="intersection")
