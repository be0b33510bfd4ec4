"""A file that is not safe and sound is refused with file, place and remedy, before anything is made of it."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5ad_files import gears, written
from pertura.cli.inspect import inspect
from pertura.core.errors import BadDataError, MissingError
from pertura.data import validate
from pertura.data.anndata_io import open_cells
from pertura.data.validate import _outcome, walk_file
from pertura.data.walk import walk

Mutation = Callable[[h5py.File], None]


def _set(place: str, at: object, value: object) -> Mutation:
    def mutate(file: h5py.File) -> None:
        file[place][at] = value

    return mutate


def _shorter_indptr(file: h5py.File) -> None:
    kept = file["X/indptr"][:-1]
    del file["X/indptr"]
    file["X/indptr"] = kept


def _dense(value: float) -> Mutation:
    def mutate(file: h5py.File) -> None:
        shape = tuple(file["X"].attrs["shape"])
        del file["X"]
        values = np.ones(shape, dtype=np.float32)
        values[2, 3] = value
        file["X"] = values

    return mutate


def _scaled(file: h5py.File) -> None:
    shape = tuple(file["X"].attrs["shape"])
    values = np.random.default_rng(0).normal(size=shape)
    del file["X"]
    file["X"] = (values - values.mean(axis=0)) / values.std(axis=0)


def _unit_variance(file: h5py.File) -> None:
    shape = tuple(file["X"].attrs["shape"])
    values = np.random.default_rng(0).gamma(1.0, size=shape)
    del file["X"]
    file["X"] = values / values.std(axis=0)


def _normalised_without_logarithm(file: h5py.File) -> None:
    file["X/data"][:] = np.expm1(file["X/data"][:])


def _strings(file: h5py.File) -> None:
    del file["X"]
    file["X"] = "text"


def _repeated_name(place: str) -> Mutation:
    def mutate(file: h5py.File) -> None:
        names = file[place][:]
        names[1] = names[0]
        file[place][:] = names

    return mutate


def _external_link(file: h5py.File) -> None:
    file["uns/other"] = h5py.ExternalLink("/etc/passwd", "/")


def _soft_link(file: h5py.File) -> None:
    file["uns/other"] = h5py.SoftLink("/nowhere/at/all")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("uns/other", (4,), dtype="u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), dtype="u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("uns/other", layout)


def _reference(file: h5py.File) -> None:
    file.create_dataset("uns/other", (1,), dtype=h5py.ref_dtype)[0] = file["X"].ref


def _short_column(file: h5py.File) -> None:
    kept = file["obs/ncounts"][:-1]
    del file["obs/ncounts"]
    file["obs/ncounts"] = kept


def _bomb(file: h5py.File) -> None:
    file.create_dataset("uns/other", (1 << 20, 1 << 20), chunks=(1 << 10, 1 << 10), dtype="f8", compression="gzip")


def _without(place: str) -> Mutation:
    def mutate(file: h5py.File) -> None:
        del file[place]

    return mutate


def _twice_in_a_row(file: h5py.File) -> None:
    file["X/indices"][1] = file["X/indices"][0]


MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    "sparse index too large": (_set("X/indices", 7, 30), "X/indices", "index 30 at position 7"),
    "sparse index negative": (_set("X/indices", 7, -1), "X/indices", "index -1"),
    "sparse index twice": (_twice_in_a_row, "X/indices", "same index twice"),
    "indptr backwards": (_set("X/indptr", 5, 10_000_000), "X/indptr", "at 4"),
    "indptr too short": (_shorter_indptr, "X/indptr", "100 entries, not 101"),
    "indptr does not end": (_set("X/indptr", -1, 900), "X/indptr", ""),
    "NaN": (_set("X/data", 0, np.nan), "X[0, ", "1 NaN"),
    "infinite": (_set("X/data", 0, np.inf), "X[0, ", "1 infinite"),
    "negative": (_set("X/data", 0, -1.0), "X[0, ", "1 negative"),
    "NaN in dense": (_dense(np.nan), "X[2, 3] (cell cell2, gene GENE3)", "NaN"),
    "negative in dense": (_dense(-0.5), "X[2, 3]", "negative"),
    "scaled": (_scaled, "X[0, ", "scaled values"),
    "scaled, not centred": (_unit_variance, "X", "standard deviation of 1"),
    "no logarithm": (_normalised_without_logarithm, "X", "neither counts nor logarithms"),
    "X of text": (_strings, "X", "neither a table of numbers nor sparse"),
    "no X": (_without("X"), "/", "no X"),
    "no obs": (_without("obs"), "/", "no obs"),
    "no cell names": (_without("obs/_index"), "obs", "no row names"),
    "cells twice": (_repeated_name("obs/_index"), "obs/_index", "1 cell names occur more than once (first: cell0)"),
    "genes twice": (_repeated_name("var/_index"), "var/_index", "1 gene names occur more than once (first: GENE0)"),
    "short column": (_short_column, "obs/ncounts", "shape (99,), not (100,)"),
    "column gone": (_without("obs/ncounts"), "obs", "'ncounts' that is not there"),
    "code out of range": (_set("obs/condition/codes", 3, 77), "obs/condition", "code 77 in row 3"),
    "external link": (_external_link, "/uns/other", "external link"),
    "soft link out": (_soft_link, "/uns/other", "soft link"),
    "external storage": (_external_storage, "/uns/other", "external storage"),
    "virtual dataset": (_virtual, "/uns/other", "virtual dataset"),
    "reference": (_reference, "/uns/other", "object references"),
    "bomb": (_bomb, "/uns/other", "claim to hold"),
}


def refused(path: Path) -> BadDataError:
    """The refusal of a file by `pertura inspect`, which must leave nothing behind."""
    before = sorted(os.listdir(path.parent))
    with pytest.raises(BadDataError) as caught:
        inspect(path, output=path.parent / "dataset.toml")
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert sorted(os.listdir(path.parent)) == before
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_bad_file_is_refused_with_place_and_problem(kind, tmp_path):
    mutate, place, problem = MUTATIONS[kind]
    path = written(_categorical(gears()), tmp_path)
    with h5py.File(path, "r+") as file:
        mutate(file)
    error = refused(path)
    assert error.place.startswith(place)
    assert problem in str(error)


def _categorical(adata):
    adata.obs["condition"] = adata.obs["condition"].astype("category")
    return adata


@pytest.mark.parametrize("content", [b"", b"cells,genes\n1,2\n", b"\x89HDF\r\n\x1a\n" + bytes(64)])
def test_what_is_no_hdf5_is_refused(content, tmp_path):
    path = tmp_path / "screen.h5ad"
    path.write_bytes(content)
    assert any(word in refused(path).problem for word in ("empty", "not an HDF5", "damaged"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share, tmp_path):
    path = written(gears(), tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "truncated" in refused(path).problem


@pytest.mark.slow
def test_a_file_of_noise_where_data_was_is_refused_or_read_but_never_crashes(tmp_path):
    sound = written(gears(), tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / f"noise{i}.h5ad"
        spoiled = bytearray(sound)
        for at in rng.integers(100, len(sound), size=40):
            spoiled[at] = rng.integers(256)
        path.write_bytes(bytes(spoiled))
        with contextlib.suppress(BadDataError):
            walk_file(path)


@pytest.mark.slow
def test_a_file_that_needs_more_memory_than_allowed_is_refused(tmp_path):
    path = written(gears(), tmp_path)
    with h5py.File(path, "r+") as file:
        del file["X"]
        # one chunk of 200 MB must be unpacked as a whole, though only 100 x 30 values are wanted
        x = file.create_dataset(
            "X", (100, 30), dtype="f4", maxshape=(None, None), chunks=(10_000, 5_000), compression="gzip"
        )
        x[:] = np.random.default_rng(0).random((100, 30))
    with pytest.raises(BadDataError, match=r"more than 0\.244 GiB|ended abnormally"):
        walk_file(path, memory=250 << 20)
    assert walk_file(path).cells == 100


@pytest.mark.parametrize(("code", "words"), [(None, "within 7 seconds"), (-9, "within 7 seconds"), (-11, "abnormally")])
def test_a_child_that_hangs_or_crashes_is_a_refusal(code, words, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "_run", lambda *_: code)
    with pytest.raises(BadDataError, match=words):
        walk_file(written(gears(), tmp_path), seconds=7)


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        walk_file(tmp_path / "screen.h5ad")
    with pytest.raises(BadDataError, match="not a file"):
        walk_file(tmp_path)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"facts": {"cells": 1}}', b'{"refused": 3}', b"\xff"])
def test_garbage_from_the_child_is_a_refusal(answer, tmp_path):
    with pytest.raises(BadDataError, match="no clear answer"):
        _outcome(answer, tmp_path / "screen.h5ad")


def test_a_soft_link_inside_the_file_is_fine(tmp_path):
    path = written(gears(), tmp_path)
    with h5py.File(path, "r+") as file:
        file["uns/again"] = h5py.SoftLink("/X")
        file["uns/itself"] = h5py.SoftLink("/uns")
    assert walk_file(path).cells == 100


def test_values_where_a_group_belongs_hold_no_layers_and_no_embeddings(tmp_path):
    path = written(gears(), tmp_path)
    with h5py.File(path, "r+") as file:
        for place in ("layers", "obsm", "obsp", "uns"):
            del file[place]
            file[place] = np.arange(3, dtype=np.int8)
    cells = open_cells(path)
    assert len(cells) == 100
    assert not any("computed before" in note for note in cells.notes)
    assert walk(str(path))["layers"] == []


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_facts_of_a_sound_file_equal_those_of_its_matrix(layout, tmp_path):
    adata = gears(scale="counts", layout=layout)
    full = adata.X if layout == "dense" else adata.X.toarray()
    facts = walk_file(written(adata, tmp_path))
    assert (facts.cells, facts.genes, facts.layout) == (*full.shape, layout)
    assert facts.density == pytest.approx(np.mean(full != 0))
    assert (facts.lowest, facts.highest, facts.whole_share) == (full.min(), full.max(), 1.0)
