"""Screens whose guides, depth, cycle and targets are planted, for tests of what is said of their quality."""

from dataclasses import replace

import numpy as np

from pertura.core import Cells, Condition, Mode, Perturbation, Scale
from pertura.core.expression import InMemory
from pertura.data.preparation.material import Material, material_of
from pertura.recipes.quality.cell_cycle import G2M_GENES, S_GENES

PANEL = (*S_GENES[:20], *G2M_GENES[:20], *(f"G{i:03d}" for i in range(200)))
TARGETS = tuple(f"G{i:03d}" for i in range(8))
UNIT = 1e4


def screen(
    *,
    strength: float = 1.0,
    keep: float = 1.0,
    cycling: float = 0.0,
    residual: float = 0.2,
    controls: int = 300,
    cells: int = 80,
    batches: int = 1,
    skewed: bool = False,
    dead: tuple[str, ...] = (),
    seed: int = 0,
) -> Cells:
    """Counts of one context in which eight genes are knocked down.

    `strength` scales effects on 30 genes of each target, `residual` is what is left of the target, `keep` the depth of
    perturbed cells over that of controls, `cycling` the share of perturbed cells that sit in G2 (controls: a fifth).
    `skewed` puts nine in ten perturbed cells into the last batch, controls into the first; batches shift expression.
    Every second cell of the `dead` genes is as controls are.
    """
    rng = np.random.default_rng(seed)
    genes, rate = len(PANEL), np.exp(np.random.default_rng(1).normal(1.0, 1.0, len(PANEL)))
    conditions = tuple(Condition(Perturbation.parse(one, Mode.INTERFERENCE), "line") for one in ("", *TARGETS))
    codes = np.repeat(np.arange(9), [controls, *[cells] * 8])
    effects = np.zeros((9, genes))
    for i, target in enumerate(TARGETS, start=1):
        moved = np.random.default_rng(100 + i).choice(np.arange(60, genes), 30, replace=False)
        effects[i, moved] = strength * np.random.default_rng(200 + i).normal(0, 1, 30)
        effects[i, PANEL.index(target)] = np.log(residual)
    perturbed = codes > 0
    in_g2 = rng.random(len(codes)) < np.where(perturbed & (cycling > 0), cycling, 0.2)
    phase = np.zeros((len(codes), genes))
    phase[np.ix_(in_g2, np.arange(20, 40))] = 1.2
    batch = rng.integers(0, batches, len(codes))
    if skewed:
        batch = np.where(rng.random(len(codes)) < 0.9, np.where(perturbed, batches - 1, 0), batch)
    shifts = np.random.default_rng(7).normal(0, 0.6 if batches > 1 else 0.0, (batches, genes))
    acting = np.where((np.arange(len(codes)) % 2 == 1) & np.isin(("", *TARGETS), dead)[codes], 0, codes)
    depth = np.exp(rng.normal(0, 0.25, len(codes))) * np.where(perturbed, keep, 1.0)
    means = rate * np.exp(effects[acting] + phase + shifts[batch]) * depth[:, None]
    outside = rng.poisson(5 * rate.sum() * depth)
    counts = rng.poisson(means).astype(np.float64)
    return Cells(
        expression=InMemory(counts),
        genes=PANEL,
        ids=np.asarray([f"cell{i:05d}" for i in range(len(codes))]),
        conditions=conditions,
        codes=codes,
        scale=Scale("counts"),
        batches=tuple(f"batch{i}" for i in range(batches)) if batches > 1 else (),
        batch_codes=batch if batches > 1 else None,
        library_sizes=counts.sum(axis=1) + outside,
        name="planted",
    )


def with_guides(cells: Cells) -> Material:
    """Two guides a gene, cells in turns: the second guide has those that are dead."""
    material = material_of(cells)
    number = np.char.add("-g", (np.arange(len(cells)) % 2 + 1).astype(str))
    genes = np.asarray([one.genes[0] if one.genes else "control" for one in cells.conditions])[cells.codes]
    return replace(material, obs=material.obs.assign(guide_id=np.char.add(genes, number)))


def logs_of(cells: Cells) -> np.ndarray:
    return np.log1p(cells.dense(np.arange(len(cells))) / cells.library_sizes[:, None] * UNIT)
