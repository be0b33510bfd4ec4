"""Every way in for files from outside: what a sound input is, how it is tampered with, and how it is opened."""

import functools
import gzip
import json
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
from anndata import AnnData
from safetensors import numpy as tensors

import foreign_screens
import h5ad_files
import small_runs
import tenx_folders
from mutations.hdf5 import hdf5_changed
from mutations.text import bytes_changed, json_changed, pick, pieces_changed, toml_changed, tree_changed, words_changed
from mutations.watch import Door
from pertura.cli.app import application
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline
from pertura.data.anndata_io import open_cells
from pertura.data.predictions import read_predictions
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit
from pertura.data.splits.files import read_split, write_split
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_files import split_from_file
from pertura.evaluation.files import aggregate_table, read_scores, results_table
from pertura.evaluation.table import METRICS
from pertura.priors import store
from pertura.priors.opening import open_prior
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.recipes.recipe import write_recipe
from pertura.recipes.run import run
from split_screens import CONTEXTS, cells_of

SCREEN, SCREENS = "screen.h5ad", "*.h5ad"
FEW = {"cells_per_label": 12}


@functools.cache
def _application():
    return application()


def command(*words: object) -> None:
    """Run a command of `pertura` in this process."""
    _application()([str(one) for one in words], standalone_mode=False)


# ---- does the container open?


