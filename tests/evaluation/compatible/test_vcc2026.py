"""The rules of 2026: the numbers of cell-eval2 itself, and of their definitions written out."""

import logging

import numpy as np
import pytest
from count_screens import CONTROL, as_anndata, count_screen, dense_matrix, label_of, labelled, rules, with_values
from scipy.stats import false_discovery_control, mannwhitneyu

from pertura.core.errors import BadDataError
from pertura.evaluation.compatible import vcc2026
from pertura.evaluation.compatible.profile import Options
from pertura.evaluation.compatible.vcc2026 import SCORED

SCREENS = {
    "shallow, sparse": {"seed": 1, "depth": 400},
    "deep, dense": {"seed": 2, "depth": 3000, "sparse": False},
    "no effects": {"seed": 3, "effect": 0.0, "cells": 6},
    "few cells": {"seed": 4, "cells": 2, "controls": 8},
    "one cell each": {"seed": 16, "cells": 1, "controls": 12},
    "empty cells": {"seed": 17, "depth": 4, "cells": 40},
    "a flooded prediction": {"seed": 5, "accuracy": 2.5, "cells": 60},
}


def judged(predicted, observed, **options):
    return vcc2026.judge(predicted, observed, Options(**options))


@pytest.fixture
def quiet(caplog):
    with caplog.at_level(logging.CRITICAL):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("quiet")
def test_every_column_is_that_of_cell_eval2(screen):
    from cell_eval2 import aggregate_metrics_wide, compute_metrics

    predicted, observed = count_screen(**screen)
    tidy = compute_metrics(as_anndata(predicted), as_anndata(observed), config=rules())
    expected = tidy.to_pandas().pivot(index="perturbation", columns="metric", values="value")
    found = judged(predicted, observed)
    assert list(found.labels) == sorted(expected.index)
    for name, column in found.columns.items():
        if column.whole_screen:
            continue
        rows = (
            expected[name].reindex(found.labels).to_numpy() if name in expected else np.full(len(found.labels), np.nan)
        )
        np.testing.assert_allclose(column.values, rows, atol=1e-9, err_msg=name)
        present = set(tidy.to_pandas().query("metric == @name").perturbation)
        if column.absent is not None:
            assert {one for one, gone in zip(found.labels, column.absent) if not gone} == present
        else:
            assert present == set(found.labels)
    if vcc2026.ERROR in found.columns:
        means = aggregate_metrics_wide(tidy, metrics=list(SCORED)).to_pandas().set_index("statistic").loc["mean"]
        assert found.columns[vcc2026.ERROR].values[0] == pytest.approx(means[vcc2026.ERROR], abs=1e-9)


def test_whole_numbers_of_any_type_give_the_same():
    predicted, observed = count_screen(6, sparse=False)
    found = judged(predicted, observed)
    again = judged(*(with_values(one, dense_matrix(one).astype(np.int64)) for one in (predicted, observed)))
    for name, column in found.columns.items():
        np.testing.assert_array_equal(again.columns[name].values, column.values, err_msg=name)


# ---- the definitions, written out


def profile(sums):
    return np.log1p(5e4 * sums / sums.sum())


def noise(cells):
    size = len(cells)
    if size < 2:
        return 0.0
    without = np.asarray([profile(np.delete(cells, i, axis=0).sum(axis=0)) for i in range(size)])
    return (size - 1) / size * np.square(without - without.mean(axis=0)).sum()


def rank_tests(cells, controls, tested):
    scaled = [one / one.sum(axis=1, keepdims=True) * 1e6 for one in (cells, controls)]
    p = mannwhitneyu(*(np.log1p(one[:, tested]) for one in scaled), axis=0, method="asymptotic").pvalue
    first, second = (one[:, tested].mean(axis=0) for one in scaled)
    return p, false_discovery_control(p), np.log2((first + 1e-9) / (second + 1e-9))


