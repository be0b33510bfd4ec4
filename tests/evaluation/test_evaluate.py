from dataclasses import replace

import numpy as np
import pytest
from judged_screens import MADE, QUICK, answer, noisy, observed_of, right_change, with_few_cells
from scipy import stats

from pertura.core import Prediction, Provenance
from pertura.core.errors import BadDataError, UsageError
from pertura.evaluation.evaluate import RESOLUTION, evaluate, predicted_means
from pertura.evaluation.observed import observe
from pertura.evaluation.presets import PRESETS
from pertura.evaluation.table import METRICS
from screens import pairs_screen, perturbed, reordered

ERRORS = ("mse", "mae", "mse_delta", "mae_delta")
RANKS = ("discrimination_score_l1", "discrimination_score_l2", "discrimination_score_cosine")


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param]()


@pytest.fixture(scope="module")
def observed(screen):
    return observed_of(screen)


@pytest.fixture(scope="module")
def scores(observed):
    return evaluate(answer(observed, noisy(observed, 0.3)), observed)


def of(scores, metric):
    return scores.values[scores.row(metric)]


def test_scores_are_those_of_scipy_and_numpy_with_each_side_s_own_controls(observed, scores):
    predicted = noisy(observed, 0.3)
    change, truth = predicted - observed.model_controls, observed.means - observed.controls
    expected = [stats.pearsonr(a, b).statistic for a, b in zip(change, truth)]
    np.testing.assert_allclose(of(scores, "pearson_delta"), expected, rtol=1e-9)
    np.testing.assert_allclose(of(scores, "mse"), ((predicted - observed.means) ** 2).mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(of(scores, "mae"), abs(predicted - observed.means).mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(of(scores, "mse_delta"), ((change - truth) ** 2).mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(of(scores, "mae_delta"), abs(change - truth).mean(axis=1), rtol=1e-9)


def test_ranks_are_among_the_conditions_of_the_same_context_without_any_target(observed, scores):
    change, truth = noisy(observed, 0.3) - observed.model_controls, observed.means - observed.controls
    for i, one in enumerate(observed.conditions):
        near = [j for j, other in enumerate(observed.conditions) if other.context == one.context]
        gaps = {j: np.linalg.norm((change[i] - truth[j])[observed.kept]) for j in near}
        rank = sum(gap < gaps[i] for gap in gaps.values())
        assert of(scores, RANKS[1])[i] == pytest.approx(1 - rank / (len(near) - 1))


def test_the_right_change_has_the_best_score_of_all_that_judge_changes(observed):
    scores = evaluate(answer(observed, right_change(observed)), observed)
    for metric in ("pearson_delta", "mse_delta", "mae_delta", *RANKS):
        np.testing.assert_allclose(of(scores, metric), METRICS[metric].best, atol=1e-5)


def test_the_observed_means_have_the_best_score_of_all_that_judge_profiles(observed):
    scores = evaluate(answer(observed, observed.means), observed)
    for metric in ("mse", "mae"):
        np.testing.assert_allclose(of(scores, metric), 0, atol=1e-5)


def test_more_noise_is_never_better(observed):
    means = {size: evaluate(answer(observed, noisy(observed, size)), observed) for size in (0.0, 0.2, 3.0)}
    for metric, rule in METRICS.items():
        values = [of(one, metric).mean() for one in means.values()]
        if metric not in ("mse", "mae"):
            assert values == sorted(values, reverse=rule.higher_is_better)


def test_the_floor_is_zero_no_change_or_chance(observed, scores):
    nothing = evaluate(answer(observed, observed.model_controls, "nothing"), observed)
    for metric, rule in METRICS.items():
        floor = scores.floor[scores.row(metric)]
        if rule.floor == "no-change":
            np.testing.assert_allclose(floor, of(nothing, metric), rtol=1e-12)
        else:
            np.testing.assert_array_equal(floor, 0.0 if rule.floor == "zero" else 0.5)
        assert scores.beside(metric, "all")["floor"] == pytest.approx(floor.mean())


def test_floor_ceiling_and_what_stands_beside_do_not_depend_on_the_prediction(observed, scores):
    other = evaluate(answer(observed, observed.model_controls, "nothing"), observed)
    for name in ("floor", "ceiling", "weights", "effect_p"):
        np.testing.assert_array_equal(getattr(other, name), getattr(scores, name))


def test_on_permuted_labels_a_prediction_scores_chance_on_average():
    draws = observed_of(pairs_screen(batches=0), effort=replace(QUICK, permutations=300))
    scores = evaluate(answer(draws, noisy(draws, 0.3)), draws)
    for metric in ("pearson_delta", *RANKS):
        found = scores.permuted_score(metric, "all")
        assert found.low < METRICS[metric].chance < found.high
        assert abs(found.value - METRICS[metric].chance) < 0.1
        assert scores.beside(metric, "all")["chance"] == METRICS[metric].chance


@pytest.mark.parametrize("metric", ERRORS)
def test_chance_of_an_error_is_its_value_on_permuted_labels(scores, metric):
    beside = scores.beside(metric, "all")
    assert beside["chance"] == beside["permuted"]
    assert beside["permuted"] == pytest.approx(scores.permuted[scores.row(metric)].mean(dtype=np.float64), rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_leaving_out_the_other_metrics_changes_no_byte(observed, scores, metric):
    alone = evaluate(answer(observed, noisy(observed, 0.3)), observed, metrics=[metric])
    assert alone.metrics == (metric,)
    row = scores.row(metric)
    for name in ("values", "floor", "ceiling", "permuted", "bootstrap"):
        assert getattr(alone, name)[0].tobytes() == getattr(scores, name)[row].tobytes()
    assert alone.summary(metric, "all") == scores.summary(metric, "all")


def test_the_score_of_a_condition_does_not_depend_on_the_others(screen, scores):
    """Ranks apart, which are among the judged conditions."""
    few = observe(screen.cells, screen.split, screen.asked[:2], effort=QUICK)
    whole = observed_of(screen)
    alone = evaluate(answer(few, noisy(whole, 0.3)[:2]), few)
    for metric in ("pearson_delta", *ERRORS):
        np.testing.assert_allclose(of(alone, metric), of(scores, metric)[:2], rtol=1e-12)
        row = scores.row(metric)
        np.testing.assert_allclose(alone.bootstrap[row], scores.bootstrap[row][:, :2], rtol=1e-6)


def test_the_order_of_cells_and_genes_changes_nothing_beyond_rounding(screen, observed, scores):
    turned = observed_of(replace(screen, cells=reordered(screen.cells)))
    columns = [observed.genes.index(gene) for gene in turned.genes]
    other = evaluate(answer(turned, noisy(observed, 0.3)[:, columns]), turned)
    np.testing.assert_allclose(other.values, scores.values, rtol=1e-6)
    np.testing.assert_allclose(other.ceiling, scores.ceiling, atol=1e-4)
    np.testing.assert_array_equal(other.effect_p, scores.effect_p)
    for metric in METRICS:
        for subset in ("all", "detectable"):
            first, second = scores.summary(metric, subset), other.summary(metric, subset)
            np.testing.assert_allclose([second.low, second.high], [first.low, first.high], rtol=1e-3, atol=1e-4)
            assert (first.conditions, first.valid) == (second.conditions, second.valid)


def test_many_cells_count_as_their_mean(observed, scores):
    rng = np.random.default_rng(0)
    cells = {}
    for one, mean in zip(observed.conditions, noisy(observed, 0.3)):
        drawn = rng.standard_normal((13, len(mean)))
        cells[one] = mean + drawn - drawn.mean(axis=0)
    many = evaluate(Prediction(observed.genes, cells, Provenance("made")), observed)
    np.testing.assert_allclose(many.values, scores.values, rtol=1e-9)


def test_predictions_of_other_conditions_have_no_influence(observed, scores):
    prediction = answer(observed, noisy(observed, 0.3))
    wider = replace(
        prediction, cells={**prediction.cells, perturbed("Z", "nowhere"): np.full((1, len(observed.genes)), np.nan)}
    )
    np.testing.assert_array_equal(evaluate(wider, observed).values, scores.values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_named(observed, value):
    means = noisy(observed, 0.3)
    means[1, 2] = value
    with pytest.raises(
        BadDataError, match=rf"made: predicted values of {observed.conditions[1].label.replace('+', '.')}"
    ):
        evaluate(answer(observed, means), observed)


def test_other_genes_and_another_order_of_genes_are_refused_and_told_apart(observed):
    prediction = answer(observed, noisy(observed, 0.3))
    turned = replace(prediction, genes=tuple(reversed(prediction.genes)))
    with pytest.raises(BadDataError, match="genes differ in order"):
        evaluate(turned, observed)
    other = replace(prediction, genes=("NEW", *prediction.genes[1:]))
    with pytest.raises(BadDataError, match=r"genes differ\."):
        evaluate(other, observed)


def test_a_judged_condition_without_prediction_is_refused_and_named(observed):
    prediction = answer(observed, noisy(observed, 0.3))
    lost = observed.conditions[2]
    fewer = replace(prediction, cells={one: rows for one, rows in prediction.cells.items() if one != lost})
    with pytest.raises(BadDataError, match=f"no prediction for 1 judged conditions: {lost.label.replace('+', '.')}"):
        evaluate(fewer, observed)


def test_a_condition_without_predicted_cells_is_refused_and_named(observed):
    prediction = answer(observed, noisy(observed, 0.3))
    empty = observed.conditions[0]
    nobody = replace(prediction, cells={**prediction.cells, empty: np.empty((0, len(observed.genes)))})
    with pytest.raises(BadDataError, match=empty.label.replace("+", ".")):
        evaluate(nobody, observed)


def test_an_unknown_preset_or_metric_is_refused_with_the_choices(observed):
    prediction = answer(observed, observed.means)
    with pytest.raises(UsageError, match="there are pertura"):
        evaluate(prediction, observed, preset="best")
    with pytest.raises(UsageError, match="no metric r2; there are pearson_delta"):
        evaluate(prediction, observed, metrics=["r2", "mse"])


def test_no_change_has_no_direction_and_counts_as_zero(observed):
    scores = evaluate(answer(observed, observed.model_controls), observed)
    found = scores.summary("pearson_delta", "all")
    assert np.isnan(of(scores, "pearson_delta")).all()
    assert (found.value, found.valid, found.undefined) == (0.0, 0, len(observed.conditions))
    assert found.low <= 0 <= found.high


def test_rounding_to_float32_is_no_change(observed):
    stored = observed.model_controls.astype(np.float32).astype(np.float64)
    assert np.abs(stored - observed.model_controls).max() > 0
    scores = evaluate(answer(observed, stored), observed)
    assert np.isnan(of(scores, "pearson_delta")).all()
    np.testing.assert_array_equal(predicted_means(answer(observed, stored), observed), observed.model_controls)
    moved = observed.model_controls + 10 * RESOLUTION
    np.testing.assert_array_equal(predicted_means(answer(observed, moved), observed), moved)


def test_one_undefined_condition_is_counted_and_spoils_nothing(observed):
    means = noisy(observed, 0.3)
    means[0] = observed.model_controls[0]
    scores = evaluate(answer(observed, means), observed)
    found = scores.summary("pearson_delta", "all")
    values = of(scores, "pearson_delta")
    assert found.undefined == 1
    assert found.value == pytest.approx(np.append(values[1:], 0.0).mean())
    assert np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize("count", [1, 2])
def test_a_condition_of_one_or_two_cells_spoils_no_aggregate(screen, count):
    lonely = with_few_cells(screen, screen.asked[0], count)
    observed = observed_of(lonely)
    scores = evaluate(answer(observed, noisy(observed, 0.3)), observed)
    for metric in METRICS:
        found = scores.summary(metric, "all")
        assert np.isfinite([found.value, found.low, found.high]).all(), metric
        assert found.valid == found.conditions
        assert np.isfinite(list(scores.beside(metric, "all").values())).all(), metric
    assert not (count == 1 and scores.detectable[0])


def test_a_single_condition_has_no_rank(screen):
    one = observe(screen.cells, screen.split, screen.asked[:1], effort=QUICK)
    scores = evaluate(answer(one, noisy(one, 0.3)), one)
    for metric in RANKS:
        found = scores.summary(metric, "all")
        assert np.isnan(found.value)
        assert (found.conditions, found.valid, found.undefined) == (1, 0, 1)
    assert np.isfinite(scores.summary("mse", "all").value)


def test_a_summary_is_the_mean_over_its_subset(screen, observed, scores):
    for metric in METRICS:
        values = of(scores, metric)
        assert scores.summary(metric, "all").value == pytest.approx(values.mean())
        assert scores.summary(metric).value == pytest.approx(values[observed.detectable].mean())
        for name in scores.strata:
            mine = scores.among(name)
            if mine.any():
                assert scores.summary(metric, name).value == pytest.approx(values[mine].mean())
    assert {name: set(members) for name, members in scores.strata.items()} == {
        name: set(members) for name, members in screen.split.strata.items()
    }


@pytest.mark.parametrize("metric", METRICS)
def test_an_interval_holds_its_point_and_stays_within_the_range_of_its_metric(observed, metric):
    found = evaluate(answer(observed, noisy(observed, 3.0)), observed, metrics=[metric]).summary(metric, "all")
    assert found.low < found.value < found.high
    rule = METRICS[metric]
    bottom, top = {"fisher": (-1, 1), "log": (0, np.inf), "unit": (0, 1)}[rule.link]
    assert bottom <= found.low <= found.high <= top


def test_a_good_prediction_is_told_from_chance(observed):
    scores = evaluate(answer(observed, right_change(observed)), observed)
    assert scores.summary("pearson_delta", "all").low > 0.3
    assert scores.summary("discrimination_score_cosine", "all").low > 0.5


def test_fallbacks_of_judged_conditions_are_carried_on(observed):
    one = observed.conditions[0]
    prediction = answer(observed, observed.means, fallbacks={one: "why", perturbed("Z"): "not judged"})
    assert evaluate(prediction, observed).fallbacks == {one: "why"}


def test_what_was_judged_is_stamped(observed, scores, screen):
    assert scores.model == "made"
    assert scores.preset == f"pertura/{PRESETS['pertura'].version}"
    assert scores.metrics == PRESETS["pertura"].metrics
    assert (scores.split, scores.seed) == (screen.split.fingerprint, 0)
    assert scores.counts == tuple(len(screen.cells.rows_of(one)) for one in screen.asked)
    assert scores.warnings == observed.warnings
