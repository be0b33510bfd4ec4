"""Libraries join by gene id; what one of them lacks is named."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from pertura.core.errors import BadDataError
from pertura.data.imports.counts import Counts
from pertura.data.imports.join import gene_names, joined, lane_names


def counts(ids, symbols=None, cells=2, value=1):
    matrix = sp.csr_matrix(
        np.full((cells, len(ids)), value, dtype=np.int32) * np.arange(1, len(ids) + 1, dtype=np.int32)
    )
    barcodes = tuple(f"C{i}-1" for i in range(cells))
    return Counts(Path("m.h5"), matrix, barcodes, tuple(ids), tuple(symbols or ids), {})


def test_genes_are_matched_by_id_whatever_their_order():
    whole = joined([counts("abc"), counts("cxb")])
    assert whole.gene_ids == ("b", "c")
    np.testing.assert_array_equal(whole.matrix.toarray(), [[2, 3], [2, 3], [3, 1], [3, 1]])
    assert whole.lost == ({"a"}, {"x"})
    assert whole.lost_share == pytest.approx((1 / 6, 2 / 6))


def test_one_library_loses_nothing_and_keeps_its_order():
    whole = joined([counts("cab")])
    assert whole.gene_ids == ("c", "a", "b")
    assert whole.lost == (frozenset(),)
    assert whole.lost_share == (0.0,)


def test_a_gene_that_is_named_otherwise_elsewhere_is_said():
    whole = joined([counts("ab", ["A", "B"]), counts("ab", ["A", "OTHER"])])
    assert whole.symbols == ("A", "B")
    assert whole.renamed == ("b",)


def test_references_without_a_common_gene_are_refused():
    with pytest.raises(BadDataError, match=r"no gene is also in m.h5 \(x here, a there\)"):
        joined([counts("ab"), counts("xy")])


@pytest.mark.parametrize(
    ("symbols", "names"),
    [
        (("A", "B", "C"), ("A", "B", "C")),
        (("A", "A", "C"), ("i1", "i2", "C")),
        (("i2", "A", "A"), ("i1", "i2", "i3")),
    ],
)
def test_names_are_symbols_where_these_are_unequivocal(symbols, names):
    found = gene_names(("i1", "i2", "i3"), symbols)
    assert len(set(found)) == 3
    assert found == names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/stim/outs", "/x/rest/outs"], ("stim", "rest")),
        (["/x/a/count/outs", "/y/a/count/outs"], ("x", "y")),
        (["/only/outs"], ("only",)),
        (["/x/a.h5", "/x/b.h5"], ("a.h5", "b.h5")),
    ],
)
def test_a_folder_is_called_by_what_tells_it_from_the_others(paths, names):
    assert lane_names([Path(one) for one in paths]) == names
