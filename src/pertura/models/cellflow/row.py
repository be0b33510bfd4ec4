"""CellFlow as a row of the table of models; torch is imported only where a network is made."""

from pathlib import Path
from typing import Any

from pertura.core.model import PerturbationModel
from pertura.models.networks import Extent, Footprint, NetworkEntry
from pertura.priors.prior import GenePrior


def entry() -> NetworkEntry:
    """Return what the table says of the network."""
    return NetworkEntry(options, build, check, footprint)


def options(size: str) -> Any:
    """Return the options of a size."""
    from pertura.models.cellflow.options import debug, published

    return debug() if size == "debug" else published()


def build(chosen: Any, priors: tuple[GenePrior, ...]) -> PerturbationModel:
    """Return the unfitted model."""
    from pertura.models.cellflow.model import CellFlow

    return CellFlow(chosen, priors)


def load(folder: Path) -> PerturbationModel:
    """Return a saved model."""
    from pertura.models.cellflow.model import CellFlow

    return CellFlow.load(folder)


def check(chosen: Any) -> None:
    """Raise where the options contradict one another, or the network cannot be trained here."""
    from pertura.models.cellflow.options import check_options
    from pertura.training.precision import placed
    from pertura.training.track import check_tracking

    check_options(chosen)
    check_tracking(placed(chosen.training))


def footprint(chosen: Any, extent: Extent) -> Footprint:
    """Return what a training takes; activations are counted in 32 bits."""
    import torch

    from pertura.models.cellflow.network import CellFlowNetwork
    from pertura.models.cellflow.options import shaped

    width = extent.prior_width or extent.conditions
    config = shaped(chosen.network, min(chosen.network.dims, extent.genes), width)
    with torch.device("meta"):
        network = CellFlowNetwork(config)
    numbers = sum(one.numel() for one in network.parameters())
    cells = chosen.cells * (chosen.training.micro_batch or chosen.training.batch)
    widths = sum((*config.time_dims, *config.cell_dims, *config.decoder_dims)) + config.time_features
    held = cells * (3 * widths + 2 * chosen.cells)  # values before and after each activation; the plan
    known = extent.prior_width * extent.prior_genes + extent.cells * config.dims + extent.genes**2
    unit = f"conditions with {chosen.cells:,} cells each"
    return Footprint(numbers, 4.0 * (4 * numbers + held + known), chosen.updates, unit)
