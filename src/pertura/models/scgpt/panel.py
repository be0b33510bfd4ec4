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
STRANGER = "<eoc>"
"""The token of a perturbed gene that the vocabulary does not have: an otherwise unused one."""
PERTURBED = 1


@dataclass(frozen=True, eq=False)
class TokenPanel:
    """A panel seen through a vocabulary. Genes without a token are predicted not to change.

    Known genes stand in the order of their names, so that no result depends on the order of a file's columns.
    """

    genes: tuple[str, ...]
    vocab: Vocab

    @cached_property
    def columns(self) -> Int[np.ndarray, " known"]:
        """The columns of the panel whose genes have a token, in the order of the genes' names."""
        known = [column for column, gene in enumerate(self.genes) if gene in self.vocab.genes]
        return np.asarray(sorted(known, key=self.genes.__getitem__), dtype=np.int64)

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

    def token(self, gene: str) -> int:
        """Return the token of a perturbed gene; genes that the vocabulary lacks share one."""
        return self.vocab.ids[gene if gene in self.vocab.genes else STRANGER]

    def marks(self, conditions: Sequence[Condition]) -> "Marks":
        """Return where the genes of conditions stand."""
        inside = [[self.place[gene] for gene in sorted(one.genes) if gene in self.place] for one in conditions]
        beside = [[self.token(gene) for gene in sorted(one.genes) if gene not in self.place] for one in conditions]
        width = max((len(one) for one in beside), default=0)
        pad = self.vocab.ids["<pad>"]
        extra = np.full((len(conditions), width), pad, dtype=np.int64)
        for row, ids in enumerate(beside):
            extra[row, : len(ids)] = ids
        flags = torch.zeros(len(conditions), len(self.columns), dtype=torch.bool)
        for row, places in enumerate(inside):
            flags[row, places] = True
        absent = torch.from_numpy(extra == pad)
        return Marks(flags, torch.from_numpy(extra), absent, bool(absent.any()), self.vocab.ids[STRANGER])


@dataclass(frozen=True, eq=False)
class Marks:
    """Perturbed genes of each condition: flags over the known columns, and token ids of those beside the panel.

    `ragged`: some conditions have fewer of the latter than others, so that there is padding.
    """

    flags: Bool[Tensor, "conditions known"]
    extra: Int[Tensor, "conditions extra"]
    padding: Bool[Tensor, "conditions extra"]
    ragged: bool
    stranger: int

    def hidden(self, conditions: Int[Tensor, " cells"], hide: Bool[Tensor, " cells"]) -> Int[Tensor, "cells extra"]:
        """Return the token ids beside the panel of some conditions; where `hide`, those of a gene nobody knows."""
        extra = self.extra[conditions]
        return torch.where(hide[:, None] & ~self.padding[conditions], self.stranger, extra)

    def to(self, device: str) -> "Marks":
        """Return them on a device."""
        flags, extra, padding = (one.to(device) for one in (self.flags, self.extra, self.padding))
        return Marks(flags, extra, padding, self.ragged, self.stranger)


def panel_vocab(panel: Iterable[str], further: Iterable[str]) -> Vocab:
    """Return a vocabulary of the genes of a panel by name, then further genes by name, then the special tokens."""
    genes = dict.fromkeys(sorted(panel))
    genes |= dict.fromkeys(sorted(set(further) - set(genes)))
    return Vocab({token: i for i, token in enumerate((*genes, "<pad>", "<cls>", "<eoc>"))})
