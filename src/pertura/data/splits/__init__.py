"""Rules that cut a screen into train, valid and test, and its controls in two."""

from collections.abc import Callable, Mapping

from pertura.core.split import Split
from pertura.data.splits.gears_simulation import gears_simulation
from pertura.data.splits.held_out import held_out_context, held_out_context_and_gene
from pertura.data.splits.random_folds import random_folds

SplitRule = Callable[..., Split]
"""`rule(outline, *, seed=1, shared_controls=False, **options) -> Split`; further options are keywords with defaults."""

SPLITS: Mapping[str, SplitRule] = {
    "gears-simulation": gears_simulation,
    "held-out-context": held_out_context,
    "held-out-context-and-gene": held_out_context_and_gene,
    "folds": random_folds,
}
"""Name -> rule. To add one: write the function in a new file and name it here."""

__all__ = ["SPLITS", "SplitRule"]
