"""Where the published screens lie on this machine: one dataset.toml each, in a folder of the user's."""

import os
from pathlib import Path

from pertura.core.errors import MissingError
from pertura.data.anndata_io import Screen
from pertura.data.datasets.declared import ADD, DECLARED
from pertura.data.manifest import Manifest, data_path, read_manifest, write_manifest

HOME = "PERTURA_HOME"


def home() -> Path:
    """Return the folder for what pertura remembers: $PERTURA_HOME, else pertura in the user's data folder (XDG)."""
    given = os.environ.get(HOME)
    if given:
        return Path(given).expanduser()
    shared = os.environ.get("XDG_DATA_HOME")
    # the XDG rules tell programs to pass over a path that is not absolute
    base = Path(shared) if shared and Path(shared).is_absolute() else Path("~/.local/share").expanduser()
    return base / "pertura"


def place_of(name: str) -> Path:
    """Return where the dataset.toml of a published screen is kept, whether or not it is there."""
    return home() / "datasets" / f"{name}.toml"


def remember(name: str, screen: Screen) -> Path:
    """Write down which file is the published screen `name`, and how it is read; return where."""
    place = place_of(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(place, screen.path, screen.reading, force=True)
    return place


def remembered(name: str) -> Path:
    """Return the dataset.toml of a published screen; `MissingError` says what to fetch where there is none."""
    place = place_of(name)
    if not place.is_file():
        raise MissingError(f"{name} is not on this machine yet: {DECLARED[name].way}")
    data = data_path(place, read_manifest(place))
    if not data.exists():
        raise MissingError(
            f"{name} was at {data}, and is not there any more: bring it back or `{ADD} {name} FILE.h5ad`"
        )
    return place


def entry_of(name: str) -> Manifest | None:
    """Return what is remembered of a published screen; None where nothing is."""
    place = place_of(name)
    return read_manifest(place) if place.is_file() else None
