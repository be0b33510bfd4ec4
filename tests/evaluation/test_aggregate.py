import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pertura.evaluation.aggregate import (
    LINKS,
    condition_weights,
    independent_clusters,
    interval,
    summarise,
    weighted_mean,
)
from screens import perturbed

quick = settings(max_examples=40, deadline=None)
DRAWS = 4000


def normal_draws(spread=0.1, centre=0.0, draws=DRAWS):
    return centre + spread * stats.norm.ppf((np.arange(draws) + 0.5) / draws)


def conditions_of(*names, context=""):
    return tuple(perturbed(name, context) for name in names)


@pytest.fixture(scope="module")
def weights():
    conditions = (*conditions_of("A", "A+B", "B+C", "C+D", "D"), perturbed("A", "other"))
    return dict(zip((*(one.label for one in conditions),), condition_weights(conditions, DRAWS, 0).T))


def correlation(weights, first, second):
    return np.corrcoef(weights[first], weights[second])[0, 1]


def test_conditions_that_share_a_gene_move_together(weights):
    # Exp(1) weights: a single and a pair have correlation 1 / sqrt 3, two pairs with a gene in common 1 / 3
    assert correlation(weights, "A", "A+B") == pytest.approx(1 / np.sqrt(3), abs=0.08)
    assert correlation(weights, "A+B", "B+C") == pytest.approx(1 / 3, abs=0.12)


def test_conditions_without_a_gene_in_common_move_apart(weights):
    for first, second in (("A", "B+C"), ("A+B", "C+D"), ("A", "D"), ("A+B", "D")):
        assert abs(correlation(weights, first, second)) < 4 / np.sqrt(DRAWS)


def test_contexts_of_one_perturbation_share_their_weight(weights):
    np.testing.assert_array_equal(weights["A"], weights["A@other"])


def test_every_condition_weighs_one_on_average(weights):
    for name, drawn in weights.items():
        assert drawn.mean() == pytest.approx(1.0, abs=5 * np.sqrt(3 / DRAWS)), name


def test_weights_do_not_depend_on_which_other_conditions_there_are():
    few, many = conditions_of("A+B", "C"), conditions_of("C", "D", "A+B", "A")
    first, second = condition_weights(few, 50, 3), condition_weights(many, 50, 3)
    np.testing.assert_array_equal(first, second[:, [2, 0]])


def test_a_weighted_mean_leaves_out_what_has_no_number():
    values = np.asarray([[1.0, 2.0, np.nan], [np.nan, np.nan, np.nan], [1.0, 5.0, np.inf]])
    weights = np.asarray([[1.0, 3.0, 100.0], [1.0, 1.0, 1.0], [0.0, 2.0, 1.0]])
    np.testing.assert_allclose(weighted_mean(values, weights), [7 / 4, np.nan, 5.0])


@given(point=st.floats(-5, 5), offset=st.floats(-5, 5))
@quick
def test_the_interval_lies_around_the_point_wherever_the_draws_lie(point, offset):
    low, high = interval(point, normal_draws(centre=offset))
    half = 0.1 * stats.norm.ppf(0.975)
    np.testing.assert_allclose([low, high], [point - half, point + half], atol=1e-3)


@pytest.mark.parametrize("clusters", [2, 3, 10, 1000])
def test_few_clusters_widen_the_interval_to_students_t(clusters):
    """Draws with the variance that exponential weights give a mean: (n - 1) / (n + 1) of what it is."""
    drawn = np.sqrt((clusters - 1) / (clusters + 1))
    low, high = interval(0.0, normal_draws(0.1 * drawn), clusters=clusters)
    assert high == pytest.approx(0.1 * stats.t.ppf(0.975, clusters - 1), rel=2e-3)
    assert low == pytest.approx(-high, rel=1e-3)


@pytest.mark.parametrize("clusters", [None, 0, 1])
def test_one_cluster_has_no_spread_to_stretch(clusters):
    assert interval(0.0, normal_draws(), clusters=clusters) == interval(0.0, normal_draws())


def test_the_interval_is_the_textbook_one_for_the_mean_of_a_normal_sample():
    """Twelve conditions of one gene each: Student's t with 11 degrees of freedom."""
    values = np.random.default_rng(1).standard_normal(12)
    conditions = conditions_of(*(f"G{i}" for i in range(12)))
    weights = condition_weights(conditions, DRAWS, 0)
    low, high = interval(values.mean(), weighted_mean(np.tile(values, (DRAWS, 1)), weights), clusters=12)
    expected = stats.t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 5, 8, 20])
def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says(size):
    """Few conditions are usual in a stratum. Without the stretch three of them would give 65 %."""
    conditions = conditions_of(*(f"G{i}" for i in range(size)))
    hits = []
    for seed in range(1000):
        values = np.random.default_rng(seed).standard_normal(size)
        draws = weighted_mean(np.tile(values, (300, 1)), condition_weights(conditions, 300, seed))
        low, high = interval(values.mean(), draws, clusters=size)
        hits.append(low <= 0 <= high)
    assert 0.915 < np.mean(hits) < 0.97


