"""The split file of another tool, recognised by its content."""

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pertura.core.errors import BadDataError, LeakError, MissingError, UsageError
from pertura.core.split import FORMAT, Outline
from pertura.data.splits.foreign import ForeignSplit, Rules, split_from
from pertura.data.splits.foreign_state import read_state
from pertura.data.splits.foreign_workbench import LISTS, read_workbench

LARGEST_BYTES = 64 << 20
KNOWN = "a TOML of State ([training], [zeroshot], [fewshot]) or a JSON with the lists train, val and test"


def split_from_file(
    path: str | os.PathLike[str], outline: Outline, rules: Rules, dataset: str | None = None
) -> ForeignSplit:
    """Return the split of another tool's file, of the conditions of this screen.

    `dataset` chooses one where a TOML speaks of several. Anything else than a known format raises `BadDataError`.
    """
    raw = _bytes(Path(path))
    content, is_toml = _content(raw, Path(path))
    if not is_toml and dataset is not None:
        raise UsageError("--dataset goes with a TOML that speaks of several data sets")
    try:
        claims = read_state(content, outline, dataset) if is_toml else read_workbench(content, outline)
        options = {**claims.options, "file": Path(path).name, "sha256": hashlib.sha256(raw).hexdigest()}
        return split_from(replace(claims, options=options), outline, rules)
    except LeakError as error:
        raise LeakError(f"{path}: {error}") from error
    except BadDataError as error:
        raise BadDataError(error.problem, file=path, place=error.place, remedy=error.remedy) from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise MissingError(f"{path}: no such file; give {KNOWN}")
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        raise BadDataError(f"is no file of at most {LARGEST_BYTES >> 20} MiB", file=path, remedy=f"give {KNOWN}")
    return path.read_bytes()


def _content(raw: bytes, path: Path) -> tuple[Mapping[str, object], bool]:
    """Return the content of a file, and whether it is TOML."""
    try:
        text = raw.decode("utf-8-sig")
        content = json.loads(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"cannot be read ({error})"[:300], file=path, remedy=f"give {KNOWN}") from error
    is_toml = text.lstrip()[:1] != "{"
    if not is_toml and content.get("format") == FORMAT:
        raise UsageError(f"{path} is a split of pertura already; commands take it with --split")
    if not is_toml and not set(LISTS) <= set(content):
        raise BadDataError("is no split", file=path, remedy=f"give {KNOWN}")
    return content, is_toml
