"""Controls keep what they say they keep, and nothing of what the prior knew; names and seed decide, never the order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core.errors import BadDataError, UsageError
from pertura.priors.controls import CONTROLS, ablated_prior, permuted_prior, random_prior
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.priors.store import load_prior, save_prior

FACTS = PriorFacts("go-c", "tfidf-svd", "CC0", "ab" * 32)
MAKERS = {
    "random": lambda prior, seed: random_prior(prior, seed),
    "random-global": lambda prior, seed: random_prior(prior, seed, "global"),
    "permuted": lambda prior, seed: permuted_prior(prior, seed),
    "ablated": lambda prior, seed: ablated_prior(prior, seed, 0.3),
}


def prior(genes=60, width=40, empty=5, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    table = rng.normal(rng.normal(size=(genes, 1)), rng.uniform(0.1, 3, size=(genes, 1)), (genes, width)).astype(dtype)
    table[:empty] = 0
    return GenePrior("p", tuple(f"G{one}" for one in range(genes)), table, FACTS)


def in_another_order(one, seed=1):
    order = np.random.default_rng(seed).permutation(len(one.genes))
    return GenePrior(one.name, tuple(one.genes[place] for place in order), one.table[order], one.facts)


def by_gene(one):
    return dict(zip(one.genes, one.table.tolist()))


@pytest.mark.parametrize("kind", MAKERS)
def test_the_order_of_the_genes_has_no_influence(kind):
    made, again = MAKERS[kind](prior(), 3), MAKERS[kind](in_another_order(prior()), 3)
    assert set(made.genes) == set(again.genes)
    np.testing.assert_allclose(again.aligned_to(made.genes)[0], made.table, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", MAKERS)
def test_equal_seeds_are_equal_and_others_differ(kind):
    one, same, other = (MAKERS[kind](prior(), seed) for seed in (1, 1, 2))
    assert by_gene(one) == by_gene(same)
    assert by_gene(one) != by_gene(other)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_control_says_what_it_is_and_goes_wherever_a_prior_goes(kind, tmp_path):
    made = MAKERS[kind](prior(), 3)
    assert made.facts.kind == kind.split("-")[0]
    assert made.facts.made_from == ("p",)
    assert (made.facts.source, made.facts.encoder, made.facts.licence) == ("go-c", "tfidf-svd", "CC0")
    assert "seed 3" in made.name
    assert made.table.dtype == np.float32
    save_prior(made, tmp_path / "c")
    assert by_gene(load_prior(tmp_path / "c")) == by_gene(made)
    assert set(MAKERS) == set(CONTROLS)


@settings(max_examples=60, deadline=None)
@given(genes=st.integers(2, 30), empty=st.integers(0, 30), seed=st.integers(0, 2**32 - 1))
def test_permuted_rows_are_the_same_rows_and_none_is_at_home(genes, empty, seed):
    full = prior(genes=genes + empty, width=3, empty=empty)
    made = permuted_prior(full, seed)
    assert made.genes == full.genes
    assert not made.table[:empty].any()
    assert sorted(made.table.tolist()) == sorted(full.table.tolist())
    assert not (made.table[empty:] == full.table[empty:]).all(axis=1).any()


def test_no_two_genes_are_bound_to_each_other_over_seeds():
    """Each gene takes each other's row about equally often: 5 genes, 4 partners, 2,000 seeds."""
    full = prior(genes=5, width=1, empty=0)
    home = {row: place for place, row in enumerate(full.table[:, 0].tolist())}
    counts = np.zeros((5, 5))
    for seed in range(2000):
        for place, row in enumerate(permuted_prior(full, seed).table[:, 0].tolist()):
            counts[place, home[row]] += 1
    assert not counts.diagonal().any()
    others = counts[~np.eye(5, dtype=bool)]
    assert np.abs(others - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_one_gene_alone_has_nobody_to_exchange_with():
    with pytest.raises(BadDataError, match="1 gene has a vector"):
        permuted_prior(prior(genes=3, empty=2), 0)


def test_random_rows_have_the_moments_of_their_own_row_and_zeros_stay():
    full = prior(genes=300, width=2000)
    made = random_prior(full, 0)
    assert not made.table[:5].any()
    means, spreads = full.table[5:].mean(axis=1), full.table[5:].std(axis=1)
    far = (made.table[5:].mean(axis=1) - means) / (spreads / np.sqrt(2000))
    assert np.abs(far).max() < 5
    np.testing.assert_allclose(made.table[5:].std(axis=1), spreads, rtol=5 / np.sqrt(2 * 2000))
    alike = [np.corrcoef(one, two)[0, 1] for one, two in zip(made.table[5:], full.table[5:])]
    assert abs(np.mean(alike)) < 5 / np.sqrt(2000 * 295)


def test_global_random_rows_have_the_moments_of_the_table_and_zeros_are_filled():
    full = prior(genes=300, width=2000, empty=100)
    made = random_prior(full, 0, "global")
    assert made.table.any(axis=1).all()
    spread = full.table.std(dtype=np.float64)
    assert abs(made.table.mean(dtype=np.float64) - full.table.mean(dtype=np.float64)) < 5 * spread / np.sqrt(600_000)
    assert made.table.std(dtype=np.float64) == pytest.approx(spread, rel=5 / np.sqrt(2 * 600_000))
    assert made.table[:100].std(dtype=np.float64) == pytest.approx(made.table[100:].std(dtype=np.float64), rel=0.01)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.99])
def test_ablation_takes_its_share_of_genes_that_have_a_vector(share):
    full = prior(genes=105, empty=5)
    made = ablated_prior(full, 0, share)
    assert len(full.genes) - len(made.genes) == round(share * 100)
    assert set(full.genes[:5]) <= set(made.genes)
    assert by_gene(made).items() <= by_gene(full).items()


def test_a_larger_share_takes_the_same_genes_and_more():
    kept = [set(ablated_prior(prior(), 4, share).genes) for share in (0.1, 0.3, 0.8)]
    assert kept[0] > kept[1] > kept[2]


def test_requests_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="one gene at least"):
        ablated_prior(prior(empty=0), 0, 1.0)
    with pytest.raises(UsageError, match=r"share 1\.5"):
        ablated_prior(prior(), 0, 1.5)
    with pytest.raises(UsageError, match="moments 'column'"):
        random_prior(prior(), 0, "column")
