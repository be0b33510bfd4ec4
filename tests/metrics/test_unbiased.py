"""Errors freed of sampling noise: against leave-one-out by hand and against known truths."""

import numpy as np
import pytest

from pertura.metrics.unbiased import Noisy, allowed_noise, corrected_error, jackknife_noise, log_profile

NO_GENE = np.asarray([-1])


def poisson_cells(rng, mean, cells):
    return rng.poisson(np.tile(mean, (cells, 1))).astype(np.float64)


@pytest.mark.parametrize("block", [1, 4, 100])
def test_the_jackknife_is_that_of_leaving_out_each_cell(block):
    cells = poisson_cells(np.random.default_rng(0), np.asarray([0.2, 3.0, 9.0, 0.0]), 11)
    without = np.asarray([log_profile(np.delete(cells, i, 0).sum(0)[None], 100.0)[0] for i in range(11)])
    expected = 10 / 11 * np.square(without - without.mean(axis=0)).sum()
    blocks = [cells[start : start + block] for start in range(0, 11, block)]
    assert jackknife_noise(blocks, cells.sum(axis=0), 11, 100.0) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("cells", [np.zeros((4, 3)), np.ones((1, 3)), np.zeros((0, 3))])
def test_without_cells_or_counts_no_noise_is_claimed(cells):
    assert jackknife_noise([cells], cells.sum(axis=0), len(cells), 100.0) == 0.0
    assert np.isfinite(log_profile(cells.sum(axis=0)[None], 100.0)).all()


def test_equal_cells_have_no_noise():
    cells = np.tile([1.0, 5.0, 0.0], (6, 1))
    assert jackknife_noise([cells], cells.sum(axis=0), 6, 1e4) == pytest.approx(0.0, abs=1e-20)


def test_the_corrected_error_is_right_on_average_where_the_plain_one_is_too_large():
    rng = np.random.default_rng(1)
    first, second = rng.gamma(2.0, 8.0, (2, 60))
    second = first * np.exp(0.05 * rng.normal(size=60))
    total = 5e4
    truth = float(np.square(np.subtract(*log_profile(np.stack([first, second]), total))).mean())
    plain, corrected = [], []
    for _ in range(300):
        sides = []
        for mean in (first, second):
            cells = poisson_cells(rng, mean, 12)
            sums = cells.sum(axis=0)
            noise = jackknife_noise([cells], sums, 12, total)
            sides.append(Noisy(log_profile(sums[None], total), np.asarray([noise])))
        plain.append(float(np.square(sides[0].profile - sides[1].profile).mean()))
        corrected.append(float(corrected_error(*sides, NO_GENE)[0]))
    error = np.std(corrected) / np.sqrt(len(corrected))
    assert np.mean(corrected) == pytest.approx(truth, abs=4 * error + 0.05 * truth)
    assert np.mean(plain) > 2 * truth


def test_a_gene_left_out_has_no_influence_and_leaves_the_divisor():
    first = Noisy(np.asarray([[1.0, 2.0, 50.0]]), np.zeros(1))
    second = Noisy(np.asarray([[0.0, 0.0, 0.0]]), np.zeros(1))
    assert corrected_error(first, second, np.asarray([2]))[0] == pytest.approx(5.0 / 2)
    assert corrected_error(first, second, NO_GENE)[0] == pytest.approx((1 + 4 + 2500) / 3)


def test_without_a_gene_there_is_no_error():
    one = Noisy(np.asarray([[3.0]]), np.zeros(1))
    assert np.isnan(corrected_error(one, one, np.asarray([0]))[0])


def noisy(profile, noise):
    return Noisy(np.asarray(profile, dtype=np.float64), np.asarray(noise, dtype=np.float64))


def test_a_prediction_claims_no_more_noise_than_the_observed_side():
    rng = np.random.default_rng(2)
    profile = 10 * rng.normal(size=(4, 6))
    found = allowed_noise(noisy(profile, [9, 1, 9, 1]), noisy(profile, [2, 2, 2, 2]), np.full(4, -1))
    np.testing.assert_array_equal(found, [2, 1, 2, 1])


def test_a_prediction_without_spread_between_labels_claims_none():
    flat = np.tile([1.0, 2.0, 3.0], (5, 1))
    np.testing.assert_array_equal(allowed_noise(noisy(flat, np.ones(5)), noisy(flat, np.ones(5)), np.full(5, -1)), 0)


def test_spread_in_the_left_out_gene_buys_no_claim():
    spiked = np.zeros((3, 4))
    own = np.arange(3)
    spiked[own, own] = 100.0
    found = allowed_noise(noisy(spiked, np.ones(3)), noisy(spiked, np.ones(3)), own)
    np.testing.assert_allclose(found, 0.0, atol=1e-9)


def test_claims_beyond_the_spread_are_scaled_to_it_alike():
    profile = np.asarray([[1.0, 0.0], [-1.0, 0.0]])
    found = allowed_noise(noisy(profile, [3, 1]), noisy(profile, [3, 1]), np.full(2, -1))
    np.testing.assert_allclose(found, [1.5, 0.5])  # the squared deviations sum to 2, the claims to 4
