"""Arrows point downwards, siblings never meet, evaluation never sees a model, numbers need no torch."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_import_contracts_are_kept():
    linter = Path(sys.executable).parent / "lint-imports"
    found = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert "3 kept, 0 broken" in found.stdout


def test_every_folder_of_the_package_is_a_layer():
    named = (ROOT / "pyproject.toml").read_text().split("containers")[1].split("exhaustive")[0]
    folders = {one.parent.name for one in (ROOT / "src/pertura").glob("*/__init__.py")}
    assert {one for one in folders if f'"{one}' not in named and f"| {one}" not in named} == set()
