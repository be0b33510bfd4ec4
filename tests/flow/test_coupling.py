"""Transport plans against published numbers, a linear programme and POT, and what any coupling must keep."""

from pathlib import Path

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pertura.flow.coupling import CouplingOptions, drawn_pairs, match_linear, paired, squared_distances
from pertura.flow.exact import exact_plan
from pertura.flow.sinkhorn import SinkhornOptions, sinkhorn

REFERENCE = Path(__file__).parents[1] / "reference/cellflow/match_linear.npz"
CASES = {
    "eps0.1": SinkhornOptions(),
    "eps1": SinkhornOptions(epsilon=1.0),
    "eps0.01": SinkhornOptions(epsilon=0.01),
    "eps0.1_tau.9": SinkhornOptions(tau_source=0.9, tau_target=0.95),
}


def cells(count, width=3, seed=0, shift=0.0):
    drawn = np.random.default_rng([seed, count]).normal(size=(count, width)) + shift
    return torch.from_numpy(drawn)


@pytest.mark.parametrize("case", CASES)
def test_plans_are_the_published_ones(case):
    stored = np.load(REFERENCE)
    source, target = (torch.from_numpy(stored[name]) for name in ("src", "tgt"))
    plan, wanted = match_linear(source, target, CASES[case]).numpy(), stored[f"plan_{case}"]
    assert np.abs(plan - wanted).max() < 1e-5 * wanted.max()
    # a potential of float32 has an error of 6e-8, which 1 / epsilon multiplies in the stored plan
    np.testing.assert_allclose(plan[wanted > 1e-12], wanted[wanted > 1e-12], rtol=max(1e-5, 4e-7 / CASES[case].epsilon))


@pytest.mark.parametrize("case", CASES)
def test_potentials_and_number_of_iterations_are_the_published_ones(case):
    stored = np.load(REFERENCE)
    cost = squared_distances(*(torch.from_numpy(stored[name]).double() for name in ("src", "tgt")))
    found = sinkhorn(cost, CASES[case])
    assert int(found.iterations) == int(stored[f"iters_{case}"])
    np.testing.assert_allclose(found.source_potential, stored[f"f_{case}"], atol=2e-6)
    np.testing.assert_allclose(found.target_potential, stored[f"g_{case}"], atol=2e-6)


@pytest.mark.parametrize(("sources", "targets"), [(5, 5), (4, 6), (7, 3)])
def test_a_small_epsilon_reaches_the_linear_programme(sources, targets):
    cost = squared_distances(cells(sources), cells(targets, seed=1))
    rows = [np.kron(np.eye(sources)[i], np.ones(targets)) for i in range(sources)]
    columns = [np.kron(np.ones(sources), np.eye(targets)[j]) for j in range(targets)]
    masses = [1 / sources] * sources + [1 / targets] * targets
    best = linprog(cost.numpy().ravel(), A_eq=np.asarray(rows + columns), b_eq=masses)
    exact = exact_plan(cost)
    assert float((exact * cost).sum()) == pytest.approx(best.fun, rel=1e-9)
    np.testing.assert_allclose(exact.sum(1), 1 / sources, atol=1e-9)
    np.testing.assert_allclose(exact.sum(0), 1 / targets, atol=1e-9)
    near = sinkhorn(cost, SinkhornOptions(epsilon=0.02, scale_cost=False, tolerance=1e-4)).plan
    assert best.fun - 1e-2 <= float((near * cost).sum()) <= best.fun + 0.02 * np.log(sources * targets)


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_a_balanced_plan_is_that_of_pot(epsilon):
    cost = squared_distances(cells(40), cells(55, seed=1, shift=0.5))
    even = [np.full(size, 1 / size) for size in cost.shape]
    wanted = ot.sinkhorn(*even, cost.numpy(), epsilon, numItermax=20_000, stopThr=1e-10)
    options = SinkhornOptions(epsilon=epsilon, scale_cost=False, tolerance=1e-9, most=20_000)
    np.testing.assert_allclose(sinkhorn(cost, options).plan, wanted, atol=1e-8)


