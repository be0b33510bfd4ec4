"""Candidates scored in blocks, each kept as a file: what is interrupted goes on, and shards fit together."""

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from pertura.core.atomic import replacing
from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.recipes.screening_run.answers import answers, columns_of, every_answer, score_departures
from pertura.recipes.screening_run.setting import Setting
from pertura.screening.nearest import Neighbourhood

BLOCK = 512
FOLDER = "blocks"
FORMAT = "pertura-screen-block 1"
COLUMNS = ("score", "spread", "z", "p", "unwanted", "nearest", "similarity", "linear", "departure")
Block = Mapping[str, Shaped[np.ndarray, " candidates"]]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of a screen on disk. `inputs` tells whether a file was made from the same things."""

    folder: Path
    inputs: str
    conditions: tuple[Condition, ...]

    def __len__(self) -> int:
        return (len(self.conditions) + BLOCK - 1) // BLOCK

    def part(self, number: int) -> tuple[Condition, ...]:
        """Return the candidates of a block."""
        return self.conditions[number * BLOCK : (number + 1) * BLOCK]

    def missing(self) -> list[int]:
        """Return the blocks that are not there, or were made from other things, or were damaged."""
        return [number for number in range(len(self)) if self.read(number) is None]

    def read(self, number: int) -> Block | None:
        """Return a block; None where its file is absent or not the one that belongs here."""
        try:
            with open(self._path(number), "rb") as file, np.load(file, allow_pickle=False) as arrays:
                content = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError):
            return None
        sealed = str(content.pop("sealed", ""))
        return content if sealed == self._seal(number, content) else None

    def write(self, number: int, block: Block) -> None:
        """Write a block, whole or not at all."""
        content: dict[str, Any] = {**block, "sealed": np.asarray(self._seal(number, block))}
        with replacing(self._path(number)) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **content)

    def gathered(self) -> Block:
        """Return all blocks as one; `UsageError` where some are missing."""
        read = [self.read(number) for number in range(len(self))]
        found = [one for one in read if one is not None]
        if len(found) < len(self):
            raise UsageError(f"{len(self) - len(found)} of {len(self)} blocks are not scored yet; run the other shards")
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]} if found else {}

    def _path(self, number: int) -> Path:
        return self.folder / FOLDER / f"{number:06d}.npz"

    def _seal(self, number: int, block: Block) -> str:
        seal = hashlib.sha256(f"{FORMAT} {self.inputs} {number}".encode())
        for name in sorted(block):
            seal.update(name.encode() + np.ascontiguousarray(block[name]).tobytes())
        return seal.hexdigest()


def scored(setting: Setting, conditions: Sequence[Condition]) -> Block:
    """Return all that is said of some candidates without knowing the others."""
    found = every_answer(setting, conditions)
    means = setting.means
    near = Neighbourhood.of(means.conditions, means.model_deltas).nearest(conditions, found.deltas)
    columns: dict[str, Float[np.ndarray, " candidates"]] = {
        **columns_of(setting.goal, found),
        "unwanted": _unwanted(setting, found.deltas),
        "nearest": near.rows.astype(np.float64),
        "similarity": near.similarity,
        "linear": _linear(setting, conditions),
        "departure": _departures(setting, conditions),
    }
    return {**columns, "fallback": np.asarray([found.fallbacks.get(one, "") for one in conditions])}


def fill(blocks: Blocks, numbers: Iterable[int], setting: Setting, told: Callable[[int, int], None]) -> None:
    """Score some blocks one after the other, in this process."""
    wanted = list(numbers)
    for done, number in enumerate(wanted):
        told(done, len(wanted))
        blocks.write(number, scored(setting, blocks.part(number)))


def shard_of(text: str) -> tuple[int, int]:
    """Return i and n of a shard spelled `i/n`, counted from 1."""
    first, mark, second = text.partition("/")
    if not mark or not first.isdigit() or not second.isdigit() or not 1 <= int(first) <= int(second):
        raise UsageError(f"--shard {text!r}: write i/n with i from 1 to n, such as 2/8")
    return int(first), int(second)


def _unwanted(setting: Setting, deltas: Float[np.ndarray, "candidates genes"]) -> Float[np.ndarray, " candidates"]:
    if setting.unwanted is None:
        return np.full(len(deltas), np.nan)
    return setting.unwanted.scores(deltas)


def _linear(setting: Setting, conditions: Sequence[Condition]) -> Float[np.ndarray, " candidates"]:
    """NaN where the linear model cannot represent the candidate."""
    if setting.linear is None:
        return np.full(len(conditions), np.nan)
    found = answers((setting.linear,), (), setting.controls, conditions, setting.goal)
    unknown = np.asarray([one in found.fallbacks for one in conditions], dtype=bool)
    return np.where(unknown, np.nan, found.scores)


def _departures(setting: Setting, conditions: Sequence[Condition]) -> Float[np.ndarray, " candidates"]:
    values = np.full(len(conditions), np.nan)
    rows = [i for i, one in enumerate(conditions) if one.perturbation.is_pair]
    if rows:
        pairs = [conditions[i] for i in rows]
        values[rows] = score_departures(setting.members, setting.controls, pairs, setting.goal)
    return values
