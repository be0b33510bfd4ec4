"""Doors for screens: .h5ad files, zarr stores, the dataset.toml that describes one, folders of 10x."""

import gzip
import shutil
from pathlib import Path

import anndata
import numpy as np

import h5ad_files
import tenx_folders
from mutations.command import command
from mutations.containers import is_hdf5, is_store, is_tenx, is_toml
from mutations.files import (
    SCREEN,
    SCREENS,
    STRUCTURED_TOML,
    some_bytes_changed,
    some_text_changed,
    store_changed,
    structure_changed,
)
from mutations.hdf5 import hdf5_changed
from mutations.text import pick, words_changed
from mutations.watch import Door
from pertura.data.anndata_io import open_cells
from pertura.data.whole_file import to_anndata

STORE = "screen.zarr"
FEW = {"cells_per_label": 12}


def _write_screens(folder: Path) -> None:
    """One screen in each convention, and one with everything that AnnData can hold."""
    made = {name.partition(" ")[0]: write(**FEW) for name, write in h5ad_files.WRITERS.items()}
    made |= {"dense": h5ad_files.gears(layout="dense", **FEW), "columns": h5ad_files.gears(layout="csc", **FEW)}
    for name, adata in made.items():
        (folder / name).mkdir()
        h5ad_files.written(adata, folder / name, SCREEN)
    _write_full_screen(folder)


def _write_full_screen(folder: Path) -> None:
    full = h5ad_files.gears(**FEW)
    full.obs["condition"] = full.obs["condition"].astype("category")
    full.obs["batch"] = np.resize([1, 2], full.n_obs)
    full.obs["dose_value"], full.var["gene_name"] = 1.0, full.var_names.to_numpy()
    full.layers["counts"] = full.X.copy()
    full.layers["counts"].data[:] = np.rint(full.layers["counts"].data) + 1
    full.obsm["X_pca"], full.varm["PCs"] = np.ones((full.n_obs, 2)), np.ones((full.n_vars, 2))
    full.raw = full.copy()
    full.uns = {"log1p": {"base": 2.0}, "hvg": {"flavor": "seurat"}, "rank_genes_groups": {"names": np.arange(3)}}
    (folder / "full").mkdir()
    h5ad_files.written(full, folder / "full", SCREEN)


def _inspect(given: Path, out: Path) -> None:
    """Look at a screen, and read every value as the dataset.toml says."""
    command("inspect", given / SCREEN, "-o", out / "dataset.toml")
    _read_all(out / "dataset.toml")


def _write_stores(folder: Path) -> None:
    """The screen with everything, as zarr stores of both versions, and a dense one."""
    _write_full_screen(folder)
    full = anndata.read_h5ad(folder / "full" / SCREEN)
    shutil.rmtree(folder / "full")
    made = (("full2", full, 2), ("full3", full, 3), ("dense", h5ad_files.gears(layout="dense", **FEW), 3))
    for name, adata, version in made:
        (folder / name).mkdir()
        with anndata.settings.override(zarr_write_format=version):
            adata.write_zarr(folder / name / STORE)


def _inspect_store(given: Path, out: Path) -> None:
    """As for a file, and every field is brought back."""
    command("inspect", given / STORE, "-o", out / "dataset.toml")
    cells = open_cells(out / "dataset.toml")
    to_anndata(cells.take(np.arange(len(cells))[::2]))


def _read_all(path: Path) -> None:
    cells = open_cells(path)
    cells.dense(np.arange(len(cells))).sum()


def _write_columns(folder: Path) -> None:
    """Screens with a part for each cell, one of them with counts of all genes that `prepare` can normalise."""
    made = {"gears": h5ad_files.gears(**FEW), "counts": h5ad_files.scperturb(**FEW)}
    for name, adata in made.items():
        labels = adata.obs["condition" if "condition" in adata.obs else "perturbation"].astype(str)
        parts = dict(zip(sorted(set(labels)), ("train", "test", "val", "train", "test"), strict=False))
        adata.obs["split1"] = labels.map(parts).astype("category")
        (folder / name).mkdir()
        h5ad_files.written(adata, folder / name, SCREEN)


def _prepare(given: Path, out: Path) -> None:
    """Cut a screen by its column, prepare it on the split, and read what was written."""
    command("split", given / SCREEN, "--from-column", "split1", "--overlap", "test-wins", "-o", out / "split.json")
    command("prepare", given / SCREEN, "--genes", 5, "--split", out / "split.json", "-o", out / "prepared.h5ad")
    _read_all(out / "prepared.h5ad")


def _write_manifests(folder: Path) -> None:
    for name, write in (("gears", h5ad_files.gears), ("cellflow", h5ad_files.cellflow)):
        (folder / name).mkdir()
        screen = h5ad_files.written(write(**FEW), folder / name, SCREEN)
        command("inspect", screen, "-o", folder / name / "dataset.toml")


def _open_manifest(given: Path, out: Path) -> None:
    command("inspect", given / "dataset.toml", "-o", out / "unused.toml")
    _read_all(given / "dataset.toml")


def _write_tenx(folder: Path) -> None:
    made = tenx_folders.library(genes=8)
    for layout in ("h5", "old h5", "plain triple", "triple"):
        tenx_folders.outs(made, folder / layout / "outs", layout)
        tenx_folders.write_guides(folder / layout / "guides.csv")


def _change_tenx(folder: Path, rng: np.random.Generator) -> Path:
    path = pick(rng, sorted(one for one in folder.rglob("*") if one.is_file()))
    if path.suffix == ".h5":
        hdf5_changed(path, rng)
    elif path.suffix == ".gz":
        text = words_changed(gzip.decompress(path.read_bytes()).decode(), rng)
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(words_changed(path.read_text(), rng).encode())
    return path


def _import_tenx(given: Path, out: Path) -> None:
    command("import", "10x", given / "outs", "--guides", given / "guides.csv", "-o", out / SCREEN)


SCREEN_DOORS = (
    Door("h5ad, inspect", 25, _write_screens, structure_changed, is_hdf5, _inspect),
    Door("h5ad bytes, inspect", 6, _write_full_screen, some_bytes_changed(SCREENS), is_hdf5, _inspect),
    Door("h5ad, split and prepare", 6, _write_columns, structure_changed, is_hdf5, _prepare),
    Door("zarr, inspect", 8, _write_stores, store_changed, is_store, _inspect_store),
    Door("dataset.toml", 7, _write_manifests, some_text_changed("*.toml", *STRUCTURED_TOML), is_toml, _open_manifest),
    Door("10x folder, import", 12, _write_tenx, _change_tenx, is_tenx, _import_tenx),
    Door("10x bytes, import", 3, _write_tenx, some_bytes_changed("*.*"), is_tenx, _import_tenx),
)
