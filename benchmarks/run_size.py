"""Time and peak memory of a whole run on a simulated screen that stays on disk, beside what `--dry-run` said.

python benchmarks/run_size.py [GENES] [TARGETS]
"""

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pertura.data.datasets.simulate import write_simulation
from pertura.data.datasets.simulation import replogle_like


def main() -> None:
    """Simulate, then plan, then run in a process of its own."""
    genes = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    targets = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    command = str(Path(sys.executable).parent / "pertura")
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "screen.h5ad"
        config = replogle_like(genes=genes, targets=targets, cells_per_condition=80, controls_per_line=1000)
        write_simulation(config, path, seed=0)
        how = ["run", str(path), "--rule", "held-out-context", "--option", "context=line-c", "-o", f"{home}/run"]
        planned = subprocess.run([command, *how, "--dry-run"], capture_output=True, text=True, check=True).stdout
        started = time.perf_counter()
        subprocess.run([command, *how], capture_output=True, check=True)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        cells = re.search(r"cells +(.*)", planned)
        print(cells.group(0) if cells else "", f"\nfile: {path.stat().st_size / 2**20:.0f} MiB")
        print(planned.strip().splitlines()[-2].strip())
        print(f"measured    {seconds:.0f} seconds, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
