"""Cells per second of scGPT beside a twin of stock transformer layers, and the share of the matrix-product ceiling.

    python benchmarks/scgpt.py [--device cuda] [--batch 8] [--genes 1536] [--precision fp32 bf16] [--layers 12]

Both networks have the whole-human size (width 512, 8 heads, hidden 512), the same input and the same loss. Rounds of
the two take turns in one process, and the best of each counts. The ceiling is the rate of a square matrix product of
the same precision, measured in the same run; the arithmetic of a step is counted from the shapes (2 per multiply-add,
backward twice the forward), gene table and heads left out.
"""

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.network import ScGPTNetwork

WIDTH, HEADS, HIDDEN, VOCAB = 512, 8, 512, 60697


class Twin(nn.Module):
    """The same network with `torch.nn.TransformerEncoder` in place of our blocks."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.body = ScGPTNetwork(ScGPTConfig(layers=1, dropout=0.0))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True)
        self.stock = nn.TransformerEncoder(layer, layers)
        self.body.encoder = Stock(self.stock)

    def forward(self, ids: torch.Tensor, values: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
        return self.body(ids, values, flags).expression


class Stock(nn.Module):
    def __init__(self, encoder: nn.TransformerEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, states: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        return self.encoder(states, src_key_padding_mask=padding)


class Ours(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        self.body = ScGPTNetwork(ScGPTConfig(layers=layers, dropout=0.0))

    def forward(self, ids: torch.Tensor, values: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
        return self.body(ids, values, flags).expression


def seconds(work: Callable[[], object], device: str) -> float:
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def arithmetic(batch: int, genes: int, layers: int) -> float:
    """Operations of one forward pass through the transformer."""
    maps = 2 * genes * (4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN)
    attention = 4 * genes * genes * WIDTH
    return float(batch * layers * (maps + attention))


def ceiling(device: str, dtype: torch.dtype) -> float:
    size = 8192 if device.startswith("cuda") else 2048
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = min(seconds(lambda: a @ b, device) for _ in range(5))
    return 2 * size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--genes", type=int, default=1536)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    asked = parser.parse_args()
    batch = asked.batch or (192 if asked.device.startswith("cuda") else 4)
    print(
        f"{asked.device}, {torch.get_num_threads()} threads, batch {batch} x {asked.genes} genes, {asked.layers} layers"
    )
    for precision in asked.precision:
        one_precision(asked, batch, precision)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of the process {peak:.1f} GiB")
    if asked.device.startswith("cuda"):
        print(f"peak memory of the device {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def one_precision(asked: argparse.Namespace, batch: int, precision: str) -> None:
    device, dtype = asked.device, {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    top = ceiling(device, dtype)
    print(f"{precision}: a square matrix product reaches {top / 1e12:.2f} TFLOP/s")
    torch.manual_seed(0)
    ids = torch.randint(0, VOCAB - 3, (1, asked.genes), device=device)
    values, targets = (torch.rand(batch, asked.genes, device=device) for _ in range(2))
    flags = torch.zeros(batch, asked.genes, dtype=torch.long, device=device)
    networks = {"pertura": Ours(asked.layers).to(device), "stock twin": Twin(asked.layers).to(device)}
    found: dict[str, dict[str, float]] = {}
    for name, network in networks.items():
        network.train()
        found[name] = {"training step": float("inf"), "prediction": float("inf")}
    optimisers = {name: torch.optim.Adam(one.parameters(), 1e-4) for name, one in networks.items()}

    def step(name: str) -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            loss = (networks[name](ids, values, flags) - targets).square().mean()
        optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        optimisers[name].step()

    def ask(name: str) -> None:
        with (
            torch.inference_mode(),
            torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            networks[name](ids, values, flags)

    for _ in range(asked.rounds + 1):  # the first round warms up; the best of the others counts
        for name, network in networks.items():
            network.train()
            found[name]["training step"] = min(found[name]["training step"], seconds(partial(step, name), device))
            network.eval()
            found[name]["prediction"] = min(found[name]["prediction"], seconds(partial(ask, name), device))
    forward = arithmetic(batch, asked.genes, asked.layers)
    for kind, factor in (("training step", 3.0), ("prediction", 1.0)):
        mine, theirs = found["pertura"][kind], found["stock twin"][kind]
        share = factor * forward / mine / top
        print(
            f"  {kind:14s} pertura {batch / mine:8.2f} cells/s, stock twin {batch / theirs:8.2f} cells/s, "
            f"ratio {theirs / mine:.2f}; {100 * share:.0f} % of the matrix-product ceiling"
        )


if __name__ == "__main__":
    main()
