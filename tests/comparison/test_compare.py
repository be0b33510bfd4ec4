from dataclasses import replace

import numpy as np
import pytest

from pertura.comparison.compare import compare, comparison_table
from pertura.comparison.significance import difference
from pertura.core import Prediction, Provenance
from pertura.core.errors import BadDataError, UsageError
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.table import METRICS
from screens import pairs_screen

QUICK = Effort(bootstrap=60, permutations=5, halves=2, effect_permutations=39)


@pytest.fixture(scope="module")
def observed():
    screen = pairs_screen(noise=1.0)
    return observe(screen.cells, screen.split, effort=QUICK)


def scored(observed, name, size, fallbacks=()):
    """The right change with noise of some size on it."""
    right = observed.model_controls + observed.means - observed.controls
    means = right + size * np.random.default_rng(0).standard_normal(right.shape)
    cells = {one: row[None] for one, row in zip(observed.conditions, means)}
    told = dict.fromkeys(fallbacks, "never seen: answered with train-mean")
    return evaluate(Prediction(observed.genes, cells, Provenance(name), told), observed)


@pytest.fixture(scope="module")
def models(observed):
    return [scored(observed, "poor", 4.0), scored(observed, "good", 0.05), scored(observed, "fair", 0.5)]


def test_the_strongest_meets_the_next_strongest_whatever_their_order(models):
    for order in (models, models[::-1], [models[2], models[0], models[1]]):
        made = compare(order)
        assert (made.first, made.second) == ("good", "fair")
        assert made.of("poor") is next(one for one in order if one.model == "poor")


@pytest.mark.parametrize(("subject", "against"), [("poor", "good"), ("fair", "good"), ("good", "fair")])
def test_a_subject_meets_the_strongest_of_the_others(models, subject, against):
    made = compare(models, subject=subject)
    assert (made.first, made.second) == (subject, against)
    assert made.difference == difference(made.of(subject), made.of(against), "pearson_delta", made.subset)


@pytest.mark.parametrize("metric", ["pearson_delta", "mse", "mae", "mse_delta", "mae_delta"])
def test_any_metric_may_head_and_smaller_errors_rank_higher(models, metric):
    made = compare(models, metric=metric)
    assert made.metric == metric
    worst = compare(models, metric=metric, subject="poor")
    assert worst.difference.value < 0


def test_the_sentence_says_who_does_what_on_how_many_by_how_much(models, observed):
    made = compare(models, subject="poor")
    gap = made.difference
    assert made.subset == "detectable"
    assert made.sentence == (
        f"poor loses to good on {int(observed.detectable.sum())} detectable perturbations, "
        f"pearson_delta difference {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    )
    assert compare([models[0], models[1]]).sentence.startswith("good beats poor on ")
    twins = [models[1], replace(models[1], model="twin")]
    assert compare(twins).sentence.startswith("good ties with twin on ")


def with_p(scores, p):
    p_values = np.full(len(scores.conditions), p)
    return replace(scores, effect_p=p_values, detectable=p_values <= 0.05)


def test_where_no_effect_is_detectable_all_are_judged_and_it_is_said(models):
    made = compare([with_p(one, 0.9) for one in models])
    total = len(models[0].conditions)
    assert made.subset == "all"
    assert f"on {total} perturbations (none has a detectable effect), " in made.sentence


def test_a_single_perturbation_is_spoken_of_in_the_singular(models):
    first = np.arange(len(models[0].conditions)) == 0
    made = compare([replace(one, detectable=first) for one in models])
    assert " on 1 detectable perturbation, " in made.sentence


def test_a_model_that_only_stands_in_is_never_named_the_strongest(observed, models):
    stand_in = scored(observed, "stand-in", 0.0, observed.conditions)
    made = compare([stand_in, *models])
    assert (made.first, made.second) == ("good", "fair")


def test_stand_ins_of_either_model_are_remarked_and_those_of_others_are_not(observed, models):
    some = observed.conditions[: len(observed.conditions) // 2]
    fallen = scored(observed, "fallen", 0.01, some)
    made = compare([fallen, *models])
    mine = sum(one in some for one, taken in zip(observed.conditions, observed.detectable) if taken)
    assert made.first == "fallen"
    assert f"fallen could not represent {mine} of {int(observed.detectable.sum())}" in made.remark
    assert "good" not in made.remark
    assert not compare(models).remark


def test_the_table_has_every_model_metric_and_subset_with_what_stands_beside(models):
    made = compare(models)
    table = comparison_table(made).set_index(["model", "metric", "subset"])
    subsets = ["all", "detectable", *sorted(models[0].strata)]
    assert len(table) == len(models) * len(models[0].metrics) * len(subsets)
    for scores in models:
        for metric in scores.metrics:
            for subset in subsets:
                row, found = table.loc[(scores.model, metric, subset)], scores.summary(metric, subset)
                np.testing.assert_equal([row["score"], row["low"], row["high"]], [found.value, found.low, found.high])
                np.testing.assert_equal(row["scaled"], scores.scaled(metric, subset))
                assert (row["conditions"], row["valid"], row["undefined"]) == (
                    found.conditions,
                    found.valid,
                    found.undefined,
                )
                assert row["best"] == METRICS[metric].best
                for name, value in scores.beside(metric, subset).items():
                    np.testing.assert_equal(row[name], value)
                assert row["detectable"] == int((scores.detectable & scores.among(subset)).sum())


def test_each_row_of_the_table_has_its_difference_from_the_model_it_names(models):
    made = compare(models)
    by_name = {one.model: one for one in models}
    for row in comparison_table(made).itertuples():
        assert row.against != row.model
        gap = difference(by_name[row.model], by_name[row.against], row.metric, row.subset)
        np.testing.assert_equal(
            [row.difference, row.difference_low, row.difference_high], [gap.value, gap.low, gap.high]
        )


def test_a_comparison_needs_two_models_and_knows_its_subject(models):
    with pytest.raises(UsageError, match="two models"):
        compare(models[:1])
    with pytest.raises(UsageError, match="two models"):
        compare([models[0], models[0]])
    with pytest.raises(UsageError, match="no scores of nobody; there are fair, good, poor"):
        compare(models, subject="nobody")


def test_two_models_of_one_name_cannot_be_told_apart_and_are_refused(models):
    with pytest.raises(UsageError, match="good"):
        compare([*models, replace(models[0], model="good")])


@pytest.mark.parametrize(
    ("change", "what"), [({"split": "another"}, "split"), ({"seed": 7}, "seed"), ({"preset": "pertura/0"}, "preset")]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_scores_of_another_split_seed_or_preset_are_refused_wherever_they_stand(models, change, what, place):
    mixed = [replace(one, **change) if i == place else one for i, one in enumerate(models)]
    with pytest.raises(BadDataError, match=f"different {what}"):
        compare(mixed)
