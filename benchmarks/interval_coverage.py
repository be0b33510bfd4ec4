"""How often do 95 % intervals cover chance when labels mean nothing? One control pool beside two disjoint ones.

python benchmarks/interval_coverage.py [PERMUTATIONS]
"""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from pertura.core.cells import Cells
from pertura.core.seeds import generator
from pertura.core.split import Outline, Split
from pertura.data.datasets import DATASETS
from pertura.data.splits import SPLITS
from pertura.evaluation.evaluate import Scores, evaluate
from pertura.evaluation.observed import Effort, observe
from pertura.models.table import MODELS
from pertura.prediction.predict import predict

EFFORT = Effort(halves=1, effect_permutations=99)


def permuted(cells: Cells, seed: int) -> Cells:
    """Exchange the labels of the cells of each context, controls included."""
    codes, rng = cells.codes.copy(), generator(seed, "benchmark permutation")
    contexts = np.asarray([one.context for one in cells.conditions])[codes]
    for name in cells.contexts:
        mine = np.flatnonzero(contexts == name)
        codes[mine] = codes[rng.permutation(mine)]
    return replace(cells, codes=codes)


def scored(cells: Cells, seed: int, shared: bool) -> Scores:
    """The train mean on a random fold."""
    split: Split = SPLITS["folds"](Outline.of(cells), seed=seed, folds=3, fold=0, shared_controls=shared)
    model = MODELS["train-mean"].build(None)
    model.fit(split.visible(cells), split, seed=seed)
    observed = observe(cells, split, seed=seed, effort=EFFORT)
    return evaluate(predict(model, cells, split, observed.conditions, seed=seed), observed)


def main() -> None:
    """Print one line for each data set, kind of controls and metric."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    for name in ("norman-500", "mcfaline-500"):
        cells = DATASETS[name].load()
        for shared in (False, True):
            hits: Counter[str] = Counter()
            values: dict[str, list[float]] = {}
            for seed in range(count):
                scores = scored(permuted(cells, seed), seed, shared)
                for metric in scores.metrics:
                    one, chance = scores.summary(metric, "all"), scores.beside(metric, "all")["chance"]
                    hits[metric] += one.low <= chance <= one.high
                    values.setdefault(metric, []).append(one.value)
            pool = "one shared pool" if shared else "disjoint pools "
            for metric, found in values.items():
                share, spread = hits[metric] / count, f"{np.mean(found):7.4f} +- {np.std(found):.4f}"
                print(f"{name:13s} {pool} {metric:29s} covers chance in {share:4.0%} of {count}; score {spread}")


if __name__ == "__main__":
    main()
