from dataclasses import replace

import numpy as np
import pytest
from judged_screens import MADE, QUICK, answer, noisy, observed_of, populated, right_change, with_few_cells
from scipy import stats

from pertura.core import Condition, ControlPartition, Perturbation, Prediction, Provenance
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.predicted import RESOLUTION, predicted_means
from pertura.evaluation.presets import PRESETS
from pertura.evaluation.table import METRICS
from screens import pairs_screen, perturbed, reordered

ERRORS = ("mse", "mae", "mse_delta", "mae_delta")
RANKS = ("discrimination_score_l1", "discrimination_score_l2", "discrimination_score_cosine")
PROFILES = {"mse", "mae", "mean_e_distance", "nir"}
OF_MEANS = [name for name, metric in METRICS.items() if metric.needs == "means"]
INSIDE = {"fisher": (-1, 1), "log": (0, np.inf), "unit": (0, 1), "skill": (-np.inf, 1), "ratio": (0, np.inf)}


def judges_profiles(metric):
    """Whether a metric compares mean profiles, not changes from each side's own control."""
    return (METRICS[metric].variant_of or metric) in PROFILES


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param]()


@pytest.fixture(scope="module")
def observed(screen):
    return observed_of(screen)


@pytest.fixture(scope="module")
def scores(observed):
    return evaluate(populated(observed, noisy(observed, 0.3)), observed)


@pytest.fixture(scope="module")
def again(screen):
    """The same observed side, of which nothing has been worked out yet."""
    return observed_of(screen)


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
    for metric in scores.metrics:
        found = of(scores, metric)
        if not judges_profiles(metric) and np.isfinite(found).any():
            np.testing.assert_allclose(found[np.isfinite(found)], METRICS[metric].best, atol=1e-5, err_msg=metric)


def test_the_observed_means_have_the_best_score_of_all_that_judge_profiles(observed):
    scores = evaluate(answer(observed, observed.means), observed)
    for metric in filter(judges_profiles, scores.metrics):
        np.testing.assert_allclose(of(scores, metric), METRICS[metric].best, atol=1e-5, err_msg=metric)


def test_the_observed_cells_have_the_best_score_of_every_metric():
    """With one pool of controls for both sides, so that tests of either side have the same reference."""
    made = pairs_screen(noise=0.1)
    rows, matrix = made.cells.rows_of(perturbed("G06+G07", "K562")), made.cells.dense(np.arange(len(made.cells)))
    matrix[rows, 8:] += 0.5  # what neither single does
    made = replace(made, cells=replace(made.cells, expression=InMemory(matrix.astype(np.float32))))
    ids = tuple(str(one) for one in made.cells.ids[made.cells.control_rows("K562")])
    shared = replace(made, split=replace(made.split, controls={"K562": ControlPartition.shared(ids)}))
    observed = observed_of(shared)
    cells = {one: shared.cells.dense(shared.cells.rows_of(one)) for one in observed.conditions}
    scores = evaluate(Prediction(observed.genes, cells, Provenance("perfect")), observed)
    assert set(scores.metrics) == set(METRICS)
    for metric in scores.metrics:
        found = of(scores, metric)
        assert np.isfinite(found).any(), metric
        np.testing.assert_allclose(found[np.isfinite(found)], METRICS[metric].best, atol=1e-5, err_msg=metric)


def test_one_answer_for_all_has_a_mean_rank_of_exactly_one_half_and_no_diversity(observed):
    same = np.tile(noisy(observed, 0.3)[0], (len(observed.conditions), 1))
    scores = evaluate(answer(observed, same), observed)
    # batches give conditions controls of their own, and so changes of their own
    changes = evaluate(answer(observed, observed.model_controls + (same - observed.model_controls)[0]), observed)
    for metric in RANKS:
        assert of(changes, metric).mean() == pytest.approx(0.5, abs=1e-12)
    assert of(scores, "nir").mean() == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_array_equal(of(changes, "diversity_ratio"), 0.0)
    assert np.isnan(of(changes, "pearson_perturbation_mean")).all()


