"""scGPT and its relatives as rows of the table of models; torch is imported only where a network is made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pertura.core.model import PerturbationModel
from pertura.models.networks import Extent, Footprint, NetworkEntry
from pertura.priors.prior import GenePrior

WHOLE_HUMAN_TOKENS = 60697
HELD = 14
"""Numbers of the network's width that a layer holds of each token for the way back."""
HALF = 0.6
"""What is left of that where most of it is held in 16 bits."""


def entry(name: str, **changes: Any) -> NetworkEntry:
    """Return what the table says of a network of this family; `changes` set it apart from scGPT's own architecture."""

    def options(size: str) -> Any:
        return _options(size, changes)

    def build(chosen: Any, priors: tuple[GenePrior, ...]) -> PerturbationModel:
        from pertura.models.scgpt.model import ScGPT

        return ScGPT(chosen, priors, name=name)

    return NetworkEntry(options, build, check, footprint, needs_prior=changes.get("inputs") == "language")


def load(folder: Path) -> PerturbationModel:
    """Return a saved model."""
    from pertura.models.scgpt.model import ScGPT

    return ScGPT.load(folder)


def check(chosen: Any) -> None:
    """Raise where the network has nothing to begin from, or cannot be trained here."""
    from pertura.models.scgpt.start import check_start
    from pertura.training.precision import placed
    from pertura.training.track import check_tracking

    check_start(chosen)
    check_tracking(placed(chosen.training))


def footprint(chosen: Any, extent: Extent) -> Footprint:
    """Return what a training takes, from the shapes; measured peaks are printed beside it by a benchmark."""
    import torch

    from pertura.models.scgpt.config import PriorConfig, ScGPTConfig
    from pertura.models.scgpt.network import ScGPTNetwork

    size, tokens = chosen.size, extent.genes + extent.prior_genes + 3
    if chosen.pretrained is not None or not chosen.from_random:
        tokens = WHOLE_HUMAN_TOKENS
    prior = PriorConfig(
        name="prior", width=extent.prior_width, placement=chosen.placement, trainable=chosen.trainable_prior
    )
    config = ScGPTConfig(
        vocab_size=tokens,
        pad_id=tokens - 1,
        width=size.width,
        heads=size.heads,
        hidden=size.hidden,
        layers=size.layers,
        decoder=chosen.decoder,
        priors=(prior,) if extent.prior_width else (),
        final_norm=chosen.final_norm,
    )
    with torch.device("meta"):
        network = ScGPTNetwork(config)
    numbers = sum(one.numel() for one in network.parameters())
    training = chosen.training
    genes, cells = min(extent.genes, chosen.max_genes), training.micro_batch or training.batch
    held = cells * genes * (size.layers + 2) * (HELD * size.width + 2 * size.hidden)
    # weights, gradients and two moments; the cells of the screen lie beside them
    share = 1.0 if training.precision == "fp32" else HALF
    taken = 4.0 * (4 * numbers + share * held + extent.cells * extent.genes)
    seen = extent.cells if chosen.most_cells is None else min(extent.cells, chosen.most_cells * extent.conditions)
    return Footprint(numbers, taken, -(-seen // training.batch))


def _options(size: str, changes: dict[str, Any]) -> Any:
    from pertura.models.scgpt.options import as_scgenept, debug, whole_human

    base = debug() if size == "debug" else whole_human()
    own = dict(changes)
    if own.pop("scgenept", False):
        base = as_scgenept(base)
    return replace(base, **own)
