"""Screens whose effects follow a known table of gene vectors, judged with that table as a prior and with controls."""

from dataclasses import replace

import numpy as np

from pertura.comparison.roles import Role
from pertura.core import ControlPartition, Split
from pertura.core.seeds import generator, shuffled
from pertura.data.datasets.simulate import simulate
from pertura.data.datasets.simulation import GeneTable, norman_like
from pertura.evaluation.evaluate import Scores, evaluate
from pertura.evaluation.observed import Effort, observe
from pertura.models.table import MODELS
from pertura.priors.controls import permuted_prior, random_prior
from pertura.priors.prior import GenePrior

WIDTH, NOISE = 8, 0.2
CONTROLS = {"random": random_prior, "permuted": permuted_prior}
LESS = Effort(bootstrap=100, permutations=2, halves=1, effect_permutations=39)


def planted(seed: int, *, singles: int = 150, genes: int = 150, cells: int = 40):
    """A screen of singles, a split that holds back a third of them, and the prior that is given to models.

    Effects are a random two-layer tanh network of a gene's vector, and noise beside it; each has counts of its own. A
    fifth of the rows of the prior are replaced by noise.
    """
    names = tuple(f"P{i:03d}" for i in range(singles))
    rng = generator(seed, "planted prior")
    rows = rng.standard_normal((singles, WIDTH))
    config = norman_like(
        genes=genes,
        targets=singles,
        pairs=0,
        cells_per_condition=cells,
        controls_per_line=10 * cells,
        targets_outside_panel=0.0,
    )
    screen = simulate(config, seed, GeneTable(names, rows.copy())).cells
    wrong = shuffled(names, seed, "uninformative")[: round(NOISE * singles)]
    rows[wrong] = rng.standard_normal((len(wrong), WIDTH))
    order = shuffled([one.label for one in screen.perturbed], seed, "held back")
    test = frozenset(screen.perturbed[i] for i in order[: singles // 3])
    ids = [str(one) for one in screen.ids[screen.control_rows("line-a")]]
    halves = {"line-a": ControlPartition.halves(ids, seed, "line-a")}
    train = frozenset(screen.perturbed) - test
    split = Split("planted", train, frozenset(), test, {"unseen_single": test}, halves, seed=seed)
    return screen, split, GenePrior("planted", names, rows.astype(np.float32))


def judged(seed: int, controls: int = 1, **size: int) -> list[Scores]:
    """The scores of the train mean, and of each model that takes a prior with the planted one and controls of it."""
    cells, split, prior = planted(seed, **size)
    priors = {
        Role("", "planted", kind, number): made(prior, number)
        for kind, made in CONTROLS.items()
        for number in range(1, controls + 1)
    }
    priors[Role("", "planted")] = prior
    models = {"train-mean": MODELS["train-mean"].build(None)}
    for base in ("ridge", "nearest-neighbours"):
        models |= {replace(role, base=base).name: MODELS[base].build(one) for role, one in priors.items()}
    observed = observe(cells, split, seed=seed, effort=LESS)
    starts = cells.take(split.model_controls(cells, "line-a"))
    found = []
    for name, model in models.items():
        model.fit(cells, split, seed=seed)
        answer = model.predict(starts, sorted(split.test), seed=seed)
        found.append(replace(evaluate(answer, observed, metrics=["pearson_delta"]), model=name))
    return found
