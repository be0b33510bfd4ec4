"""Solves the ordinary differential equation of a flow: where cells are once they have followed their velocities."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pertura.core.errors import DivergedError, UsageError

Cells = Float[Tensor, "*lead dims"]
Velocity = Callable[[Tensor, Tensor], Tensor]
Method = Literal["euler", "midpoint", "rk4", "dopri5"]
Slope = Callable[[float, Tensor], Tensor]


def solve(
    velocity: Velocity,
    start: Cells,
    *,
    method: Method = "rk4",
    steps: int = 10,
    tolerance: float = 1e-5,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Cells:
    """Return where cells are at the end of `interval` that are at `start` at its beginning.

    `velocity` takes one time (a tensor without axes) and all cells. `euler`, `midpoint` and `rk4` make `steps` equal
    steps; `dopri5` chooses steps that all cells share so that the error of each stays below `tolerance`, relative and
    absolute. (1, 0) is an interval too: a flow run backwards. `DivergedError` where a cell leaves the finite numbers.
    """
    if method not in (*FIXED, "dopri5"):
        raise UsageError(f"no solver is called {method!r}; there are: {', '.join((*FIXED, 'dopri5'))}")
    if steps < 1:
        raise UsageError(f"{steps} steps: a solver needs at least one")
    if method == "dopri5":
        end = _adaptive(velocity, start, tolerance, interval)
    else:
        end = _fixed(velocity, start, method, steps, interval)
    if not torch.isfinite(end).all():
        raise DivergedError(f"the flow left the finite numbers ({method}); use more steps, or look at the training")
    return end


def _adaptive(velocity: Velocity, start: Cells, tolerance: float, interval: tuple[float, float]) -> Cells:
    import torchdiffeq  # type: ignore[import-untyped]

    times = torch.tensor(interval, dtype=torch.float32, device=start.device)
    try:
        return torchdiffeq.odeint(velocity, start, times, rtol=tolerance, atol=tolerance, method="dopri5")[-1]
    except AssertionError as error:  # raised where the steps shrink to nothing
        raise DivergedError(f"the flow cannot be followed at a tolerance of {tolerance} ({error})") from error


def _fixed(velocity: Velocity, start: Cells, method: str, steps: int, interval: tuple[float, float]) -> Cells:
    begin, width = interval[0], (interval[1] - interval[0]) / steps
    cells = start

    def slope(time: float, place: Tensor) -> Tensor:
        return velocity(torch.tensor(time, dtype=torch.float32, device=start.device), place)

    for step in range(steps):
        cells = cells + width * FIXED[method](slope, begin + step * width, cells, width)
    return cells


def _euler(slope: Slope, time: float, cells: Cells, width: float) -> Cells:
    return slope(time, cells)


def _midpoint(slope: Slope, time: float, cells: Cells, width: float) -> Cells:
    return slope(time + width / 2, cells + width / 2 * slope(time, cells))


def _rk4(slope: Slope, time: float, cells: Cells, width: float) -> Cells:
    """Return the mean slope over a step by the 3/8 rule of Kutta, of order four.

    Codes of time with fast frequencies make a velocity tremble in time. This rule looks at four times of nearly equal
    weight, where the classical one looks at three of which one weighs as much as both others: of the trembling a fifth
    less is left in the mean.
    """
    first = slope(time, cells)
    second = slope(time + width / 3, cells + width / 3 * first)
    third = slope(time + 2 * width / 3, cells + width * (second - first / 3))
    fourth = slope(time + width, cells + width * (first - second + third))
    return (first + 3 * second + 3 * third + fourth) / 8


FIXED = {"euler": _euler, "midpoint": _midpoint, "rk4": _rk4}
"""The mean slope over a step, by method."""
