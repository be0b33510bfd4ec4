"""The README's commands do what it says, in the order in which a reader would type them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", TEXT, flags=re.DOTALL)


def commands(program: str) -> list[str]:
    lines = [line for kind, body in BLOCKS if kind == "sh" for line in body.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.startswith(program + " ")]


def test_the_make_targets_exist():
    for command in commands("make"):
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_the_picture_and_the_links_exist():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 70


def predicted_beside(screen: Path) -> None:
    """Write the screen once as observed and once with half of its perturbed counts, as a prediction."""
    import anndata
    import numpy as np

    cells = anndata.read_h5ad(screen)
    cells.write_h5ad(screen.with_name("observed.h5ad"))
    rng = np.random.default_rng(0)
    counts = cells.X.toarray() if hasattr(cells.X, "toarray") else cells.X
    perturbed = np.flatnonzero(~cells.obs.iloc[:, 0].astype(str).isin(["ctrl", "control", "non-targeting"]))
    counts[perturbed] = rng.poisson(counts[perturbed])
    cells.X = counts
    cells.write_h5ad(screen.with_name("predicted.h5ad"))


@pytest.mark.slow
def test_the_commands_run_in_order(tmp_path):
    from pertura.data.datasets.simulate import write_simulation
    from pertura.data.datasets.simulation import norman_like

    config = norman_like(genes=40, targets=10, pairs=8, cells_per_condition=24, controls_per_line=80)
    write_simulation(config, tmp_path / "screen.h5ad", seed=0)
    predicted_beside(tmp_path / "screen.h5ad")
    (tmp_path / "mypackage.py").write_text(next(body for kind, body in BLOCKS if kind == "python"))
    home = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
    for command in commands("pertura"):
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "runs/mine/report.html").exists()
    assert "MyModel" in (tmp_path / "runs/own/report.html").read_text()
