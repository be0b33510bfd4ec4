"""Conditions hidden from a model in turns, so that each is predicted by a model that never saw it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pertura.core.errors import BadDataError
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled

FOLDS = 5
FEWEST = 4


@dataclass(frozen=True)
class Hidden:
    """One turn: what is trained on and what is judged. What is in neither is hidden too."""

    name: str
    train: tuple[Condition, ...]
    test: tuple[Condition, ...]


def turns(conditions: Sequence[Condition], *, folds: int = FOLDS, seed: int = 1) -> tuple[Hidden, ...]:
    """Return turns in which every single is judged once, and every pair once.

    Singles: a fold of genes is hidden with everything that perturbs one of them, as a gene never perturbed before.
    Pairs: a fold of pairs is hidden, what else perturbs their genes is not. A gene or a pair is hidden in all contexts
    at once. Fewer than four singles and pairs raise `BadDataError`.
    """
    singles = sorted({one.genes[0] for one in conditions if one.perturbation.is_single})
    pairs = sorted({one.perturbation.label for one in conditions if len(one.genes) > 1})
    if len(singles) < FEWEST and len(pairs) < FEWEST:
        raise BadDataError(
            f"{len(singles)} singles and {len(pairs)} pairs were measured: too few to hide some and judge by them",
            remedy=f"give a screen of at least {FEWEST} singles or pairs",
        )
    made = [_genes_hidden(conditions, frozenset(part), i) for i, part in enumerate(_parts(singles, folds, seed))]
    made += [_pairs_hidden(conditions, frozenset(part), i) for i, part in enumerate(_parts(pairs, folds, seed))]
    return tuple(one for one in made if one.train and one.test)


def seen_genes(condition: Condition, train: Sequence[Condition]) -> int:
    """Return how many of a condition's genes some train condition perturbs."""
    trained = {gene for one in train for gene in one.genes}
    return sum(gene in trained for gene in condition.genes)


def kind_of(condition: Condition, trained: frozenset[str]) -> str:
    """Return the kind a condition is calibrated with: `single`, or `pair` with how many of its genes were trained."""
    if condition.perturbation.is_single:
        return "single"
    return f"pair, {sum(gene in trained for gene in condition.genes)} of {len(condition.genes)} genes seen"


def _parts(names: Sequence[str], folds: int, seed: int) -> list[list[str]]:
    if len(names) < FEWEST:
        return []
    order = [names[i] for i in shuffled(names, seed, "screening folds")]
    folds = min(folds, len(names))
    return [order[i::folds] for i in range(folds)]


def _genes_hidden(conditions: Sequence[Condition], genes: frozenset[str], number: int) -> Hidden:
    train = tuple(one for one in conditions if not genes.intersection(one.genes))
    test = tuple(one for one in conditions if one.perturbation.is_single and genes.issuperset(one.genes))
    return Hidden(f"genes {number}", train, test)


def _pairs_hidden(conditions: Sequence[Condition], pairs: frozenset[str], number: int) -> Hidden:
    train = tuple(one for one in conditions if one.perturbation.label not in pairs)
    test = tuple(one for one in conditions if one.perturbation.label in pairs)
    return Hidden(f"pairs {number}", train, test)
