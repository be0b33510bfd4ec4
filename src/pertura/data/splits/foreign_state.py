"""Split files of State and cell-load (TOML): whole contexts or lists of perturbations to validate and test on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pertura.core.errors import BadDataError, UsageError
from pertura.core.split import Outline
from pertura.data.splits.foreign import Claim, Claims, Names

KIND = "state-toml"
TABLES = ("datasets", "training", "zeroshot", "fewshot")
PARTS = {"val": "valid", "test": "test"}
REMEDY = 'the tables are [datasets], [training], [zeroshot] and [fewshot."dataset.context"]'


@dataclass(frozen=True, slots=True)
class Held:
    """What a file says of one context: the part of all its conditions, or lists for parts."""

    dataset: str
    context: str
    whole: str = ""
    lists: Mapping[str, tuple[str, ...]] | None = None


def read_state(content: Mapping[str, object], outline: Outline, dataset: str | None = None) -> Claims:
    """Return what a split file of State claims of a screen.

    All of a context trains that is not named. `dataset` chooses one where the file speaks of several. A context that
    the screen does not have is named; where it has none of them `BadDataError` is raised.
    """
    _check_tables(content)
    training = _training(content)
    held = [*_zeroshot(content), *_fewshot(content)]
    chosen = _chosen(training, held, content, dataset)
    held = [one for one in held if one.dataset == chosen]
    _refuse_twice(held)
    names = Names(outline)
    here = [(one, names.context(one.context)) for one in held]
    absent = [one.context for one, context in here if context is None]
    if held and len(absent) == len(held):
        raise BadDataError(
            f"{KIND}: it holds out {', '.join(absent)}, and the contexts of this screen are "
            f"{', '.join(filter(None, outline.contexts)) or 'not named'}",
            remedy="give the screen that the split was made for, or say --context-column to `pertura inspect`",
        )
    return _claims([(one, context) for one, context in here if context is not None], chosen, outline, training, absent)


def _claims(
    held: list[tuple[Held, str]], chosen: str, outline: Outline, training: frozenset[str], absent: list[str]
) -> Claims:
    parts: dict[str, list[Claim]] = {"valid": [], "test": []}
    for one, context in held:
        if one.whole:
            parts[one.whole].append(Claim("", context))
        for part, labels in (one.lists or {}).items():
            parts[part] += [Claim(label, context) for label in labels]
    whole = {context for one, context in held if one.whole}
    others = set(outline.contexts) - {context for _, context in held}
    trains = frozenset((others if chosen in training else set()) | {c for _, c in held} - whole)
    notes = [f"{one.context} is {context} here" for one, context in held if one.context != context]
    notes += [f"warning: the screen has no context {name}, which the file holds out" for name in absent]
    if others and chosen not in training:
        notes.append(f"warning: {', '.join(sorted(others))} do not train: [training] does not name {chosen!r}")
    if whole:
        notes.append(f"controls of {', '.join(sorted(whole))} are seen in training (their model side)")
    return Claims(
        kind=KIND,
        valid=tuple(parts["valid"]),
        test=tuple(parts["test"]),
        rest_in=trains,
        options={"dataset": chosen},
        notes=tuple(notes),
    )


# ---- the file


def _check_tables(content: Mapping[str, object]) -> None:
    for name, value in content.items():
        if name not in TABLES:
            raise BadDataError(f"{KIND}: unknown table [{name}]", remedy=REMEDY)
        if not isinstance(value, dict):
            raise BadDataError(f"{KIND}: {name} is not a table", remedy=REMEDY)
    if not any(name in content for name in ("zeroshot", "fewshot", "training")):
        raise BadDataError(f"{KIND}: it says nothing of a split", remedy=REMEDY)


def _table(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = content.get(name, {})
    return found if isinstance(found, dict) else {}


def _training(content: Mapping[str, object]) -> frozenset[str]:
    for name, value in _table(content, "training").items():
        if value != "train":
            raise BadDataError(f"{KIND}: [training] {name} is {value!r}, not 'train'", remedy=REMEDY)
    return frozenset(_table(content, "training"))


def _zeroshot(content: Mapping[str, object]) -> Iterator[Held]:
    for name, value in _table(content, "zeroshot").items():
        if not isinstance(value, str) or value not in PARTS:
            raise BadDataError(f"{KIND}: [zeroshot] {name} is {value!r}, not 'val' or 'test'", remedy=REMEDY)
        yield Held(*_named(name, content), whole=PARTS[value])


def _fewshot(content: Mapping[str, object]) -> Iterator[Held]:
    for name, lists in _table(content, "fewshot").items():
        if not isinstance(lists, dict):
            raise BadDataError(f"{KIND}: [fewshot] {name} is not a table of lists", remedy=REMEDY)
        found = {}
        for part, labels in lists.items():
            if part not in PARTS:
                raise BadDataError(f"{KIND}: [fewshot.{name}] has {part!r}, not val or test", remedy=REMEDY)
            if not isinstance(labels, list) or not all(isinstance(one, str) and one.strip() for one in labels):
                raise BadDataError(f"{KIND}: [fewshot.{name}] {part} is not a list of names", remedy=REMEDY)
            found[PARTS[part]] = tuple(dict.fromkeys(one.strip() for one in labels))
        yield Held(*_named(name, content), lists=found)


def _named(name: str, content: Mapping[str, object]) -> tuple[str, str]:
    """Data set and context of `dataset.context`; a data set that is declared may itself hold a dot."""
    declared = sorted((*_table(content, "datasets"), *_table(content, "training")), key=len, reverse=True)
    for one in declared:
        if name.startswith(f"{one}.") and len(name) > len(one) + 1:
            return one, name[len(one) + 1 :]
    dataset, mark, context = name.partition(".")
    if not mark or not dataset or not context:
        raise BadDataError(f"{KIND}: {name!r} is not dataset.context", remedy=REMEDY)
    return dataset, context


def _chosen(training: frozenset[str], held: list[Held], content: Mapping[str, object], dataset: str | None) -> str:
    """The one data set that the screen is: the given, or the only one."""
    spoken = sorted({one.dataset for one in held} | training | set(_table(content, "datasets")))
    if dataset is not None:
        if dataset not in spoken:
            raise UsageError(f"--dataset {dataset!r}: the file speaks of {', '.join(spoken)}")
        return dataset
    if len(spoken) > 1:
        raise UsageError(
            f"the file speaks of several data sets: say which this screen is with --dataset ({', '.join(spoken)})"
        )
    return spoken[0] if spoken else ""


def _refuse_twice(held: list[Held]) -> None:
    contexts = [one.context for one in held]
    twice = sorted({one for one in contexts if contexts.count(one) > 1})
    if twice:
        raise BadDataError(f"{KIND}: {twice[0]} is held out whole and by lists", remedy="leave one of the two")
