"""Probability paths: their ends, the package's own numbers, and a velocity that is the derivative of the place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pertura.flow.path import Bridge, ConstantNoise

REFERENCE = Path(__file__).parents[1] / "reference/cellflow/cases.npz"
PATHS = {"constant": ConstantNoise(0.7), "bridge": Bridge(0.7)}


def pairs(cells: int = 40) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(cells, 3, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize("name", PATHS)
def test_places_and_velocities_are_those_of_the_package(name):
    with np.load(REFERENCE) as content:
        told = {key[5:]: torch.from_numpy(content[key]) for key in content.files if key.startswith("path:")}
    mean, deviation = told[f"{name}_mean"], told[f"{name}_deviation"]
    noise = (told["x"] - mean) / deviation
    point = PATHS[name].at(told["t"], told["source"], told["target"], noise)
    torch.testing.assert_close(point.x, told["x"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(point.velocity, told[f"{name}_velocity"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("path", [ConstantNoise(), Bridge(2.0)])
def test_a_path_leads_from_source_to_target(path):
    source, target, noise = pairs()
    for time, there in ((0.0, source), (1.0, target)):
        point = path.at(torch.full((40, 1), time, dtype=torch.float64), source, target, noise)
        torch.testing.assert_close(point.x, there)
        assert torch.isfinite(point.velocity).all()


@pytest.mark.parametrize("path", [ConstantNoise(0.5), Bridge(0.8)])
def test_the_velocity_is_how_fast_the_place_moves(path):
    source, target, noise = pairs()
    time = torch.linspace(0.1, 0.9, 40, dtype=torch.float64)[:, None]
    ahead, behind = (path.at(time + step, source, target, noise).x for step in (1e-6, -1e-6))
    torch.testing.assert_close(
        path.at(time, source, target, noise).velocity, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-6
    )


def test_the_noise_of_a_path_has_the_deviation_it_says():
    torch.manual_seed(1)
    still, noise = torch.zeros(20_000, 1), torch.randn(20_000, 1)
    for path, time, wanted in ((ConstantNoise(0.5), 0.3, 0.5), (Bridge(2.0), 0.5, 1.0), (Bridge(2.0), 0.1, 0.6)):
        found = path.at(torch.full((20_000, 1), time), still, still, noise).x.std()
        assert float(found) == pytest.approx(wanted, rel=0.03)
