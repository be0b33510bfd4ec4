"""What `pertura split` does with the split of another tool."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pertura.core.cells import Cells
    from pertura.core.split import Outline, Split
    from pertura.data.splits.foreign import ForeignSplit, Rules

FORMATS = ("pertura", "workbench")


def from_file(path: Path, outline: "Outline", rules: "Rules", dataset: str | None) -> "ForeignSplit":
    """Return the split of a file, of the conditions of this screen."""
    from pertura.data.splits.foreign_files import split_from_file

    return split_from_file(path, outline, rules, dataset)


def from_column(data: str | None, cells: "Cells | None", column: str, rules: "Rules") -> "ForeignSplit":
    """Return the split that stands in a column of the data's own obs."""
    from pertura.core.errors import UsageError
    from pertura.data.datasets import DATASETS
    from pertura.data.datasets.named import located
    from pertura.data.manifest import data_path, read_manifest
    from pertura.data.splits.foreign_column import split_from_column

    if data is None or cells is None or data in DATASETS:
        raise UsageError(
            "--from-column needs an .h5ad, a .zarr, a dataset.toml or a published data set: its obs holds the column"
        )
    path = located(data)
    return split_from_column(
        cells, data_path(path, read_manifest(path)) if path.suffix == ".toml" else path, column, rules
    )


def write(split: "Split", path: Path, kind: str) -> str:
    """Write a split in one of `FORMATS`; return what that format leaves out, or nothing."""
    from pertura.core.errors import UsageError
    from pertura.data.splits.files import write_split
    from pertura.data.splits.foreign_workbench import write_workbench

    if kind not in FORMATS:
        raise UsageError(f"--write-as {kind}: one of {', '.join(FORMATS)}")
    if kind == "workbench":
        write_workbench(split, path)
        return "warning: this format has no control cells: pertura cuts them again when it reads the file with --from"
    write_split(split, path)
    return ""