def test_more_noise_is_never_better(observed):
    means = {size: evaluate(answer(observed, noisy(observed, size)), observed) for size in (0.0, 0.2, 3.0)}
    for metric in means[0.0].metrics:
        found = [METRICS[metric].merit(of(one, metric)) for one in means.values()]
        values = [one[np.isfinite(one)].mean() for one in found if np.isfinite(one).any()]
        if not judges_profiles(metric):
            assert values == sorted(values, reverse=True), metric


def test_noise_in_predicted_controls_cannot_raise_a_score(observed):
    """A prediction has no controls of its own: what it says of control cells is not looked at."""
    made = populated(observed, noisy(observed, 0.3))
    plain = evaluate(made, observed)
    control = Condition(Perturbation(), observed.conditions[0].context)
    loud = np.random.default_rng(1).normal(scale=9.0, size=(50, len(observed.genes)))
    other = evaluate(replace(made, cells={**made.cells, control: loud}), observed)
    np.testing.assert_array_equal(other.values, plain.values)


def test_the_floor_is_zero_no_change_or_chance(observed, scores):
    nothing = evaluate(answer(observed, observed.model_controls, "nothing"), observed)
    for metric in scores.metrics:
        rule = METRICS[metric]
        floor = scores.floor[scores.row(metric)]
        if rule.floor != "no-change":
            np.testing.assert_array_equal(floor, 0.0 if rule.floor == "zero" else rule.chance)
        elif rule.needs == "means":
            np.testing.assert_allclose(floor, of(nothing, metric), rtol=1e-12)
        assert np.isnan(floor).all() or scores.beside(metric, "all")["floor"] == pytest.approx(np.nanmean(floor))


def test_the_floor_of_tests_and_distances_is_what_the_control_cells_score(screen, observed):
    """Not every gene: a control cell predicted for a perturbation is a control cell."""
    controls = {name: screen.split.model_controls(screen.cells, name) for name in screen.cells.contexts}
    cells = {one: screen.cells.dense(controls[one.context]) for one in observed.conditions}
    scores = evaluate(Prediction(observed.genes, cells, Provenance("controls")), observed)
    for metric in scores.metrics:
        rule = METRICS[metric]
        if rule.needs != "means" and rule.floor == "no-change":
            row = scores.row(metric)
            np.testing.assert_allclose(scores.values[row], scores.floor[row], atol=1e-9, err_msg=metric)


def test_floor_ceiling_and_what_stands_beside_do_not_depend_on_the_prediction(observed, scores):
    other = evaluate(populated(observed, observed.model_controls, name="nothing"), observed)
    for name in ("floor", "ceiling", "weights", "effect_p"):
        np.testing.assert_array_equal(getattr(other, name), getattr(scores, name))


