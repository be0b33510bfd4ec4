"""Split files of the comparison workbench (JSON): three lists of labels such as `A+ctrl`, read and written."""

import json
import os
from collections.abc import Iterable, Mapping

from pertura.core.atomic import write_text
from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.split import Outline, Split
from pertura.data.splits.foreign import Claim, Claims

KIND = "workbench-json"
LISTS = ("train", "val", "test")
RECORDED = ("split_type", "seed", "train_gene_set_size", "generator", "gears_name")
CONTROL = "ctrl"
REMEDY = "it holds the lists train, val and test"


def read_workbench(content: Mapping[str, object], outline: Outline) -> Claims:
    """Return what a split file of the comparison workbench claims: its labels hold in every context of a screen."""
    lists = {name: _claims(content.get(name), name) for name in LISTS}
    strata = content.get("strata", {})
    if not isinstance(strata, dict):
        raise BadDataError(f"{KIND}: strata is not a table of lists", remedy=REMEDY)
    contexts = len(outline.contexts)
    options = {name: str(content[name])[:200] for name in RECORDED if isinstance(content.get(name), (str, int, float))}
    return Claims(
        kind=KIND,
        train=lists["train"],
        valid=lists["val"],
        test=lists["test"],
        strata={str(name): _claims(labels, f"strata {name}") for name, labels in strata.items()},
        options={f"its_{name}": value for name, value in options.items()},
        notes=(f"the file has no contexts: its labels hold in each of the {contexts} here",) if contexts > 1 else (),
    )


def _claims(labels: object, place: str) -> tuple[Claim, ...]:
    if not isinstance(labels, list) or not all(isinstance(one, str) and one.strip() for one in labels):
        raise BadDataError(f"{KIND}: {place} is not a list of names", remedy=REMEDY)
    return tuple(Claim(label) for label in dict.fromkeys(one.strip() for one in labels))


def write_workbench(split: Split, path: str | os.PathLike[str]) -> None:
    """Write the conditions of a split as that workbench does: `A+ctrl`, `A+B`, sorted; control trains.

    The file knows neither contexts nor the cut of the controls: where a perturbation is in two parts, in two contexts,
    `UsageError` is raised.
    """
    parts = {"train": split.train, "val": split.valid, "test": split.test}
    labels = {name: frozenset(map(_label, part)) for name, part in parts.items()}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        both = sorted(labels[first] & labels[second])
        if both:
            raise UsageError(
                f"{both[0]} is in {first} in one context and in {second} in another, and this format has no contexts; "
                "write split.json instead"
            )
    content = {
        "split_type": split.name,
        "seed": split.seed,
        "train_gene_set_size": _fraction(split),
        "train": sorted({*labels["train"], CONTROL}),
        "val": sorted(labels["val"]),
        "test": sorted(labels["test"]),
        "generator": "pertura",
        "strata": {name: _sorted(members) for name, members in sorted(split.strata.items())},
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _label(condition: Condition) -> str:
    return "+".join(condition.genes) if len(condition.genes) > 1 else f"{condition.genes[0]}+{CONTROL}"


def _sorted(conditions: Iterable[Condition]) -> list[str]:
    return sorted({_label(one) for one in conditions})


def _fraction(split: Split) -> float | None:
    """The share of genes that may train, where the rule has one."""
    stated = split.options.get("train_gene_fraction", split.options.get("its_train_gene_set_size", ""))
    try:
        return float(stated)
    except ValueError:
        return None
