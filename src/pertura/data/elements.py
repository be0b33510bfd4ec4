"""One object of an .h5ad or .zarr as anndata reads it; what it cannot read is said of the file, not of anndata."""

from typing import Any

import anndata

from pertura.core.errors import BadDataError
from pertura.data.stores import Array, Group, file_of, place_of

REMEDY = "write the file again with a current anndata, or leave this part out"
LONGEST = 300


def read_element(item: Array | Group) -> Any:
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
        raise BadDataError(f"{problem})", file=file_of(item), place=place_of(item), remedy=REMEDY) from error
