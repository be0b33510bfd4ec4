"""Weights and prior tables put into a network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pertura.core.errors import BadDataError, MissingError
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.checkpoint import IncompleteError, LoadReport
from pertura.models.scgpt.embedding import GenePriorTable
from pertura.models.scgpt.names import Layout, published_name
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.priors.prior import GenePrior
from pertura.priors.store import read_scgpt_table

PRIOR_FILES = "*prior*.safetensors"
USUAL_PRIOR_FILE = "scgpt_esm_prior.safetensors"


def filled(
    network: ScGPTNetwork, own: Mapping[str, Tensor], unused: Mapping[str, Tensor], layout: Layout
) -> LoadReport:
    """Put weights into a network and return what became of each published key; `IncompleteError` unless all is filled.

    A stored trainable table of a prior keeps its own number type.
    """
    report = _compared(network, own, unused, layout)
    if not report.is_whole:
        raise IncompleteError(report)
    for i, prior in enumerate(network.prior_tables):
        if f"priors.{i}.table" in own:
            prior.keep(own[f"priors.{i}.table"])
    with torch.no_grad():
        for name, tensor in network.state_dict(keep_vars=True).items():
            tensor.copy_(own[name])
    return report


def _compared(
    network: ScGPTNetwork, own: Mapping[str, Tensor], unused: Mapping[str, Tensor], layout: Layout
) -> LoadReport:
    wanted = network.state_dict()
    wrong = {name for name in set(own) & set(wanted) if own[name].shape != wanted[name].shape}

    def published(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted({published_name(one, layout) for one in names}))

    missing, mismatched, refused = (published(one) for one in (set(wanted) - set(own), wrong, set(own) - set(wanted)))
    lost = {*missing, *mismatched, *refused, *unused}
    loaded = tuple(name for name in layout.order if name not in unused and name.removeprefix(layout.prefix) not in lost)
    return LoadReport(loaded, missing, tuple(unused), mismatched, refused)


@dataclass(frozen=True, eq=False)
class PriorShelf:
    """The priors that a checkpoint may be given: `given` by name, otherwise a file beside its weights."""

    given: Mapping[str, GenePrior]
    folder: Path

    def prior(self, wanted: GenePriorTable, vocab: Vocab) -> GenePrior:
        """Return the prior of a frozen table; `MissingError` names the file to supply."""
        name, width = wanted.config.name, wanted.config.width
        found = self.given.get(name) or self._beside(vocab, width)
        if found is None:
            raise MissingError(
                f"{self.folder}: the checkpoint uses the gene prior {name} ({width} wide) and does not store its "
                f"table; put the published file beside it ({USUAL_PRIOR_FILE}: a row of {width} numbers for each "
                f"token, under the key embeddings), or supply it: load_foreign(folder, priors={{{name!r}: GenePrior}})"
            )
        if found.table.shape[1] != width:
            raise BadDataError(f"the prior {found.name} is {found.table.shape[1]} wide, the checkpoint takes {width}")
        return found

    def _beside(self, vocab: Vocab, width: int) -> GenePrior | None:
        files = sorted(self.folder.glob(PRIOR_FILES))
        if len(files) > 1:
            listed = ", ".join(one.name for one in files)
            raise BadDataError(
                f"{len(files)} files may be its prior: {listed}",
                file=self.folder,
                remedy="keep the one that belongs to it, or give priors=",
            )
        return read_scgpt_table(files[0], vocab, width=width).prior if files else None


def supply_priors(network: ScGPTNetwork, vocab: Vocab, shelf: PriorShelf) -> None:
    """Put frozen tables, which checkpoints do not store, into their places."""
    for one in network.prior_tables:
        if not one.config.trainable:
            one.supply(*vocabulary_table(shelf.prior(one, vocab), vocab, network.config.vocab_size))


def vocabulary_table(
    prior: GenePrior, vocab: Vocab, rows: int
) -> tuple[Float[Tensor, "vocab dim"], Bool[Tensor, " vocab"]]:
    """Return a prior's vectors in the order of token ids, and which ids have one."""
    genes = sorted(vocab.genes)
    vectors, known = prior.aligned_to(genes)
    ids = torch.tensor(vocab.ids_of(genes), dtype=torch.long)
    table, has_row = torch.zeros(rows, vectors.shape[1]), torch.zeros(rows, dtype=torch.bool)
    table[ids], has_row[ids] = torch.from_numpy(vectors.astype(np.float32)), torch.from_numpy(known)
    return table, has_row
