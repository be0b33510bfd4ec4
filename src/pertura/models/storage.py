"""The folder of a fitted model: `model.json` and `weights.safetensors`, checked against each other when read."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors import numpy as tensors

from pertura.core.atomic import write_bytes, write_text
from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, MissingError
from pertura.core.perturbation import Condition, Mode, Perturbation, Target

FORMAT = "pertura-model"
FORMAT_VERSION = 1
HEADER_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
Read = TypeVar("Read")


def sealed(content: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], bytes]:
    """Return the header, with the digests of weights and header in it, and the bytes of the weights file."""
    weights = tensors.save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})
    header = {"format": FORMAT, "version": FORMAT_VERSION, **content, "weights_sha256": _sha256(weights)}
    return {**header, "digest": _digest(header)}, weights


def write_model(folder: Path, content: Mapping[str, Any], arrays: Arrays) -> None:
    """Write both files; each is whole or absent, and the header comes last, so that it never promises too much."""
    header, weights = sealed(content, arrays)
    write_bytes(folder / WEIGHTS_FILE, weights)
    write_text(folder / HEADER_FILE, json.dumps(header, indent=1, ensure_ascii=False) + "\n")


def read_header(folder: Path) -> dict[str, Any]:
    """Return the content of `model.json`; `MissingError` where there is none, `BadDataError` where it was altered."""
    path = folder / HEADER_FILE
    if not path.is_file():
        raise MissingError(f"{folder} holds no fitted model: {HEADER_FILE} is not there")
    try:
        header = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"not JSON ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _broken(path, f"not a {FORMAT} file")
    if header.get("version") != FORMAT_VERSION:
        raise BadDataError(
            f"version {header.get('version')!r} of the model format, this release reads {FORMAT_VERSION}",
            file=path,
            remedy="use the release that wrote it, or fit again",
        )
    if header.get("digest") != _digest({name: value for name, value in header.items() if name != "digest"}):
        raise _broken(path, "the content does not match its own digest")
    return header


def read_weights(folder: Path, header: Mapping[str, Any]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the arrays that belong to `header`; `BadDataError` where the file is not the one that was written."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise MissingError(f"{folder} is incomplete: {WEIGHTS_FILE} is not there")
    content = path.read_bytes()
    if _sha256(content) != header.get("weights_sha256"):
        raise _broken(path, f"the sha256 differs from the one in {HEADER_FILE}")
    try:
        return tensors.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _broken(path, str(error)) from error


def read_model(folder: Path, read: Callable[[Mapping[str, Any], Arrays], Read]) -> Read:
    """Return what `read` makes of header and arrays that `write_model` wrote; altered files raise `BadDataError`."""
    header = read_header(folder)
    arrays = read_weights(folder, header)
    return interpreted(folder, lambda: read(header, arrays))


def interpreted(folder: Path, read: Callable[[], Read]) -> Read:
    """Return what `read` makes of a folder's content; content of another shape raises `BadDataError`."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _broken(folder / HEADER_FILE, f"{type(error).__name__}: {error}") from error


def scale_to_json(scale: Scale) -> dict[str, Any]:
    """Return a scale as JSON holds it."""
    return asdict(scale)


def scale_from_json(content: Mapping[str, Any]) -> Scale:
    """Return the scale that `scale_to_json` wrote."""
    return Scale(**content)


def condition_to_json(condition: Condition) -> list[Any]:
    """Return `[context, [[gene, mode], ...]]`, sorted."""
    targets = sorted(condition.perturbation.targets)
    return [condition.context, [[target.gene, str(target.mode)] for target in targets]]


def condition_from_json(content: list[Any]) -> Condition:
    """Return the condition that `condition_to_json` wrote."""
    context, targets = content
    return Condition(Perturbation(frozenset(Target(gene, Mode(mode)) for gene, mode in targets)), context)


def _digest(header: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _broken(path: Path, problem: str) -> BadDataError:
    return BadDataError(problem, file=path, remedy="the file was damaged or edited: fit the model again")
