"""Cells per second of scGPT beside a twin of stock transformer layers, and the share of the matrix-product ceiling.

    python benchmarks/scgpt.py [--device cuda] [--batch 8] [--genes 1536] [--precision fp32 bf16] [--layers 12]

All networks have the whole-human size (width 512, 8 heads, hidden 512), the same input and the same loss. The twin is
run twice: with a padding mask in which nothing is padded, as the official code always gives one, and without. Each
side has the optimiser of its own training: ours fused, the twin's `torch.optim.Adam` as it comes. Rounds take turns in
one process, predictions first, as in a process that only predicts; the best of each counts. The ceiling is the rate of
a square matrix product of the same precision, measured in the same run; the arithmetic of a step is counted from the
shapes (2 per multiply-add, backward twice the forward), gene table and heads left out.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.network import ScGPTNetwork

WIDTH, HEADS, HIDDEN, VOCAB = 512, 8, 512, 60697


class Twin(nn.Module):
    """The same network with `torch.nn.TransformerEncoder` in place of our blocks; `masked`: a mask without padding."""

    def __init__(self, layers: int, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.body = ScGPTNetwork(ScGPTConfig(layers=1, dropout=0.0))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True)
        self.stock = nn.TransformerEncoder(layer, layers)
        self.body.encoder = Stock(self.stock)

    def forward(self, ids: torch.Tensor, values: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
        padding = torch.zeros_like(values, dtype=torch.bool) if self.masked else None
        return self.body(ids, values, flags, padding).expression


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
    warnings.filterwarnings("ignore", message=".*nested tensors")
    batch = asked.batch or (192 if asked.device.startswith("cuda") else 4)
    print(
        f"{asked.device}, {torch.get_num_threads()} threads, batch {batch} x {asked.genes} genes, {asked.layers} layers"
    )
    found = {precision: one_precision(asked, batch, precision) for precision in asked.precision}
    if {"fp32", "bf16"} <= set(found):
        for (name, kind), lasted in found["fp32"].items():
            print(
                f"{kind}: pertura in bf16 against {name} in fp32, ratio {lasted / found['bf16']['pertura', kind]:.2f}"
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of the process {peak:.1f} GiB")
    if asked.device.startswith("cuda"):
        print(f"peak memory of the device {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def one_precision(asked: argparse.Namespace, batch: int, precision: str) -> dict[tuple[str, str], float]:
    device, dtype = asked.device, {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    top = ceiling(device, dtype)
    print(f"{precision}: a square matrix product reaches {top / 1e12:.2f} TFLOP/s")
    torch.manual_seed(0)
    ids = torch.randint(0, VOCAB - 3, (1, asked.genes), device=device)
    values, targets = (torch.rand(batch, asked.genes, device=device) for _ in range(2))
    flags = torch.zeros(batch, asked.genes, dtype=torch.long, device=device)
    networks: dict[str, nn.Module] = {
        "pertura": Ours(asked.layers),
        "stock twin, mask": Twin(asked.layers, True),
        "stock twin": Twin(asked.layers, False),
    }
    best: dict[tuple[str, str], float] = {}
    for name, network in networks.items():
        network.to(device).train()
        best[name, "training step"] = best[name, "prediction"] = float("inf")
    optimisers = {
        name: torch.optim.Adam(one.parameters(), 1e-4, fused=name == "pertura" or None)
        for name, one in networks.items()
    }
    lower = partial(torch.autocast, torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")

    def step(name: str) -> None:
        with lower():
            loss = (networks[name](ids, values, flags) - targets).square().mean()
        optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        optimisers[name].step()

    def ask(name: str) -> None:
        with torch.inference_mode(), lower():
            networks[name](ids, values, flags)

    work: dict[str, Callable[[str], object]] = {"prediction": ask, "training step": step}
    for kind, one in work.items():
        for turn in range(asked.rounds + 1):  # each leads in its turn
            for name in list(networks)[turn % 3 :] + list(networks)[: turn % 3]:
                networks[name].train(kind == "training step")
                best[name, kind] = min(best[name, kind], lasting(partial(one, name), device))
    show(best, batch, arithmetic(batch, asked.genes, asked.layers) / top, precision)
    return best


def lasting(work: Callable[[], object], device: str) -> float:
    """Return the seconds of work, infinite where stock layers refuse it: in evaluation a mask under autocast."""
    try:
        return seconds(work, device)
    except RuntimeError as error:
        if "expected scalar type" not in str(error):
            raise
        return float("inf")


def show(best: dict[tuple[str, str], float], batch: int, floor: float, precision: str) -> None:
    for kind, factor in (("training step", 3.0), ("prediction", 1.0)):
        mine = best["pertura", kind]
        print(f"  {kind}: pertura {batch / mine:.2f} cells/s, {100 * factor * floor / mine:.0f} % of the ceiling")
        for (name, of), lasted in best.items():
            if of != kind or name == "pertura":
                continue
            told = f"{batch / lasted:.2f} cells/s, ratio {lasted / mine:.2f}" if lasted < float("inf") else "cannot"
            print(f"    {name}, {precision}: {told}")


if __name__ == "__main__":
    main()
