"""What a model may see, what it is judged on, and which control cells serve which side."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, LeakError, UsageError
from pertura.core.perturbation import Condition, Mode, Perturbation, Target, spelled
from pertura.core.seeds import shuffled

FORMAT = "pertura-split"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ControlPartition:
    """The control cells of one context, cut in two.

    `model` cells may be seen by models and are subtracted from every predicted or train-side mean; `judge` cells are
    subtracted from the observed test cells and from nothing else. With one pool on both sides the noise of the control
    mean is common to all deltas and is rewarded as if it were an effect.
    """

    model: tuple[str, ...]
    judge: tuple[str, ...]

    @classmethod
    def halves(cls, ids: Sequence[str], seed: int, context: str) -> "ControlPartition":
        """Return a cut into halves that depends on cell names and seed, not on the order of the cells."""
        order = [str(ids[i]) for i in shuffled(ids, seed, "controls", context)]
        middle = (len(order) + 1) // 2
        return cls(tuple(sorted(order[:middle])), tuple(sorted(order[middle:])))

    @classmethod
    def shared(cls, ids: Sequence[str]) -> "ControlPartition":
        """Return one pool for both sides, as other evaluators do it. Inflates scores; kept to show by how much."""
        pool = tuple(sorted(str(one) for one in ids))
        return cls(pool, pool)

    @property
    def is_shared(self) -> bool:
        """Some cell serves both sides."""
        return not set(self.model).isdisjoint(self.judge)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a split rule needs to know of a screen: its conditions, their spelling, and its control cells."""

    conditions: tuple[Condition, ...]
    spellings: Mapping[Condition, str] = field(default_factory=dict)
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: Cells) -> "Outline":
        """Return the outline of measured cells."""
        controls = {one: tuple(str(i) for i in cells.ids[cells.control_rows(one)]) for one in cells.contexts}
        return cls(cells.perturbed, dict(cells.spellings), controls)

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts of conditions and controls, sorted."""
        return tuple(sorted({one.context for one in self.conditions} | set(self.controls)))


@dataclass(frozen=True)
class Split:
    """Conditions to train on, to choose by, and to be judged on; parts never overlap.

    `strata` names parts of `test`. `unseen` lists contexts whose controls are withheld from `fit`, so that a model
    meets them for the first time in `predict`.
    """

    name: str
    train: frozenset[Condition]
    valid: frozenset[Condition]
    test: frozenset[Condition]
    strata: Mapping[str, frozenset[Condition]] = field(default_factory=dict)
    controls: Mapping[str, ControlPartition] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()
    seed: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        names = list(parts)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                both = parts[first] & parts[second]
                if both:
                    raise LeakError(f"{self.name}: in {first} and in {second}: {_some(both)}")
        if any(one.is_control for part in parts.values() for one in part):
            raise LeakError(f"{self.name}: control is listed as a condition; control cells are partitioned instead")
        for stratum, members in self.strata.items():
            if not members <= self.test:
                raise LeakError(
                    f"{self.name}: stratum {stratum} has conditions outside test: {_some(members - self.test)}"
                )

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts of conditions and controls, sorted."""
        everything = self.train | self.valid | self.test
        return tuple(sorted({one.context for one in everything} | set(self.controls)))

    def model_controls(self, cells: Cells, context: str) -> Int[np.ndarray, " cells"]:
        """Return the rows of the controls that models and predicted deltas use."""
        return cells.rows_of_ids(self._partition(context).model)

    def judge_controls(self, cells: Cells, context: str) -> Int[np.ndarray, " cells"]:
        """Return the rows of the controls that are subtracted from observed test cells."""
        return cells.rows_of_ids(self._partition(context).judge)

    def visible(self, cells: Cells) -> Cells:
        """Return what `fit` may see: train and valid conditions, and model-side controls of seen contexts.

        Works on the whole screen and on what an earlier call returned. Every model begins with it.
        """
        shown = self.train | self.valid
        keep = [cells.rows_of(condition) for condition in cells.conditions if condition in shown]
        table = cells.row_of_id
        for context, partition in self.controls.items():
            if context not in self.unseen:
                keep.append(np.asarray([table[one] for one in partition.model if one in table], dtype=np.int64))
        return cells.take(np.sort(np.concatenate(keep)) if keep else np.empty(0, dtype=np.int64))

    def _partition(self, context: str) -> ControlPartition:
        if context not in self.controls:
            known = ", ".join(sorted(self.controls)) or "none"
            raise BadDataError(
                f"split {self.name} has no control cells for context {context!r} (it has: {known})",
                remedy="make the split from the data file, not from a list of conditions",
            )
        return self.controls[context]

    def to_json(self) -> dict[str, object]:
        """Return the content of `split.json`: sorted, so that equal splits are equal files."""
        everything = self.train | self.valid | self.test
        names = spelled(everything, self.contexts)
        modes = sorted({str(mode) for one in everything for mode in one.perturbation.modes})

        def listed(part: Iterable[Condition]) -> list[str]:
            return sorted(names[one] for one in part)

        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "name": self.name,
            "seed": self.seed,
            "options": dict(sorted(self.options.items())),
            "contexts": list(self.contexts),
            "modes": _modes_by_name(names) if len(modes) > 1 else modes,
            "train": listed(self.train),
            "valid": listed(self.valid),
            "test": listed(self.test),
            "strata": {name: listed(members) for name, members in sorted(self.strata.items())},
            "controls": {name: [list(one.model), list(one.judge)] for name, one in sorted(self.controls.items())},
            "unseen": sorted(self.unseen),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Split":
        """Return the split of a `split.json`; anything malformed raises `BadDataError`."""
        try:
            return _from_json(content)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise BadDataError(
                f"not a split file: {type(error).__name__}: {error}", remedy="make one with `pertura split`"
            ) from error

    @property
    def fingerprint(self) -> str:
        """A sha256 over the whole content, equal on any machine."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _modes_by_name(names: Mapping[Condition, str]) -> dict[str, list[str]]:
    """Spell the mode of each target where a screen mixes modes."""
    return {
        name: [f"{target.gene}:{target.mode}" for target in sorted(one.perturbation.targets)]
        for one, name in sorted(names.items(), key=lambda item: item[1])
    }


def _from_json(content: Mapping[str, object]) -> Split:
    if content.get("format") != FORMAT or int(str(content["version"])) > FORMAT_VERSION:
        raise ValueError(f"format {content.get('format')!r} version {content.get('version')!r}")
    contexts = list(content["contexts"])  # type: ignore[call-overload]
    only = contexts[0] if len(contexts) == 1 else ""
    modes = content["modes"]

    def condition(text: str) -> Condition:
        name, mark, context = text.partition("@")
        if isinstance(modes, Mapping):
            pairs = (one.rpartition(":") for one in modes[text])
            perturbation = Perturbation(frozenset(Target(gene, Mode(mode)) for gene, _, mode in pairs))
        else:
            perturbation = Perturbation.parse(name, *modes)  # type: ignore[misc]
        return Condition(perturbation, context if mark else only)

    def part(texts: Iterable[str]) -> frozenset[Condition]:
        return frozenset(condition(text) for text in texts)

    strata: Mapping[str, list[str]] = content["strata"]  # type: ignore[assignment]
    controls: Mapping[str, list[list[str]]] = content["controls"]  # type: ignore[assignment]
    return Split(
        name=str(content["name"]),
        train=part(content["train"]),  # type: ignore[arg-type]
        valid=part(content["valid"]),  # type: ignore[arg-type]
        test=part(content["test"]),  # type: ignore[arg-type]
        strata={name: part(members) for name, members in strata.items()},
        controls={name: ControlPartition(tuple(one[0]), tuple(one[1])) for name, one in controls.items()},
        unseen=frozenset(content.get("unseen", ())),  # type: ignore[call-overload]
        seed=int(str(content["seed"])),
        options=dict(content.get("options", {})),  # type: ignore[call-overload]
    )


def _some(conditions: Iterable[Condition], most: int = 5) -> str:
    listed = sorted(one.label for one in conditions)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
