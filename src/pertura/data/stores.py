"""An AnnData on disk by one set of words, whether it is one file (.h5ad) or the folder of a zarr store."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import h5py
import numpy as np
from jaxtyping import Shaped

if TYPE_CHECKING:
    import zarr

SUFFIXES = (".h5ad", ".zarr")
"""By which a path is told to be an AnnData rather than a table, a manifest or a folder of anything else."""
ROOTS = ("zarr.json", ".zgroup")
"""What lies in the folder of a zarr store, of version 3 and of version 2."""


@runtime_checkable
class Array(Protocol):
    """An array that stays on disk: one of HDF5 or of zarr."""

    @property
    def shape(self) -> Any:
        """Its lengths."""
        ...

    @property
    def ndim(self) -> Any:
        """How many lengths."""
        ...

    @property
    def size(self) -> Any:
        """How many values."""
        ...

    @property
    def chunks(self) -> Any:
        """The lengths of the pieces that it is stored in; None where it is stored in one."""
        ...

    @property
    def dtype(self) -> Any:
        """The type of its values."""
        ...

    @property
    def attrs(self) -> Any:
        """What is said of it."""
        ...

    def __getitem__(self, place: Any, /) -> Any: ...


@runtime_checkable
class Group(Protocol):
    """Arrays and groups by name: a group of HDF5 or of zarr."""

    @property
    def attrs(self) -> Any:
        """What is said of it."""
        ...

    def keys(self) -> Any:
        """The names in it."""
        ...

    def get(self, place: Any, default: Any = None) -> Any:
        """Return what is at a place; None where nothing is."""
        ...

    def __contains__(self, place: str, /) -> bool: ...

    def __getitem__(self, place: Any, /) -> Any: ...


def is_store(path: Path) -> bool:
    """Whether this is the folder of a zarr store, sound or not."""
    return path.is_dir() and (path.suffix == ".zarr" or any((path / name).is_file() for name in ROOTS))


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a walked .h5ad or .zarr for reading, as the group at its root."""
    if path.is_dir():
        yield root_of(path)
        return
    with h5py.File(path, "r") as file:
        yield file


def root_of(path: Path) -> "zarr.Group":
    """Return the root of a zarr store in a folder.

    Metadata gathered in one place are not used: what was walked are those of each array.
    """
    import zarr
    from zarr.storage import LocalStore

    is_new = (path / ROOTS[0]).is_file()
    store = LocalStore(path, read_only=True)
    return zarr.open_group(store, mode="r", zarr_format=3 if is_new else 2, use_consolidated=False)


def is_text(array: Array) -> bool:
    """Whether an array holds words."""
    return array.dtype.kind in "TU" or h5py.check_string_dtype(array.dtype) is not None


def text_of(array: Any) -> Shaped[np.ndarray, "*_"]:
    """Return the words of an array as objects of Python; text that is not UTF-8 raises `UnicodeDecodeError`."""
    held = array.asstr()[...] if isinstance(array, h5py.Dataset) else array[...]
    return np.asarray(held, dtype=object)


def is_by_columns(matrix: object) -> bool:
    """Whether a matrix is sparse and stored gene by gene (CSC), so that no cell of it can be read by itself."""
    return isinstance(matrix, Group) and matrix.attrs.get("encoding-type") == "csc_matrix"


def names_in(group: object) -> list[str]:
    """Return the names in a group, sorted; none where it is no group."""
    return sorted(group.keys()) if isinstance(group, Group) else []


def file_of(item: Any) -> str:
    """Return the file or folder that an array or group lies in."""
    if isinstance(item, h5py.Dataset | h5py.Group):
        return str(item.file.filename)
    return str(item.store.root)


def place_of(item: Any) -> str:
    """Return where in its file an array or group stands."""
    return str(item.name).strip("/")


def files_of(path: Path) -> list[Path]:
    """Return the file, or all files of a folder in the order of their names."""
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return sum(one.stat().st_size for one in files_of(path))


def digest(path: Path) -> str:
    """Return the sha256 of a file; of a folder that of the names of its files with the sha256 of each."""
    if not path.is_dir():
        return _digest(path)
    listed = (f"{one.relative_to(path).as_posix()}\0{_digest(one)}\n" for one in files_of(path))
    return hashlib.sha256("".join(listed).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