def pairs_of(genes, count):
    every = [f"G{i:02d}+G{j:02d}" for i in range(genes) for j in range(i)]
    drawn = np.random.default_rng(0).choice(len(every), count, replace=False)
    return conditions_of(*(every[i] for i in drawn))


@pytest.mark.slow
@pytest.mark.parametrize(("genes", "count"), [(10, 15), (10, 40), (24, 30)])
def test_pairs_that_share_genes_are_not_counted_as_if_they_were_independent(genes, count):
    """Half of the variance is the genes' own: weights of their own for each pair would cover 60 to 80 %."""
    conditions = pairs_of(genes, count)
    hits, naive = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        own = {f"G{i:02d}": rng.standard_normal() for i in range(genes)}
        values = np.asarray([sum(own[gene] for gene in one.genes) / 2 for one in conditions])
        values = values + np.sqrt(0.5) * rng.standard_normal(count)
        drawn = np.tile(values, (200, 1))
        clustered = weighted_mean(drawn, condition_weights(conditions, 200, seed))
        low, high = interval(values.mean(), clustered, clusters=independent_clusters(conditions))
        hits.append(low <= 0 <= high)
        low, high = interval(values.mean(), weighted_mean(drawn, rng.exponential(size=(200, count))), clusters=count)
        naive.append(low <= 0 <= high)
    assert np.mean(hits) > 0.9
    assert np.mean(naive) < 0.86


@pytest.mark.parametrize(("link", "inside"), [("fisher", (-1, 1)), ("log", (0, np.inf)), ("unit", (0, 1))])
@given(place=st.floats(0.02, 0.98), spread=st.floats(0.001, 3))
@quick
def test_an_interval_stays_inside_the_range_of_its_metric(link, inside, place, spread):
    bottom, top = inside
    point = bottom + place * (min(top, 5) - bottom)
    to, back = LINKS[link]
    draws = back(to(np.asarray(point)) + normal_draws(spread))
    low, high = interval(point, draws, link)
    assert bottom <= low <= point <= high <= top


def test_links_lead_back_where_they_came_from():
    for name, values in (
        ("fisher", [-0.9, 0.0, 0.99]),
        ("log", [1e-9, 1.0, 50.0]),
        ("unit", [0.0, 1.0]),
        ("none", [-7.0]),
    ):
        to, back = LINKS[name]
        np.testing.assert_allclose(back(to(np.asarray(values))), values)


@pytest.mark.parametrize("point", [-1.0, 1.0])
def test_a_perfect_correlation_has_an_interval(point):
    low, high = interval(point, np.full(50, point), "fisher")
    assert low <= point <= high


@pytest.mark.parametrize(
    ("point", "draws"),
    [(np.nan, np.zeros(9)), (0.0, np.full(9, np.nan)), (0.0, np.zeros(1)), (0.0, np.zeros(0)), (np.inf, np.zeros(9))],
)
def test_where_nothing_can_be_resampled_there_is_no_interval(point, draws):
    assert np.isnan(interval(point, draws)).all()


def test_clusters_are_genes_or_conditions_whichever_are_fewer():
    assert independent_clusters(conditions_of("A", "B", "A+B")) == 2
    assert independent_clusters(conditions_of("A+B", "C+D")) == 2
    assert independent_clusters([*conditions_of("A"), *conditions_of("A", context="x")]) == 1
    assert independent_clusters([]) == 0


@pytest.mark.parametrize(
    ("undefined_as", "value", "valid"), [(None, 2.0, 2), (0.0, 4 / 3, 2), (-1.0, 1.0, 2)], ids=["left out", "0", "-1"]
)
def test_an_undefined_score_is_left_out_or_counted_as_stated(undefined_as, value, valid):
    values = np.asarray([1.0, np.nan, 3.0, 100.0])
    among = np.asarray([True, True, True, False])
    found = summarise(values, np.tile(values, (50, 1)), np.ones((50, 4)), among, (undefined_as, "none"))
    assert found.value == pytest.approx(value)
    assert (found.conditions, found.valid, found.undefined) == (3, valid, 1)
    assert found.low <= found.value <= found.high


def test_a_summary_of_nothing_is_undefined_and_says_so():
    found = summarise(
        np.full(3, np.nan), np.full((9, 3), np.nan), np.ones((9, 3)), np.ones(3, dtype=bool), (None, "log")
    )
    assert np.isnan([found.value, found.low, found.high]).all()
    assert (found.conditions, found.valid, found.undefined) == (3, 0, 3)
    nobody = summarise(np.ones(3), np.ones((9, 3)), np.ones((9, 3)), np.zeros(3, dtype=bool), (None, "log"))
    assert np.isnan(nobody.value)
    assert nobody.conditions == 0


def test_a_condition_with_few_defined_draws_does_not_break_the_interval():
    draws = np.random.default_rng(0).standard_normal((200, 4))
    draws[3:, 2] = np.nan
    found = summarise(np.zeros(4), draws, np.ones((200, 4)), np.ones(4, dtype=bool), (None, "none"))
    assert np.isfinite([found.low, found.high]).all()
