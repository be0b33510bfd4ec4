from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core import Cells, Condition, Expression, Perturbation, Scale
from pertura.core.errors import BadDataError
from pertura.core.expression import InMemory, Subset, as_expression, blocks

CONTROL, A_HERE, A_THERE, B_HERE = (
    Condition(Perturbation.parse(name), context) for name, context in [("", "x"), ("A", "x"), ("A", "y"), ("B", "x")]
)
OTHER_CONTROL = Condition(Perturbation(), "y")
quick = settings(max_examples=25, deadline=None)
MATRIX = np.arange(40, dtype=np.float64).reshape(8, 5)


def made(matrix=MATRIX, **changes):
    fields = {
        "expression": as_expression(matrix),
        "genes": tuple("abcde"),
        "ids": np.asarray([f"cell-{i}" for i in range(8)]),
        "conditions": (CONTROL, A_HERE, A_THERE, B_HERE, OTHER_CONTROL),
        "codes": np.asarray([0, 1, 0, 2, 1, 4, 0, 2]),
        "scale": Scale("lognormalised", 1e4),
        "batches": ("p", "q"),
        "batch_codes": np.asarray([0, 1, 0, 1, 0, 1, 0, 1]),
        "library_sizes": np.arange(8, dtype=np.float64),
    }
    return Cells(**(fields | changes))


@pytest.fixture
def unchecked(monkeypatch):
    """The package as users have it, without shapes checked at each call."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.asarray(["a", "b"])},
        {"codes": np.zeros(7, dtype=np.int64)},
        {"batch_codes": np.zeros(9, dtype=np.int64)},
        {"library_sizes": np.ones(3)},
        {"genes": tuple("abcd")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_wrong_length_is_refused_and_named(change, unchecked):
    with pytest.raises(BadDataError, match=next(iter(change))):
        made(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genes": tuple("abcda")}, "gene names repeat"),
        ({"ids": np.asarray(["cell"] * 8)}, "cell names repeat"),
        ({"conditions": (CONTROL, A_HERE, A_THERE, B_HERE, CONTROL)}, "listed twice"),
        ({"codes": np.asarray([0, 1, 0, 2, 1, 4, 0, 5])}, "codes run from 0 to 5, but there are 5"),
        ({"codes": np.asarray([0, 1, 0, 2, 1, 4, 0, -1])}, "codes run from -1 to 4"),
        ({"batch_codes": np.asarray([0, 1, 0, 1, 0, 1, 0, -1])}, "batch_codes run from -1"),
    ],
)
def test_repeats_and_codes_of_nothing_are_refused(change, message):
    with pytest.raises(BadDataError, match=message):
        made(**change)


def test_only_what_has_cells_is_present():
    cells = made()
    assert cells.contexts == ("x", "y")
    assert cells.present == tuple(sorted({CONTROL, A_HERE, A_THERE, OTHER_CONTROL}))
    assert cells.perturbed == (A_HERE, A_THERE)
    assert cells.rows_of(B_HERE).tolist() == []
    assert cells.rows_of(Condition(Perturbation.of("Z"))).tolist() == []


def test_the_rows_of_conditions_cut_the_cells_and_keep_the_order_of_the_file():
    cells = made()
    rows = [cells.rows_of(one) for one in cells.conditions]
    assert sorted(np.concatenate(rows)) == list(range(8))
    assert all((np.diff(one) > 0).all() for one in rows)
    assert all((cells.codes[one] == code).all() for code, one in enumerate(rows))


def test_controls_belong_to_their_context():
    cells = made()
    assert cells.control_rows("x").tolist() == [0, 2, 6]
    assert cells.control_rows("y").tolist() == [5]
    assert cells.control_rows("z").tolist() == []
    assert np.flatnonzero(cells.is_control).tolist() == [0, 2, 5, 6]


def test_rows_are_found_by_name_and_an_unknown_name_is_named():
    cells = made()
    assert cells.rows_of_ids(["cell-5", "cell-0"]).tolist() == [5, 0]
    with pytest.raises(BadDataError, match=r"1 of 2 named cells.*nobody"):
        cells.rows_of_ids(["cell-5", "nobody"])


@pytest.mark.parametrize("matrix", [MATRIX, sp.csr_matrix(MATRIX), sp.csc_matrix(MATRIX)], ids=["dense", "csr", "csc"])
@given(rows=st.lists(st.integers(0, 7), unique=True, max_size=8), genes=st.permutations("abcde"))
@quick
def test_taken_cells_and_genes_carry_everything_with_them(matrix, rows, genes):
    cells = made(matrix)
    index = np.asarray(rows, dtype=np.int64)
    part = cells.take(index).with_genes(genes)
    assert part.genes == tuple(genes)
    np.testing.assert_array_equal(
        part.dense(np.arange(len(rows))), MATRIX[np.ix_(index, ["abcde".index(gene) for gene in genes])]
    )
    assert part.ids.tolist() == cells.ids[index].tolist()
    assert [part.conditions[code] for code in part.codes] == [cells.conditions[cells.codes[row]] for row in rows]
    assert part.batch_codes.tolist() == cells.batch_codes[index].tolist()
    assert part.library_sizes.tolist() == cells.library_sizes[index].tolist()
    swapped = cells.with_genes(genes).take(index)
    np.testing.assert_array_equal(swapped.dense(np.arange(len(rows))), part.dense(np.arange(len(rows))))


@given(first=st.permutations(range(8)), second=st.permutations(range(8)))
@quick
def test_taking_twice_is_taking_the_rows_of_rows(first, second):
    cells = made()
    outer, inner = np.asarray(first), np.asarray(second)
    twice, once = cells.take(outer).take(inner), cells.take(outer[inner])
    whole = np.arange(8)
    np.testing.assert_array_equal(twice.dense(whole), once.dense(whole))
    assert twice.ids.tolist() == once.ids.tolist()


def test_a_subset_of_genes_is_taken_and_a_missing_one_is_named():
    cells = made()
    np.testing.assert_array_equal(cells.with_genes(["d", "a"]).dense(np.arange(8)), MATRIX[:, [3, 0]])
    with pytest.raises(BadDataError, match=r"lacks 1 of 2 genes \(first: z\)"):
        cells.with_genes(["a", "z"])


def test_a_row_taken_twice_is_refused():
    with pytest.raises(BadDataError, match="cell names repeat"):
        made().take(np.asarray([1, 1]))


def test_a_screen_without_batches_stays_without():
    part = replace(made(), batches=(), batch_codes=None).take(np.asarray([1, 3]))
    assert part.batch_codes is None


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("matrix", [MATRIX, sp.csr_matrix(MATRIX)], ids=["dense", "sparse"])
def test_blocks_are_the_rows_in_order_whatever_their_size(matrix, size):
    index = np.asarray([5, 0, 7, 2])
    found = list(blocks(as_expression(matrix), index, size))
    assert all(one.dtype == np.float64 and len(one) <= size for one in found)
    np.testing.assert_array_equal(np.concatenate(found), MATRIX[index])


def test_what_can_give_rows_is_an_expression_and_nothing_else_is():
    subset = Subset(InMemory(MATRIX), np.asarray([1, 2]))
    assert isinstance(subset, Expression)
    assert as_expression(subset) is subset
    with pytest.raises(TypeError, match="list"):
        as_expression([[1.0]])
