"""Scores against scikit-learn and closed forms; probabilities, distances and votes by their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from pertura.annotation.calibration import log_likelihood, probabilities, temperature
from pertura.annotation.comparison import corrected_interval
from pertura.annotation.distance import mean_distance, nearest, quantile
from pertura.annotation.linear import logistic
from pertura.annotation.neighbours import votes
from pertura.annotation.scores import (
    accuracy,
    balanced_accuracy,
    class_scores,
    confusion_of,
    macro_f1,
    reliability,
    risk_coverage,
)
from pertura.annotation.trust import UnknownRule
from pertura.annotation.tuning import class_weights
from pertura.annotation.voting import clustering, majority
from pertura.core.errors import UsageError


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(1, 60), st.integers(0, 1000))
def test_scores_are_those_of_scikit_learn(classes, cells, seed):
    rng = np.random.default_rng(seed)
    observed, predicted = rng.integers(classes, size=(2, cells))
    table = confusion_of(observed, predicted, classes)
    assert accuracy(table) == pytest.approx(accuracy_score(observed, predicted))
    assert macro_f1(table) == pytest.approx(f1_score(observed, predicted, average="macro", zero_division=0))
    if set(predicted) <= set(observed) and len(set(observed)) > 1:
        assert balanced_accuracy(table) == pytest.approx(balanced_accuracy_score(observed, predicted))
    there = np.unique(observed)
    mine = class_scores(table).f1[there]
    np.testing.assert_allclose(mine, f1_score(observed, predicted, labels=there, average=None, zero_division=0))


def test_a_class_that_is_nowhere_has_no_score():
    scores = class_scores(confusion_of(np.asarray([0, 0, 1]), np.asarray([0, 1, 1]), 3))
    assert np.isnan([scores.precision[2], scores.recall[2], scores.f1[2]]).all()


def test_calibration_error_is_zero_where_probabilities_mean_what_they_say():
    sure = np.repeat([0.25, 0.75], 400)
    right = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])
    assert reliability(sure, right).error == pytest.approx(0)
    assert reliability(sure, np.ones(800, dtype=bool)).error == pytest.approx(0.5)
    assert reliability(np.asarray([0.0, 1.0]), np.asarray([False, True])).error == pytest.approx(0)


def test_risk_falls_to_zero_where_the_wrong_are_the_least_sure():
    curve = risk_coverage(np.asarray([0.9, 0.8, 0.7, 0.2]), np.asarray([True, True, True, False]))
    assert curve.risk.tolist() == [0, 0, 0, 0.25]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    tied = risk_coverage(np.full(4, 0.5), np.asarray([True, False, True, False]))
    assert (tied.coverage.tolist(), tied.risk.tolist()) == ([1.0], [0.5])


def test_temperature_finds_the_scale_that_labels_were_drawn_with():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, size=(6000, 4))
    drawn = probabilities(logits)
    codes = (drawn.cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)
    for factor in (0.3, 1.0, 4.0):
        found = temperature(logits * factor, codes)
        assert found == pytest.approx(factor, rel=0.1)
        assert log_likelihood(logits * factor, codes, found) >= log_likelihood(logits * factor, codes)
    assert temperature(logits[:3], codes[:3]) == 1.0


def test_probabilities_add_up_and_keep_the_first():
    logits = np.asarray([[1.0, -np.inf, 3.0], [1000.0, 999.0, 0.0]])
    for degree in (0.1, 1.0, 20.0):
        found = probabilities(logits, degree)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert found.argmax(axis=1).tolist() == [2, 0]
        assert found[0, 1] == 0


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(1)
    space, known = (rng.normal(size=(count, 7)).astype(np.float32) for count in (30, 50))
    exact = np.sort(cdist(space.astype(np.float64), known.astype(np.float64)), axis=1)
    np.testing.assert_allclose(nearest(space, known, 6).distances, exact[:, :6], rtol=1e-5)
    np.testing.assert_allclose(mean_distance(space, known), exact[:, :10].mean(axis=1), rtol=1e-5)
    assert nearest(space, known[:3], 6).distances.shape == (30, 3)


def test_a_cell_without_a_place_has_no_distance():
    space = np.asarray([[np.nan, 0], [0, 0]], dtype=np.float32)
    assert np.isnan(mean_distance(space, np.ones((4, 2), dtype=np.float32))).tolist() == [True, False]
    assert quantile(np.asarray([np.nan]), 0.95) == np.inf


def test_the_nearer_class_wins_a_tied_vote():
    found = votes(np.asarray([[0.1, 0.2, 3.0, 4.0]]), np.asarray([[1, 1, 0, 0]]), 3)
    assert found.argmax() == 1
    np.testing.assert_allclose(np.exp(found[0]) - 1e-3, [0.5, 0.5, 0], atol=1e-5)


def test_majority_and_its_share():
    found = majority(np.asarray([7, 7, 7, 2, 2]), np.asarray([1, 1, 0, 2, 0]), 3)
    assert found.first.tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_allclose(found.share, [2 / 3] * 3 + [0.5] * 2)
    few = clustering(np.zeros((4, 3), dtype=np.float32))
    assert few.of(np.full((2, 3), np.nan, dtype=np.float32)).tolist() == [0, 0]


def test_class_weights_make_classes_weigh_the_same():
    codes = np.repeat([0, 2], [30, 10])
    weights = class_weights(codes, 4, balanced=True)
    assert weights[0] * 30 == pytest.approx(weights[2] * 10)
    assert weights[codes].mean() == pytest.approx(1)
    assert weights[[1, 3]].tolist() == [0, 0]
    assert class_weights(codes, 4, balanced=False).tolist() == [1] * 4


def test_more_genes_than_cells_give_the_same_regression():
    """The rotation into the span of the cells changes nothing but the time."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features, codes = rng.normal(size=(24, 60)), np.arange(24) % 3
    direct = LogisticRegression(C=0.5, max_iter=5000, tol=1e-8).fit(features, codes)
    mine = logistic(features, codes, 4, strength=0.5)
    np.testing.assert_allclose(mine.weights[:3], direct.coef_, atol=2e-3)
    assert mine.bias[3] == -np.inf
    assert mine.parameters == 3 * 61


def test_two_classes_give_the_probabilities_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features, codes = rng.normal(size=(40, 5)), np.arange(40) % 2
    direct = LogisticRegression(C=1.0, max_iter=1000).fit(features, codes).predict_proba(features)
    np.testing.assert_allclose(probabilities(logistic(features, codes, 2, strength=1.0).logits(features)), direct)


def test_the_interval_of_repeated_folds_is_wider_than_the_plain_one():
    gaps = np.asarray([0.1, 0.0, 0.05, 0.15, 0.2])
    low, high = corrected_interval(gaps, 0.25)
    # t(0.975, 4) = 2.7764, variance 0.00625, factor 1/5 + 1/4
    assert (high - low) / 2 == pytest.approx(2.7764 * np.sqrt(0.45 * 0.00625), rel=1e-4)
    assert np.isnan(corrected_interval(gaps[:1], 0.25)).all()


@pytest.mark.parametrize("wrong", [{"quantile": 0.0}, {"probability": 1.0}, {"probability": -0.1}])
def test_an_unknown_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError):
        UnknownRule(**wrong)
