"""Flows: order of the solvers, the way back, and problems whose solution is known."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from pertura.core.errors import DivergedError, UsageError
from pertura.flow.integrate import solve

METHODS = {"euler": 1, "midpoint": 2, "rk4": 4}


def rotation() -> torch.Tensor:
    return torch.tensor([[0.0, -1.5], [1.5, -0.4]], dtype=torch.float64)


def error(method: str, steps: int) -> float:
    start = torch.tensor([[1.0, 0.5], [-2.0, 0.1]], dtype=torch.float64)
    matrix = rotation()
    end = solve(lambda t, x: x @ matrix.T * (1 + t.double()), start, method=method, steps=steps)
    exact = start @ torch.from_numpy(expm(matrix.numpy() * 1.5)).T
    return float((end - exact).norm())


@pytest.mark.parametrize(("method", "order"), METHODS.items())
def test_halving_the_step_divides_the_error_by_two_to_the_order(method, order):
    assert np.log2(error(method, 16) / error(method, 32)) == pytest.approx(order, abs=0.25)


def test_adaptive_steps_keep_the_tolerance_they_are_given():
    start = torch.tensor([[1.0, 0.5], [-2.0, 0.1]])
    matrix = rotation().float()
    exact = start @ torch.from_numpy(expm(matrix.numpy())).float().T
    errors = [
        (solve(lambda t, x: x @ matrix.T, start, method="dopri5", tolerance=tolerance) - exact).abs().max()
        for tolerance in (1e-3, 1e-6)
    ]
    assert errors[0] < 1e-2
    assert errors[1] < 2e-5


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_flow_run_backwards_returns_to_its_start(method):
    torch.manual_seed(0)
    weights, start = torch.randn(5, 5), torch.randn(20, 5)

    def velocity(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ weights + 3 * t) * torch.cos(2 * t)

    end = solve(velocity, start, method=method, steps=100)
    back = solve(velocity, end, method=method, steps=100, interval=(1.0, 0.0))
    assert (end - start).norm() > 1
    torch.testing.assert_close(back, start, atol=1e-3, rtol=0)


def test_the_exact_velocity_takes_one_normal_distribution_to_another():
    """From N(0, I) to N(m, S) on straight lines between independent ends: a cell x goes to m + sqrt(S) x."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    root = root @ root.T / 3 + 0.2 * np.eye(3)
    wanted_mean = np.asarray([3.0, -1.0, 0.5])
    covariance, mean = torch.from_numpy(root @ root), torch.from_numpy(wanted_mean)
    one = torch.eye(3, dtype=torch.float64)

    def velocity(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        time = t.double()
        spread = (1 - time) ** 2 * one + time**2 * covariance
        pull = (time * covariance - (1 - time) * one) @ torch.linalg.inv(spread)
        return mean + (x - time * mean) @ pull.T

    start = torch.from_numpy(rng.normal(size=(20_000, 3)))
    end = solve(velocity, start, steps=100)
    np.testing.assert_allclose(end, wanted_mean + start.numpy() @ root, atol=1e-4)
    np.testing.assert_allclose(end.mean(dim=0), wanted_mean, atol=0.05)
    np.testing.assert_allclose(np.cov(end.numpy().T), covariance, atol=0.1)


def test_solvers_ask_at_one_time_for_all_cells():
    asked: list[torch.Tensor] = []

    def velocity(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        asked.append(t)
        return torch.ones_like(x)

    end = solve(velocity, torch.zeros(7, 2), steps=3)
    assert len(asked) == 12
    assert all(one.dim() == 0 for one in asked)
    torch.testing.assert_close(end, torch.ones(7, 2))


def test_a_flow_that_leaves_the_finite_numbers_is_told():
    for method in ("rk4", "dopri5"):
        with pytest.raises(DivergedError):
            solve(lambda t, x: 100 * x**3, torch.full((1, 1), 9.0), method=method)


def test_solvers_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="at least one"):
        solve(lambda t, x: x, torch.zeros(1, 1), steps=0)
