"""Inputs that were tampered with, through every door, end in a reading or in one typed error."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "mutated_inputs.py"
QUICK = ("10x folder, import", "split.json", "split of others", "list of conditions", "recipe.toml", "prior")
TYPED = {"read", "BadDataError", "UsageError", "MissingError", "LeakError", "ContextError", "ModeError"}
AROUND = {"inputs", "parsed", "crash", "hang", "wrote elsewhere", "wordless or endless", "slowest"}


def counted(*words: object) -> dict[str, dict[str, int]]:
    """Door -> column -> count, as the benchmark prints them; it has to end well."""
    command = [sys.executable, str(BENCHMARK), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    print(f"\n{done.stdout}")
    header, *rows = (re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines() if "  " in line)
    return {row[0]: {name: int(one) for name, one in zip(header[1:-1], row[1:-1]) if one != "."} for row in rows}


def check(found: dict[str, dict[str, int]], inputs: int) -> None:
    everything = found["all"]
    assert everything["inputs"] == inputs
    assert everything["parsed"] >= inputs / 2
    assert set(everything) <= TYPED | AROUND
    assert sum(everything.get(name, 0) for name in TYPED) == inputs
    assert everything["read"] > inputs / 20
    assert everything["BadDataError"] > inputs / 4


def test_inputs_that_were_tampered_with_are_read_or_refused():
    doors = [word for name in QUICK for word in ("--door", name)]
    found = counted("--count", 40, "--seed", 1, *doors)
    check(found, 40)
    assert set(found) == {*QUICK, "all"}


@pytest.mark.proof
def test_inputs_of_every_door_are_read_or_refused():
    found = counted("--count", 200, "--seed", 1)
    check(found, 200)
    assert len(found) > 15
    assert all(one["inputs"] for one in found.values())
