"""The genes a model predicts, as token ids, and the genes that are perturbed, inside the panel or beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pertura.core.perturbation import Condition
from pertura.genes.vocab import Vocab

NOT_MEASURED = -1.0
"""The value of a perturbed gene that the panel leaves out: what pre-training put where a value was masked."""
PERTURBED = 1


@dataclass(frozen=True, eq=False)
class TokenPanel:
    """A panel seen through a vocabulary. Genes without a token are predicted not to change."""

    genes: tuple[str, ...]
    vocab: Vocab

    @cached_property
    def columns(self) -> Int[np.ndarray, " known"]:
        """The columns of the panel whose genes have a token."""
        return np.flatnonzero([gene in self.vocab.genes for gene in self.genes])

    @cached_property
    def ids(self) -> Int[np.ndarray, " known"]:
        """The token ids of these columns."""
        return np.asarray(self.vocab.ids_of([self.genes[i] for i in self.columns]), dtype=np.int64)

    @cached_property
    def place(self) -> dict[str, int]:
        """Gene -> its place among the known columns."""
        return {self.genes[column]: i for i, column in enumerate(self.columns)}

    @property
    def without_token(self) -> tuple[str, ...]:
        """The genes of the panel that the vocabulary does not have."""
        return tuple(gene for gene in self.genes if gene not in self.vocab.genes)

    def marks(self, conditions: Sequence[Condition]) -> "Marks":
        """Return where the genes of conditions stand."""
        inside = [[self.place[gene] for gene in sorted(one.genes) if gene in self.place] for one in conditions]
        beside = [[self.vocab.ids[gene] for gene in sorted(one.genes) if gene not in self.place] for one in conditions]
        width = max((len(one) for one in beside), default=0)
        pad = self.vocab.ids["<pad>"]
        extra = np.full((len(conditions), width), pad, dtype=np.int64)
        for row, ids in enumerate(beside):
            extra[row, : len(ids)] = ids
        flags = torch.zeros(len(conditions), len(self.columns), dtype=torch.bool)
        for row, places in enumerate(inside):
            flags[row, places] = True
        return Marks(flags, torch.from_numpy(extra), torch.from_numpy(extra == pad))


@dataclass(frozen=True, eq=False)
class Marks:
    """Perturbed genes of each condition: flags over the known columns, and token ids of those beside the panel."""

    flags: Bool[Tensor, "conditions known"]
    extra: Int[Tensor, "conditions extra"]
    padding: Bool[Tensor, "conditions extra"]

    def to(self, device: str) -> "Marks":
        """Return them on a device."""
        return Marks(self.flags.to(device), self.extra.to(device), self.padding.to(device))


def panel_vocab(panel: Iterable[str], further: Iterable[str]) -> Vocab:
    """Return a vocabulary of the genes of a panel, then further genes by name, then the special tokens."""
    genes = dict.fromkeys(panel)
    genes |= dict.fromkeys(sorted(set(further) - set(genes)))
    return Vocab({token: i for i, token in enumerate((*genes, "<pad>", "<cls>", "<eoc>"))})
