"""Options of a model with some of them changed by name, as a recipe or a command line says it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_type_hints

import pydantic

from pertura.core.errors import UsageError

Options = TypeVar("Options")
NOTHING = "none"
"""How None is written where a file format has no word for it."""


def changed(options: Options, changes: Mapping[str, Any], place: str) -> Options:
    """Return the options with `changes`, a table that may hold tables, put in.

    An option that is not there, or a value of another kind, raises `UsageError` naming it as `place.option`, with what
    was perhaps meant.
    """
    if not changes:
        return options
    content = json.dumps(_merged(options, changes, place))
    try:
        return pydantic.TypeAdapter(type(options)).validate_json(content, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (place, *first["loc"]))
        raise UsageError(f"{where}: {first['msg'].lower()}, but it is {first['input']!r}") from error


def read_change(text: str) -> tuple[str, dict[str, Any]]:
    """Return model and changes of `MODEL.OPTION=VALUE` or `MODEL.TABLE.OPTION=VALUE`; a value is read as TOML reads it.

    What TOML cannot read is a text.
    """
    import tomllib

    path, mark, value = text.partition("=")
    model, *names = path.strip().split(".")
    if not mark or not model or not names or not all(names):
        raise UsageError(f"--set {text}: write it as MODEL.OPTION=VALUE (scgpt.training.epochs=3)")
    try:
        read: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value
    for name in reversed(names):
        read = {name.replace("-", "_"): read}
    return model, read


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables of changes as one; the second decides where both say something."""
    both = dict(first)
    for name, value in second.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(name), Mapping)
        both[name] = joined(both[name], value) if nested else value
    return both


def _merged(options: Any, changes: Mapping[str, Any], place: str) -> dict[str, Any]:
    known = {one.name: getattr(options, one.name) for one in fields(options)}
    kinds = get_type_hints(type(options))
    content = asdict(options)
    for name, value in changes.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise UsageError(f"{place} has no option {name}; {meant}")
        inner = known[name]
        if is_dataclass(inner) and isinstance(value, Mapping):
            content[name] = _merged(inner, value, f"{place}.{name}")
        else:
            content[name] = None if value == NOTHING and type(None) in get_args(kinds[name]) else value
    return content
