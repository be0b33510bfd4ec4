"""What every entry of `METRICS` keeps."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pertura.evaluation import nulls
from pertura.evaluation.observed import Effort, observe
from pertura.evaluation.presets import PRESETS
from pertura.evaluation.table import METRICS, Sides
from screens import pairs_screen

CONDITIONS, GENES = 12, 40
RANGES = {"fisher": (-1.0, 1.0), "log": (0.0, np.inf), "unit": (0.0, 1.0)}


@pytest.fixture(params=METRICS)
def metric(request):
    return METRICS[request.param]


def sides(seed=0, conditions=CONDITIONS, genes=GENES):
    """Two contexts, two genes left out, predicted and observed unrelated but for a shared profile."""
    rng = np.random.default_rng(seed)
    base = 3 * rng.random(genes)

    def drawn(size):
        return base + size * rng.standard_normal((conditions, genes))

    contexts = np.arange(conditions) % 2
    return Sides(drawn(0.5), drawn(0.5), drawn(0.1), drawn(0.1), contexts, np.arange(genes) >= 2)


def perfect(seed=0):
    given = sides(seed)
    return replace(given, predicted=given.observed, predicted_controls=given.observed_controls)


def taken(given, rows, genes):
    """Some conditions and genes, in another order."""
    tables = {one.name: getattr(given, one.name)[np.ix_(rows, genes)] for one in fields(given)[:4]}
    return Sides(**tables, contexts=given.contexts[rows], kept=given.kept[genes])


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


def test_a_perfect_prediction_has_the_best_value(metric):
    np.testing.assert_allclose(metric.score(perfect()), metric.best, atol=1e-12)


def test_no_prediction_is_better_than_the_best(metric):
    bottom, top = RANGES[metric.link]
    assert metric.best in (bottom, top)
    for seed in range(20):
        values = metric.score(sides(seed))
        assert values.shape == (CONDITIONS,)
        assert ((bottom <= values) & (values <= top)).all()


def test_a_prediction_nearer_to_the_observed_is_better(metric):
    given = sides()
    far = metric.score(given)
    near = replace(
        given,
        predicted=0.2 * given.predicted + 0.8 * given.observed,
        predicted_controls=0.2 * given.predicted_controls + 0.8 * given.observed_controls,
    )
    assert (np.abs(metric.score(near) - metric.best) <= np.abs(far - metric.best) + 1e-12).all()


def test_the_order_of_genes_and_conditions_does_not_matter(metric):
    rng = np.random.default_rng(1)
    rows, genes = rng.permutation(CONDITIONS), rng.permutation(GENES)
    given = sides()
    np.testing.assert_allclose(metric.score(taken(given, rows, genes)), metric.score(given)[rows], rtol=1e-9)


def test_conditions_of_other_contexts_have_no_influence(metric):
    given = sides()
    mine = given.contexts == 0
    other = replace(given, observed=np.where(mine[:, None], given.observed, 7 * given.observed))
    np.testing.assert_array_equal(metric.score(other)[mine], metric.score(given)[mine])


def test_an_input_is_left_as_it_was(metric):
    given = sides()
    before = [getattr(given, one.name).copy() for one in fields(given)]
    metric.score(given)
    for one, value in zip(fields(given), before):
        np.testing.assert_array_equal(getattr(given, one.name), value)


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


EDGES = (constant_change, no_change, nothing_observed, one_condition, one_gene, no_gene_kept)


@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_case_is_a_number_or_undefined_and_never_infinite_or_a_warning(metric, edge):
    given = edge(sides())
    values = metric.score(given)
    assert values.shape == (len(given.predicted),)
    assert not np.isinf(values).any()
    defined = values[np.isfinite(values)]
    bottom, top = RANGES[metric.link]
    assert ((bottom <= defined) & (defined <= top)).all()


@pytest.mark.parametrize(
    ("edge", "undefined"),
    [
        (constant_change, {"pearson_delta"}),
        (no_change, {"pearson_delta"}),
        (nothing_observed, {"pearson_delta"}),
        (one_condition, {f"discrimination_score_{kind}" for kind in ("l1", "l2", "cosine")}),
        (one_gene, {"pearson_delta"}),
        (no_gene_kept, {f"discrimination_score_{kind}" for kind in ("l1", "l2", "cosine")}),
    ],
)
def test_what_is_undefined_is_decided(edge, undefined):
    given = edge(sides())
    found = {name for name, metric in METRICS.items() if np.isnan(metric.score(given)).all()}
    assert found == undefined
    for name in set(METRICS) - undefined:
        assert np.isfinite(METRICS[name].score(given)).all(), name


@pytest.fixture(scope="module")
def observed():
    screen = pairs_screen(noise=1.0)
    return observe(screen.cells, screen.split, effort=Effort(2, 1, 1, 19))


def test_the_floor_is_what_takes_no_knowledge(metric, observed):
    nothing = metric.score(nulls.sides(observed, observed.model_controls))
    found = nulls.floor(metric, observed)
    if metric.floor == "no-change":
        np.testing.assert_array_equal(found, nothing)
    else:
        np.testing.assert_array_equal(found, metric.chance if metric.floor == "chance" else 0.0)
        filled = nothing if metric.undefined_as is None else np.nan_to_num(nothing, nan=metric.undefined_as)
        assert np.mean(filled) == pytest.approx(np.mean(found))
    assert (np.abs(found - metric.best) > 0).all()


def test_unrelated_predictions_score_chance_on_average(metric):
    if metric.chance is None:
        assert metric.floor == "no-change"  # only permuted labels can tell
        return
    found = []
    for seed in range(100):
        given, other = sides(seed), sides(1000 + seed)
        unrelated = replace(
            given,
            predicted=other.predicted - other.predicted_controls,
            predicted_controls=np.zeros_like(given.predicted),
        )
        found.append(metric.score(unrelated).mean())
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
