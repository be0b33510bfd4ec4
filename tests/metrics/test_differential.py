"""Differential expression: scipy's definitions, edge cases, and what must not change a number."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from pertura.core.errors import BadDataError
from pertura.core.expression import InMemory, Subset, as_expression
from pertura.metrics.differential import Tests, differential_expression, false_discovery_rate, rest_tests
from rank_screens import SIZES, codes_of, laid_out, values

TARGETS = len(SIZES) - 1
FIELDS = (
    "target_mean",
    "reference_mean",
    "log2_fold_change",
    "percent_change",
    "p_value",
    "statistic",
    "fdr",
    "target_counts",
    "reference_count",
)


def by_scipy(full, first, second):
    """U and p of every gene, straight from the definition."""
    found = [
        stats.mannwhitneyu(full[first, j], full[second, j], method="asymptotic", use_continuity=True)
        if len(np.unique(full[first | second, j])) > 1
        else (first.sum() * second.sum() / 2, 1.0)
        for j in range(full.shape[1])
    ]
    return np.asarray(found).T


def assert_same(one, other, means=0.0):
    for name in FIELDS:
        of_means = name in ("target_mean", "reference_mean", "log2_fold_change", "percent_change")
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=means if of_means else 0.0, atol=means if of_means else 0.0, err_msg=name)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense", "columns"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("negative", [False, True])
def test_u_and_p_are_those_of_scipy(layout, dtype, negative):
    codes = codes_of()
    full = values(len(codes), dtype=dtype, negative=negative)
    found = differential_expression(as_expression(laid_out(full, layout)), codes, TARGETS)
    for target in range(TARGETS):
        u, p = by_scipy(full.astype(np.float64), codes == target, codes == TARGETS)
        np.testing.assert_array_equal(found.statistic[target], u)
        np.testing.assert_allclose(found.p_value[target], p, rtol=1e-12)
        np.testing.assert_allclose(found.fdr[target], stats.false_discovery_control(p), rtol=1e-12)


@given(
    full=hnp.arrays(
        np.float64,
        st.tuples(st.integers(6, 25), st.just(3)),
        elements=st.one_of(
            st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 1.0 + 2**-30, 1e-300, -1e-300, 3e38, 7.0]),
            st.floats(-1e6, 1e6),
        ),
    ),
    narrow=st.booleans(),
    sparse=st.booleans(),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_any_values_are_ranked_as_scipy_ranks_them(full, narrow, sparse, data):
    if narrow:
        full = full.astype(np.float32)
    codes = np.asarray(data.draw(st.permutations([0, 1, 2, 2] + [data.draw(st.integers(-1, 2))] * (len(full) - 4))))
    found = differential_expression(as_expression(sp.csr_matrix(full) if sparse else full), codes, 2)
    for target in range(2):
        u, p = by_scipy(full.astype(np.float64), codes == target, codes == 2)
        np.testing.assert_array_equal(found.statistic[target], u)
        np.testing.assert_allclose(found.p_value[target], p, rtol=1e-9)


def test_float64_that_differ_beyond_float32_are_not_tied():
    rng = np.random.default_rng(3)
    full = 1.0 + rng.integers(0, 40, (60, 2)) * 2.0**-40
    full[:, 1] += rng.choice([0.0, 1e30], 60)
    codes = np.repeat([0, 1], 30)
    found = differential_expression(as_expression(full), codes, 1)
    u, p = by_scipy(full, codes == 0, codes == 1)
    np.testing.assert_array_equal(found.statistic[0], u)
    np.testing.assert_allclose(found.p_value[0], p, rtol=1e-12)


def test_the_reverse_test_is_the_same_test():
    codes = codes_of((8, 20))
    full = values(28)
    there = differential_expression(as_expression(full), codes, 1)
    back = differential_expression(as_expression(full), 1 - codes, 1)
    np.testing.assert_array_equal(there.statistic + back.statistic, 8 * 20)
    np.testing.assert_array_equal(there.p_value, back.p_value)


def test_ranks_alone_matter_to_the_test():
    codes = codes_of()
    full = values(len(codes), dtype=np.float64)
    plain = differential_expression(as_expression(full), codes, TARGETS)
    bent = differential_expression(as_expression(np.cbrt(full) + 0.25), codes, TARGETS)
    np.testing.assert_array_equal(plain.statistic, bent.statistic)
    np.testing.assert_array_equal(plain.p_value, bent.p_value)


def test_means_and_changes_follow_their_definitions():
    codes = codes_of()
    full = values(len(codes), dtype=np.float64)
    for kind, mean in [("geometric", lambda x: np.expm1(x.mean(0))), ("arithmetic", lambda x: np.expm1(x).mean(0))]:
        found = differential_expression(as_expression(full), codes, TARGETS, options=Tests(means=kind, epsilon=0.25))
        reference = mean(full[codes == TARGETS])
        for target in range(TARGETS):
            own = mean(full[codes == target])
            np.testing.assert_allclose(found.target_mean[target], own, rtol=1e-12)
            np.testing.assert_allclose(
                found.log2_fold_change[target], np.log2((own + 0.25) / (reference + 0.25)), rtol=1e-9, atol=1e-12
            )
            np.testing.assert_allclose(
                found.percent_change[target], (own - reference) / (reference + 0.25), rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize(
    ("dtype", "same", "layout"),
    [
        (np.int32, np.float64, "csr"),
        (np.int32, np.float64, "dense"),
        (np.uint8, np.float64, "dense"),
        (np.float16, np.float32, "dense"),
    ],
)
def test_other_number_types_are_taken_at_their_values(dtype, same, layout):
    codes = codes_of()
    full = values(len(codes), dtype=np.float64, scale="counts").astype(dtype)
    options = Tests(logged=False, means="arithmetic")
    found = differential_expression(as_expression(laid_out(full, layout)), codes, TARGETS, options=options)
    plain = differential_expression(as_expression(laid_out(full.astype(same), layout)), codes, TARGETS, options=options)
    assert_same(found, plain)


def test_equal_values_everywhere_are_no_evidence():
    found = differential_expression(as_expression(np.full((10, 2), [0.0, 4.0])), np.repeat([0, 1], 5), 1)
    np.testing.assert_array_equal(found.p_value, 1.0)
    np.testing.assert_array_equal(found.statistic, 12.5)
    np.testing.assert_array_equal(found.log2_fold_change, 0.0)
    np.testing.assert_array_equal(found.percent_change, 0.0)


def test_a_gene_of_one_side_only_changes_without_bound():
    full = np.zeros((6, 2))
    full[:3, 0] = full[3:, 1] = 1.0
    found = differential_expression(as_expression(full), np.repeat([0, 1], 3), 1)
    np.testing.assert_array_equal(found.log2_fold_change[0], [np.inf, -np.inf])
    np.testing.assert_array_equal(found.percent_change[0], [np.inf, -1.0])


def test_a_target_without_cells_has_no_numbers_and_spoils_no_other():
    codes = codes_of()
    expression = as_expression(values(len(codes)))
    full = differential_expression(expression, codes, TARGETS)
    some = differential_expression(expression, np.where(codes == 1, -1, codes), TARGETS)
    assert some.target_counts.tolist() == [1, 0, 5, 9]
    for name in ("target_mean", "log2_fold_change", "percent_change", "p_value", "statistic", "fdr"):
        assert np.isnan(getattr(some, name)[1]).all()
        np.testing.assert_array_equal(np.delete(getattr(some, name), 1, 0), np.delete(getattr(full, name), 1, 0))


def test_cells_that_are_left_out_do_not_count():
    codes = codes_of()
    full = sp.csr_matrix(values(len(codes)))
    kept = codes != 2
    some = differential_expression(as_expression(full), np.where(kept, codes, -1), TARGETS)
    assert_same(some, differential_expression(as_expression(full[kept]), codes[kept], TARGETS))


def test_nothing_can_be_tested_against_no_reference():
    with pytest.raises(BadDataError, match="reference group has no cells"):
        differential_expression(as_expression(values(10)), np.zeros(10, dtype=int), 1)


def test_codes_that_do_not_fit_are_refused():
    expression = as_expression(values(10))
    with pytest.raises(BadDataError, match="9 group codes for 10 cells"):
        differential_expression(expression, np.ones(9, dtype=int), 1)
    with pytest.raises(BadDataError, match="group code 3"):
        differential_expression(expression, np.full(10, 3), 1)


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_refused_and_infinity_ranked(layout, dtype):
    codes, full = codes_of(), values(50, dtype=dtype)[: len(codes_of())]
    full[3, 5] = np.inf
    matrix = laid_out(full, layout)
    assert np.isfinite(differential_expression(as_expression(matrix), codes, TARGETS).p_value).all()
    full[4, 7] = np.nan
    with pytest.raises(BadDataError, match="not a number"):
        differential_expression(as_expression(laid_out(full, layout)), codes, TARGETS)


def test_a_matrix_is_not_changed_by_being_tested():
    full = sp.csr_matrix(values(len(codes_of()), dtype=np.float64))
    before = full.copy()
    differential_expression(as_expression(full), codes_of(), TARGETS, options=Tests(means="arithmetic"))
    np.testing.assert_array_equal(full.data, before.data)
    np.testing.assert_array_equal(full.indices, before.indices)


def test_stored_zeros_order_and_repeats_of_entries_mean_nothing():
    codes = codes_of()
    tidy = sp.csr_matrix(values(len(codes)))
    shuffled = tidy.copy()
    for i in range(tidy.shape[0]):
        own = slice(tidy.indptr[i], tidy.indptr[i + 1])
        shuffled.indices[own], shuffled.data[own] = tidy.indices[own][::-1], tidy.data[own][::-1]
    shuffled.has_sorted_indices = shuffled.has_canonical_format = False
    halves = sp.csr_matrix(sp.vstack([tidy, tidy * 0.0, tidy]))
    stored = sp.csr_matrix(
        (
            np.concatenate([shuffled.data, np.zeros(3, dtype=np.float32)]),
            np.concatenate([shuffled.indices, [0, 0, 1]]),
            np.concatenate([shuffled.indptr[:-1], [shuffled.nnz + 3]]),
        ),
        shape=tidy.shape,
    )
    expected = differential_expression(as_expression(tidy), codes, TARGETS)
    for other in (shuffled, stored):
        assert_same(differential_expression(as_expression(other), codes, TARGETS), expected)
    twice = differential_expression(
        as_expression(halves), np.concatenate([codes, np.full(len(codes), -1), np.full(len(codes), -1)]), TARGETS
    )
    assert_same(twice, expected)


def test_the_order_of_cells_and_genes_changes_nothing():
    codes = codes_of()
    full = values(len(codes), dtype=np.float64)
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(len(codes)), rng.permutation(full.shape[1])
    plain = differential_expression(as_expression(full), codes, TARGETS)
    moved = differential_expression(as_expression(full[cells][:, genes]), codes[cells], TARGETS)
    for name in FIELDS[:-2]:
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name)[..., genes], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(moved.p_value, plain.p_value[:, genes])


@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_threads_and_memory_change_no_bit(layout):
    codes = codes_of((20, 30, 1, 60))
    matrix = laid_out(values(len(codes), genes=300), layout)
    plain = differential_expression(as_expression(matrix), codes, 3, options=Tests(threads=1))
    for options in (Tests(threads=2), Tests(threads=1, memory=1), Tests(memory=60_000, threads=3)):
        assert_same(differential_expression(as_expression(matrix), codes, 3, options=options), plain)


@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_parts_of_a_matrix_are_tested_as_a_matrix_of_their_own(layout):
    codes = codes_of()
    full = values(len(codes) * 2)
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(len(full))[: len(codes)], rng.permutation(full.shape[1])[:7]
    matrix = InMemory(laid_out(full, layout))
    nested = Subset(Subset(matrix, rows[::-1]), np.arange(len(rows))[::-1])
    own = as_expression(laid_out(full[rows], layout))
    expected = differential_expression(own, codes, TARGETS)
    assert_same(differential_expression(nested, codes, TARGETS), expected)
    few = differential_expression(Subset(Subset(matrix, rows), np.arange(len(rows)), columns), codes, TARGETS)
    own = as_expression(laid_out(full[rows][:, columns], layout))
    assert_same(few, differential_expression(own, codes, TARGETS))


def test_the_bound_on_memory_is_kept():
    rng = np.random.default_rng(0)
    full = np.where(rng.random((300, 2000)) < 0.4, rng.random((300, 2000)), 0).astype(np.float32)
    codes = np.repeat([0, 1], 150)
    for matrix in (np.asfortranarray(full), full, sp.csr_matrix(full)):
        source = as_expression(matrix) if not isinstance(matrix, sp.csr_matrix) else _OnlyRows(matrix)
        differential_expression(source, codes, 1, options=Tests(threads=1))
        tracemalloc.start()
        differential_expression(source, codes, 1, options=Tests(threads=1, memory=1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        result = 9 * 2000 * 8
        assert peak < (1 << 20) + 3 * result


class _OnlyRows:
    """A matrix that gives rows and counts how often each was read."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.reads = matrix, matrix.shape, np.zeros(matrix.shape[0], dtype=int)

    def rows(self, index):
        assert (np.diff(index) > 0).all()
        self.reads[index] += 1
        return self.matrix[index]


