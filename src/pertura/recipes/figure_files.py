"""What can be drawn from a run folder, a folder of `pertura evaluate`, or a prediction file."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from pertura.comparison.compare import Comparison, compare
from pertura.core.errors import MissingError, PerturaError, UsageError
from pertura.core.perturbation import Condition, spelled
from pertura.data.predictions import read_predictions
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.files import read_scores
from pertura.recipes.foreign.compatible_files import FORMAT
from pertura.recipes.foreign.files import Files, Pair, Reading, open_pair
from pertura.recipes.recipe import FILE, read_recipe
from pertura.recipes.sources import model_name
from pertura.report.publication import Sheet

CONTROL_WORDS = {"ctrl", "control"}
LISTED = 12
SEED = 1
"""Cuts the controls of a file that does not say how, as `pertura evaluate` does unless told otherwise."""


@dataclass(frozen=True)
class Wanted:
    """What to draw, by name, none for the usual choice; and how wide, None for what the figure needs."""

    conditions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    width_mm: int | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """A sheet, and what a reader must be told of what is on it."""

    sheet: Sheet
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawable:
    """A place with the prediction files and the scores found in it, by model; either may be empty.

    `compatible` says that its scores are by the rules of another evaluator, and are read otherwise.
    """

    place: Path
    predictions: Mapping[str, Path]
    scored: Mapping[str, Path]
    compatible: bool = False

    @cached_property
    def scores(self) -> tuple[Scores, ...]:
        """All scores; raises `MissingError` where there are none."""
        if self.compatible:
            raise MissingError(f"{self.place}: of scores by another evaluator's rules only `compare` is drawn")
        if not self.scored:
            raise MissingError(
                f"{self.place} holds no scores; `pertura evaluate --predicted FILE -o FOLDER` makes some: draw FOLDER"
            )
        return tuple(read_scores(folder) for folder in self.scored.values())

    @cached_property
    def comparison(self) -> Comparison | None:
        """The models side by side, the user's own first where the run names one; None without two scored models."""
        if len(self.scored) < 2:
            return None
        subject = _subject(self.place)
        return compare(self.scores, subject=subject if subject in self.scored else None)

    def opened(self, model: str) -> Pair:
        """Return a model's predicted cells, the observed ones and their split."""
        path = self.predictions[near(model, self.predictions, "model", self.place)]
        if path == self.place:
            return open_alone(path)
        stored = read_predictions(path)
        return Pair(stored.prediction, stored.observed, stored.split)

    def models(self, wanted: Sequence[str], most: int) -> list[str]:
        """Return the models whose cells to draw, each once: those wanted, else the one that heads the comparison.

        Raises `MissingError` where there are no cells.
        """
        if not self.predictions:
            raise MissingError(
                f"{self.place} holds scores and no cells; give the run folder or the prediction file itself"
            )
        if len(set(wanted)) > most:
            raise UsageError(f"{len(set(wanted))} models are too many for one figure of this kind; at most {most}")
        if wanted:
            return [near(one, self.predictions, "model", self.place) for one in dict.fromkeys(wanted)]
        first = "" if self.comparison is None else self.comparison.first
        return [first if first in self.predictions else next(iter(self.predictions))]


def open_drawable(place: Path) -> Drawable:
    """Return what a file or folder holds; raises `MissingError` or `BadDataError` where that is nothing to draw."""
    if place.is_file():
        return Drawable(place, {open_alone(place).prediction.provenance.model: place}, {})
    if not place.is_dir():
        raise MissingError(f"{place}: no such file or folder")
    predictions = {one.parent.name: one for one in sorted(place.glob("models/*/predictions.h5ad"))}
    scored = {one.parents[1].name: one.parent for one in sorted(place.glob("models/*/scores/scores.json"))}
    compatible = not scored and _is_compatible(place)
    if not (predictions or scored or compatible):
        raise MissingError(
            f"neither predictions nor scores under {place}; give a folder of `pertura run` or `pertura evaluate`"
        )
    return Drawable(place, predictions, scored, compatible)


def open_alone(path: Path) -> Pair:
    """Return a prediction file that holds the observed cells too, of any model."""
    facts = path.stat()
    return _opened(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1)
def _opened(path: Path, size: int, modified: int) -> Pair:
    """Open a file unless it was opened before and has not changed since: size and time are the key of the cache."""
    try:
        return open_pair(Files(path), Reading(), SEED)
    except UsageError as error:
        raise UsageError(
            f"{path} does not hold observed cells beside predicted ones; `pertura evaluate --predicted FILE "
            "--observed FILE -o FOLDER` judges it: draw `compare` from FOLDER"
        ) from error


def _is_compatible(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "scores.json").read_text(encoding="utf-8"))["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def named_conditions(
    wanted: Sequence[str], conditions: Collection[Condition], contexts: Collection[str], place: Path
) -> list[Condition]:
    """Return the conditions that were named, each once; what is not there or names several raises `UsageError`."""
    names = spelled(conditions, contexts)
    return list(dict.fromkeys(_condition(one, names, place) for one in wanted))


def near(name: str, known: Collection[str], kind: str, place: Path) -> str:
    """Return `name` if it is known; else raise `UsageError` with what is there that resembles it."""
    if name in known:
        return name
    raise UsageError(f"--{kind} {name}: no such {kind} in {place}; {_instead(name, known)}")


def _condition(text: str, names: Mapping[Condition, str], place: Path) -> Condition:
    exact = [one for one, name in names.items() if text in (name, one.label)]
    if len(exact) == 1:
        return exact[0]
    perturbation, _, context = text.partition("@")
    spelt = set(perturbation.split("+")) - CONTROL_WORDS
    found = [one for one in names if spelt in _spellings(one) and context in ("", one.context)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"--condition {text}: which of {', '.join(sorted(names[one] for one in found))}?")
    raise UsageError(f"--condition {text}: no such condition in {place}; {_instead(text, sorted(names.values()))}")


def _spellings(condition: Condition) -> tuple[set[str], set[str]]:
    """The targets of a condition, without and with their modes."""
    return set(condition.genes), {f"{one.gene}:{one.mode}" for one in condition.perturbation.targets}


def others(names: Collection[str], known: Collection[str]) -> str:
    """Return in words which of the known metrics are not drawn, and how to draw them."""
    rest = [one for one in known if one not in names]
    listed = ", ".join(rest[:LISTED]) + (f" and {len(rest) - LISTED} more (--list)" if len(rest) > LISTED else "")
    return f"drawn: {len(names)} of {len(known)} metrics; --metric chooses others: {listed}"


def _instead(name: str, known: Collection[str]) -> str:
    """What else could be meant: what resembles it, and what there is, if that is not much."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    close = close or difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    listed = f"there are {', '.join(sorted(known)[:LISTED])}"
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"{meant}{listed}{more} (--list shows all)"


def _subject(folder: Path) -> str | None:
    """The user's own model that a run was made for."""
    try:
        own = read_recipe(folder / FILE).own_models if (folder / FILE).exists() else ()
    except PerturaError:  # a recipe that this version cannot read is no reason not to draw
        return None
    return model_name(own[-1]) if own else None
