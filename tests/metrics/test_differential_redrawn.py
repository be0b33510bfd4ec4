"""Tests of many draws from one sort equal the tests of each draw put down as a matrix of its own."""

import numpy as np
import pytest

from pertura.core.errors import BadDataError
from pertura.core.expression import as_expression
from pertura.metrics.differential import Tests, differential_expression, redrawn_tests
from rank_screens import SIZES, codes_of, laid_out, values

TARGETS = len(SIZES) - 1


def draws(count=3, seed=0):
    """Permuted labels with some cells left out, and how often each cell is drawn."""
    rng = np.random.default_rng(seed)
    codes = np.stack([codes_of(seed=seed + d) for d in range(count)])
    codes[:, 3] = -1
    codes[1, 5:9] = -1
    return codes, rng.poisson(1.0, codes.shape)


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        Tests(threads=1),
        Tests(threads=2, memory=1, means="arithmetic", epsilon=1e-9),
        Tests(cpm_filter=40_000.0),
    ],
    ids=["plain", "bounded", "filtered"],
)
def test_a_draw_is_what_its_cells_would_give(layout, negative, bootstrap, options):
    codes, copies = draws()
    full = values(codes.shape[1], negative=negative)
    found = redrawn_tests(as_expression(laid_out(full, layout)), codes, copies if bootstrap else None, TARGETS, options)
    for d in range(len(codes)):
        rows = np.repeat(np.arange(len(full)), copies[d]) if bootstrap else np.arange(len(full))
        own = as_expression(laid_out(full[rows], layout))
        expected = differential_expression(own, codes[d, rows], TARGETS, options=options)
        np.testing.assert_array_equal(found.fdr[d], expected.fdr.astype(np.float32))
        np.testing.assert_array_equal(found.log2_fold_change[d], expected.log2_fold_change.astype(np.float32))


def test_every_cell_once_is_the_same_as_no_word_on_copies():
    codes, _ = draws()
    expression = as_expression(values(codes.shape[1]))
    once = redrawn_tests(expression, codes, np.ones_like(codes), TARGETS)
    np.testing.assert_array_equal(once.fdr, redrawn_tests(expression, codes, None, TARGETS).fdr)


def test_draws_that_mean_nothing_are_refused():
    codes, copies = draws()
    expression = as_expression(values(codes.shape[1]))
    with pytest.raises(BadDataError, match="negative number of times"):
        redrawn_tests(expression, codes, copies - 2, TARGETS)
    with pytest.raises(BadDataError, match="without cells"):
        redrawn_tests(expression, codes, np.where(codes == TARGETS, 0, copies), TARGETS)
