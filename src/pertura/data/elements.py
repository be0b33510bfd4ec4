"""One object of an .h5ad file as anndata reads it; what it cannot read is said of the file, not of anndata."""

from typing import Any

import anndata
import h5py

from pertura.core.errors import BadDataError

REMEDY = "write the file again with a current anndata, or leave this part out"
LONGEST = 300


def read_element(item: "h5py.Dataset | h5py.Group") -> Any:
    """Return an object of a walked file as anndata reads it: a frame, an array, a sparse matrix, a word, a mapping.

    Whatever it cannot read (an unknown encoding, parts that do not go together) raises `BadDataError` with file and
    place.
    """
    try:
        return anndata.io.read_elem(item)
    except MemoryError:
        raise
    except Exception as error:  # its readers and their registry raise whatever they meet, of many and private types
        problem = " ".join(f"cannot be read ({type(error).__name__}: {error}".split())[:LONGEST]
        place = str(item.name).strip("/")
        raise BadDataError(f"{problem})", file=item.file.filename, place=place, remedy=REMEDY) from error