@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_rows_are_read_in_order_and_few_times(layout):
    rng = np.random.default_rng(0)
    codes = codes_of((50, 50, 300))
    matrix = laid_out(values(400, genes=200), layout)
    source = _OnlyRows(matrix)
    order = rng.permutation(400)
    size = matrix.nbytes if layout == "dense" else matrix.data.nbytes * 2
    found = differential_expression(Subset(source, order), codes, 2, options=Tests(memory=size))
    assert_same(found, differential_expression(as_expression(matrix[order]), codes, 2))
    assert source.reads[1:].max() <= 4


def test_p_is_corrected_within_each_row_and_over_what_is_there():
    rng = np.random.default_rng(0)
    p = rng.random((5, 40)) ** 3
    p[2] = np.round(p[2], 1)
    p[3, ::3] = np.nan
    p[4] = np.nan
    fdr = false_discovery_rate(p)
    for row, given_p in zip(fdr[:4], p[:4]):
        there = ~np.isnan(given_p)
        np.testing.assert_array_equal(row[there], stats.false_discovery_control(given_p[there]))
        assert np.isnan(row[~there]).all()
    assert np.isnan(fdr[4]).all()


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("negative", [False, True])
def test_one_against_the_rest_is_that_of_scipy(layout, negative):
    codes = codes_of()
    codes[::9] = -1
    full = values(len(codes), negative=negative)
    u, z = rest_tests(as_expression(laid_out(full, layout)), codes, TARGETS, Tests(threads=1))
    for target in range(TARGETS):
        own, rest = codes == target, (codes >= 0) & (codes != target)
        expected, p = by_scipy(full.astype(np.float64), own, rest)
        np.testing.assert_array_equal(u[target], expected)
        first, second = int(own.sum()), int(rest.sum())
        middle = first * second / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = (u[target] - middle) / z[target]
        tested = np.flatnonzero(z[target] != 0)
        continued = (np.abs(u[target] - middle) - 0.5)[tested] / spread[tested]
        np.testing.assert_allclose(np.minimum(2 * stats.norm.sf(continued), 1), p[tested], rtol=1e-9)
    np.testing.assert_array_equal(z[:, :2], 0.0)


def test_one_against_the_rest_has_no_number_without_a_rest():
    u, z = rest_tests(as_expression(values(6)), np.zeros(6, dtype=int), 2)
    assert np.isnan(u).all()
    assert np.isnan(z).all()
