"""What split rules take, checked and written down the same way."""

from collections.abc import Collection, Iterable, Sequence

from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled

NAMED_AT_MOST = 200


def fraction(name: str, value: float) -> float:
    """Return `value` where it lies in [0, 1]; anything else raises `UsageError`."""
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value}; it must lie between 0 and 1")
    return value


def recorded(**options: object) -> dict[str, str]:
    """Return options as they stand in `split.json`."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}


def named(conditions: Iterable[Condition]) -> str:
    """Return how many conditions there are and which, for the record of a split."""
    labels = sorted(one.label for one in conditions)
    shown = ", ".join(labels[:NAMED_AT_MOST])
    rest = f" and {len(labels) - NAMED_AT_MOST} more" if len(labels) > NAMED_AT_MOST else ""
    return f"{len(labels)}: {shown}{rest}" if labels else "0"


def chosen(names: Iterable[str], count: int, seed: int, *purpose: object) -> frozenset[str]:
    """Return `count` of the names, whatever their order."""
    listed: Sequence[str] = sorted(set(names))
    return frozenset(listed[i] for i in shuffled(listed, seed, *purpose)[:count])


def perturbations_of(conditions: Iterable[Condition]) -> frozenset[str]:
    """Return the labels of the perturbations, without contexts: what goes together when a part is drawn."""
    return frozenset(one.perturbation.label for one in conditions)


def labelled(conditions: Iterable[Condition], labels: Collection[str]) -> frozenset[Condition]:
    """Return the conditions, in any context, of these perturbations."""
    return frozenset(one for one in conditions if one.perturbation.label in labels)


def drawn_for_valid(conditions: Iterable[Condition], share: float, seed: int, *purpose: object) -> frozenset[Condition]:
    """Return the conditions of about `share` of the perturbations, at least one where `share` is above zero.

    All contexts of a perturbation go together: what is chosen by was not trained on elsewhere.
    """
    pool = frozenset(conditions)
    labels = perturbations_of(pool)
    count = min(max(round(fraction("valid_fraction", share) * len(labels)), 1 if share else 0), max(len(labels) - 1, 0))
    return labelled(pool, chosen(labels, count, seed, "valid", *purpose))
