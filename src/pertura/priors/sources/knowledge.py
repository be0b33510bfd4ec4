"""What a source of knowledge says about each gene, before anything is encoded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pertura.core.errors import BadDataError
from pertura.priors.encoders import Content


@dataclass(frozen=True, eq=False)
class Knowledge:
    """The parts of what `name` says about each of `genes`: a text each, or the names of the terms of a gene.

    `dropped` counts what was left out, by reason in words; `notes` are things a reader of results must know.
    """

    name: str
    genes: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]
    licence: str
    content: Content = "text"
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.genes) or len(set(self.genes)) != len(self.genes):
            raise BadDataError(f"source {self.name}: {len(self.parts)} texts for {len(set(self.genes))} distinct genes")
        silent = [gene for gene, parts in zip(self.genes, self.parts) if not any(parts)]
        if silent:
            raise BadDataError(f"source {self.name}: {len(silent)} genes have no text, the first is {silent[0]}")

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """One text for each gene: its parts in their order, each ended by a full stop."""
        return tuple(" ".join(_sentence(part) for part in parts) for parts in self.parts)

    @cached_property
    def sha256(self) -> str:
        """The digest of all genes and texts: two tables of one digest were made of the same words."""
        digest = hashlib.sha256()
        for gene, parts in zip(self.genes, self.parts):
            digest.update("\x1f".join((gene, *parts)).encode() + b"\n")
        return digest.hexdigest()


def _sentence(part: str) -> str:
    return part if part.endswith((".", "!", "?")) or " " not in part else f"{part}."
