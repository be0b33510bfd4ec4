"""Random folds over perturbations."""

from collections.abc import Iterable

from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled
from pertura.core.split import Outline, Split
from pertura.data.splits.controls import partitioned
from pertura.data.splits.options import drawn_for_valid, labelled, perturbations_of, recorded


def random_folds(
    outline: Outline,
    *,
    seed: int = 1,
    folds: int = 5,
    fold: int = 0,
    valid_fraction: float = 0.1,
    shared_controls: bool = False,
) -> Split:
    """Return the split that tests fold `fold` (from 0) of `folds`; a perturbation is in one fold in all contexts.

    The folds of one seed are disjoint and cover every condition. Strata: how many of the genes of a single or a pair
    occur in some train condition.
    """
    labels = sorted(perturbations_of(outline.conditions))
    if not 2 <= folds <= len(labels):
        raise UsageError(f"{folds} folds of {len(labels)} perturbations; take 2 to {len(labels)}")
    if not 0 <= fold < folds:
        raise UsageError(f"fold {fold} of {folds}; folds count from 0 to {folds - 1}")
    picked = [labels[i] for i in shuffled(labels, seed, "folds")][fold::folds]
    test = labelled(outline.conditions, frozenset(picked))
    rest = frozenset(outline.conditions) - test
    valid = drawn_for_valid(rest, valid_fraction, seed, "fold", folds, fold)
    train = rest - valid
    return Split(
        name="folds",
        train=train,
        valid=valid,
        test=test,
        strata=strata_by_genes(test, train),
        controls=partitioned(outline, seed, shared_controls),
        seed=seed,
        options=recorded(folds=folds, fold=fold, valid_fraction=valid_fraction, shared_controls=shared_controls),
    )


def strata_by_genes(test: Iterable[Condition], train: Iterable[Condition]) -> dict[str, frozenset[Condition]]:
    """Return test conditions by kind and by how many of their genes some train condition perturbs.

    Names: `single_seen0`, `single_seen1`, `combo_seen0`, ... up to the number of genes; only those that have members.
    """
    trained = {gene for one in train for gene in one.genes}
    strata: dict[str, set[Condition]] = {}
    for one in test:
        kind = "single" if one.perturbation.is_single else "combo"
        seen = sum(gene in trained for gene in one.genes)
        strata.setdefault(f"{kind}_seen{seen}", set()).add(one)
    return {name: frozenset(members) for name, members in sorted(strata.items())}
