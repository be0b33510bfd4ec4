"""What a user calls a screen, turned into its file or its cells."""

from dataclasses import replace
from pathlib import Path

from pertura.core.cells import Cells
from pertura.core.errors import MissingError
from pertura.data.datasets import DATASETS
from pertura.data.datasets.declared import DECLARED
from pertura.data.datasets.remembered import remembered


def is_name(data: str) -> bool:
    """Return whether this is the name of a screen, bundled or published, and not a path."""
    return data in DATASETS or data in DECLARED


def known_file(file: Path) -> Path:
    """Return the dataset.toml of a published screen where its name is given in place of a path; else the path."""
    return remembered(str(file)) if str(file) in DECLARED else file


def located(data: str) -> Path:
    """Return the .h5ad or dataset.toml that a path or the name of a published screen stands for."""
    path = known_file(Path(data))
    if not path.exists():
        raise MissingError(
            f"no file {data!r}, and no data set of that name (bundled: {', '.join(DATASETS)}; published: "
            f"{', '.join(DECLARED)})"
        )
    return path


def cells_named(data: str, seed: int = 0) -> Cells:
    """Return the cells of a bundled or published screen, an `.h5ad` or a `dataset.toml`."""
    if data in DATASETS:
        return DATASETS[data].load(seed)
    from pertura.data.anndata_io import open_cells

    cells = open_cells(located(data))
    return replace(cells, name=data) if data in DECLARED else cells
