"""What stands beside another evaluator's number comes from asking its own judge again."""

from dataclasses import replace

import numpy as np
import pytest
from worth_screens import CONTROL, DRAWN, METRICS, PRESET, both, effects, judge, labelled, reordered, study

from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory, dense
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.altered import Sides, label_means
from pertura.evaluation.compatible.effort import TIERS, Runs, planned, tier_of
from pertura.evaluation.compatible.profile import CompatibleMetric
from pertura.evaluation.compatible.reruns import Reruns
from pertura.evaluation.compatible.study import leave_one_out_mean
from pertura.evaluation.compatible.worth import worth


def judged_worth(made):
    return worth(made, made.preset.judge(made.sides.predicted, made.sides.observed, made.options))


# ---- what is inflated by sharing controls


@pytest.mark.parametrize(("cells", "controls"), [(30, 30), (60, 20)])
def test_sharing_controls_earns_a_model_that_knows_nothing_what_theory_says(cells, controls):
    """Without effects both deltas hold the same control noise: r = sqrt(v_c / (v_c + v_l)), v = variance / cells."""
    nothing = dict.fromkeys(effects(count=30), 0.0)
    observed = labelled("observed", nothing, cells=cells, controls=controls, genes=400, seed=5)
    predicted = labelled("predicted", nothing, cells=cells, controls=controls, genes=400, seed=6, shared=observed)
    found = judged_worth(study(Sides(predicted, observed), runs=Runs(2, 1, 0, 2))).of("pearson_delta")
    expected = np.sqrt((1 / controls) / (1 / controls + 1 / cells))
    assert found.references["leave-one-out-mean"] == pytest.approx(expected, abs=0.06)
    assert found.inflated_null == pytest.approx(expected, abs=0.08)
    assert found.inflation == pytest.approx(expected - 0.0, abs=0.25)
    assert found.inflation > 0.2


def test_controls_that_are_not_shared_inflate_nothing():
    known = effects()
    sides = Sides(labelled("predicted", known, seed=3), labelled("observed", known, seed=2))
    made = judged_worth(study(sides))
    assert made.shared_controls == 0
    assert np.isnan(made.of("pearson_delta").inflation)
    assert np.isnan(made.of("pearson_delta").inflated_null)
    assert not made.warnings


def test_controls_are_recognised_by_name_or_by_values():
    sides = both()
    rows = sides.predicted.rows_of(CONTROL)
    assert sides.shared == 1.0
    renamed = sides.predicted.ids.copy()
    renamed[rows] = [f"other-{i}" for i in range(len(rows))]
    by_values = Sides(replace(sides.predicted, ids=renamed), sides.observed)
    np.testing.assert_array_equal(by_values.twins, sides.twins)
    moved = dense(sides.predicted.expression.rows(np.arange(len(sides.predicted.codes)))) + 0.01
    assert Sides(replace(sides.predicted, expression=InMemory(moved)), sides.observed).shared == 0


def test_halves_of_shared_controls_have_no_cell_in_common_and_all_together():
    sides = both()
    draw = sides.apart(seed=1, draw=0)
    predicted, observed = sides.cells(draw)
    names = [{str(one) for one in side.ids[side.rows_of(CONTROL)]} for side in (predicted, observed)]
    assert not names[0] & names[1]
    assert len(names[0]) + len(names[1]) == len(sides.observed.rows_of(CONTROL))
    assert len(predicted.codes) - len(names[0]) == len(sides.predicted.codes) - len(sides.predicted.rows_of(CONTROL))


# ---- permuted labels, ceiling, interval


def test_permuted_labels_keep_all_cells_and_leave_nothing_to_predict():
    sides = both(size=1.5)
    draw = sides.permuted(seed=1, draw=0)
    assert sorted(draw.codes) == sorted(sides.observed.codes)
    found = judged_worth(study(sides)).of("pearson_delta")
    assert found.score.value > 0.9
    assert abs(found.permuted.value) < 0.35
    assert found.permuted.low <= found.permuted.value <= found.permuted.high


def test_the_ceiling_pairs_halves_that_share_no_cell():
    sides = both()
    predicted, observed = sides.cells(sides.replicate(seed=1, draw=0))
    assert not {str(one) for one in predicted.ids} & {str(one) for one in observed.ids}
    assert predicted.counts == observed.counts


