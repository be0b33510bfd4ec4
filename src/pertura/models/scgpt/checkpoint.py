"""A published checkpoint that was read, and what became of every key in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from pertura.core.errors import BadDataError
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.names import Layout
from pertura.models.scgpt.network import ScGPTNetwork

SHOWN = 6


@dataclass(frozen=True)
class LoadReport:
    """What became of every key: loaded, missing in the file, unexpected (kept, not used), of another shape.

    `refused` are keys of parts that are known but have no place in this network.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Every weight of the network was in the file, in its shape."""
        return not (self.missing or self.mismatched or self.refused)

    def lines(self) -> list[str]:
        """Return the report in words, a line for each kind of key that there is."""
        kinds = {
            "loaded": (self.loaded, 0),
            "kept, not used": (self.unexpected, SHOWN),
            "missing": (self.missing, SHOWN),
            "of another shape": (self.mismatched, SHOWN),
            "without a place": (self.refused, SHOWN),
        }
        return [
            f"{kind}: {len(keys)}{_named(keys, shown)}" for kind, (keys, shown) in kinds.items() if keys or not shown
        ]


class IncompleteError(BadDataError):
    """Weights that do not make one whole network; `report` says what became of each key."""

    def __init__(self, report: LoadReport, *, file: object = None) -> None:
        self.report = report
        named = ", ".join((*report.missing, *report.mismatched, *report.refused)[:SHOWN])
        super().__init__(
            f"{len(report.missing)} weights are missing, {len(report.mismatched)} have another shape, "
            f"{len(report.refused)} have no place ({named})",
            file=file,
            remedy="give the whole checkpoint; nothing is filled with random numbers",
        )


@dataclass(frozen=True, eq=False)
class ForeignCheckpoint:
    """A network with published weights, its vocabulary and configuration, and what was made of every key.

    `package` holds the other published files by their place in the folder (args.json, vocab.json, priors,
    training_stats.json, predictions, scores); they are carried along when the checkpoint is written.
    """

    network: ScGPTNetwork
    vocab: Vocab
    config: ScGPTConfig
    report: LoadReport
    layout: Layout
    args: Mapping[str, Any] = field(default_factory=dict)
    unused: Mapping[str, Tensor] = field(default_factory=dict)
    package: Mapping[str, Path] = field(default_factory=dict)
    weights_file: str = "best_model.pt"
    source: str = ""
    """Where it was read from: a folder, or a hub name with its commit."""
    converted: bool = False
    """Whether it was read in pertura's own format."""


def _named(keys: tuple[str, ...], shown: int) -> str:
    if not shown:
        return ""
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f" ({', '.join(keys[:shown])}{more})"
