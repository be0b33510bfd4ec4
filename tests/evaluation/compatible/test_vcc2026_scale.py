"""Both ends of the scale of the rules of 2026, and logarithms drawn into counts."""

import logging

import numpy as np
import pytest
from count_screens import CONTROL, as_anndata, count_screen, dense_matrix, label_of, labelled, rules, with_values

from pertura.core.errors import BadDataError
from pertura.evaluation.compatible import vcc2026, vcc2026_scale
from pertura.evaluation.compatible.from_log import counts_from_log
from pertura.evaluation.compatible.profile import Options
from pertura.evaluation.compatible.vcc2026 import SCORED, judge_fractions
from pertura.evaluation.compatible.vcc2026_scale import halves, mean_response, scaled, split_seeds


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_both_ends_and_the_score_are_those_of_cell_eval2(caplog):
    from cell_eval2.anchor import compute_replicate_anchor
    from cell_eval2.baseline import build_generic_baseline
    from cell_eval2.score import _replicate_entries
    from cell_eval2.scoring import score_one

    predicted, observed = count_screen(21, targets=12, cells=60, controls=160, depth=3000)
    with caplog.at_level(logging.CRITICAL):
        baseline = build_generic_baseline(as_anndata(observed), config=rules()).agg.to_pandas().set_index("statistic")
        _, anchor = compute_replicate_anchor(as_anndata(observed), config=rules())
    replicate = anchor.to_pandas().set_index("metric").replicate
    entries = _replicate_entries(dict(baseline.loc["mean"]), anchor)
    result = vcc2026.judge(predicted, observed, Options())
    table = scaled(result, vcc2026_scale.scale(observed, Options())).set_index("metric")
    assert list(table.index) == list(SCORED)
    for name, row in table.iterrows():
        assert row.baseline == pytest.approx(baseline.loc["mean", name], abs=1e-7), name
        assert row.replicate == pytest.approx(replicate[name], abs=1e-9), name
        expected = score_one(row.value, entries[name].base, entries[name].scoring)
        assert row.scaled == pytest.approx(expected, abs=1e-6), name


def test_the_seeds_of_the_splits_are_the_published_ones():
    assert split_seeds() == (2968811710, 3677149159, 745650761, 2884920346, 2642120001)


def test_halves_share_no_cell_and_keep_every_label():
    _, observed = count_screen(22)
    first, second = halves(observed, split_seeds()[0])
    assert not set(first.ids) & set(second.ids)
    for label in observed.labels:
        assert len(first.rows_of(label)) == len(second.rows_of(label)) == len(observed.rows_of(label)) // 2


def test_a_label_of_one_cell_has_no_halves():
    _, observed = count_screen(23, cells=1)
    with pytest.raises(BadDataError, match="one cell"):
        halves(observed, 0)


def test_the_mean_response_has_the_mean_of_all_labels_but_of_the_one_a_gene_names():
    _, observed = count_screen(24, controls=4000, cells=400, targets=5, genes=20)
    made = mean_response(observed)
    means = {one: dense_matrix(observed)[label_of(observed) == one].mean(axis=0) for one in observed.targets}
    found = np.asarray([dense_matrix(made)[label_of(made) == one].mean(axis=0) for one in made.targets]).mean(axis=0)
    for column, gene in enumerate(observed.genes):
        others = [means[one][column] for one in observed.targets if one != gene]
        assert found[column] == pytest.approx(np.mean(others), rel=0.15), gene


def test_a_gene_that_every_label_perturbs_has_no_mean_response():
    _, observed = count_screen(25, genes=20, targets=4, cells=10)
    only = observed.take(np.flatnonzero(np.isin(label_of(observed), ["G000", CONTROL])))
    with pytest.raises(BadDataError, match="G000"):
        mean_response(only)


def test_the_two_ends_score_0_and_1():
    _, observed = count_screen(26, cells=60, controls=150, depth=3000)
    ends = vcc2026_scale.scale(observed, Options())
    low = scaled(judge_fractions(mean_response(observed), observed, Options()), ends)
    np.testing.assert_allclose(low.scaled, 0.0, atol=1e-12)
    high = low.assign(value=[ends.replicate(one) for one in SCORED])
    for row in high.itertuples():
        score = vcc2026_scale.RESCALED.get(row.metric, vcc2026_scale._higher)
        assert score(row.value, row.baseline, row.replicate) == pytest.approx(1.0)