def test_a_label_with_one_cell_has_no_halves_and_is_left_out_of_the_ceiling_alone():
    sides = both()
    lonely = sides.observed.rows_of("label0")[1:]
    kept = np.setdiff1d(np.arange(len(sides.observed.codes)), lonely)
    fewer = Sides(sides.predicted, sides.observed.take(kept))
    predicted, observed = fewer.cells(fewer.replicate(seed=1, draw=0))
    assert "label0" not in (*predicted.labels, *observed.labels)
    found = judged_worth(study(fewer)).of("pearson_delta")
    assert found.valid == 8
    assert np.isfinite(found.ceiling)


def test_a_better_prediction_scores_nearer_to_the_ceiling():
    scaled = [judged_worth(study(both(right=right, noise=0.8))).of("mse").scaled for right in (0.2, 0.6, 1.0)]
    assert scaled[0] < scaled[1] < scaled[2]


def test_the_interval_redraws_conditions_and_cells_or_says_what_it_does_not():
    sides = both()
    whole = judged_worth(study(sides, runs=DRAWN)).of("pearson_delta")
    assert whole.resampled == "conditions and cells"
    assert whole.score.low < whole.score.value < whole.score.high <= 1.0
    without = judged_worth(study(sides)).of("pearson_delta")
    assert without.resampled == "conditions"
    assert without.score.low < without.score.value < without.score.high


def test_redrawn_cells_keep_their_number_and_shared_controls_follow():
    sides = both()
    draw = sides.redrawn(seed=1, draws=2)[1]
    assert sum(draw.copies) == len(sides.observed.codes)
    rows = sides.predicted.rows_of(CONTROL)
    np.testing.assert_array_equal(draw.predicted[rows], draw.copies[sides.twins[rows]])
    others = np.setdiff1d(np.arange(len(sides.predicted.codes)), rows)
    assert (draw.predicted[others] == 1).all()


# ---- references


def test_the_leave_one_out_mean_is_the_mean_of_the_others():
    means = np.asarray([[1.0, 2.0], [9.0, 9.0], [3.0, 6.0], [5.0, 1.0]])
    made = leave_one_out_mean().profiles(means, 1)
    np.testing.assert_allclose(made[0], [4.0, 3.5])
    np.testing.assert_allclose(made[2], [3.0, 1.5])


def test_a_difference_is_paired_and_its_sign_says_which_is_better():
    good, bad = (judged_worth(study(both(right=right))) for right in (0.9, 0.0))
    for name in ("pearson_delta", "mse"):
        assert good.of(name).difference.low > 0
        assert bad.of(name).difference.value < good.of(name).difference.value
    row = good.of("mse")
    assert row.difference.value == pytest.approx(row.references[row.best_reference] - row.score.value)


# ---- the machinery


@pytest.mark.parametrize("kind", ["referred", "permuted", "replicates", "apart", "null_shared", "null_apart"])
def test_a_mean_stands_for_its_cells(kind):
    """What looks at means alone gets one answer, asked about means or about cells."""
    sides = both()
    by_means, by_cells = (Reruns(study(sides, logged=logged), "means") for logged in (True, False))
    assert by_means.by_means
    assert not by_cells.by_means
    answers = [getattr(one, kind) for one in (by_means, by_cells)]
    pairs = zip(*(one.values() if isinstance(one, dict) else one for one in answers), strict=True)
    for first, second in pairs:
        # cells of no change are stored in float32: the rounding of their mean has a direction
        for name in ("mse",) if kind == "referred" else ("pearson_delta", "mse"):
            np.testing.assert_allclose(
                first.columns[name].values, second.columns[name].values, rtol=1e-4, atol=1e-6, equal_nan=True
            )


def test_the_order_of_cells_changes_nothing():
    sides = both()
    turned = Sides(reordered(sides.predicted, 1), reordered(sides.observed, 2))
    first, second = judged_worth(study(sides, runs=DRAWN)), judged_worth(study(turned, runs=DRAWN))
    for one, other in zip(first.metrics, second.metrics, strict=True):
        for what in ("score", "permuted", "difference"):
            a, b = getattr(one, what), getattr(other, what)
            np.testing.assert_allclose((a.value, a.low, a.high), (b.value, b.low, b.high), rtol=1e-6, atol=1e-9)
        for what in ("ceiling", "inflation", "inflated_null", "scaled"):
            np.testing.assert_allclose(getattr(one, what), getattr(other, what), rtol=1e-5, atol=1e-8)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    sides = both()
    first, again, other = (judged_worth(study(sides, seed=seed)).of("mse") for seed in (1, 1, 2))
    assert first.permuted == again.permuted
    assert first.permuted != other.permuted


