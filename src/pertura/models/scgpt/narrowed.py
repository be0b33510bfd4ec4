"""A fitted network on part of its panel: genes that were not measured are left out, not filled."""

import copy
from collections.abc import Collection
from dataclasses import replace

from pertura.core.errors import BadDataError
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.panel import TokenPanel

STATES = 8
"""Tensors of one state's width that are alive at once inside a layer, in float32."""


def narrowed(model: ScGPT, genes: Collection[str]) -> ScGPT:
    """Return the same fitted model asked about some genes of its panel only, in the panel's order.

    The others take no part: the network attends to the genes that are there, as it does in the windows it was trained
    on. A perturbed gene among the others enters as one that is not measured.
    """
    trained = model._trained
    kept = tuple(gene for gene in trained.scope.panel if gene in genes)
    panel = TokenPanel(kept, trained.panel.vocab)
    if not len(panel.columns):
        raise BadDataError("none of the genes that are measured has a token")
    left = frozenset(trained.scope.panel) - frozenset(kept)
    made = copy.copy(model)
    made._checkpoint = model.checkpoint
    made._state = replace(
        trained, panel=panel, scope=replace(trained.scope, panel=kept, known=trained.scope.known | left)
    )
    return made


def asking_bytes(width: int, hidden: int, genes: int, cells: int) -> int:
    """Return about how many bytes a forward pass over so many cells and genes takes beside the weights."""
    return 4 * cells * genes * (STATES * width + 2 * hidden)