def test_on_permuted_labels_a_prediction_scores_chance_on_average():
    draws = observed_of(pairs_screen(batches=0), effort=replace(QUICK, permutations=300))
    scores = evaluate(answer(draws, noisy(draws, 0.3)), draws)
    for metric in ("pearson_delta", "pearson_perturbation_mean", "nir", *RANKS):
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
def test_leaving_out_the_other_metrics_changes_no_byte(again, observed, scores, metric):
    if metric in scores.undone:
        assert evaluate(populated(observed, noisy(observed, 0.3)), observed, metrics=[metric]).metrics == ()
        return
    alone = evaluate(populated(observed, noisy(observed, 0.3)), again, metrics=[metric])
    assert alone.metrics == (metric,)
    row = scores.row(metric)
    for name in ("values", "floor", "ceiling", "permuted", "bootstrap"):
        assert getattr(alone, name)[0].tobytes() == getattr(scores, name)[row].tobytes()
    assert repr(alone.summary(metric, "all")) == repr(scores.summary(metric, "all"))


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
    made = populated(observed, noisy(observed, 0.3))
    cells = {one: rows[::-1][:, columns] for one, rows in made.cells.items()}
    other = evaluate(Prediction(turned.genes, cells, Provenance("made")), turned)
    np.testing.assert_allclose(other.values, scores.values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other.floor, scores.floor, rtol=1e-6)
    np.testing.assert_allclose(other.ceiling, scores.ceiling, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(other.effect_p, scores.effect_p)
    for metric in scores.metrics:
        for subset in ("all", "detectable"):
            first, second = scores.summary(metric, subset), other.summary(metric, subset)
            np.testing.assert_allclose([second.low, second.high], [first.low, first.high], rtol=1e-3, atol=2e-4)
            assert (first.conditions, first.valid) == (second.conditions, second.valid)


def test_many_cells_count_as_their_mean_where_means_are_judged(observed, scores):
    plain = evaluate(answer(observed, noisy(observed, 0.3)), observed)
    for metric in plain.metrics:
        np.testing.assert_allclose(of(scores, metric), of(plain, metric), rtol=1e-9)


def test_what_needs_cells_is_left_out_of_a_prediction_of_means_and_said(observed, scores):
    plain = evaluate(answer(observed, noisy(observed, 0.3)), observed)
    assert set(plain.metrics) <= set(OF_MEANS)
    assert set(plain.metrics) | set(plain.undone) == set(METRICS)
    for metric in set(METRICS) - set(OF_MEANS):
        assert plain.undone[metric].startswith("needs cells")
    assert not set(scores.undone) - set(plain.undone)


def test_predictions_of_other_conditions_have_no_influence(observed, scores):
    prediction = populated(observed, noisy(observed, 0.3))
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
    scores = evaluate(populated(observed, noisy(observed, 0.3)), observed)
    sure = evaluate(populated(observed_of(screen), noisy(observed_of(screen), 0.3)), observed_of(screen))
    for metric in scores.metrics:
        found, before = scores.summary(metric, "all"), sure.summary(metric, "all")
        if np.isfinite(before.value) and metric != "additivity_residual":
            assert np.isfinite([found.value, found.low, found.high]).all(), metric
            assert before.valid - found.valid <= 1, metric
            there = scores.beside(metric, "all")
            for name, value in sure.beside(metric, "all").items():
                assert np.isfinite(there[name]) or not np.isfinite(value), (metric, name)
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
    for metric in scores.metrics:
        constant = METRICS[metric].undefined_as
        values = of(scores, metric) if constant is None else np.nan_to_num(of(scores, metric), nan=constant)
        for name in ("all", "detectable", *scores.strata):
            mine = values[scores.among(name)]
            if np.isfinite(mine).any():
                assert scores.summary(metric, name).value == pytest.approx(np.nanmean(mine))
    assert {name: set(members) for name, members in scores.strata.items()} == {
        name: set(members) for name, members in screen.split.strata.items()
    }


def test_an_interval_holds_its_point_and_stays_within_the_range_of_its_metric(observed):
    scores = evaluate(populated(observed, noisy(observed, 3.0)), observed)
    for metric in scores.metrics:
        found, rule = scores.summary(metric, "all"), METRICS[metric]
        bottom, top = INSIDE[rule.link]
        if np.isfinite(found.value):
            assert found.low <= found.value <= found.high, metric
            assert bottom <= found.low <= found.high <= top
            assert found.low < found.high or rule.needs == "tests", metric


def test_fewer_draws_of_cells_leave_as_many_of_conditions(screen, observed):
    """A large screen is judged with few draws of its cells, which are gone through again and again."""
    bounds = dict.fromkeys(("means", "ranks", "tests", "cells"), 1.0)
    fewer = observed_of(screen, effort=replace(QUICK, bootstrap=40, **bounds))
    assert {one.bootstrap for one in fewer.rounds.values()} == {20}
    scores = evaluate(populated(fewer, noisy(observed, 0.3)), fewer)
    assert scores.bootstrap.shape[1] == len(scores.weights) == 40
    np.testing.assert_array_equal(scores.bootstrap[:, :20], scores.bootstrap[:, 20:])
    assert sum("20 of 40 redraws" in note for note in scores.notes) == 4


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
    assert set(scores.metrics) | set(scores.undone) == set(PRESETS["pertura"].metrics)
    assert [name for name in PRESETS["pertura"].metrics if name in scores.metrics] == list(scores.metrics)
    assert (scores.split, scores.seed) == (screen.split.fingerprint, 0)
    assert scores.counts == tuple(len(screen.cells.rows_of(one)) for one in screen.asked)
    assert scores.warnings[: len(observed.warnings)] == observed.warnings
    assert scores.notes[: len(observed.notes)] == observed.notes
