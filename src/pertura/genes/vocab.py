"""Gene <-> token id."""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from types import MappingProxyType

from pertura.core.errors import BadDataError, UnknownGeneError

SPECIALS = frozenset({"<pad>", "<cls>", "<eoc>", "<mask>"})


@dataclass(frozen=True, eq=False)
class Vocab:
    """Token ids of a checkpoint: `ids` maps each token, genes and specials alike, to its own integer."""

    ids: Mapping[str, int]

    def __post_init__(self) -> None:
        if len(set(self.ids.values())) != len(self.ids):
            raise BadDataError("two tokens of a vocabulary share one id")

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, token: object) -> bool:
        return token in self.ids

    @cached_property
    def genes(self) -> frozenset[str]:
        """The tokens that are genes."""
        return frozenset(self.ids) - SPECIALS

    def ids_of(self, genes: Iterable[str]) -> tuple[int, ...]:
        """Return the ids of `genes` in their order; those without one raise `UnknownGeneError`."""
        wanted = tuple(genes)
        missing = self.without(wanted)
        if missing:
            raise UnknownGeneError(missing, self.genes)
        return tuple(self.ids[gene] for gene in wanted)

    def without(self, genes: Iterable[str]) -> frozenset[str]:
        """Return those of `genes` that have no id."""
        return frozenset(gene for gene in genes if gene not in self.genes)


@lru_cache(maxsize=1)
def human_vocab() -> Vocab:
    """Return the bundled whole-human vocabulary: 60,694 genes and three specials."""
    packed = resources.files("pertura.genes").joinpath("bundled", "human_vocab.json.gz").read_bytes()
    return Vocab(MappingProxyType(json.loads(gzip.decompress(packed))))
