import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pertura.metrics.overlap import NOWHERE, ranks_among, shared_tops

few_values = arrays(np.float32, 12, elements=st.sampled_from([0.0, 1.0, 1.5, np.inf]))
marks = arrays(np.bool_, 12)
quick = settings(max_examples=60, deadline=None)


def top(values, among, depth):
    """The definition: sort marked genes by value, equal ones in their order, and take the first."""
    marked = [gene for gene in range(len(values)) if among[gene]]
    return set(sorted(marked, key=lambda gene: (-values[gene], gene))[:depth])


@given(first=few_values, second=few_values, one=marks, other=marks, depth=st.integers(0, 12))
@quick
def test_the_share_of_two_tops_in_common(first, second, one, other, depth):
    expected = len(top(first, one, depth) & top(second, other, depth)) / depth if depth else 0.0
    assert shared_tops(ranks_among(first, one), ranks_among(second, other), [depth]) == [expected]


def test_genes_that_are_not_marked_have_no_rank():
    ranks = ranks_among(np.asarray([3.0, 9.0, 4.0]), np.asarray([True, False, True]))
    assert ranks.tolist() == [1, NOWHERE, 0]


@given(values=few_values, among=marks)
@quick
def test_a_list_shares_all_of_itself(values, among):
    size = int(among.sum())
    ranks = ranks_among(values, among)
    assert shared_tops(ranks, ranks, [size, min(size, 3)]) == ([1.0, 1.0] if size else [0.0, 0.0])
