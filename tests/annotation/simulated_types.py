"""Cells of simulated types, and a network pretrained on such cells without their labels."""

import numpy as np
import torch
from small_networks import small_base, small_network, symbols

from pertura.annotation.pretrained import Base
from pertura.annotation.tokens import Reading, batch_of, tokenised
from pertura.annotation.view import View, view_of
from pertura.core.expression import InMemory
from pertura.models.scgpt.tokens import TokenBatch

GENES, TYPES = 60, 5


def typed_cells(cells: int, seed: int, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Counts and types: each type has programmes of genes that go up together, under strong noise of every cell.

    The programmes are the same for every seed; the seed draws the cells.
    """
    fixed = np.random.default_rng(77)
    level = fixed.normal(-0.7, 0.7, size=GENES)
    programmes = np.kron(np.eye(TYPES), np.ones(GENES // TYPES)) * 1.2
    weights = fixed.normal(0.0, 1.0, size=(TYPES, TYPES))
    weights -= weights.mean(axis=0)
    rng = np.random.default_rng([seed, 3])
    types = np.arange(cells) % TYPES
    state = weights[types] + rng.normal(0, noise, size=(cells, TYPES))
    rates = np.exp(level + 1.0 * state @ programmes)
    return rng.poisson(rates).astype(np.float32), types


def typed_view(base: Base, counts: np.ndarray, name: str = "cell") -> View:
    names = tuple(symbols(GENES))
    ids = np.asarray([f"{name}{number}" for number in range(len(counts))], dtype=object)
    return view_of(InMemory(np.log1p(counts)), names, ids, names, base.vocab)


def fresh_base(seed: int = 0) -> Base:
    return small_base(
        symbols(GENES), network=small_network(GENES, seed, width=32, heads=4, hidden=64, query_decoder=True)
    )


def pretrained_base(steps: int, cells: int = 3000, seed: int = 0) -> Base:
    """A network that learnt to fill in hidden values of unlabelled cells, from their genes and from the cell vector."""
    base = fresh_base(seed)
    network = base.checkpoint.network.train()
    counts, _ = typed_cells(cells, seed=1000 + seed)
    view = typed_view(base, counts)
    whole = batch_of(tokenised(view, np.arange(cells), base), base, Reading())
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(steps):
        rows = np.sort(rng.permutation(cells)[:64])
        batch = TokenBatch(whole.ids[rows], whole.values[rows], whole.padding[rows])
        hidden = torch.from_numpy(rng.random(batch.ids.shape) < 0.4) & ~batch.padding
        hidden[:, 0] = False
        shown = batch.values.masked_fill(hidden, -1.0)
        found = network(batch.ids, shown, None, batch.padding)
        wanted = batch.values / 25 - 1
        loss = ((found.expression - wanted)[hidden] ** 2).mean() + (
            (found.query_expression - wanted)[hidden] ** 2
        ).mean()
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    network.eval()
    base.checkpoint.network.requires_grad_(False)
    return base
