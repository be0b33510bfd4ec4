from dataclasses import replace

import numpy as np
import pytest
from judged_screens import QUICK

from pertura.core.errors import BadDataError
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.oracles import interpolated_duplicate, technical_duplicate
from screens import pairs_screen, reordered

MAKERS = (technical_duplicate, interpolated_duplicate)


@pytest.fixture(scope="module")
def screen():
    return pairs_screen(noise=1.5, batches=0)


def scores_of(oracle, screen):
    return evaluate(
        oracle.prediction, observe(oracle.rest, screen.split, effort=QUICK), metrics=["mse", "pearson_delta"]
    )


@pytest.mark.parametrize("make", MAKERS)
def test_no_cell_that_predicts_is_left_to_judge_and_all_others_are(screen, make):
    oracle = make(screen.cells, screen.asked)
    for one in screen.asked:
        size = len(screen.cells.rows_of(one))
        assert len(oracle.prediction.cells[one]) == size // 2
        assert len(oracle.rest.rows_of(one)) == size - size // 2
    assert len(oracle.rest) == len(screen.cells) - sum(len(one) for one in oracle.prediction.cells.values())


def test_the_technical_duplicate_is_cells_that_were_observed(screen):
    oracle = technical_duplicate(screen.cells, screen.asked)
    for one in screen.asked:
        everything = screen.cells.dense(screen.cells.rows_of(one))
        left = oracle.rest.dense(oracle.rest.rows_of(one))
        both = np.concatenate([oracle.prediction.cells[one], left])
        np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(everything, axis=0))


def test_the_interpolated_duplicate_lies_between_the_duplicate_and_the_mean(screen):
    plain = technical_duplicate(screen.cells, screen.asked).prediction
    between = interpolated_duplicate(screen.cells, screen.asked).prediction
    means = np.asarray([plain.mean(one) for one in screen.asked])
    centre, found = means.mean(axis=0), np.asarray([between.mean(one) for one in screen.asked])
    share = (found - centre) / (means - centre)
    assert (share > -1e-6).all()
    assert (share < 1 + 1e-6).all()
    assert share.max() > 0.9
    assert share.min() < 0.3


def test_the_interpolated_duplicate_is_the_less_noisy_one(screen):
    errors = [np.mean([_error(make, screen, seed) for seed in range(6)]) for make in MAKERS]
    assert errors[1] < errors[0]


def _error(make, screen, seed):
    return scores_of(make(screen.cells, screen.asked, seed=seed), screen).summary("mse", "all").value


@pytest.mark.parametrize("make", MAKERS)
def test_an_oracle_repeats_for_a_seed_whatever_the_order_of_cells(screen, make):
    first, again = make(screen.cells, screen.asked, seed=3), make(reordered(screen.cells), screen.asked, seed=3)
    other = make(screen.cells, screen.asked, seed=4)
    columns = [again.prediction.genes.index(gene) for gene in first.prediction.genes]
    for one in screen.asked:
        np.testing.assert_allclose(again.prediction.mean(one)[columns], first.prediction.mean(one), rtol=1e-6)
        assert not np.allclose(other.prediction.mean(one), first.prediction.mean(one))


@pytest.mark.parametrize("make", MAKERS)
def test_one_cell_has_no_halves(screen, make):
    one = screen.asked[0]
    rows = np.setdiff1d(np.arange(len(screen.cells)), screen.cells.rows_of(one)[1:])
    lonely = replace(screen, cells=screen.cells.take(rows))
    with pytest.raises(BadDataError, match="has 1 cells and no halves"):
        make(lonely.cells, lonely.asked)
