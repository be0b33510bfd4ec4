import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.metrics.significant import (
    called,
    count_ratio,
    direction_match,
    directions,
    jaccard,
    matthews,
    overlap_at_n,
)

quick = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)
NAMES = tuple(f"g{i:02d}" for i in range(30))


def side(seed, share=0.3):
    rng = np.random.default_rng(seed)
    return rng.random((6, 30)) * 0.05 / share, rng.standard_normal((6, 30))


def sets(seed):
    """Both sides as sets of positions, with the changes."""
    both = side(seed), side(seed + 1)
    return [[set(np.flatnonzero(row < 0.05)) for row in fdr] for fdr, _ in both], [change for _, change in both]


@given(seed=seeds)
@quick
def test_scores_of_sets_are_what_sets_say(seed):
    (predicted, observed), changes = sets(seed)
    mine, other = called(*side(seed), NAMES), directions(*side(seed + 1))
    for i, (p, o) in enumerate(zip(predicted, observed)):
        if not o:
            for score in (jaccard(mine.direction, other), overlap_at_n(mine, other), direction_match(mine, other)):
                assert np.isnan(score[i])
            continue
        assert jaccard(mine.direction, other)[i] == pytest.approx(len(p & o) / len(p | o))
        largest = sorted(p, key=lambda gene: -abs(changes[0][i, gene]))[: len(o)]
        assert overlap_at_n(mine, other)[i] == pytest.approx(len(o & set(largest)) / len(o))
        right = [np.sign(changes[0][i, gene]) == np.sign(changes[1][i, gene]) for gene in o]
        assert direction_match(mine, other)[i] == pytest.approx(np.mean(right))
        assert count_ratio(mine.direction, other)[i] == pytest.approx(len(p) / len(o))


@given(seed=seeds)
@quick
def test_matthews_correlation_is_the_correlation_of_two_masks(seed):
    mine, other = (directions(*side(seed + i)) for i in range(2))
    for found, p, o in zip(matthews(mine, other), mine != 0, other != 0):
        if o.all() or not o.any():
            assert np.isnan(found)
        else:
            assert found == pytest.approx(np.corrcoef(p, o)[0, 1] if 0 < p.sum() < 30 else 0.0)


def test_calls_among_some_genes_are_those_of_a_screen_of_these_genes():
    fdr, change = side(5)
    genes = np.arange(30) % 3 > 0
    found = called(fdr, change, NAMES).at(genes)
    expected = called(fdr[:, genes], change[:, genes], tuple(np.asarray(NAMES)[genes]))
    for name in ("direction", "sign", "place"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_ties_of_size_go_by_fdr_and_name_whatever_the_order_of_genes():
    fdr, change = np.asarray([[0.01, 0.01, 0.001, 0.04]]), np.asarray([[np.inf, -np.inf, np.inf, 1.0]])
    names = ("b", "a", "c", "d")
    assert called(fdr, change, names).place.tolist() == [[2, 1, 0, 3]]
    order = np.asarray([3, 1, 0, 2])
    turned = called(fdr[:, order], change[:, order], tuple(np.asarray(names)[order]))
    assert turned.place.tolist() == [[3, 1, 2, 0]]


def test_flooding_is_seen_by_every_score_but_direction():
    """All genes called: every observed one is among them."""
    rng = np.random.default_rng(0)
    change = rng.standard_normal((1, 30))
    observed = directions(np.where(np.arange(30) < 3, 0.01, 1.0)[None], change)
    flood = called(np.full((1, 30), 0.001), np.where(np.arange(30) < 3, 0.01 * np.sign(change), 5.0), NAMES)
    assert jaccard(flood.direction, observed)[0] == pytest.approx(0.1)
    assert matthews(flood.direction, observed)[0] == 0.0
    assert overlap_at_n(flood, observed)[0] == 0.0
    assert direction_match(flood, observed)[0] == 1.0
    assert count_ratio(flood.direction, observed)[0] == 10.0
