"""Outlines and cells that the tests of splits share."""

import json

import numpy as np
from hypothesis import strategies as st

from pertura.core.cells import Cells, Scale
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline

GENES = tuple("ABCDEFGHIJ")
CONTEXTS = ("x", "y", "z")
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


def spelled_outline(names):
    """An outline of `A+ctrl`, `ctrl+A`, `A+B` in one unnamed context."""
    spellings = {}
    for name in names:
        genes = [gene for gene in name.split("+") if gene != "ctrl"]
        if genes:
            spellings.setdefault(Condition(Perturbation.of(*genes)), name)
    return Outline(tuple(spellings), spellings)


def gene_sets(names):
    """Spelled conditions as unordered sets of genes; control left out."""
    return {frozenset(name.split("+")) - {"ctrl"} for name in names} - {frozenset()}


def genes_of(part):
    """The unordered sets of genes of a part."""
    return {frozenset(one.genes) for one in part}


def cells_of(conditions, contexts=CONTEXTS, each=3, controls=6):
    """Cells of these conditions and of the control of each context, two genes, all zero."""
    every = [*conditions, *(Condition(Perturbation(), context) for context in contexts)]
    codes = np.concatenate([np.full(controls if one.is_control else each, i) for i, one in enumerate(every)])
    return Cells(
        expression=InMemory(np.zeros((len(codes), 2), dtype=np.float32)),
        genes=("g1", "g2"),
        ids=np.asarray([f"cell{i}" for i in range(len(codes))]),
        conditions=tuple(every),
        codes=codes.astype(np.int64),
        scale=Scale("lognormalised"),
    )


perturbations = st.sets(st.sampled_from(GENES), min_size=1, max_size=2).map(lambda genes: Perturbation.of(*genes))
conditions = st.builds(Condition, perturbations, st.sampled_from(CONTEXTS))
condition_sets = st.sets(conditions, min_size=8, max_size=60).map(sorted)
