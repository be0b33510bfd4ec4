"""A prediction file goes into pertpy's `Distance` as it is.

Where pertpy cannot be imported, what it said of this file is on record (tests/reference/pertpy), and the file must
still give those numbers. To make the record: run this file with FILE OUT where pertura is installed, then where pertpy
is.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.spatial.distance import cdist

RECORD = Path(__file__).parents[1] / "reference" / "pertpy" / "distances.json"
Facts = dict[str, dict[str, dict[str, float]]]


def written(path: Path) -> Path:
    """Eight predicted conditions of the bundled screen: the train mean on shifted control cells."""
    from pertura.core.split import Outline
    from pertura.data.datasets import DATASETS
    from pertura.data.predictions import write_predictions
    from pertura.data.splits import SPLITS
    from pertura.models.table import MODELS
    from pertura.prediction.predict import predict

    cells = DATASETS["norman-500"].load(0)
    split = SPLITS["gears-simulation"](Outline.of(cells), seed=1)
    model = MODELS["train-mean"].build(None)
    model.fit(split.visible(cells), split, seed=1)
    made = predict(model, cells, split, tuple(sorted(split.test))[:8], seed=1, emitter="control-shift")
    write_predictions(path, made, cells, split)
    return path


# ---- the distances by their definitions


def _energy(one: np.ndarray, other: np.ndarray) -> float:
    between, own, its = (cdist(*pair).mean() for pair in ((one, other), (one, one), (other, other)))
    return float(2 * between - own - its)


def _mean_square(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one.mean(axis=0) - other.mean(axis=0)).mean())


def _euclidean(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(1 - np.corrcoef(one.mean(axis=0), other.mean(axis=0))[0, 1])


DEFINED: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "edistance": _energy,
    "euclidean": _euclidean,
    "mse": _mean_square,
    "pearson_distance": _correlation,
}


def by_definition(path: Path) -> Facts:
    """Layer -> metric -> condition -> distance from the control cells, from the file as anndata reads it."""
    adata = anndata.read_h5ad(path)
    labels = adata.obs["condition"].astype(str).to_numpy()
    found: Facts = {}
    for layer, values in {"predicted": adata.X, "truth": adata.layers["truth"]}.items():
        of = {name: np.asarray(values[labels == name], dtype=np.float64) for name in sorted(set(labels))}
        others = [name for name in of if name != "ctrl"]
        found[layer] = {
            metric: {name: distance(of[name], of["ctrl"]) for name in others} for metric, distance in DEFINED.items()
        }
    return found


def by_pertpy(path: Path) -> Facts:
    """The same from pertpy, which looks at layers: X is copied into one, and nothing else is changed."""
    import pertpy

    found: Facts = {}
    for layer in ("predicted", "truth"):
        # read anew: pertpy 1.0.3 keeps distances between cells in obsp under a name that does not tell layers apart
        adata = anndata.read_h5ad(path)
        adata.layers["predicted"] = adata.X.copy()
        found[layer] = {}
        for metric in DEFINED:
            table = pertpy.tl.Distance(metric, layer_key=layer).onesided_distances(
                adata, groupby="condition", selected_group="ctrl", show_progressbar=False
            )
            found[layer][metric] = {str(name): float(one) for name, one in table.items() if name != "ctrl"}
    return found


def assert_close(found: Facts, expected: Facts) -> None:
    assert {layer: set(one) for layer, one in found.items()} == {layer: set(one) for layer, one in expected.items()}
    for layer, metrics in expected.items():
        for metric, distances in metrics.items():
            assert set(found[layer][metric]) == set(distances)
            for name, distance in distances.items():
                # pertpy sums in float32
                assert found[layer][metric][name] == pytest.approx(distance, rel=2e-3, abs=2e-6), (layer, metric, name)


def test_a_prediction_file_has_the_distances_that_pertpy_found_in_it(tmp_path):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert_close(by_definition(written(tmp_path / "predictions.h5ad")), record["distances"])
    assert len(record["distances"]["truth"]["edistance"]) == 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(importlib.util.find_spec("pertpy") is None, reason="pertpy is not installed")
def test_pertpy_takes_a_prediction_file_as_it_is(tmp_path):
    path = written(tmp_path / "predictions.h5ad")
    assert_close(by_pertpy(path), by_definition(path))


if __name__ == "__main__":
    file, out = Path(sys.argv[1]), Path(sys.argv[2])
    if not file.exists():
        sys.exit(0 if written(file) else 1)  # with pertura installed; then again with pertpy
    from importlib.metadata import version

    versions = {name: version(name) for name in ("pertpy", "anndata", "numpy")}
    out.write_text(json.dumps({"versions": versions, "distances": by_pertpy(file)}, indent=1) + "\n", encoding="utf-8")
