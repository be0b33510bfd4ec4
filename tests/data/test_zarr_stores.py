"""A zarr store is read as the .h5ad of the same AnnData is; one that leads astray is refused before zarr sees it."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest

from h5ad_files import gears, written
from pertura.core.errors import BadDataError
from pertura.data.anndata_io import cells_from_file, open_cells, open_screen
from pertura.data.labelled_file import open_labelled
from pertura.data.manifest import read_manifest, verified_data, write_manifest
from pertura.data.stores import digest, is_store, size_of
from pertura.data.validate import walk_file
from pertura.data.values import Refusal
from pertura.data.walk_zarr import walk_zarr
from pertura.data.whole_file import to_anndata

pytestmark = pytest.mark.filterwarnings("ignore")  # zarr and anndata warn of what their next versions will write


def stored(adata: anndata.AnnData, path: Path, version: int = 3) -> Path:
    """Write a screen as a zarr store."""
    before = anndata.settings.zarr_write_format
    try:
        anndata.settings.zarr_write_format = version
        adata.write_zarr(path)
    finally:
        anndata.settings.zarr_write_format = before
    return path


def screen(layout: str = "csr") -> anndata.AnnData:
    adata = gears(layout=layout)
    adata.obs["condition"] = adata.obs["condition"].astype("category")
    adata.obs["passed"] = np.resize([True, False], adata.n_obs)
    adata.layers["counts"] = adata.X.copy()
    adata.obsm["X_pca"] = np.ones((adata.n_obs, 2))
    adata.uns = {"condition_colors": np.asarray(["#000000"] * 5), "log1p": {"base": None}}
    adata.raw = adata.copy()
    return adata


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return stored(screen(), tmp_path_factory.mktemp("zarr") / "screen.zarr")


@pytest.mark.slow
@pytest.mark.parametrize(("version", "layout"), [(2, "csr"), (2, "dense"), (3, "dense")])
def test_a_store_is_the_screen_that_the_file_is(version, layout, tmp_path):
    adata = screen(layout)
    file, store = written(adata, tmp_path), stored(adata, tmp_path / "screen.zarr", version)
    one, other = open_screen(file), open_screen(store)
    assert other.reading == one.reading
    assert other.cells.conditions == one.cells.conditions
    assert other.cells.notes == one.cells.notes
    every = np.arange(len(one.cells))
    np.testing.assert_array_equal(other.cells.dense(every), one.cells.dense(every))
    backed = cells_from_file(store, other.reading, in_memory_bytes=0)
    rows = np.asarray([70, 3, 3, 12])
    np.testing.assert_array_equal(backed.dense(rows), one.cells.dense(rows))


def test_every_field_of_a_store_comes_back(sound):
    """Fast twin of the above, too: the values are those that were written."""
    expected = screen()
    cells = cells_from_file(sound, open_screen(sound).reading, in_memory_bytes=0)
    for rows in (np.arange(expected.n_obs), np.asarray([70, 3, 12])):
        found, its = to_anndata(cells.take(rows)), expected[rows].copy()
        assert list(found.obs["condition"].cat.categories) == list(its.obs["condition"].cat.categories)
        assert list(found.obs) == list(its.obs)
        assert list(found.uns["condition_colors"]) == list(its.uns["condition_colors"])
        for mine, right in ((found.X, its.X), (found.layers["counts"], its.layers["counts"]), (found.raw.X, its.raw.X)):
            assert type(mine) is type(right)
            assert (mine != right).nnz == 0
        np.testing.assert_array_equal(found.obsm["X_pca"], its.obsm["X_pca"])


def test_labels_and_layers_of_a_store_are_read(sound):
    found = open_labelled(sound, layer="counts", in_memory_bytes=0)
    assert found.cells.control == "ctrl"
    assert found.cells.counts["ctrl"] == 20


@pytest.mark.slow
def test_a_store_is_known_by_its_content(sound, tmp_path):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(sound, copy)
    assert (digest(copy), size_of(copy)) == (digest(sound), size_of(sound))
    manifest = tmp_path / "dataset.toml"
    write_manifest(manifest, copy, open_screen(copy).reading)
    assert verified_data(manifest, read_manifest(manifest)) == copy
    assert len(open_cells(manifest)) == 100
    piece = next(one for one in sorted(copy.rglob("*")) if one.is_file() and one.name == "0")
    piece.write_bytes(piece.read_bytes()[::-1])
    with pytest.raises(BadDataError, match="sha256"):
        open_cells(manifest)


def test_a_folder_is_a_store_by_what_is_in_it(sound, tmp_path):
    assert is_store(sound)
    assert not is_store(tmp_path)
    with pytest.raises(BadDataError, match="not a file"):
        walk_file(tmp_path)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(BadDataError, match="without the metadata"):
        walk_file(tmp_path / "empty.zarr")


# ---- stores that lead astray


def changed(place: str, key: str, value: object) -> Callable[[Path], None]:
    """Set one entry of the metadata of an array."""

    def change(store: Path) -> None:
        path = store / place / "zarr.json"
        content = json.loads(path.read_text())
        content[key] = value
        path.write_text(json.dumps(content))

    return change


def _link_out(store: Path) -> None:
    os.symlink("/etc", store / "uns" / "more")


def _link_for_a_piece(store: Path) -> None:
    piece = store / "X" / "data" / "c" / "0"
    piece.unlink()
    os.symlink("/etc/passwd", piece)


def _pipe(store: Path) -> None:
    os.mkfifo(store / "X" / "data" / "c" / "7")


def _no_json(store: Path) -> None:
    (store / "X" / "zarr.json").write_text("{" * 5000)


def _cut_piece(store: Path) -> None:
    piece = store / "X" / "indices" / "c" / "0"
    piece.write_bytes(piece.read_bytes()[:20])


def _cut_elsewhere(store: Path) -> None:
    piece = next(one for one in sorted((store / "obsm" / "X_pca" / "c").rglob("*")) if one.is_file())
    piece.write_bytes(b"\x00" * 7)


def _deep(store: Path) -> None:
    (store / "uns" / Path(*["a"] * 40)).mkdir(parents=True)


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ASTRAY: dict[str, tuple[Callable[[Path], None], str]] = {
    "link out": (_link_out, "a link"),
    "link in place of a piece": (_link_for_a_piece, "a link"),
    "pipe": (_pipe, "neither a file nor a folder"),
    "no JSON": (_no_json, "no JSON"),
    "too deep": (_deep, "too deep"),
    "pickle": (changed("X/data", "codecs", [{"name": "numcodecs.pickle"}]), "codec 'numcodecs.pickle'"),
    "codec of a codec": (
        changed(
            "X/data",
            "codecs",
            [{"name": "sharding_indexed", "configuration": {"chunk_shape": [4], "codecs": [BYTES, {"name": "evil"}]}}],
        ),
        "codec 'evil'",
    ),
    "transformer": (changed("X/data", "storage_transformers", [{"name": "x"}]), "transformer"),
    "unknown type": (changed("X/data", "data_type", "object"), "type 'object'"),
    "claims too much": (changed("uns/condition_colors", "shape", [1 << 40]), "claim to hold"),
    "one huge piece": (
        changed("X/data", "chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [1 << 40]}}),
        "in pieces of",
    ),
    "no shape": (changed("X/data", "shape", ["x"]), "no shape"),
    "piece cut": (_cut_piece, ""),
    "piece cut that is not read at first": (_cut_elsewhere, "cannot be read"),
}


@pytest.mark.parametrize("kind", ASTRAY)
def test_a_store_that_leads_astray_is_refused(kind, sound, tmp_path):
    change, words = ASTRAY[kind]
    store = tmp_path / "screen.zarr"
    shutil.copytree(sound, store)
    change(store)
    # in this process, for speed; a broken piece may end in any error, which only the child process makes a refusal
    with pytest.raises(Refusal if words else Exception, match=words):
        walk_zarr(str(store))


def test_old_stores_run_no_code(tmp_path):
    """numcodecs would unpickle the pieces of an array of objects with this filter."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    store = stored(screen(), tmp_path / "screen.zarr", 2)
    folder = store / "obs" / "cell_type" if (store / "obs/cell_type/.zarray").exists() else store / "obs" / "_index"
    content = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps({**content, "filters": [{"id": "pickle"}], "compressor": None}))
    (folder / "0").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(BadDataError, match="codec 'pickle'"):
        walk_file(store)
    assert not (tmp_path / "made").exists()


def test_a_damaged_piece_is_a_refusal_of_the_store(sound, tmp_path):
    store = tmp_path / "screen.zarr"
    shutil.copytree(sound, store)
    _cut_piece(store)
    with pytest.raises(BadDataError, match=r"damaged|cannot be read"):
        walk_file(store)
