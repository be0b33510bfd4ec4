"""Where in an HDF5 file something is changed, and how one thing is put in the place of another."""

from typing import Any

import h5py
import numpy as np

from mutations.text import pick

LARGEST_READ, MOST_WORDS = 10**7, 10_000


def objects(file: h5py.File) -> list[str]:
    """Every object by name; links that lead nowhere are left out."""
    found: list[str] = []
    file.visit(found.append)
    return found


def some(file: h5py.File, rng: np.random.Generator, kind: type = object) -> Any:
    """An object of the file. Those that are always read come as often as all others together."""
    names = objects(file)
    central = [name for name in names if name.split("/")[0] in ("X", "obs", "var", "matrix")]
    others = [name for name in names if name not in central]
    among = pick(rng, [one for one in (central, others) if one])
    item = file[pick(rng, [name for name in among if isinstance(file[name], kind)])]
    if isinstance(item, h5py.Dataset) and int(item.size or 0) > LARGEST_READ:
        raise ValueError("claims too much to be read")
    return item


def instead(item: Any, value: Any, **how: Any) -> Any:
    """Put a value in the place of an object, with the same attributes."""
    parent, name = item.parent, item.name.rsplit("/", 1)[1]
    attributes = {key: item.attrs[key] for key in item.attrs}
    del parent[name]
    made = parent.create_dataset(name, data=value, **how)
    for key, one in attributes.items():
        made.attrs[key] = one
    return made


def words_of(item: h5py.Dataset) -> list[str]:
    if h5py.check_string_dtype(item.dtype) is None or item.ndim != 1 or not 0 < item.size <= MOST_WORDS:
        raise TypeError("no short list of words")
    return [str(one) for one in item.asstr(errors="replace")[:]]
