"""What every entry of `METRICS` keeps."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pertura.evaluation import nulls
from pertura.evaluation.effort import Effort
from pertura.evaluation.observed import observe
from pertura.evaluation.presets import PRESETS, shown
from pertura.evaluation.sides import CallSides, CellSides, Sides
from pertura.evaluation.table import METRICS, VARIED, WITHOUT_TARGETS
from pertura.metrics.distance import Spreads, gaps, kernel
from pertura.metrics.significant import called
from screens import pairs_screen

CONDITIONS, GENES = 12, 40
NAMES = tuple(f"gene-{i:02d}" for i in range(GENES))
KEPT = np.arange(GENES) >= 2
CONTEXTS = np.arange(CONDITIONS) % 2
RANGES = {
    "fisher": (-1.0, 1.0),
    "log": (0.0, np.inf),
    "unit": (0.0, 1.0),
    "skill": (-np.inf, 1.0),
    "ratio": (0.0, np.inf),
}
BY_GENE = [one.name for one in fields(Sides) if one.name not in ("contexts", "kept", "weights")]


@pytest.fixture(params=METRICS)
def metric(request):
    return METRICS[request.param]


def means(seed):
    """Two contexts, two genes left out, predicted and observed unrelated but for a shared profile."""
    rng = np.random.default_rng(seed)
    base = 3 * rng.random(GENES)

    def drawn(size):
        return base + size * rng.standard_normal((CONDITIONS, GENES))

    predicted, observed, *controls = drawn(0.5), drawn(0.5), drawn(0.1), drawn(0.1)
    weights = rng.random((CONDITIONS, GENES))
    additive = observed - controls[1] + 0.5 * rng.standard_normal((CONDITIONS, GENES))
    return Sides(
        predicted,
        observed,
        *controls,
        contexts=CONTEXTS,
        kept=KEPT,
        importance=weights / weights.sum(axis=1, keepdims=True),
        additive=np.where(np.arange(CONDITIONS)[:, None] < 4, additive, np.nan),
        additive_noise=np.full((CONDITIONS, GENES), 0.01),
        weights=np.ones(CONDITIONS),
    )


def calls(fdr, change):
    return called(fdr, change, NAMES)


def calling(seed):
    """A fifth of the genes called, on either side by itself."""
    rng = np.random.default_rng(seed)
    drawn = [(rng.random((CONDITIONS, GENES)) / 4, rng.standard_normal((CONDITIONS, GENES))) for _ in range(2)]
    predicted = calls(*drawn[0])
    return CallSides(predicted, predicted.at(KEPT), calls(*drawn[1]).direction, KEPT)


def spreads(first, second):
    tables = np.asarray(
        [
            [[one.mean() for one in (gap, kernel(gap, 20.0))] for gap in (gaps(a, a), gaps(b, b), gaps(a, b))]
            for a, b in zip(first, second)
        ]
    )
    return CellSides(Spreads(*tables[:, :, 0].T), Spreads(*tables[:, :, 1].T))


def populations(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, CONDITIONS, 9, GENES))


def cells(seed):
    return spreads(*populations(seed))


MADE = {"means": means, "tests": calling, "cells": cells}


def sides(metric, seed=0):
    return MADE[metric.needs](seed)


def perfect(metric, seed=0):
    given = sides(metric, seed)
    if metric.needs == "means":
        return replace(given, predicted=given.observed, predicted_controls=given.observed_controls)
    if metric.needs == "cells":
        observed = populations(seed)[1]
        return spreads(observed, observed)
    rng = np.random.default_rng(seed)
    both = calls(rng.random((CONDITIONS, GENES)) / 4, rng.standard_normal((CONDITIONS, GENES)))
    return CallSides(both, both.at(KEPT), both.direction, KEPT)


def taken(given, rows, genes):
    """Some conditions and genes, in another order."""
    if isinstance(given, Sides):
        tables = {name: getattr(given, name)[np.ix_(rows, genes)] for name in BY_GENE}
        tables["importance"] /= tables["importance"].sum(axis=1, keepdims=True)
        return Sides(**tables, contexts=given.contexts[rows], kept=given.kept[genes], weights=given.weights[rows])
    if isinstance(given, CellSides):
        return CellSides(
            *(Spreads(*(getattr(one, f.name)[rows] for f in fields(one))) for one in (given.distances, given.kernels))
        )
    mine = given.predicted
    predicted = replace(mine, **{f.name: getattr(mine, f.name)[np.ix_(rows, genes)] for f in fields(mine)})
    kept = given.kept[genes]
    return CallSides(predicted, predicted.at(kept), given.observed[np.ix_(rows, genes)], kept)


def defined(values):
    return values[np.isfinite(values)]


def test_a_metric_is_listed_under_its_name_explained_and_in_a_preset(metric):
    assert METRICS[metric.name] is metric
    assert len(metric.summary) > 10
    assert any(metric.name in preset.metrics for preset in PRESETS.values())


def test_presets_list_metrics_that_there_are_and_are_headed_by_one_of_their_own():
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert set(preset.metrics) <= set(METRICS)
        assert len(set(preset.metrics)) == len(preset.metrics)
        assert preset.headline in preset.metrics


def test_the_main_table_of_a_report_has_few_columns_each_with_a_better_end():
    assert 5 <= len(shown(tuple(METRICS))) <= 9
    assert all(METRICS[name].better != "nearer" for name in shown(tuple(METRICS)))
    assert PRESETS["pertura"].headline in shown(tuple(METRICS))
    assert shown(("mmd", "nir")) == ("mmd", "nir")


def test_every_metric_of_changes_errors_and_calls_has_a_variant_without_targets_and_no_other(metric):
    if metric.variant_of is None:
        assert (f"{metric.name}{WITHOUT_TARGETS}" in METRICS) == (metric.family in VARIED)
    else:
        assert metric.name == f"{metric.variant_of}{WITHOUT_TARGETS}"
        assert not metric.shown


def test_a_variant_is_the_metric_on_the_genes_that_are_no_target(metric):
    if metric.variant_of is None:
        return
    given = sides(metric)
    bare = METRICS[metric.variant_of].score(taken(given, np.arange(CONDITIONS), np.flatnonzero(KEPT)))
    np.testing.assert_allclose(metric.score(given), bare, rtol=1e-12)
    if metric.needs == "means":
        moved = replace(given, predicted=np.where(KEPT, given.predicted, 99.0))
        np.testing.assert_allclose(metric.score(moved), metric.score(given))
    every = replace(given, kept=np.ones(GENES, dtype=bool))
    every = replace(every, bare=every.predicted) if isinstance(every, CallSides) else every
    np.testing.assert_allclose(metric.score(every), METRICS[metric.variant_of].score(given))


def test_a_perfect_prediction_has_the_best_value(metric):
    found = defined(metric.score(perfect(metric)))
    assert len(found)
    np.testing.assert_allclose(found, metric.best, atol=1e-12)


def test_no_prediction_is_better_than_the_best(metric):
    bottom, top = RANGES[metric.link]
    assert metric.best in (bottom, top) or metric.better == "nearer"
    for seed in range(20):
        values = metric.score(sides(metric, seed))
        assert values.shape == (CONDITIONS,)
        assert ((bottom <= defined(values)) & (defined(values) <= top)).all()
        assert (metric.merit(defined(values)) <= metric.merit(np.asarray(metric.best))).all()


def test_a_prediction_nearer_to_the_observed_is_better(metric):
    given = sides(metric)
    if metric.needs == "tests" or metric.better == "nearer":
        return  # sets have no way halfway, and the mixture of two unlike populations varies less than either
    if metric.needs == "cells":
        first, second = populations(0)
        near = spreads(0.2 * first + 0.8 * second, second)
    else:
        near = replace(
            given,
            predicted=0.2 * given.predicted + 0.8 * given.observed,
            predicted_controls=0.2 * given.predicted_controls + 0.8 * given.observed_controls,
        )
    gain = metric.merit(metric.score(near)) - metric.merit(metric.score(given))
    assert (defined(gain) >= -1e-12).all()


def test_the_order_of_genes_and_conditions_does_not_matter(metric):
    rng = np.random.default_rng(1)
    rows, genes = rng.permutation(CONDITIONS), rng.permutation(GENES)
    given = sides(metric)
    np.testing.assert_allclose(metric.score(taken(given, rows, genes)), metric.score(given)[rows], rtol=1e-9)


def test_conditions_of_other_contexts_have_no_influence(metric):
    given = sides(metric)
    mine = CONTEXTS == 0
    if isinstance(given, CellSides):
        return  # judged one by one
    strange = -given.observed if isinstance(given, CallSides) else 7 * given.observed
    other = replace(given, observed=np.where(mine[:, None], given.observed, strange).astype(given.observed.dtype))
    np.testing.assert_array_equal(metric.score(other)[mine], metric.score(given)[mine])


def arrays_of(given):
    for one in fields(given):
        value = getattr(given, one.name)
        yield from [(one.name, value)] if isinstance(value, np.ndarray) else arrays_of(value)


def test_an_input_is_left_as_it_was(metric):
    given = sides(metric)
    before = [(name, value.copy()) for name, value in arrays_of(given)]
    metric.score(given)
    for (name, value), (_, now) in zip(before, arrays_of(given)):
        np.testing.assert_array_equal(now, value, err_msg=name)


def constant_change(given):
    return replace(given, predicted=given.predicted_controls + 0.25)


def no_change(given):
    return replace(given, predicted=given.predicted_controls)


def nothing_observed(given):
    return replace(given, observed=given.observed_controls)


def one_condition(given):
    return taken(given, np.arange(1), np.arange(GENES))


def one_gene(given):
    return taken(given, np.arange(CONDITIONS), np.arange(2, 3))


def no_gene_kept(given):
    return replace(given, kept=np.zeros(GENES, dtype=bool))


OF_MEANS = {name: metric for name, metric in METRICS.items() if metric.needs == "means"}
CHANGES = {"pearson_delta", "pearson_perturbation_mean"}
RANKS = {name for name, metric in METRICS.items() if metric.family == "rank"}
VARIANTS = {name for name, metric in OF_MEANS.items() if metric.variant_of}


def with_variants(names):
    return names | {f"{name}{WITHOUT_TARGETS}" for name in names if f"{name}{WITHOUT_TARGETS}" in METRICS}


EDGES = (constant_change, no_change, nothing_observed, one_condition, one_gene, no_gene_kept)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", OF_MEANS)
def test_an_edge_case_is_a_number_or_undefined_and_never_infinite_or_a_warning(name, edge):
    metric = METRICS[name]
    given = edge(means(0))
    values = metric.score(given)
    assert values.shape == (len(given.predicted),)
    assert not np.isinf(values).any()
    bottom, top = RANGES[metric.link]
    assert ((bottom <= defined(values)) & (defined(values) <= top)).all()


@pytest.mark.parametrize(
    ("edge", "undefined"),
    [
        # a change that is the same for all genes still differs between conditions where their controls do
        (constant_change, {"pearson_delta", "pearson_perturbation_mean"}),
        (no_change, CHANGES),
        (nothing_observed, {*CHANGES, "weighted_r2_delta", "diversity_ratio"}),
        (one_condition, {"pearson_perturbation_mean", "weighted_r2_delta", "diversity_ratio", *RANKS}),
        (one_gene, {*CHANGES, "weighted_r2_delta"}),
        (no_gene_kept, {*VARIANTS, *(name for name in RANKS if name != "nir")}),
    ],
)
def test_what_is_undefined_is_decided(edge, undefined):
    given = edge(means(0))
    found = {name for name, metric in OF_MEANS.items() if np.isnan(metric.score(given)).all()}
    assert found == with_variants(undefined)
    for name in set(OF_MEANS) - found - {"additivity_residual"}:
        assert np.isfinite(METRICS[name].score(given)).all(), name


def none_called():
    return called(np.ones((CONDITIONS, GENES)), np.zeros((CONDITIONS, GENES)), NAMES)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.needs == "tests"])
def test_calls_of_no_gene_are_decided(name):
    metric, given, none = METRICS[name], calling(0), none_called()
    nothing_predicted = metric.score(replace(given, predicted=none, bare=none.at(KEPT)))
    np.testing.assert_array_equal(nothing_predicted, 0.0)
    nothing_observed = metric.score(replace(given, observed=none.direction))
    neither = metric.score(CallSides(none, none.at(KEPT), none.direction, KEPT))
    assert np.isnan(nothing_observed).all()
    assert np.isnan(neither).all()


def test_a_condition_without_halves_spoils_no_other(metric):
    """NaN in one condition, as a condition of one cell has it in its halves."""
    given = sides(metric)
    if not isinstance(given, Sides):
        return
    unknown = np.arange(CONDITIONS)[:, None] == 3
    holed = replace(
        given,
        predicted=np.where(unknown, np.nan, given.predicted),
        observed=np.where(unknown, np.nan, given.observed),
        importance=np.where(unknown, np.nan, given.importance),
    )
    before, after = metric.score(given), metric.score(holed)
    others = np.arange(CONDITIONS) != 3
    np.testing.assert_array_equal(np.isfinite(after[others]), np.isfinite(before[others]))


@pytest.fixture(scope="module")
def observed():
    screen = pairs_screen(noise=1.0)
    return observe(screen.cells, screen.split, effort=Effort(2, 1, 1, 19))


def test_the_floor_is_what_takes_no_knowledge(metric, observed):
    found = nulls.floor(metric, observed)
    if metric.floor != "no-change":
        np.testing.assert_array_equal(found, metric.chance if metric.floor == "chance" else 0.0)
    if metric.needs != "means":
        return
    nothing = metric.score(nulls.sides(observed, observed.model_controls))
    if metric.floor == "no-change":
        np.testing.assert_array_equal(found, nothing)
    else:
        filled = nothing if metric.undefined_as is None else np.nan_to_num(nothing, nan=metric.undefined_as)
        assert np.mean(filled) == pytest.approx(np.mean(found))
    assert (np.abs(found - metric.best)[np.isfinite(found)] > 0).all()


def test_unrelated_predictions_score_chance_on_average(metric):
    if metric.chance is None:
        return  # only permuted labels can tell
    found = []
    for seed in range(100):
        given, other = sides(metric, seed), sides(metric, 1000 + seed)
        if metric.needs == "means":
            unrelated = replace(
                given,
                predicted=other.predicted - other.predicted_controls,
                predicted_controls=np.zeros_like(given.predicted),
            )
        else:
            unrelated = replace(given, predicted=other.predicted, bare=other.bare)
        found.append(np.nanmean(metric.score(unrelated)))
    # profiles share their height; only their order is unrelated
    assert np.mean(found) == pytest.approx(metric.chance, abs=4 * np.std(found) / np.sqrt(len(found)))


def test_taking_a_half_to_the_whole_improves_it_and_leaves_the_best_alone(metric):
    if metric.from_half is None:
        return
    start = 0.05 if metric.higher_is_better else 0.0
    half = np.linspace(start, 1.0, 30)
    whole = metric.from_half(half)
    assert (np.diff(whole) > 0).all()
    assert (np.abs(whole - metric.best) <= np.abs(half - metric.best)).all()
    np.testing.assert_allclose(metric.from_half(np.asarray([metric.best])), metric.best)


def test_what_an_undefined_score_counts_as_lies_in_its_range(metric):
    if metric.undefined_as is not None:
        bottom, top = RANGES[metric.link]
        assert bottom <= metric.undefined_as <= top
        assert metric.undefined_as != metric.best


def test_merit_grows_towards_the_best(metric):
    bottom, top = (max(one, -3.0) if one < 0 else min(one, 3.0) for one in RANGES[metric.link])
    values = np.linspace(bottom + 0.01, top, 50)
    order = np.argsort(np.abs(values - metric.best))
    if metric.better != "nearer":
        assert (np.diff(metric.merit(values)[order]) <= 0).all()
    assert metric.merit(values).argmax() == order[0]
    assert metric.merit(np.asarray([0.5]))[0] == metric.merit(np.asarray([2.0]))[0] or metric.better != "nearer"
