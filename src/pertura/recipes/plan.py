"""What a run would do, without doing it: sizes, memory, and time from a few measured steps."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pertura.comparison.roles import role_of
from pertura.core.cells import Cells
from pertura.core.expression import InMemory, Subset
from pertura.core.split import Split
from pertura.evaluation.presets import chosen
from pertura.evaluation.sides import Sides
from pertura.recipes.planned_networks import PlannedNetwork, planned_networks
from pertura.recipes.recipe import Recipe
from pertura.recipes.sources import cells_of, model_name, models_of, split_of

SAMPLE = 1024
HALVES = 2 * 10
PRIOR_SECONDS = 4
"""What it takes to build a prior of a bundled source."""
PASSES = 6
"""How often a model's share of the cells is read: pseudobulk, prediction, writing, scoring, means, figures."""


@dataclass(frozen=True)
class Estimate:
    """Seconds and bytes of one screen."""

    seconds: float
    memory: float


def plan(recipe: Recipe, folder: Path, *, trusted: Collection[str] = ()) -> str:
    """Return the plan in words. Reads the data and makes the split; fits nothing and writes nothing."""
    lines = [f"would write {folder}"]
    estimates = []
    for one in (recipe, *recipe.companions):
        models_of(one, trusted)
        cells = cells_of(one.data, one.seed)
        split = split_of(one, cells)
        planned = planned_networks(one, cells, split)
        estimate = _with_networks(_estimate(one, cells, split), planned)
        estimates.append(estimate)
        facts = [*_facts(one, cells, split), *(f"network     {each.told}" for each in planned)]
        lines += ["", f"{one.name}: {one.data}", *(f"  {line}" for line in facts), _cost(estimate, bool(planned))]
        lines += [f"  lacking     {each.lacking}" for each in planned if each.lacking]
    total = Estimate(sum(one.seconds for one in estimates), max(one.memory for one in estimates))
    lines += ["", "all" + _cost(total, False)[1:], "nothing was computed or written; leave out --dry-run to start"]
    return "\n".join(lines)


def _facts(recipe: Recipe, cells: Cells, split: Split) -> list[str]:
    strata = ", ".join(f"{name} {len(members)}" for name, members in sorted(split.strata.items()))
    controls = ", ".join(
        f"{name or 'unnamed'} {len(part.model)} + {len(part.judge)}" for name, part in sorted(split.controls.items())
    )
    return [
        f"cells       {len(cells):,} x {len(cells.genes):,} genes, {cells.scale.kind}",
        f"contexts    {', '.join(name or 'unnamed' for name in cells.contexts)}",
        f"conditions  {len(split.train)} train, {len(split.valid)} valid, {len(split.test)} test"
        + (f" ({strata})" if strata else ""),
        f"controls    {controls} (model side + judge side)",
        f"split       {split.name}, seed {split.seed}, fingerprint {split.fingerprint[:16]}",
        f"models      {', '.join(model_name(one) for one in recipe.models)}",
        f"emitter     {recipe.emitter}",
    ]


def _estimate(recipe: Recipe, cells: Cells, split: Split) -> Estimate:
    """Time one read of a sample of cells and one round of all metrics, and scale them up."""
    judged = [one for one in split.test if len(cells.rows_of(one))]
    genes, models = len(cells.genes), len(recipe.models)
    rows = np.linspace(0, len(cells) - 1, min(SAMPLE, len(cells)), dtype=np.int64)
    started = time.perf_counter()
    block = cells.dense(rows)
    block.sum(axis=0)
    per_cell = (time.perf_counter() - started) / len(rows)
    per_round = _metric_round(recipe, len(judged), block)
    draws = recipe.bootstrap + recipe.permutations + HALVES
    test_cells = sum(len(cells.rows_of(one)) for one in judged) + sum(len(p.judge) for p in split.controls.values())
    # a redraw multiplies each judged cell into every draw: about two flops a gene and draw
    redraw = test_cells * genes * draws * 2 / 2e9
    reading = per_cell * len(cells) * (PASSES * models / 2 + 4)
    sources = {role.prior for one in recipe.models if (role := role_of(one)) is not None}
    seconds = reading + redraw + per_round * draws * models + PRIOR_SECONDS * len(sources) + 8
    memory = draws * (len(judged) + len(cells.contexts)) * genes * 4 * 2 + _held(cells) + 3e8
    return Estimate(seconds, memory)


def _metric_round(recipe: Recipe, conditions: int, block: np.ndarray) -> float:
    """Seconds of one round of the metrics of means; rank tests and distances between cells are not in it."""
    means = np.resize(block, (max(conditions, 1), block.shape[1])).astype(np.float64)
    zeros = np.zeros_like(means)
    sides = Sides(
        predicted=means + 0.1,
        observed=means,
        predicted_controls=zeros,
        observed_controls=zeros,
        contexts=np.zeros(len(means), dtype=np.int64),
        kept=np.ones(means.shape[1], dtype=bool),
        importance=np.full_like(means, 1 / means.shape[1]),
        additive=zeros,
        additive_noise=zeros,
        weights=np.ones(len(means)),
    )
    taken = []
    for _ in range(2):  # the first round also warms up
        started = time.perf_counter()
        for metric in chosen(recipe.preset):
            if metric.needs == "means":
                metric.score(sides)
        taken.append(time.perf_counter() - started)
    return min(taken)


def _held(cells: Cells) -> float:
    """Bytes of expression that sit in memory; what stays on disk counts one block."""
    source = cells.expression
    while isinstance(source, Subset):
        source = source.source
    if not isinstance(source, InMemory):
        return 2048.0 * len(cells.genes) * 8
    matrix = source.matrix
    return float(matrix.nbytes if isinstance(matrix, np.ndarray) else matrix.data.nbytes + matrix.indices.nbytes)


def _with_networks(estimate: Estimate, planned: Sequence[PlannedNetwork]) -> Estimate:
    """Networks are trained one after the other: the largest decides what memory is needed."""
    return Estimate(estimate.seconds, estimate.memory + max((one.memory for one in planned), default=0.0))


def _cost(estimate: Estimate, networks: bool) -> str:
    seconds = estimate.seconds
    duration = (
        f"{seconds / 3600:.1f} hours"
        if seconds > 5400
        else f"{max(seconds, 1):.0f} seconds ({seconds / 3600:.2f} hours)"
    )
    beside = " beside the training of networks" if networks else ""
    return f"  estimate    about {duration}{beside}, about {estimate.memory / 2**30:.1f} GiB of memory"
