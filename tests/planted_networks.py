"""Screens whose effects follow a known table of gene vectors through a random non-linear map; no target is measured."""

from dataclasses import replace
from functools import cache

import numpy as np

from pertura.core.cells import Cells
from pertura.core.seeds import generator, shuffled
from pertura.core.split import ControlPartition, Split
from pertura.data.datasets.simulate import simulate
from pertura.data.datasets.simulation import GeneTable, Truth, norman_like
from pertura.metrics.delta import pearson
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.options import ScGPTOptions, debug
from pertura.priors.prior import GenePrior, PriorFacts

WIDTH = 4
LINE = "line-a"


@cache
def planted(
    seed: int = 1, singles: int = 90, pairs: int = 40, genes: int = 40, cells: int = 24
) -> tuple[Cells, Split, GenePrior, Truth]:
    """A third of the singles and half of the pairs are held back; pairs of a held-back gene are never trained.

    Effects are a two-layer tanh network of the gene's vector with a threshold, and nothing else; pairs add.
    """
    names = tuple(f"P{i:03d}" for i in range(singles))
    rows = generator(seed, "planted prior").standard_normal((singles, WIDTH))
    config = norman_like(
        genes=genes,
        targets=singles,
        pairs=pairs,
        cells_per_condition=cells,
        controls_per_line=10 * cells,
        targets_outside_panel=1.0,
        null_fraction=0.0,
        interacting_fraction=0.0,
        effect_share=0.3,
        effect_sd=0.8,
        table_noise=0.0,
        panel_share=0.3,
        density=0.6,
    )
    made = simulate(config, seed, GeneTable(names, rows))
    parts = [[one for one in made.cells.perturbed if one.perturbation.is_single is single] for single in (True, False)]
    alone, both = ([part[i] for i in shuffled([one.label for one in part], seed, "held back")] for part in parts)
    test = {*alone[: len(alone) // 3], *both[: len(both) // 2]}
    unseen = {gene for one in alone[: len(alone) // 3] for gene in one.genes}
    train = {one for one in made.cells.perturbed if one not in test and not unseen.intersection(one.genes)}
    strata = {
        "unseen_single": frozenset(one for one in test if one.perturbation.is_single),
        "pair_of_seen": frozenset(
            one for one in test if one.perturbation.is_pair and not unseen.intersection(one.genes)
        ),
    }
    ids = [str(one) for one in made.cells.ids[made.cells.control_rows(LINE)]]
    halves = {LINE: ControlPartition.halves(ids, seed, LINE)}
    split = Split("planted", frozenset(train), frozenset(), frozenset(test), strata, halves, seed=seed)
    prior = GenePrior("planted", names, rows.astype(np.float32), PriorFacts(source="a test"))
    return made.cells, split, prior, made.truth


def options(epochs: int) -> ScGPTOptions:
    """The debug size, trained so long."""
    made = debug()
    return replace(made, max_genes=64, most_cells=16, training=replace(made.training, epochs=epochs))


def correlations(model: ScGPT, seed: int = 1) -> dict[str, np.ndarray]:
    """Correlation of predicted and expected change, of each condition of each stratum."""
    cells, split, _, truth = planted(seed)
    starts = cells.take(split.model_controls(cells, LINE))
    return {name: scored(model, starts, sorted(members), truth) for name, members in split.strata.items()}


def scored(model: ScGPT, starts: Cells, asked: list, truth: Truth) -> np.ndarray:
    base = starts.dense(np.arange(len(starts))).mean(axis=0)
    answer = model.predict(starts, asked, seed=0)
    moved = np.asarray([answer.mean(one) - base for one in asked])
    expected = np.asarray([truth.expected_delta(one) for one in asked])
    return np.nan_to_num(pearson(moved, expected))


def train_mean(seed: int = 1) -> dict[str, np.ndarray]:
    """The same for the mean change of train."""
    cells, split, _, truth = planted(seed)
    base = cells.dense(split.model_controls(cells, LINE)).mean(axis=0)
    shared = np.mean([cells.dense(cells.rows_of(one)).mean(axis=0) for one in sorted(split.train)], axis=0) - base
    found = {}
    for name, members in split.strata.items():
        expected = np.asarray([truth.expected_delta(one) for one in sorted(members)])
        found[name] = pearson(np.tile(shared, (len(members), 1)), expected)
    return found


def interval(differences: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of a mean of paired differences, by drawing conditions anew."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (draws, len(differences))).mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
