"""A folder as a run leaves it, with what figures are drawn from, made in about a second."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anndata

from pertura.core.cells import Cells
from pertura.core.split import Outline, Split
from pertura.data.anndata_io import open_cells
from pertura.data.predictions import write_predictions
from pertura.data.splits import SPLITS
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.files import write_scores
from pertura.evaluation.observed import observe
from pertura.models.table import MODELS
from pertura.prediction.predict import predict

METRICS = ("pearson_delta", "mse", "mae", "discrimination_score_cosine")
DRAWN = ("no-change", "additive", "matching-mean")


def screen(path: Path, rule: str = "gears-simulation", **options: object) -> tuple[Cells, Split]:
    cells = open_cells(path)
    return cells, SPLITS[rule](Outline.of(cells), seed=1, **options)


def folder_to_draw(
    path: Path, folder: Path, models: Sequence[str] = DRAWN, *, strata: bool = True, **options: object
) -> Path:
    """Predictions and scores of some baselines on a screen, as `pertura run` writes them."""
    cells, split = screen(path, **options)
    split = split if strata else replace(split, strata={})
    observed = observe(cells, split, seed=1, effort=Effort(bootstrap=20, permutations=5))
    for name in models:
        model = MODELS[name].build(None)
        model.fit(split.visible(cells), split, seed=1)
        made = predict(model, cells, split, observed.conditions, seed=1)
        home = folder / "models" / name
        write_predictions(home / "predictions.h5ad", made, cells, split, model_name=name)
        write_scores(evaluate(made, observed, metrics=METRICS), home / "scores")
    return folder


def foreign_file(own: Path, path: Path) -> Path:
    """The cells of a prediction file of ours as another tool would store them: nothing says how they came about."""
    file = anndata.read_h5ad(own)
    del file.uns["pertura"]
    file.obs = file.obs[["condition"]]
    file.write_h5ad(path)
    return path
