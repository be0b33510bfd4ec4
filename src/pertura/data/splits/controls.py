"""Cutting the control cells of every context in two."""

from pertura.core.errors import BadDataError
from pertura.core.split import ControlPartition, Outline


def partitioned(outline: Outline, seed: int, shared: bool = False) -> dict[str, ControlPartition]:
    """Return the two sides of each context's controls; nothing where the outline knows no cells at all.

    With `shared` both sides are one pool: for showing what that does to scores, never for a result. A context that has
    conditions but fewer than two control cells cannot be judged and raises `BadDataError`.
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
        context: ControlPartition.shared(ids) if shared else ControlPartition.halves(ids, seed, context)
        for context, ids in sorted(outline.controls.items())
        if len(ids)
    }