def test_a_scale_without_room_gives_no_score():
    assert np.isnan(vcc2026_scale._higher(0.7, 0.5, 0.5))
    assert np.isnan(vcc2026_scale._error(0.7, 0.5, 0.6))
    assert vcc2026_scale._change_error(1e9, 1.0, 0.5) == -6.0
    assert vcc2026_scale._error(np.nan, 1.0, 0.5) == 0.0


# ---- logarithms


def logs(seed, **more):
    predicted, observed = count_screen(seed, sparse=False, **more)
    counts = dense_matrix(predicted).astype(np.float64)
    scaled_up = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4
    return with_values(predicted, np.log1p(scaled_up)), observed


def test_logarithms_are_refused_by_default_and_the_way_out_is_named():
    predicted, observed = logs(31)
    with pytest.raises(BadDataError, match="vcc2026/from-log"):
        vcc2026.judge(predicted, observed, Options())


def test_from_log_says_what_it_did_and_judges_the_rest_alike():
    predicted, observed = logs(32)
    found = vcc2026.judge_from_log(predicted, observed, Options())
    assert "turned into counts" in found.warnings[0]
    drawn, _ = counts_from_log(predicted, observed)
    expected = vcc2026.judge(drawn, observed, Options())
    for name, column in expected.columns.items():
        np.testing.assert_array_equal(found.columns[name].values, column.values)


def test_drawn_counts_have_the_totals_of_control_cells_and_the_proportions_of_the_prediction():
    predicted, observed = logs(33, cells=300, controls=40, genes=12, targets=4)
    drawn = dense_matrix(counts_from_log(predicted, observed)[0])
    assert (drawn == np.rint(drawn)).all()
    controls = dense_matrix(observed)[label_of(observed) == CONTROL].sum(axis=1)
    nearest = np.abs(drawn.sum(axis=1)[:, None] - controls).min(axis=1)
    assert nearest.max() < len(observed.genes)  # each gene is at most one count off
    expected = np.expm1(dense_matrix(predicted))
    shares = expected / expected.sum(axis=1, keepdims=True)
    rows = label_of(predicted) == "G001"
    weights = drawn[rows].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(drawn[rows].sum(axis=0), (shares[rows] * weights).sum(axis=0), rtol=0.02, atol=30)


def test_low_means_are_kept_where_rounding_would_lose_them():
    genes = [f"G{i}" for i in range(50)]
    observed = labelled(np.full((40, 50), 1.0), np.repeat(["G0", CONTROL], 20), genes, "observed")
    flat = np.tile(np.log1p(np.concatenate([[900.0], np.full(49, 0.4)])), (2000, 1))
    predicted = labelled(flat, np.repeat(["G0", CONTROL], 1000), genes, "predicted")
    drawn = dense_matrix(counts_from_log(predicted, observed)[0])
    expected = 50 * 0.4 / (900 + 49 * 0.4)
    assert drawn[:, 1:].mean() == pytest.approx(expected, rel=0.1)
    assert np.rint(expected) == 0


def test_drawn_counts_of_a_cell_depend_on_its_name_alone():
    predicted, observed = logs(34)
    drawn = dense_matrix(counts_from_log(predicted, observed)[0])
    rng = np.random.default_rng(0)
    order = rng.permutation(len(predicted.codes))
    turned = observed.take(rng.permutation(len(observed.codes)))
    np.testing.assert_array_equal(dense_matrix(counts_from_log(predicted.take(order), turned)[0]), drawn[order])


@pytest.mark.parametrize(("value", "words"), [(np.nan, "finite"), (31.0, "no logarithm")])
def test_what_is_no_logarithm_is_refused(value, words):
    predicted, observed = logs(35)
    matrix = dense_matrix(predicted).copy()
    matrix[0, 0] = value
    with pytest.raises(BadDataError, match=words):
        counts_from_log(with_values(predicted, matrix), observed)


def test_counts_are_no_logarithms():
    predicted, observed = count_screen(36, depth=10)
    small = with_values(predicted, np.minimum(dense_matrix(predicted), 20))
    with pytest.raises(BadDataError, match="preset `vcc2026`"):
        counts_from_log(small, observed)


def test_negative_values_count_as_zero_and_are_told():
    predicted, observed = logs(37)
    matrix = dense_matrix(predicted).copy()
    matrix[:3, 0] = -0.2
    drawn, how = counts_from_log(with_values(predicted, matrix), observed)
    assert "3 negative values" in how
    assert not dense_matrix(drawn)[:3, 0].any()