def written_out(predicted, observed):
    """Columns by definition, label by label."""
    genes, labels = observed.genes, [one for one in observed.labels if one != CONTROL]
    sides = [dense_matrix(one).astype(np.float64) for one in (predicted, observed)]
    groups = [
        {one: matrix[label_of(side) == one] for one in side.labels}
        for side, matrix in zip((predicted, observed), sides)
    ]
    control = groups[1][CONTROL]
    tested = np.flatnonzero((control / control.sum(axis=1, keepdims=True) * 1e6).mean(axis=0) > 5)
    base, named = profile(control.sum(axis=0)), np.asarray([one not in labels for one in genes])
    means = [{one: profile(group[one].sum(axis=0)) for one in labels} for group in groups]
    noises = [{one: noise(group[one]) for one in labels} for group in groups]
    others = {one: np.asarray([gene != one for gene in genes]) for one in labels}
    claims = {one: min(noises[0][one], noises[1][one]) for one in labels}
    weight = {one: 1 / others[one].sum() for one in labels}
    budget = 0.0
    for column in range(len(genes)):
        kept = [one for one in labels if others[one][column]]
        w, x = np.asarray([weight[one] for one in kept]), np.asarray([means[0][one][column] for one in kept])
        budget += (w * np.square(x - (w @ x) / w.sum())).sum()
    ratio = min(1.0, budget / sum(claims[one] * weight[one] for one in labels))
    rows = {}
    for one in labels:
        keep = others[one]
        plain = np.square(means[0][one] - means[1][one])[keep].sum()
        effect = np.square(means[1][one] - base)[keep].sum() - noises[1][one] - noise(control)
        changes = [mean[one][named] - base[named] for mean in means]
        far = [1 - cosine(changes[0], means[1][other][named] - base[named]) for other in labels]
        rank = sum(value < far[labels.index(one)] for value in far)
        p, fdr, change = rank_tests(groups[0][one], control, tested)
        _, fdr_observed, change_observed = rank_tests(groups[1][one], control, tested)
        own = np.asarray([genes[i] != one for i in tested])
        call, call_observed = (fdr < 0.05) & own, (fdr_observed < 0.05) & own
        right = np.sign(change) == np.sign(change_observed)
        gate = np.flatnonzero(call_observed)
        order = sorted(gate, key=lambda i: (fdr[i] >= 0.05, fdr[i], p[i], -abs(change[i]), genes[tested[i]]))
        depths = [k + 1 for k in range(len(order)) if right[order[: k + 1]].mean() >= 0.9]
        rows[one] = {
            "pds_cosine": 1 - rank / (len(labels) - 1),
            "expr_mse_unbiased": (plain - noises[0][one] - noises[1][one]) / keep.sum(),
            "expr_mse_unbiased_capped": (plain - ratio * claims[one] - noises[1][one]) / keep.sum(),
            "expr_distance_unbiased": effect / keep.sum(),
            "expr_real_mass_ratio": 1.0,
            "de_wilcoxon_lfc_nmae": np.abs(change - change_observed)[gate].sum() / np.abs(change_observed[gate]).sum()
            if len(gate) >= 10
            else np.nan,
            "de_wilcoxon_direction_fidelity_yield_raw": (call & right).sum() / max(call.sum(), call_observed.sum()),
            "de_wilcoxon_direction_reach_raw": max(depths, default=0) / len(gate) if len(gate) else np.nan,
            "de_wilcoxon_sig_jaccard": (call & call_observed).sum() / (call | call_observed).sum(),
        }
    return rows


def cosine(first, second):
    return first @ second / np.sqrt((first @ first) * (second @ second))


def test_every_column_is_its_definition():
    predicted, observed = count_screen(7, cells=40, depth=1500)
    found = judged(predicted, observed)
    expected = written_out(predicted, observed)
    for name, column in found.columns.items():
        if not column.whole_screen:
            rows = [expected[one][name] for one in found.labels]
            np.testing.assert_allclose(column.values, rows, atol=1e-9, err_msg=name)
    sums = [sum(expected[one][f"expr_{part}_unbiased{end}"] for one in found.labels) for part, end in PARTS]
    np.testing.assert_allclose(found.columns[vcc2026.ERROR].values, sums[0] / sums[1], atol=1e-9)
    assert found.columns[vcc2026.ERROR].whole_screen


PARTS = (("mse", "_capped"), ("distance", ""))


# ---- laws


def test_the_observed_cells_as_their_own_prediction_have_every_best_value():
    _, observed = count_screen(8, cells=60, depth=3000)
    found = judged(observed, observed)
    for metric in vcc2026.METRICS:
        if metric.best is None:
            continue
        values = found.columns[metric.name].values
        defined = values[~np.isnan(values)]
        assert len(defined)
        if metric.name == vcc2026.ERROR:  # less than nothing: the noise of both sides is taken off a distance of 0
            assert (defined <= 0).all()
        else:
            np.testing.assert_allclose(defined, metric.best, atol=1e-12, err_msg=metric.name)


