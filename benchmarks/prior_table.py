"""Time and peak memory of tables of gene vectors at their published sizes.

A table by token (60,697 x 5,120) is written and read in full and half precision; a pickle of lists (20,000 x 1,536, as
GenePT's are) and a torch file (5,000 x 5,120) are read without executing them, beside the readers that execute them.

python benchmarks/prior_table.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

TIMED = """
import resource, sys, time
from pathlib import Path
import numpy as np

rows, width, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
rng = np.random.default_rng(0)
{prepare}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
{work}
seconds = time.perf_counter() - started
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 2**10
print(f"{{seconds:6.1f}} s   {{grown:6.0f}} MiB more at the peak")
"""
VOCAB = """
from pertura.genes.vocab import Vocab
from pertura.priors.prior import GenePrior
from pertura.priors.store import load_prior, read_scgpt_table, save_prior, write_scgpt_table
vocab = Vocab({f"G{one}": one for one in range(rows)})
"""
MADE = VOCAB + "made = GenePrior('p', tuple(vocab.ids), rng.standard_normal((rows, width), dtype=np.float32))"
STEPS = (
    ("write by token, float32", 60_697, 5_120, MADE, "write_scgpt_table(made, vocab, path)"),
    ("read by token, float32", 60_697, 5_120, VOCAB, "read_scgpt_table(path, vocab)"),
    ("write by token, float16", 60_697, 5_120, MADE, "write_scgpt_table(made, vocab, path, half=True)"),
    ("read by token, float16", 60_697, 5_120, VOCAB, "read_scgpt_table(path, vocab)"),
    ("write own file", 60_697, 5_120, MADE, "save_prior(made, path)"),
    ("read own file", 60_697, 5_120, VOCAB, "load_prior(path)"),
    (
        "make a pickle of lists",
        20_000,
        1_536,
        "import pickle",
        "pickle.dump({f'G{one}': rng.normal(size=width).tolist() for one in range(rows)}, path.open('wb'))",
    ),
    ("  read by pickle itself", 20_000, 1_536, "import pickle", "pickle.load(path.open('rb'))"),
    (
        "  read without executing",
        20_000,
        1_536,
        "from pertura.priors.foreign import read_foreign",
        "read_foreign(path)",
    ),
    (
        "make a torch file",
        5_000,
        5_120,
        "import torch",
        "torch.save({f'G{one}': torch.randn(width) for one in range(rows)}, path)",
    ),
    ("  read by torch itself", 5_000, 5_120, "import torch", "torch.load(path, weights_only=True)"),
    ("  read without executing", 5_000, 5_120, "from pertura.priors.foreign import read_foreign", "read_foreign(path)"),
)


def main() -> None:
    """Run each step in a process of its own and print a line for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        for name, rows, width, prepare, work in STEPS:
            program = TIMED.format(prepare=prepare, work=work)
            command = [sys.executable, "-c", program, str(rows), str(width), str(path)]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            size = path.stat().st_size / 2**20
            print(f"{name:26s} {rows:7,} x {width:5,}   file {size:6.0f} MiB   {found}", flush=True)


if __name__ == "__main__":
    main()