def test_leaving_out_a_metric_changes_no_other():
    made = study(both())
    less = replace(made, options=replace(made.options, skip=frozenset({"mse"})))
    one, other = judged_worth(made), judged_worth(less)
    assert {row.metric.name for row in other.metrics} == {"pearson_delta", "spread_ratio"}
    assert one.of("pearson_delta").permuted == other.of("pearson_delta").permuted


def test_what_is_only_counted_is_not_held_against_anything():
    assert "cells" not in {row.metric.name for row in judged_worth(study(both())).metrics}


def test_what_a_preset_refuses_is_told_and_not_known():
    def refuses_few(predicted, observed, options):
        if len(observed.rows_of(CONTROL)) < 30:
            raise BadDataError("too few control cells")
        return judge(predicted, observed, options)

    sides = both()
    preset = replace(PRESET, judge=refuses_few)
    made = worth(
        study(sides, preset=preset, logged=False), judge(sides.predicted, sides.observed, study(sides).options)
    )
    assert np.isnan(made.of("pearson_delta").ceiling)
    assert any("the ceiling is not known: too few control cells" in text for text in made.warnings)


def test_many_more_significant_genes_than_observed_are_warned_of():
    sides = both()
    answer = judge(sides.predicted, sides.observed, study(sides).options)
    counts = {"de_nsig_counts_real": 10.0, "de_nsig_counts_pred": 40.0}
    columns = {name: replace(answer.columns["mse"], values=np.full(8, value)) for name, value in counts.items()}
    made = worth(study(sides), replace(answer, columns={**answer.columns, **columns}))
    assert made.calls_ratio == 4.0
    assert any("4.0 times as many significant genes" in text for text in made.warnings)


def test_label_means_weigh_cells_by_how_often_they_count():
    cells = both().observed
    copies = np.arange(len(cells.codes)) % 3
    made = label_means(cells, [(cells.codes, copies)])[0]
    rows = np.repeat(cells.rows_of("label3"), copies[cells.rows_of("label3")])
    np.testing.assert_allclose(made[cells.labels.index("label3")], dense(cells.expression.rows(rows)).mean(axis=0))


# ---- how much work


class Nothing:
    """An expression of any size without a value."""

    def __init__(self, cells, genes):
        self.shape = (cells, genes)

    def rows(self, index):
        raise AssertionError("not to be read")


def sized(labels, per_label, controls, genes):
    names = tuple(sorted([*(f"p{i:05d}" for i in range(labels)), CONTROL]))
    codes = np.repeat(np.arange(labels + 1), [controls if one == CONTROL else per_label for one in names])
    panel = tuple(f"g{i}" for i in range(genes))
    return Labelled(Nothing(len(codes), genes), panel, np.arange(len(codes)), names, codes, CONTROL)


def test_small_screens_get_everything_and_large_ones_what_they_can_afford():
    small, large = sized(24, 40, 200, 400), sized(1047, 104, 10_691, 6546)
    assert all(planned(small, small, 2, "normal", logged=True)[tier].draws for tier in TIERS)
    found = planned(large, large, 2, "normal", logged=True)
    assert found["means"].any
    assert not found["tests"].any
    assert not found["cells"].any
    more = planned(large, large, 2, "more", logged=True)
    assert more["means"].draws >= 20
    assert more["tests"].any


def test_effort_has_a_name_and_a_tier_for_each_metric():
    small = sized(5, 10, 20, 30)
    with pytest.raises(UsageError, match="--effort huge: one of less, normal, more"):
        planned(small, small, 2, "huge", logged=True)
    assert tier_of(CompatibleMetric("discrimination_score_l1", "", 1.0, "means")) == "pairs"
    assert {tier_of(one) for one in METRICS} == {"means", "cells"}


def test_counts_have_no_means_that_stand_for_cells():
    large = sized(1047, 104, 10_691, 6546)
    assert not planned(large, large, 2, "normal", logged=False)["means"].any
