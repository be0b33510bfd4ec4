"""The copy of a query that labels are written into: a file of a file, a store of a store."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import h5py
import pandas as pd

from pertura.core.atomic import replacing
from pertura.data.stores import ROOTS, files_of, is_store

if TYPE_CHECKING:
    import zarr

FILE, STORE = "annotated.h5ad", "annotated.zarr"


def annotated_name(data: str | Path | anndata.AnnData) -> str:
    """Return what the annotated copy of some cells is called."""
    return STORE if not isinstance(data, anndata.AnnData) and is_store(Path(data)) else FILE


@contextmanager
def writable_copy(path: Path, output: Path) -> Iterator[Any]:
    """Yield the root of a copy of a walked .h5ad or .zarr; it becomes `output` when the block ends without error."""
    if path.is_dir():
        with _copied_store(path, output) as root:
            yield root
        return
    with replacing(output) as temporary:
        shutil.copyfile(path, temporary)
        with h5py.File(temporary, "r+") as file:
            yield file


def new_array(group: Any, name: str, shape: tuple[int, int], rows: int) -> Any:
    """Return a new array of numbers in a group of HDF5 or of zarr, in the place of any of its name.

    It is marked as anndata marks arrays, and stored `rows` rows to a piece.
    """
    if name in group:
        del group[name]
    make = group.create_dataset if isinstance(group, h5py.Group) else group.create_array
    stored = make(name, shape=shape, dtype="f4", chunks=(rows, shape[1]))
    stored.attrs["encoding-type"], stored.attrs["encoding-version"] = "array", "0.2.0"
    return stored


def replace_table(file: Any, name: str, frame: pd.DataFrame) -> None:
    """Put a frame in the place of another, in HDF5 or in zarr."""
    del file[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how a later anndata will cut the arrays of a store
        anndata.io.write_elem(file, name, frame)


@contextmanager
def _copied_store(path: Path, output: Path) -> Iterator["zarr.Group"]:
    """Copy content alone: a store that may only be read gives a copy that may be written."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=output.parent) as temporary:
        made = Path(temporary) / output.name
        for one in files_of(path):
            placed = made / one.relative_to(path)
            placed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one, placed)
        yield _writable_root(made)
        _gather(made)
        if output.exists():
            shutil.rmtree(output)
        made.rename(output)


def _writable_root(folder: Path) -> "zarr.Group":
    import zarr
    from zarr.storage import LocalStore

    is_new = (folder / ROOTS[0]).is_file()
    return zarr.open_group(LocalStore(folder), mode="r+", zarr_format=3 if is_new else 2, use_consolidated=False)


def _gather(folder: Path) -> None:
    """Gather the metadata in one place again, as anndata does: those that were copied know nothing of the labels."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gathered metadata are no part of version 3 yet; every reader of it copes
        zarr.consolidate_metadata(zarr.storage.LocalStore(folder))
