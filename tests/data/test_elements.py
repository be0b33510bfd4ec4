"""Whatever anndata cannot read of a file is said of that file, with the place, and never in anndata's own types."""

import h5py
import numpy as np
import pytest

from h5ad_files import gears, written
from pertura.core.errors import BadDataError
from pertura.data.elements import read_element


def _set(place, name, value):
    def change(file):
        file[place].attrs[name] = value

    return change


def _drop(place, name):
    def change(file):
        del file[place].attrs[name]

    return change


def _twice(file):
    words = file["obs/condition/categories"][:]
    words[1] = words[0]
    file["obs/condition/categories"][:] = words


CHANGES = {
    "an encoding of the future": (_set("X", "encoding-version", "9.9.9"), "X"),
    "no encoding": (_set("obs/condition/codes", "encoding-version", ""), "obs"),
    "categories twice": (_twice, "obs"),
    "no word on order": (_drop("obs/condition", "ordered"), "obs"),
    "no index": (_drop("obs", "_index"), "obs"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_anndata_cannot_read_is_said_of_the_file(kind, tmp_path):
    change, place = CHANGES[kind]
    adata = gears(cells_per_label=4)
    adata.obs["condition"] = adata.obs["condition"].astype("category")
    path = written(adata, tmp_path)
    with h5py.File(path, "r+") as file:
        change(file)
    with h5py.File(path, "r") as file, pytest.raises(BadDataError, match=r"cannot be read \(") as refused:
        read_element(file[place])
    assert (refused.value.file, refused.value.place) == (str(path), place)
    assert len(str(refused.value)) < 700
    assert refused.value.remedy


def test_what_can_be_read_comes_as_it_was_written(tmp_path):
    adata = gears(cells_per_label=4)
    with h5py.File(written(adata, tmp_path), "r") as file:
        np.testing.assert_array_equal(read_element(file["X"]).toarray(), adata.X.toarray())
        assert list(read_element(file["obs"])["condition"]) == list(adata.obs["condition"])
