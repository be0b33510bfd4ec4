"""The plan of a run tells its size and its cost, and changes nothing."""

import re
from dataclasses import replace

import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.recipes.plan import plan
from pertura.recipes.table import RECIPES
from small_runs import MODELS

pytestmark = pytest.mark.slow  # whole runs


def seconds(text: str) -> float:
    return float(re.findall(r"about (\d+) seconds", text)[-1])


def test_it_tells_cells_conditions_models_memory_and_hours(recipe, screens, tmp_path):
    (screen,) = screens
    text = plan(recipe, tmp_path / "run")
    assert f"would write {tmp_path / 'run'}" in text
    assert f"{len(screen.cells):,} x {len(screen.cells.genes)} genes, lognormalised" in text
    split = screen.split
    assert f"{len(split.train)} train, {len(split.valid)} valid, {len(split.test)} test" in text
    assert f"models      {', '.join(MODELS)}" in text
    assert f"line-a {len(split.controls['line-a'].model)} + {len(split.controls['line-a'].judge)}" in text
    assert f"fingerprint {split.fingerprint[:16]}" in text
    assert re.search(r"about \d+ seconds \(0\.\d\d hours\), about \d+\.\d GiB of memory", text)
    assert "nothing was computed or written" in text
    assert list(tmp_path.iterdir()) == []


def test_each_screen_and_all_together_are_estimated(tmp_path):
    text = plan(RECIPES["demo"](), tmp_path / "run")
    assert [line.partition(":")[0] for line in text.splitlines() if re.match(r"\w+: ", line)] == ["demo", "simulated"]
    each = [float(one) for one in re.findall(r"about (\d+) seconds", text)]
    assert len(each) == 3
    assert each[2] == pytest.approx(each[0] + each[1], abs=2)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"emitter": "magic"}, UsageError),
        ({"preset": "magic"}, UsageError),
        ({"rule": "magic"}, UsageError),
        ({"options": {"magic": 1}}, UsageError),
        ({"models": ("no-change", "magic")}, UsageError),
        ({"models": ("no-change",)}, UsageError),
        ({"data": "nowhere.h5ad"}, MissingError),
        ({"data": __file__}, BadDataError),
    ],
    ids=str,
)
def test_it_refuses_what_the_run_would_refuse(change, error, recipe, tmp_path):
    with pytest.raises(error):
        plan(replace(recipe, **change), tmp_path / "run")
