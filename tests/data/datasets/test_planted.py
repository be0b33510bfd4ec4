import numpy as np
import pytest

from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline
from pertura.data.datasets.planted import simulate_additive, simulate_low_rank
from pertura.data.pseudobulk import pseudobulk
from pertura.data.splits import SPLITS


def observed(found):
    """Deltas of all perturbed conditions against all controls."""
    cells = found.cells
    return pseudobulk(cells, cells.perturbed, {"line-a": cells.control_rows("line-a")})


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_observed_means_of_an_additive_screen_add_exactly(noise):
    found = simulate_additive(3, noise=noise)
    deltas = dict(zip(observed(found).conditions, observed(found).deltas))
    pairs = [one for one in deltas if one.perturbation.is_pair]
    assert len(pairs) == 12
    for pair in pairs:
        singles = [Condition(Perturbation.of(gene, mode="activation"), "line-a") for gene in pair.genes]
        np.testing.assert_allclose(deltas[pair], deltas[singles[0]] + deltas[singles[1]], atol=1e-12)


@pytest.mark.parametrize("simulated", [simulate_additive, simulate_low_rank])
def test_observed_deltas_are_the_planted_ones_with_either_half_of_the_controls(simulated):
    found = simulated(1)
    split = SPLITS["folds"](Outline.of(found.cells))
    for side in (split.model_controls, split.judge_controls):
        bulk = pseudobulk(found.cells, found.cells.perturbed, {"line-a": side(found.cells, "line-a")})
        for condition, delta in zip(bulk.conditions, bulk.deltas):
            np.testing.assert_allclose(delta, found.truth.effects[condition], atol=1e-12)
            np.testing.assert_allclose(delta, found.truth.expected_delta(condition), atol=1e-12)


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_planted_effects_have_the_planted_rank(rank):
    found = simulate_low_rank(2, rank=rank)
    deltas = observed(found).deltas
    values = np.linalg.svd(deltas - deltas.mean(axis=0), compute_uv=False)
    assert values[rank - 1] > 1e-3 * values[0]
    assert values[rank] < 1e-10 * values[0]


def test_planted_effects_are_bilinear_in_the_rows_of_genes():
    """Equal row of G, equal effect: K is recovered exactly from the deltas and G's column space."""
    found = simulate_low_rank(2, rank=3)
    deltas = observed(found).deltas
    centred = deltas - deltas.mean(axis=0)
    G = np.linalg.svd(centred, full_matrices=False)[2][:3].T
    P = G[[found.truth.genes.index(one.genes[0]) for one in observed(found).conditions]]
    inputs = np.c_[np.ones(len(P)), P]
    fitted = inputs @ np.linalg.lstsq(inputs, deltas, rcond=None)[0]
    np.testing.assert_allclose(fitted, deltas, atol=1e-10)


@pytest.mark.parametrize("simulated", [simulate_additive, simulate_low_rank])
def test_planted_screens_look_like_expression_and_repeat(simulated):
    first, again = simulated(4), simulated(4)
    matrix = first.cells.expression.matrix
    assert matrix.min() > 0
    assert matrix.tobytes() == again.cells.expression.matrix.tobytes()
    assert matrix.tobytes() != simulated(5).cells.expression.matrix.tobytes()