@pytest.mark.parametrize(("rho_source", "rho_target"), [(1.0, 1.0), (0.3, 3.0)])
def test_a_plan_that_may_leave_mass_behind_is_that_of_pot(rho_source, rho_target):
    cost = squared_distances(cells(30), cells(20, seed=1, shift=1.0))
    even = [np.full(size, 1 / size) for size in cost.shape]
    wanted = ot.unbalanced.sinkhorn_unbalanced(
        *even, cost.numpy(), 0.5, (rho_source, rho_target), c=np.ones(cost.shape), numItermax=5000, stopThr=1e-13
    )
    taus = (rho / (rho + 0.5) for rho in (rho_source, rho_target))
    options = SinkhornOptions(
        epsilon=0.5, scale_cost=False, tolerance=1e-12, **dict(zip(("tau_source", "tau_target"), taus))
    )
    np.testing.assert_allclose(sinkhorn(cost, options).plan, wanted, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 3.0), st.integers(0, 9))
def test_margins_are_kept_and_nothing_is_negative(sources, targets, epsilon, seed):
    options = SinkhornOptions(epsilon=epsilon, tolerance=1e-6, most=500)
    found = sinkhorn(squared_distances(cells(sources, seed=seed), cells(targets, seed=seed + 20)), options)
    assert float(found.plan.min()) >= 0
    np.testing.assert_allclose(found.plan.sum(1), 1 / sources, rtol=1e-6)
    error = float((found.plan.sum(0) - 1 / targets).abs().sum())
    assert error == pytest.approx(float(found.error), rel=1e-3, abs=1e-9)
    assert error < 1e-6 or int(found.iterations) == 500


def test_cells_far_apart_take_the_way_over_logarithms_to_the_same_plan():
    source = torch.cat([cells(30), cells(4, seed=3) + 60.0]).float()
    target = torch.cat([cells(20, seed=1), cells(14, seed=2) - 60.0]).float()
    cost = squared_distances(source, target)
    near, far = (sinkhorn(one, SinkhornOptions(epsilon=0.05, most=5000)) for one in (cost, cost.double()))
    assert bool(torch.isfinite(near.plan).all())
    np.testing.assert_allclose(near.plan, far.plan, atol=1e-5 / cost.numel())
    np.testing.assert_allclose(near.plan.sum(1), 1 / len(source), rtol=1e-4)


def test_problems_side_by_side_are_solved_each_by_itself():
    sources, targets = (torch.stack([cells(24, seed=s), 3 * cells(24, seed=s + 1), cells(24, seed=8)]) for s in (0, 4))
    together = sinkhorn(squared_distances(sources, targets), SinkhornOptions(epsilon=0.05))
    assert len(set(together.iterations.tolist())) > 1
    for i in range(3):
        alone = sinkhorn(squared_distances(sources[i], targets[i]), SinkhornOptions(epsilon=0.05))
        assert int(alone.iterations) == int(together.iterations[i])
        np.testing.assert_allclose(together.plan[i], alone.plan, rtol=1e-9)


def test_pairs_are_drawn_in_proportion_to_the_plan():
    plan = torch.tensor([[0.0, 0.3, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.2]])
    uniforms = torch.from_numpy(np.random.default_rng(0).random((40_000, 2)))
    rows, columns = drawn_pairs(plan, uniforms)
    found = np.zeros(plan.shape)
    np.add.at(found, (rows.numpy(), columns.numpy()), 1 / len(rows))
    assert not found[plan.numpy() == 0].any()
    np.testing.assert_allclose(found, plan / plan.sum(), atol=0.01)


def test_the_ends_of_the_unit_interval_fall_on_cells_with_mass():
    plan = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    rows, columns = drawn_pairs(plan, torch.tensor([[0.0, 0.0], [1 - 2**-24, 1 - 2**-24]]))
    assert rows.tolist() == columns.tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["sinkhorn", "exact", "independent"])
def test_a_coupling_gives_positions_of_pairs_for_each_group(kind):
    source, target = (torch.stack([cells(12, seed=s), cells(12, seed=s + 1)]) for s in (0, 5))
    uniforms = torch.from_numpy(np.random.default_rng(1).random((2, 12, 2)))
    rows, columns = paired(source, target, uniforms, CouplingOptions(kind=kind))
    assert rows.shape == columns.shape == (2, 12)
    if kind == "independent":
        assert torch.equal(rows[0], torch.arange(12))
    mean = [(source[i][rows[i]] - target[i][columns[i]]).square().sum(-1).mean() for i in range(2)]
    apart = squared_distances(source, target).mean(dim=(-2, -1))
    assert (kind == "independent") or all(one < whole for one, whole in zip(mean, apart))


def test_a_shifted_population_is_matched_cell_by_cell():
    source = cells(15)
    rows, columns = paired(source, source + 3.0, torch.rand(60, 2, dtype=torch.double), CouplingOptions(kind="exact"))
    assert torch.equal(rows, columns)
