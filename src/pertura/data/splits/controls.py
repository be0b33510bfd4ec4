"""Cutting the control cells of every context in two."""

from collections.abc import Sequence

from pertura.core.errors import BadDataError, UsageError
from pertura.core.seeds import shuffled
from pertura.core.split import ControlPartition, Outline


def partitioned(outline: Outline, seed: int, shared: bool = False, judge: int = 0) -> dict[str, ControlPartition]:
    """Return the two sides of each context's controls; nothing where the outline knows no cells at all.

    Each side has half of them, or the judge's side has `judge` of them. With `shared` both sides are one pool: for
    showing what that does to scores, never for a result. A context that has conditions but fewer than two control
    cells cannot be judged and raises `BadDataError`.
    """
    if not outline.controls:
        return {}
    perturbed = {one.context for one in outline.conditions}
    for context in sorted(perturbed):
        count = len(outline.controls.get(context, ()))
        if count < 2:
            raise BadDataError(
                f"context {context or '(unnamed)'} has {count} control cells; each side of a split needs at least one",
                remedy="leave the context out, or name the control label with `pertura inspect --control`",
            )
    return {
        context: ControlPartition.shared(ids) if shared else _cut(ids, seed, context, judge)
        for context, ids in sorted(outline.controls.items())
        if len(ids)
    }


def _cut(ids: Sequence[str], seed: int, context: str, judge: int) -> ControlPartition:
    if not judge:
        return ControlPartition.halves(ids, seed, context)
    if not 0 < judge < len(ids):
        raise UsageError(
            f"judge_controls is {judge}, but context {context or '(unnamed)'} has {len(ids)} control cells"
        )
    order = [str(ids[i]) for i in shuffled(ids, seed, "controls", context)]
    return ControlPartition(tuple(sorted(order[judge:])), tuple(sorted(order[:judge])))