def test_the_same_cells_in_another_order_give_the_same():
    predicted, observed = count_screen(9)
    found = judged(predicted, observed)
    rng = np.random.default_rng(0)
    again = judged(*(one.take(rng.permutation(len(one.codes))) for one in (predicted, observed)))
    for name, column in found.columns.items():
        np.testing.assert_allclose(again.columns[name].values, column.values, rtol=1e-12, atol=1e-12, err_msg=name)


def test_the_same_genes_in_another_order_give_the_same():
    predicted, observed = count_screen(10)
    found = judged(predicted, observed)
    order = np.random.default_rng(0).permutation(len(observed.genes))
    turned = [
        labelled(dense_matrix(one)[:, order], label_of(one), [one.genes[i] for i in order], one.name)
        for one in (predicted, observed)
    ]
    again = judged(*turned)
    for name, column in found.columns.items():
        np.testing.assert_allclose(again.columns[name].values, column.values, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_metric_left_out_changes_no_other_and_is_named():
    predicted, observed = count_screen(11)
    found = judged(predicted, observed)
    tests = frozenset(metric.name for metric in vcc2026.METRICS if metric.needs == "tests")
    again = judged(predicted, observed, skip=tests)
    assert set(again.undone) == tests
    assert not again.tests
    for name, column in again.columns.items():
        np.testing.assert_array_equal(column.values, found.columns[name].values)


def test_predicted_control_cells_have_no_influence():
    predicted, observed = count_screen(12)
    found = judged(predicted, observed)
    matrix = dense_matrix(predicted)
    matrix[label_of(predicted) == CONTROL] = 1
    again = judged(with_values(predicted, matrix), observed)
    for name, column in found.columns.items():
        np.testing.assert_array_equal(again.columns[name].values, column.values, err_msg=name)


def test_a_panel_without_any_effect_has_no_relative_error_and_says_so():
    rng = np.random.default_rng(0)
    labels = np.repeat(["G000", "G001", CONTROL], 30)
    sides = [rng.poisson(20.0, (90, 40)).astype(np.float32) for _ in range(2)]
    sides[1][:] = sides[1][rng.permutation(90)]
    genes = [f"G{i:03d}" for i in range(40)]
    for seed in range(20):
        observed = labelled(np.random.default_rng(seed).poisson(20.0, (90, 40)).astype(np.float32), labels, genes)
        found = judged(labelled(sides[0], labels, genes), observed)
        if np.sum(found.columns["expr_distance_unbiased"].values) <= 0:
            assert "no more than noise" in found.undone[vcc2026.ERROR]
            return
    raise AssertionError("no screen of twenty was without effect")


def test_labels_that_name_no_gene_are_said():
    predicted, observed = count_screen(13)
    assert any("unmeasured-1" in one for one in judged(predicted, observed).warnings)
    renamed = [
        labelled(dense_matrix(one), label_of(one), [f"x{gene}" for gene in one.genes]) for one in (predicted, observed)
    ]
    assert any("no label is the name of a gene" in one for one in judged(*renamed).warnings)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "whole numbers"), (-1.0, "negative"), (np.nan, "finite"), (2e6, "more than 1,000,000")],
)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("sparse", [True, False])
def test_what_is_no_count_is_refused_at_the_cell_that_holds_it(value, words, side, sparse):
    sides = list(count_screen(14, genes=30, targets=4, cells=5, controls=10, sparse=sparse))
    matrix = dense_matrix(sides[side]).copy()
    matrix[3, 5] = value
    sides[side] = with_values(sides[side], matrix)
    with pytest.raises(BadDataError, match=words) as told:
        judged(*sides)
    assert sides[side].ids[3] in str(told.value)


def test_sides_that_do_not_match_are_refused():
    predicted, observed = count_screen(15, genes=30, targets=4, cells=5, controls=10)
    fewer = labelled(dense_matrix(predicted)[:, 1:], label_of(predicted), predicted.genes[1:])
    with pytest.raises(BadDataError, match="G000"):
        judged(fewer, observed)
    turned = labelled(dense_matrix(predicted)[:, ::-1], label_of(predicted), predicted.genes[::-1])
    with pytest.raises(BadDataError, match="another order"):
        judged(turned, observed)
    kept = np.flatnonzero(label_of(predicted) != "G001")
    with pytest.raises(BadDataError, match="G001"):
        judged(predicted.take(kept), observed)
    without = observed.take(np.flatnonzero(label_of(observed) != CONTROL))
    with pytest.raises(BadDataError, match="no cell is labelled"):
        judged(predicted, without)