def is_hdf5(path: Path) -> bool:
    """The file opens, and the names of its uppermost objects can be read."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return len(list(file)) >= 0
    except (OSError, RuntimeError, UnicodeError):
        return False


def _parses(read: Callable[[str], object]) -> Callable[[Path], bool]:
    def parses(path: Path) -> bool:
        try:
            read(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            return False
        return True

    return parses


is_json, is_toml = _parses(json.loads), _parses(tomllib.loads)


def is_json_or_toml(path: Path) -> bool:
    """As other tools write splits, in one file name or the other."""
    return is_json(path) or is_toml(path)


def is_text(path: Path) -> bool:
    """Text in UTF-8, compressed or not."""
    try:
        raw = path.read_bytes()
        (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (OSError, EOFError, ValueError, gzip.zlib.error):
        return False
    return True


def is_tenx(path: Path) -> bool:
    """One of the files of a 10x folder."""
    return is_hdf5(path) if path.suffix == ".h5" else is_text(path)


def is_tensors(path: Path) -> bool:
    """The header of a safetensors file is JSON."""
    raw = path.read_bytes()
    try:
        return isinstance(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]), dict)
    except (ValueError, RecursionError):
        return False


def is_scores(path: Path) -> bool:
    """One of the two files of scores that are read."""
    return is_json(path) if path.suffix == ".json" else is_tensors(path)


def is_table(path: Path) -> bool:
    """A table of text or parquet."""
    if path.suffix != ".parquet":
        return is_text(path)
    try:
        pq.read_schema(path)
    except (OSError, ValueError):
        return False
    return True


# ---- screens


def _write_screens(folder: Path) -> None:
    """One screen in each convention, one of them with everything that AnnData can hold."""
    made = {name.partition(" ")[0]: write(**FEW) for name, write in h5ad_files.WRITERS.items()}
    made |= {"dense": h5ad_files.gears(layout="dense", **FEW), "columns": h5ad_files.gears(layout="csc", **FEW)}
    full = h5ad_files.gears(**FEW)
    full.obs["condition"] = full.obs["condition"].astype("category")
    full.obs["batch"] = np.resize([1, 2], full.n_obs)
    full.obs["dose_value"], full.var["gene_name"] = 1.0, full.var_names.to_numpy()
    full.layers["counts"] = full.X.copy()
    full.layers["counts"].data[:] = np.rint(full.layers["counts"].data) + 1
    full.obsm["X_pca"], full.varm["PCs"] = np.ones((full.n_obs, 2)), np.ones((full.n_vars, 2))
    full.raw = full.copy()
    full.uns = {"log1p": {"base": 2.0}, "hvg": {"flavor": "seurat"}, "rank_genes_groups": {"names": np.arange(3)}}
    for name, adata in {**made, "full": full}.items():
        (folder / name).mkdir()
        h5ad_files.written(adata, folder / name, SCREEN)


def _change_structure(folder: Path, rng: np.random.Generator) -> Path:
    path = pick(rng, sorted(folder.glob(SCREENS)))
    hdf5_changed(path, rng)
    return path


def _change_bytes(pattern: str) -> Callable[[Path, np.random.Generator], Path]:
    def change(folder: Path, rng: np.random.Generator) -> Path:
        path = pick(rng, sorted(folder.rglob(pattern)))
        raw = path.read_bytes()
        for _ in range(int(pick(rng, (1, 1, 5, 40)))):
            raw = bytes_changed(raw, rng) if rng.random() < 0.3 else _one_byte(raw, rng)
        path.write_bytes(raw)
        return path

    return change


def _one_byte(raw: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(max(len(raw), 1)))
    return raw[:at] + bytes([int(rng.integers(256))]) + raw[at + 1 :]


def _inspect(given: Path, out: Path) -> None:
    """Look at a screen, and read every value as the dataset.toml says."""
    command("inspect", given / SCREEN, "-o", out / "dataset.toml")
    _read_all(out / "dataset.toml")


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


def _change_text(
    pattern: str, *how: Callable[[str, np.random.Generator], str]
) -> Callable[[Path, np.random.Generator], Path]:
    def change(folder: Path, rng: np.random.Generator) -> Path:
        path = pick(rng, sorted(folder.rglob(pattern)))
        text = path.read_bytes().decode()
        path.write_bytes(pick(rng, how)(text, rng).encode())
        return path

    return change


def _write_manifests(folder: Path) -> None:
    for name, write in (("gears", h5ad_files.gears), ("cellflow", h5ad_files.cellflow)):
        (folder / name).mkdir()
        screen = h5ad_files.written(write(**FEW), folder / name, SCREEN)
        command("inspect", screen, "-o", folder / name / "dataset.toml")


def _open_manifest(given: Path, out: Path) -> None:
    command("inspect", given / "dataset.toml", "-o", out / "unused.toml")
    _read_all(given / "dataset.toml")


# ---- folders of 10x


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


# ---- splits and recipes

SPLIT_CELLS = cells_of([Condition(Perturbation.of(gene), context) for context in CONTEXTS for gene in "ABCD"])
STATE_SPLIT = (
    '[datasets]\nr = "/data"\n[training]\nr = "train"\n[zeroshot]\n"r.y" = "val"\n[fewshot]\n[fewshot."r.x"]\n'
    'val = ["A"]\ntest = ["B", "C"]\n'
)
WORKBENCH_SPLIT = json.dumps(
    {
        "split_type": "s",
        "seed": 1,
        "train": ["A+ctrl", "ctrl"],
        "val": ["B"],
        "test": ["C+ctrl"],
        "strata": {"x": ["C"]},
    },
    indent=1,
)


def _write_splits(folder: Path) -> None:
    outline = Outline.of(SPLIT_CELLS)
    made = {
        "context": SPLITS["held-out-context"](outline, seed=1, context="x"),
        "folds": SPLITS["folds"](outline, seed=1, folds=3, fold=0),
    }
    for name, split in made.items():
        write_split(split, folder / name / "split.json")


def _open_split(given: Path, out: Path) -> None:
    split = read_split(given / "split.json")
    audit(split, SPLIT_CELLS)
    write_split(split, out / "split.json")
    split.visible(SPLIT_CELLS)


def _write_foreign_splits(folder: Path) -> None:
    for name, text in (("state", STATE_SPLIT), ("workbench", WORKBENCH_SPLIT)):
        (folder / name).mkdir()
        (folder / name / "split.txt").write_text(text)


def _change_foreign_split(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "split.txt"
    text = path.read_text()
    structured = json_changed if text.startswith("{") else toml_changed
    path.write_bytes(pick(rng, (structured, structured, pieces_changed))(text, rng).encode())
    return path


def _open_foreign_split(given: Path, out: Path) -> None:
    made = split_from_file(given / "split.txt", Outline.of(SPLIT_CELLS), Rules(TEST_WINS)).split
    audit(made, SPLIT_CELLS)
    write_split(made, out / "split.json")


def _write_lists(folder: Path) -> None:
    (folder / "list").mkdir()
    (folder / "list" / "conditions.txt").write_text("A+ctrl\nctrl+B\nA+B\nctrl\nC\n\nD+C\nE+ctrl\n")


def _split_list(given: Path, out: Path) -> None:
    command("split", "--conditions", given / "conditions.txt", "-o", out / "split.json")


def _write_recipes(folder: Path) -> None:
    recipe = small_runs.small_recipe("norman-500", bootstrap=2, permutations=1)
    companion = replace(recipe, name="beside", data="mcfaline-500", rule="held-out-context", options={"context": "A172"})
    priors = replace(recipe, models=("ridge", "no-change", "ridge+go-c"), priors=("own.safetensors",))
    for name, one in (("one", recipe), ("two", replace(recipe, companions=(companion,))), ("priors", priors)):
        write_recipe(one, folder / name / "recipe.toml")
        _write_prior(folder / name / "own.safetensors")


def _plan(given: Path, out: Path) -> None:
    command("run", given / "recipe.toml", "-o", out / "run", "--dry-run")


# ---- predictions, scores, priors


@functools.cache
def _made() -> tempfile.TemporaryDirectory[str]:
    """A folder with a run in it, there for as long as this process lives."""
    home = tempfile.TemporaryDirectory()
    data = small_runs.lines_file(Path(home.name))
    recipe = small_runs.small_recipe(data, rule="held-out-context", options={"context": "line-b"})
    run(recipe, Path(home.name) / "run")
    return home


def _made_run() -> Path:
    return Path(_made().name) / "run"


def _write_predictions(folder: Path) -> None:
    for model in small_runs.MODELS:
        (folder / model).mkdir()
        shutil.copy(_made_run() / "models" / model / "predictions.h5ad", folder / model / "predicted.h5ad")


def _open_predictions(given: Path, out: Path) -> None:
    stored = read_predictions(given / "predicted.h5ad")
    for one in stored.prediction.conditions:
        np.asarray(stored.prediction.cells[one]).sum()
    stored.observed.dense(np.arange(len(stored.observed))).sum()
    stored.split.visible(stored.observed)


def _write_scores(folder: Path) -> None:
    """Two models; the scores of the one called `changed` will be tampered with."""
    for model in small_runs.MODELS:
        for other in small_runs.MODELS:
            name = "changed" if other == model else other
            shutil.copytree(_made_run() / "models" / other / "scores", folder / model / "models" / name / "scores")


def _change_scores(folder: Path, rng: np.random.Generator) -> Path:
    scores = folder / "models" / "changed" / "scores"
    path = pick(rng, (scores / "scores.json", scores / "scores.json", scores / "bootstrap.safetensors"))
    if path.suffix == ".json":
        path.write_text(pick(rng, (json_changed, json_changed, json_changed, pieces_changed))(path.read_text(), rng))
    elif rng.random() < 0.3:
        _change_header(path, rng)
    else:
        arrays = tensors.load_file(path)
        name = pick(rng, sorted(arrays))
        arrays[name] = _another_array(arrays[name], rng)
        tensors.save_file({name: np.ascontiguousarray(one) for name, one in arrays.items() if one.size}, path)
    return path


def _another_array(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    spoiled = values.copy()
    spoiled.reshape(-1)[: 1 + int(rng.integers(spoiled.size))] = pick(rng, (np.nan, np.inf, -1, 0, 7))
    others = (values[:-1], values.T, values[..., None], values.reshape(-1), values[:0], values.astype("i4"), spoiled)
    return pick(rng, (*others, spoiled, values.astype("f2"), np.concatenate([values, values]), values[..., :-1]))


def _open_scores(given: Path, out: Path) -> None:
    scores = read_scores(given / "models" / "changed" / "scores")
    aggregate_table(scores).to_csv(out / "aggregate.csv")
    results_table(scores).to_csv(out / "results.csv")
    command("compare", given, "-o", out / "comparison.csv")


def _write_prior(path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    facts = PriorFacts("made up", "none", "CC0", "ab" * 32, "combined", ("one", "other"))
    store.save_prior(GenePrior("own", ("A", "B", "C", "GENE1", "é"), table, facts), path)


def _write_priors(folder: Path) -> None:
    (folder / "own").mkdir()
    _write_prior(folder / "own" / "prior.safetensors")


def _change_prior(folder: Path, rng: np.random.Generator) -> Path:
    """Change the header; half of the time the digests in it are made to fit again."""
    path = folder / "prior.safetensors"
    if rng.random() < 0.2:
        return _change_bytes("prior.safetensors")(folder, rng)
    _change_header(path, rng)
    return path


def _change_header(path: Path, rng: np.random.Generator) -> None:
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = tree_changed(json.loads(raw[8:end]), rng, nothing=True)
    facts = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(facts, dict) and "digest" in facts and rng.random() < 0.8:
        if rng.random() < 0.5 and isinstance(facts.get("genes"), str):
            facts["genes"] = json_changed(json.dumps(["A", "B", "C", "D", "E"]), rng)
        facts["digest"] = store._digest({name: one for name, one in facts.items() if name != "digest"})
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[end:])


def _open_prior(given: Path, out: Path) -> None:
    made = open_prior(given / "prior.safetensors")
    store.save_prior(made, out / "again.safetensors")


# ---- predictions of others, judged

PRESETS = ("cell-eval-0.8/pds", "cell-eval-0.8/minimal", "gears", "cellflow", "vcc2026")
KEPT = ("pearson_delta", "mse", "discrimination_score_l1", "jaccard_significant", "energy_distance")
FEW_METRICS = ("--preset", "pertura", "--skip", ",".join(name for name in METRICS if name not in KEPT))
"""Each of them is scored on redraws and drawn: these few take every way of judging."""
ASKED = "asked.json"


def _write_judged(folder: Path) -> None:
    """The same cells for each preset, counts for the one that wants them, two contexts, and a file of our own."""
    for preset in PRESETS:
        cells = _judged_cells(scale="counts" if preset == "vcc2026" else "log")
        _write_asked(folder / preset.replace("/", " "), cells, "--preset", preset)
    _write_asked(folder / "pertura", _judged_cells(), *FEW_METRICS)
    double = _judged_cells(contexts=("x", "y"))
    _write_asked(folder / "contexts", double, "--preset", "cell-eval-0.8/pds", "--context-column", "cell_line")
    for name, words in (("own", FEW_METRICS), ("own pds", ("--preset", "cell-eval-0.8/pds"))):
        (folder / name).mkdir()
        shutil.copy(_made_run() / "models" / "additive" / "predictions.h5ad", folder / name / "predicted.h5ad")
        (folder / name / ASKED).write_text(json.dumps(words))


def _judged_cells(**options: Any) -> tuple[AnnData, AnnData]:
    """Predicted and observed cells."""
    observed = foreign_screens.screen(foreign_screens.LABELS[:3], cells=5, controls=10, **options)
    options.pop("contexts", None)
    return foreign_screens.prediction(observed, cells=5, controls=10, **options), observed


def _write_asked(folder: Path, cells: tuple[AnnData, AnnData], *words: str) -> None:
    folder.mkdir()
    cells[0].write_h5ad(folder / "predicted.h5ad")
    cells[1].write_h5ad(folder / "observed.h5ad")
    (folder / ASKED).write_text(json.dumps(words))


def _evaluate(given: Path, out: Path) -> None:
    predicted = next(one for one in sorted(given.iterdir()) if one.stem in ("predicted", "means"))
    observed = given / "observed.h5ad"
    files = ("--predicted", predicted, *(("--observed", observed) if observed.exists() else ()))
    effort = ("--effort", "less", "--threads", 1, "--memory", "256MiB")
    command("evaluate", *files, *effort, *json.loads((given / ASKED).read_text()), "-o", out / "evaluation")


def _write_means(folder: Path) -> None:
    cells = _judged_cells()
    frame = foreign_screens.means_frame(cells[0])
    for suffix in ("csv", "tsv", "parquet"):
        words = FEW_METRICS if suffix == "tsv" else ("--preset", "cell-eval-0.8/pds")
        _write_asked(folder / suffix, cells, *words)
        (folder / suffix / "predicted.h5ad").unlink()
    frame.to_csv(folder / "csv" / "means.csv")
    frame.T.to_csv(folder / "tsv" / "means.tsv", sep="\t")
    frame.to_parquet(folder / "parquet" / "means.parquet")


def _change_means(folder: Path, rng: np.random.Generator) -> Path:
    path = next(folder.glob("means.*"))
    if path.suffix == ".parquet":
        return _change_bytes("means.parquet")(folder, rng)
    return _change_text(path.name, words_changed, words_changed, pieces_changed)(folder, rng)


STRUCTURED_TOML = (toml_changed, toml_changed, toml_changed, pieces_changed)
STRUCTURED_JSON = (json_changed, json_changed, json_changed, pieces_changed)
DOORS = (
    Door("h5ad, inspect", 25, _write_screens, _change_structure, is_hdf5, _inspect),
    Door("h5ad bytes, inspect", 6, _write_screens, _change_bytes(SCREENS), is_hdf5, _inspect),
    Door("h5ad, split and prepare", 6, _write_columns, _change_structure, is_hdf5, _prepare),
    Door("10x folder, import", 12, _write_tenx, _change_tenx, is_tenx, _import_tenx),
    Door("10x bytes, import", 3, _write_tenx, _change_bytes("*.*"), is_tenx, _import_tenx),
    Door("dataset.toml", 7, _write_manifests, _change_text("*.toml", *STRUCTURED_TOML), is_toml, _open_manifest),
    Door("split.json", 8, _write_splits, _change_text("*.json", *STRUCTURED_JSON), is_json, _open_split),
    Door("split of others", 7, _write_foreign_splits, _change_foreign_split, is_json_or_toml, _open_foreign_split),
    Door("list of conditions", 1, _write_lists, _change_text("*.txt", words_changed, pieces_changed), is_text, _split_list),
    Door("recipe.toml", 7, _write_recipes, _change_text("*.toml", *STRUCTURED_TOML), is_toml, _plan),
    Door("predictions", 8, _write_predictions, _change_structure, is_hdf5, _open_predictions),
    Door("scores", 6, _write_scores, _change_scores, is_scores, _open_scores),
    Door("prior", 5, _write_priors, _change_prior, is_tensors, _open_prior),
    Door("cells, evaluate", 6, _write_judged, _change_structure, is_hdf5, _evaluate),
    Door("means, evaluate", 3, _write_means, _change_means, is_table, _evaluate),
)
