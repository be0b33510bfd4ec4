"""Several processes that train one network together (torchrun)."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class World:
    """The place of this process among those that train together; alone, it is 0 of 1."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, chosen: Sequence[int]) -> Sequence[int]:
        """Return the cells of a batch that this process works on."""
        return chosen[self.rank :: self.size]

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Add tensors over all processes, in place, as one message."""
        if self.size == 1:
            return
        together = list(tensors)
        flat = torch.cat([one.flatten() for one in together])
        distributed.all_reduce(flat)
        for one, piece in zip(together, flat.split([one.numel() for one in together]), strict=True):
            one.copy_(piece.view_as(one))

    def wait(self) -> None:
        """Return once every process is here."""
        if self.size > 1:
            distributed.barrier()


def joined(device: str) -> World:
    """Return the world that torchrun describes in the environment, joining it if this was not done yet."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())
