"""The state of a training in one file: weights, optimiser, place, record. It is whole or absent."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError
from pertura.training.average import Average
from pertura.training.record import TrainingRecord

FORMAT = "pertura-training/1"
FACTS = "pertura"
LAST, BEST = "last.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Place:
    """Where a training stands: the next step of an epoch, under which key, and the loss summed so far in it."""

    epoch: int = 0
    step: int = 0
    attempt: int = 0
    loss_sum: float = 0.0


def write_state(
    folder: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    place: Place,
    about: dict[str, str],
    average: Average | None = None,
) -> None:
    """Write `last.safetensors`; `about` holds the record, the fingerprint and the state of the gradient scaler."""
    tensors = {f"network.{name}": one for name, one in network.state_dict().items()}
    for name, state in zip(_names(network), optimiser.state_dict()["state"].values(), strict=False):
        tensors |= {f"optimiser.{name}.{part}": torch.as_tensor(one) for part, one in state.items()}
    if average is not None:
        tensors |= {f"average.{name}": one for name, one in average.tensors.items()}
    rate = optimiser.param_groups[0]["lr"]
    facts = {"format": FORMAT, "place": json.dumps(place.__dict__), "rate": repr(rate), **about}
    folder.mkdir(parents=True, exist_ok=True)
    # one entry: the order in which safetensors writes several is not always the same
    told = {FACTS: json.dumps(facts, sort_keys=True)}
    with replacing(folder / LAST) as temporary:
        save_file({name: _whole(one) for name, one in tensors.items()}, temporary, told)


def read_state(
    folder: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    fingerprint: str,
    average: Average | None = None,
) -> tuple[Place, TrainingRecord, dict[str, str]] | None:
    """Put a stored state into network and optimiser and return where it stands; None where nothing is stored.

    A state of other data, options or network raises `BadDataError`: continuing it would be neither training.
    """
    path = folder / LAST
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stored:
            facts = json.loads((stored.metadata() or {}).get(FACTS, "{}"))
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
        if facts.get("format") != FORMAT or facts.get("fingerprint") != fingerprint:
            raise BadDataError(
                "was written by a training of other data, options or version", file=path, remedy="use another folder"
            )
        network.load_state_dict({name[8:]: one for name, one in tensors.items() if name.startswith("network.")})
        _restore(optimiser, network, tensors, float(facts["rate"]))
        if average is not None:
            average.restore({name[8:]: one for name, one in tensors.items() if name.startswith("average.")})
        return Place(**json.loads(facts["place"])), TrainingRecord.from_json(facts["record"]), facts
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise BadDataError(f"cannot be continued ({error})", file=path, remedy="delete it and train again") from error


def write_best(folder: Path, network: nn.Module) -> None:
    """Write the weights of the best epoch so far."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / BEST) as temporary:
        save_file({name: _whole(one) for name, one in network.state_dict().items()}, temporary)


def read_best(folder: Path, network: nn.Module) -> None:
    """Put the weights of the best epoch into the network."""
    with safe_open(folder / BEST, "pt") as stored:
        network.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118


def _names(network: nn.Module) -> list[str]:
    return [name for name, one in network.named_parameters() if one.requires_grad]


def _whole(tensor: Tensor) -> Tensor:
    """Return a tensor as safetensors takes it; on the CPU nothing is copied, a state may be gigabytes."""
    return tensor.detach().cpu().contiguous()


def _restore(optimiser: torch.optim.Optimizer, network: nn.Module, tensors: dict[str, Tensor], rate: float) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for place, name in enumerate(_names(network)):
        beginning = f"optimiser.{name}."
        found = {full.removeprefix(beginning): one for full, one in tensors.items() if full.startswith(beginning)}
        if found and set(found) <= {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"}:
            state[place] = found
    content = optimiser.state_dict()
    optimiser.load_state_dict({"state": state, "param_groups": content["param_groups"]})
    for group in optimiser.param_groups:
        group["lr"] = rate
