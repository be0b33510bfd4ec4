"""Small screens on disk, and runs of them that take about a second."""

import os
import subprocess
import sys
from pathlib import Path

from pertura.data.datasets.simulate import write_simulation
from pertura.data.datasets.simulation import norman_like, replogle_like
from pertura.recipes.recipe import Recipe

COMMAND = Path(sys.executable).parent / "pertura"
MODELS = ("no-change", "additive")
CLOCK = "training_stats.json"
SHARED = {"genes": 40, "targets": 6, "cells_per_condition": 15, "controls_per_line": 60, "targets_outside_panel": 0.0}


def pairs_file(folder: Path, name: str = "pairs.h5ad", **changes: object) -> Path:
    """Singles and pairs in one line."""
    return _written(folder / name, norman_like(**{**SHARED, "pairs": 4, **changes}))


def lines_file(folder: Path, name: str = "lines.h5ad", **changes: object) -> Path:
    """The same singles in two lines, in three batches."""
    lines = {"lines": ("line-a", "line-b"), "batches": 3, "batch_sd": 0.3}
    return _written(folder / name, replogle_like(**{**SHARED, **lines, **changes}))


def _written(path: Path, config: object) -> Path:
    write_simulation(config, path, seed=3)
    return path


def small_recipe(data: Path | str, **changes: object) -> Recipe:
    """Two models and few draws."""
    given = {"name": "small", "models": MODELS, "bootstrap": 20, "permutations": 5}
    return Recipe(data=str(data), **{**given, **changes})


def contents(folder: Path, *, but: tuple[str, ...] = (CLOCK,)) -> dict[str, bytes]:
    """Every file of a run folder but those that tell the time."""
    found = (one for one in sorted(folder.rglob("*")) if one.is_file() and one.name not in but)
    return {str(one.relative_to(folder)): one.read_bytes() for one in found}


def differing(first: Path, second: Path) -> list[str]:
    """The files that two run folders do not share byte for byte."""
    one, other = contents(first), contents(second)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def shell(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [str(COMMAND), *(str(one) for one in arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=dict(os.environ))
