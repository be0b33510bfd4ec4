"""Starting is cheap: importing loads nothing heavy, and `--help` costs little processor time."""

import resource
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).parent / "pertura"
HEAVY = ("torch", "scanpy", "matplotlib", "pandas", "anndata", "scipy", "sklearn")


def processor_seconds(*command: str) -> float:
    """The least of several runs: noise only ever adds."""
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*(one for one in {HEAVY!r} if one in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_import_loads_nothing_heavy():
    assert loaded_by("import pertura") == set()


def test_the_command_line_loads_nothing_heavy():
    assert loaded_by("from pertura.cli.app import application; application()") == set()


def test_no_torch_scanpy_or_matplotlib_to_score():
    assert loaded_by("import pertura; pertura.evaluate; pertura.observe") & {"torch", "scanpy", "matplotlib"} == set()


def test_help_is_quick():
    bare = processor_seconds(sys.executable, "-c", "pass")
    assert processor_seconds(str(COMMAND), "--help") - bare < 0.3


def test_every_public_name_resolves():
    import pertura

    assert all(getattr(pertura, name) is not None for name in pertura.__all__)
