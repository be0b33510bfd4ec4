"""What a fitted model keeps: facts as JSON, numbers as arrays."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from pydantic import TypeAdapter

from pertura.core.perturbation import Mode
from pertura.metrics.projection import Projection
from pertura.models import storage
from pertura.models.cellflow.config import CellFlowConfig
from pertura.models.cellflow.flowing import Flowing
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.options import CellFlowOptions
from pertura.models.cellflow.space import Space
from pertura.models.cellflow.vectors import ContextVectors, GeneVectors

CONFIG: TypeAdapter[CellFlowConfig] = TypeAdapter(CellFlowConfig)


def flowing_to(flowing: Flowing) -> tuple[dict[str, Any], storage.Arrays]:
    """Return what `flowing_from` takes to make the same network with the same components and vectors."""
    genes, contexts = flowing.genes, flowing.contexts
    arrays = {f"network.{name}": one.cpu().numpy() for name, one in flowing.network.state_dict().items()}
    arrays |= {"space.centre": flowing.space.projection.centre, "space.axes": flowing.space.projection.axes}
    arrays["genes.table"] = genes.table
    if contexts is not None:
        arrays["contexts.centre"] = contexts.centre
    header = {
        "network": asdict(flowing.network.config),
        "space": list(flowing.space.genes),
        "genes": {"names": list(genes.genes), "prior": genes.prior, "own": list(genes.own), "modes": list(genes.modes)},
        "contexts": _described(contexts),
        "train": [storage.condition_to_json(one) for one in flowing.train],
    }
    return header, arrays


def flowing_from(header: Mapping[str, Any], arrays: storage.Arrays, options: CellFlowOptions) -> Flowing:
    """Return the network, components and vectors of a folder, on the CPU."""
    network = CellFlowNetwork(CONFIG.validate_python(header["network"], strict=False))
    own = {name[8:]: torch.from_numpy(one) for name, one in arrays.items() if name.startswith("network.")}
    network.load_state_dict(own)
    told = header["genes"]
    modes = tuple(Mode(mode) for mode in told["modes"])
    genes = GeneVectors(tuple(told["names"]), arrays["genes.table"], told["prior"], tuple(told["own"]), modes)
    contexts = None
    if header["contexts"]:
        described = header["contexts"]
        names, centre = tuple(described["names"]), arrays["contexts.centre"]
        contexts = ContextVectors(described["kind"], names, centre, float(described["scale"]))
    space = Space(tuple(header["space"]), Projection(arrays["space.centre"], arrays["space.axes"]))
    train = tuple(storage.condition_from_json(one) for one in header["train"])
    return Flowing(network.eval(), space, genes, contexts, train, options, "cpu")


def _described(contexts: ContextVectors | None) -> dict[str, Any]:
    if contexts is None:
        return {}
    return {"kind": contexts.kind, "names": list(contexts.names), "scale": contexts.scale}
