"""The `simulation` split of GEARS: some genes are never trained alone, some pairs of trained genes are held out.

Roohani, Huang & Leskovec 2023. The parts are a function of the set of spelled conditions, the seed and the fractions:
genes and pairs are sorted as spelled before numbers are drawn, so the spelling `B+A` of a pair matters.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline, Split
from pertura.data.splits.controls import partitioned
from pertura.data.splits.options import fraction, named, recorded

CONTROL = "ctrl"
VALID_FRACTION = 0.9
STRATA = ("combo_seen0", "combo_seen1", "combo_seen2", "unseen_single")


def gears_simulation(
    outline: Outline,
    *,
    seed: int = 1,
    train_gene_fraction: float = 0.75,
    pair_train_fraction: float = 0.75,
    judge_controls: int = 0,
    shared_controls: bool = False,
) -> Split:
    """Return the split that GEARS makes of these conditions, seed and fractions.

    A perturbation lies in one part in all contexts. Two spellings of one pair count as the alphabetically first, named
    in `options["merged_spellings"]`: GEARS may put them in two parts. Three or more genes at once raise `BadDataError`.
    `judge_controls` is the number of controls kept from models, of each context; 0 keeps half of them.
    """
    fraction("train_gene_fraction", train_gene_fraction)
    fraction("pair_train_fraction", pair_train_fraction)
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed {seed}; the GEARS rule takes 0 to 2**32 - 1")
    members, merged = _by_spelling(outline)
    whole = _cut(members, seed, train_gene_fraction, pair_train_fraction)
    inner = _cut(whole.train, seed, VALID_FRACTION, VALID_FRACTION)

    def conditions(names: Iterable[str]) -> frozenset[Condition]:
        return frozenset(one for name in names for one in members[name])

    options = recorded(
        train_gene_fraction=train_gene_fraction,
        pair_train_fraction=pair_train_fraction,
        shared_controls=shared_controls,
    )
    if judge_controls:
        options |= recorded(judge_controls=judge_controls)
    if merged:
        options["merged_spellings"] = named(merged)
    return Split(
        name="gears-simulation",
        train=conditions(inner.train),
        valid=conditions(inner.test),
        test=conditions(whole.test),
        strata={name: conditions(names) for name, names in whole.strata.items()},
        controls=partitioned(outline, seed, shared_controls, judge_controls),
        seed=seed,
        options=options,
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """Spelled conditions that are kept for training, and the four strata of those that are not."""

    train: tuple[str, ...]
    strata: Mapping[str, tuple[str, ...]]

    @property
    def test(self) -> tuple[str, ...]:
        return tuple(name for names in self.strata.values() for name in names)


def _cut(names: Iterable[str], seed: int, gene_fraction: float, pair_fraction: float) -> _Cut:
    genes_of = {name: [gene for gene in name.split("+") if gene != CONTROL] for name in sorted(names)}
    all_genes = sorted({gene for genes in genes_of.values() for gene in genes})
    known = _drawn(all_genes, gene_fraction, seed)
    pairs: list[list[str]] = [[], [], []]
    singles: list[list[str]] = [[], []]
    for name, genes in genes_of.items():
        (pairs if len(genes) == 2 else singles)[sum(gene in known for gene in genes)].append(name)
    kept = _drawn(pairs[2], pair_fraction, seed)
    held_out = tuple(name for name in pairs[2] if name not in kept)
    strata = dict(zip(STRATA, (tuple(pairs[0]), tuple(pairs[1]), held_out, tuple(singles[0]))))
    return _Cut(tuple(sorted([*singles[1], *kept])), strata)


def _drawn(ordered: Sequence[str], share: float, seed: int) -> frozenset[str]:
    """Draw without replacement. GEARS re-seeds numpy's legacy generator before each draw: the one place we use it."""
    picks = (
        np.random.RandomState(seed).choice(len(ordered), int(len(ordered) * share), replace=False) if ordered else ()
    )
    return frozenset(ordered[i] for i in picks)


def _by_spelling(outline: Outline) -> tuple[dict[str, tuple[Condition, ...]], frozenset[Condition]]:
    """Return the conditions of each perturbation under its spelling, and those whose spelling gave way to another."""
    spellings: dict[Perturbation, dict[str, list[Condition]]] = {}
    for one in outline.conditions:
        variants = spellings.setdefault(one.perturbation, {})
        variants.setdefault(_gears_name(one, outline.spellings.get(one, "")), []).append(one)
    members: dict[str, tuple[Condition, ...]] = {}
    merged: set[Condition] = set()
    for variants in spellings.values():
        first, *others = sorted(variants)
        members[first] = members.get(first, ()) + tuple(one for group in variants.values() for one in group)
        merged.update(one for name in others for one in variants[name])
    return members, frozenset(merged)


def _gears_name(condition: Condition, spelling: str) -> str:
    """Spell a single `A+ctrl` and a pair as the file does, unless the file joins genes with something else."""
    genes = condition.genes
    if not 1 <= len(genes) <= 2:
        raise BadDataError(
            f"{condition.label} perturbs {len(genes)} genes; the GEARS rule is defined for one or two",
            remedy="use `--rule folds`",
        )
    if len(genes) == 1:
        return f"{genes[0]}+{CONTROL}"
    return spelling if sorted(spelling.split("+")) == list(genes) else "+".join(genes)
