"""Doors for what a run leaves and takes: predictions, scores, priors; and for predictions of others."""

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from safetensors import numpy as tensors

import foreign_screens
import small_runs
from mutations.command import command
from mutations.containers import is_hdf5, is_json, is_scores, is_table, is_tensors
from mutations.files import STRUCTURED_JSON, header_changed, some_bytes_changed, some_text_changed, structure_changed
from mutations.text import json_changed, pick, pieces_changed, words_changed
from mutations.watch import Door
from pertura.data.predictions import read_predictions
from pertura.evaluation.files import aggregate_table, read_scores, results_table
from pertura.evaluation.table import METRICS
from pertura.priors import store
from pertura.priors.opening import open_prior
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.recipes.run import run

PRESETS = ("cell-eval-0.8/pds", "cell-eval-0.8/minimal", "gears", "cellflow", "vcc2026")
KEPT = ("pearson_delta", "mse", "discrimination_score_l1", "jaccard_significant", "energy_distance")
FEW_METRICS = ("--preset", "pertura", "--skip", ",".join(name for name in METRICS if name not in KEPT))
"""Each of them is scored on redraws and drawn: these few take every way of judging."""
ASKED = "asked.json"


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
        header_changed(path, rng)
    else:
        arrays = tensors.load_file(path)
        name = pick(rng, sorted(arrays))
        arrays[name] = _another_array(arrays[name], rng)
        tensors.save_file({name: np.ascontiguousarray(one) for name, one in arrays.items() if one.size}, path)
    return path


def _another_array(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    spoiled = values.copy()
    spoiled.reshape(-1)[: 1 + int(rng.integers(spoiled.size))] = pick(rng, (np.nan, np.inf, -1, 0, 7))
    with np.errstate(invalid="ignore"):
        whole = values.astype("i4")
    others = (values[:-1], values.T, values[..., None], values.reshape(-1), values[:0], whole, spoiled)
    return pick(rng, (*others, spoiled, values.astype("f2"), np.concatenate([values, values]), values[..., :-1]))


def _open_scores(given: Path, out: Path) -> None:
    scores = read_scores(given / "models" / "changed" / "scores")
    aggregate_table(scores).to_csv(out / "aggregate.csv")
    results_table(scores).to_csv(out / "results.csv")
    command("compare", given, "-o", out / "comparison.csv")


def _write_plotted(folder: Path) -> None:
    """Scores by the rules of another evaluator."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        _write_asked(home / "asked", _judged_cells(), "--preset", "cell-eval-0.8/pds")
        _evaluate(home / "asked", home)
        shutil.copytree(home / "evaluation", folder / "pds")


def _plot(given: Path, out: Path) -> None:
    command("plot", "compare", given, "-o", out / "compare.svg")


def write_prior(path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    facts = PriorFacts("made up", "none", "CC0", "ab" * 32, "combined", ("one", "other"))
    store.save_prior(GenePrior("own", ("A", "B", "C", "GENE1", "é"), table, facts), path)


def _write_priors(folder: Path) -> None:
    (folder / "own").mkdir()
    write_prior(folder / "own" / "prior.safetensors")


def _change_prior(folder: Path, rng: np.random.Generator) -> Path:
    """Change the header; half of the time the digests in it are made to fit again."""
    path = folder / "prior.safetensors"
    if rng.random() < 0.2:
        return some_bytes_changed("prior.safetensors")(folder, rng)
    header_changed(path, rng)
    return path


def _open_prior(given: Path, out: Path) -> None:
    made = open_prior(given / "prior.safetensors")
    store.save_prior(made, out / "again.safetensors")


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
        return some_bytes_changed("means.parquet")(folder, rng)
    return some_text_changed(path.name, words_changed, words_changed, pieces_changed)(folder, rng)


_PLOTTED = some_text_changed("scores.json", *STRUCTURED_JSON)
RESULT_DOORS = (
    Door("predictions", 8, _write_predictions, structure_changed, is_hdf5, _open_predictions),
    Door("scores", 6, _write_scores, _change_scores, is_scores, _open_scores),
    Door("scores, plot", 2, _write_plotted, _PLOTTED, is_json, _plot),
    Door("prior", 5, _write_priors, _change_prior, is_tensors, _open_prior),
    Door("cells, evaluate", 6, _write_judged, structure_changed, is_hdf5, _evaluate),
    Door("means, evaluate", 3, _write_means, _change_means, is_table, _evaluate),
)
