"""Inputs that were tampered with, through every door: how many are read, refused by name, crash, hang, or write astray.

python benchmarks/mutated_inputs.py [--count 2000] [--seed 0] [--door NAME] [--case N] [--keep FOLDER]

Each input is made from a sound one and opened in a process of its own, for 10 seconds at most. `parsed` are those whose
container (HDF5, JSON, TOML, text, safetensors, parquet) still opens, so that what was changed meets our own code.
Exits with 1 where an input crashes, hangs, writes outside its output folder, or is refused without words to read.
"""

import argparse
import contextlib
import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# before numpy and numba read them
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # which goes with forking
sys.path.pop(0)  # this folder, whose files bear the names of packages
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests/data/splits"))

from mutations.doors import DOORS
from mutations.watch import FAULTS, READ, Door, Outcome, opened, quiet
from pertura.core.seeds import generator


def dealt(count: int, doors: Sequence[Door]) -> list[Door]:
    """Deal inputs to doors by their shares, every stretch of them alike."""
    total, given = sum(one.share for one in doors), Counter[str]()
    order = []
    for i in range(count):
        order.append(max(doors, key=lambda one: one.share * (i + 1) / total - given[one.name]))
        given[order[-1].name] += 1
    return order


def case(door: Door, number: int, seed: int, sound: Path, home: Path) -> Outcome:
    """Tamper with one input of a door and open it."""
    rng = generator(seed, "mutated input", door.name, number)
    variants = sorted(sound.iterdir())
    return opened(door, variants[int(rng.integers(len(variants)))], home, rng)


def sound_inputs(doors: Sequence[Door], home: Path) -> None:
    """Write the sound inputs; each of them has to be read.

    One of each door is opened in this process, so that what is loaded at the first use is there for all that follow.
    """
    for door in doors:
        folder, out = home / "sound" / door.name, home / "first" / door.name
        for one in (folder, out):
            one.mkdir(parents=True)
        with quiet():
            door.sound(folder)
        first, *others = sorted(folder.iterdir())
        with quiet(), contextlib.chdir(first):
            door.enter(first, out)
        for variant in others:
            outcome = opened(door, variant, home / "untouched" / door.name / variant.name, None)
            if outcome.kind != READ:
                raise SystemExit(f"{door.name}: the sound input {variant.name} is not read: {outcome.told}")


def table(doors: Sequence[Door], outcomes: dict[str, list[Outcome]]) -> str:
    """Return the counts of each door and of all of them."""
    kinds = Counter(one.kind for found in outcomes.values() for one in found)
    refused = sorted((one for one in kinds if one not in (READ, *FAULTS)), key=lambda one: -kinds[one])
    columns = (READ, *refused, *FAULTS)
    rows = [("door", "inputs", "parsed", *columns, "slowest")]
    everything = [one for found in outcomes.values() for one in found]
    for name, found in (*((one.name, outcomes[one.name]) for one in doors), ("all", everything)):
        counts = Counter(one.kind for one in found)
        parsed = sum(one.parsed for one in found)
        slowest = f"{max((one.seconds for one in found), default=0):.1f} s"
        rows.append((name, str(len(found)), str(parsed), *(str(counts[one] or ".") for one in columns), slowest))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(one.rjust(width) for one, width in zip(row[1:], widths[1:], strict=True)) for row in rows)
    return "\n".join(f"{row[0].ljust(widths[0])}  {line}" for row, line in zip(rows, lines, strict=True))


def main() -> int:
    """Open mutated inputs, print what became of them, and return 1 where one of them ended badly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--door", action="append", help="only this door; repeatable")
    parser.add_argument("--case", type=int, help="only the input of this number, whose end is told in full")
    parser.add_argument("--keep", type=Path, help="folder to leave the inputs in")
    asked = parser.parse_args()
    doors = [one for one in DOORS if asked.door is None or one.name in asked.door]
    outcomes: dict[str, list[Outcome]] = {one.name: [] for one in doors}
    with tempfile.TemporaryDirectory() as folder:
        home = (asked.keep or Path(folder)).resolve()
        sound_inputs(doors, home)
        gc.collect()
        gc.freeze()  # a fork copies every page that is touched: what is here by now is not looked at again
        for i, door in enumerate(dealt(asked.count, doors)):
            number = len(outcomes[door.name])
            if asked.case in (None, number):
                one = case(door, number, asked.seed, home / "sound" / door.name, home / f"{door.name} {number}")
            else:
                one = Outcome("left out")
            outcomes[door.name].append(one)
            if one.kind in FAULTS or asked.case == number:
                print(f"{door.name}, number {number} of seed {asked.seed} (input {i}): {one.kind}: {one.told}\n")
    print(table(doors, outcomes))
    return int(any(one.kind in FAULTS for found in outcomes.values() for one in found))


if __name__ == "__main__":
    sys.exit(main())
