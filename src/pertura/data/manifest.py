"""`dataset.toml`: which file a screen is, and how it is read."""

import dataclasses
import json
import os
import tomllib
from pathlib import Path

import tomli_w
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as strict_dataclass

from pertura.core.atomic import write_text
from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.data.conventions import STRICT, Reading, reject_unknown
from pertura.data.stores import digest, size_of

FORMAT = "pertura-dataset"
FORMAT_VERSION = 1
LARGEST_BYTES = 1 << 20
AGAIN = "make it again with `pertura inspect FILE -o dataset.toml`"


@strict_dataclass(frozen=True, kw_only=True, config=STRICT)
class DataFile:
    """A file, or the folder of a .zarr, by its path (relative to the manifest), size in bytes and sha256."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, beside: Path) -> "DataFile":
        """Return what identifies the file at `path`, seen from the folder `beside`."""
        return cls(path=os.path.relpath(path, beside), size=size_of(path), sha256=digest(path))


@strict_dataclass(frozen=True, kw_only=True, config=STRICT)
class Manifest:
    """The content of a `dataset.toml`."""

    format: str = FORMAT
    version: int = FORMAT_VERSION
    file: DataFile
    reading: Reading


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def write_manifest(target: Path, data: Path, reading: Reading, *, force: bool = False) -> Manifest:
    """Write `dataset.toml` for a data file, all at once or not at all, and return its content.

    A manifest of another data file is only replaced with `force`; so is anything that is not a manifest.
    """
    check_target(target, data, force=force)
    made = Manifest(file=DataFile.of(data.resolve(), target.resolve().parent), reading=reading)
    content = _without_nothing(_MANIFEST.dump_python(made, mode="json"))
    write_text(target, tomli_w.dumps(content))
    return made


def check_target(target: Path, data: Path, *, force: bool) -> None:
    """Raise where a manifest of `data` may not be written to `target`."""
    if not target.resolve().parent.is_dir():
        raise MissingError(f"{target.resolve().parent}: no such folder")
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file")
    if force or not target.exists():
        return
    try:
        described = data_path(target, read_manifest(target))
    except BadDataError as error:
        raise UsageError(f"{target} is there and is not a dataset.toml; --force replaces it") from error
    if described.resolve() != data.resolve():
        raise UsageError(f"{target} describes another file, {described}; --force replaces it")


def _without_nothing(content: dict[str, object]) -> dict[str, object]:
    """TOML has no null: what is not known is left out."""
    kept = {name: value for name, value in content.items() if value is not None}
    return {name: _without_nothing(value) if isinstance(value, dict) else value for name, value in kept.items()}


def read_manifest(path: Path) -> Manifest:
    """Return the content of a `dataset.toml`; an unknown key, a wrong type or another format raises `BadDataError`."""
    if not path.exists():
        raise MissingError(f"{path}: no such file")
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        raise BadDataError("is not a dataset.toml", file=path, remedy=AGAIN)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        as_json = json.dumps(content, default=str)
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or too many digits
        raise BadDataError(f"is not TOML: {error}", file=path, remedy=AGAIN) from error
    if content.get("format") != FORMAT or content.get("version") != FORMAT_VERSION:
        stated = f"{content.get('format')!r} version {content.get('version')!r}"
        raise BadDataError(f"is of format {stated}, not {FORMAT} version {FORMAT_VERSION}", file=path, remedy=AGAIN)
    _check_keys(content, path)
    try:
        return _MANIFEST.validate_json(as_json)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadDataError(str(first["msg"]), file=path, place=place, remedy=AGAIN) from error


def _check_keys(content: dict[str, object], path: Path) -> None:
    tables: list[tuple[str, object, type]] = [("", content, Manifest)]
    tables += [(name, content.get(name), kind) for name, kind in (("file", DataFile), ("reading", Reading))]
    reading = content.get("reading")
    tables.append(("reading.scale", reading.get("scale") if isinstance(reading, dict) else None, Scale))
    for place, table, kind in tables:
        if isinstance(table, dict):
            try:
                reject_unknown(table, [one.name for one in dataclasses.fields(kind)], "key")
            except UsageError as error:
                raise BadDataError(str(error), file=path, place=f"[{place}]" if place else "") from error


def data_path(path: Path, manifest: Manifest) -> Path:
    """Return where the data file of the manifest at `path` lies."""
    return Path(os.path.normpath(path.resolve().parent / manifest.file.path))


def verified_data(path: Path, manifest: Manifest) -> Path:
    """Return the data file of a manifest; raise where it is missing or is not the one that was described."""
    data = data_path(path, manifest)
    if not data.exists():
        raise MissingError(f"{data}: no such file, but {path} describes it; bring it back or {AGAIN}")
    size = size_of(data)
    if size != manifest.file.size:
        raise BadDataError(f"has {size:,} bytes, {path} says {manifest.file.size:,}", file=data, remedy=AGAIN)
    if digest(data) != manifest.file.sha256:
        raise BadDataError(f"its content is not what {path} describes (sha256)", file=data, remedy=AGAIN)
    return data
