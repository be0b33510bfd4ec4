"""`split.json`: written whole or not at all, read with every defect named."""

import json
import os
from pathlib import Path

from pertura.core.atomic import write_text
from pertura.core.errors import BadDataError, LeakError, MissingError, PerturaError
from pertura.core.split import Split

REMEDY = "make one with `pertura split`"


def write_split(split: Split, path: str | os.PathLike[str]) -> None:
    """Write `split.json`; equal splits are equal files."""
    write_text(path, json.dumps(split.to_json(), indent=1, ensure_ascii=False) + "\n")


def read_split(path: str | os.PathLike[str]) -> Split:
    """Return the split of a file.

    Raises `MissingError` where there is none, `BadDataError` for anything that is not a split, and `LeakError` where
    its parts overlap.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file; {REMEDY}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataError(f"not readable as JSON: {error}", file=path, remedy=REMEDY) from error
    wrong = _misshapen(content)
    if wrong:
        raise BadDataError("not a split file", file=path, place=wrong, remedy=REMEDY)
    try:
        return Split.from_json(content)
    except LeakError:
        raise
    except PerturaError as error:
        raise BadDataError(str(error), file=path) from error


def _misshapen(content: object) -> str:
    """Return which entry does not have the shape of a split's, or nothing: a string in place of a list would pass."""
    if not isinstance(content, dict):
        return "the whole (not a JSON object)"
    lists = {name: content.get(name) for name in ("train", "valid", "test", "contexts")}
    strata, controls = content.get("strata"), content.get("controls")
    if not isinstance(strata, dict) or not isinstance(controls, dict):
        return "strata or controls"
    lists |= {f"strata {name}": members for name, members in strata.items()}
    for name, sides in controls.items():
        if not isinstance(sides, list) or len(sides) != 2:
            return f"controls {name}"
        lists |= {f"controls {name} {side}": sides[side] for side in range(2)}
    lists["unseen"] = content.get("unseen", [])
    if not content.get("modes") and any(lists[name] for name in ("train", "valid", "test")):
        return "modes"
    return next((name for name, value in lists.items() if not _lists_strings(value)), "")


def _lists_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
