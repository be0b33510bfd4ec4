"""A screen with what a prepared file takes over from it: obs, var and counts; and the names of what it leaves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Subset
from pertura.data.anndata_io import COMPUTED_BEFORE, Screen, open_screen
from pertura.data.backed import BackedRows
from pertura.data.conventions import LIBRARY_COLUMNS, Reading
from pertura.data.datasets import DATASETS
from pertura.data.datasets.named import located
from pertura.data.elements import read_element
from pertura.data.preparation.passes import Rows
from pertura.data.stores import Group, digest, is_by_columns, names_in, opened, size_of

TAKEN_OVER = ("pertura_import",)
"""Entries of uns that say where the cells come from."""
STATISTICS = ("means", "variances", "variances_norm", "dispersions", "dispersions_norm")
"""Columns of var that a choice of variable genes leaves."""
RENAMED = "name_in_file"
ELSEWHERE = ("layers", "uns", "obsm", "varm", "obsp", "varp")


@dataclass(frozen=True, eq=False)
class Material:
    """Cells as they were read, with the obs and var of their file, row by row and gene by gene.

    `library_column` is the obs column that holds `cells.library_sizes`. `left` names what the file holds and a
    prepared file does not: other layers, embeddings and whatever else all cells had a part in. `preselected`: every
    gene of the file is marked as variable, so that its panel was chosen before. `reading` says how a file was read.
    """

    cells: Cells
    counts: Expression | None
    obs: pd.DataFrame
    var: pd.DataFrame
    library_column: str
    source: Mapping[str, object]
    left: tuple[str, ...] = ()
    uns: Mapping[str, object] = field(default_factory=dict)
    preselected: bool = False
    reading: Reading | None = None

    def take(self, rows: Rows) -> "Material":
        """Return these cells, in this order."""
        counts = None if self.counts is None else Subset(self.counts, rows)
        return replace(self, cells=self.cells.take(rows), counts=counts, obs=self.obs.iloc[rows])

    def with_sizes(self, cells: Cells) -> "Material":
        """Return the same with the library sizes of `cells`, which obs then holds, too."""
        if cells.library_sizes is None or (self.cells.library_sizes is not None and self.library_column):
            return replace(self, cells=cells)
        name = next((one for one in LIBRARY_COLUMNS if one not in self.obs.columns), "nCount_pertura")
        obs = self.obs.assign(**{name: cells.library_sizes})
        return replace(self, cells=cells, obs=obs, library_column=name)


def open_material(data: str, seed: int = 0, *, digested: bool = True) -> Material:
    """Return the material of a bundled or published screen, an `.h5ad`, a `.zarr` or a `dataset.toml`.

    `digested`: with the sha256 of the file, which takes a reading of all of it.
    """
    if data in DATASETS:
        return material_of(DATASETS[data].load(seed), {"name": data, "seed": seed})
    screen = open_screen(located(data))
    try:
        with opened(screen.path) as file:
            return _of_file(screen, file, digested)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise BadDataError(f"cannot be read ({type(error).__name__}: {error})", file=screen.path) from error


def material_of(cells: Cells, source: Mapping[str, object] | None = None) -> Material:
    """Return the material of cells that stand alone: obs says condition, context and batch as GEARS spells them."""
    labels = [_gears(one.genes) for one in cells.conditions]
    frame = {"condition": pd.Categorical(_each(labels, cells))}
    if len(cells.contexts) > 1 or cells.contexts != ("",):
        frame["cell_line"] = pd.Categorical(_each([one.context for one in cells.conditions], cells))
    modes = ["+".join(sorted(one.perturbation.modes)) or _only_mode(cells) for one in cells.conditions]
    if len(cells.modes) == 1:
        frame["perturbation_type"] = pd.Categorical(_each(modes, cells))
    if cells.batch_codes is not None:
        frame["batch"] = pd.Categorical([cells.batches[code] for code in cells.batch_codes])
    obs = pd.DataFrame(frame, index=pd.Index([str(one) for one in cells.ids], dtype=object))
    var = pd.DataFrame(index=pd.Index(list(cells.genes), dtype=object))
    bare = Material(cells, None, obs, var, "", source or {"name": cells.name})
    return bare if cells.library_sizes is None else replace(bare.with_sizes(cells), cells=cells)


def _of_file(screen: Screen, file: Group, digested: bool) -> Material:
    cells, path = screen.cells, screen.path
    obs, var = read_element(file["obs"]), read_element(file["var"])
    place = {str(name): row for row, name in enumerate(obs.index)}
    rows = np.asarray([place[str(one)] for one in cells.ids], dtype=np.int64)
    shared = {"obs": _computed("obs", obs.columns), "var": _computed("var", var.columns)}
    counts = _counts(screen, file, rows)
    left = [f"{table}[{name!r}]" for table, names in shared.items() for name in names]
    return Material(
        cells=cells,
        counts=counts,
        obs=_plain(obs.iloc[rows], cells.ids, shared["obs"]),
        var=_named(_plain(var, var.index, shared["var"]), cells.genes),
        library_column=screen.reading.library_size_column,
        source={"name": path.name, "size": size_of(path)} | ({"sha256": digest(path)} if digested else {}),
        left=(*left, *_elsewhere(file, counts is not None)),
        preselected="highly_variable" in var and bool((var["highly_variable"] == True).all()),  # noqa: E712 (objects)
        uns=_taken_over(file),
        reading=screen.reading,
    )


def _computed(table: str, columns: Iterable[object]) -> list[str]:
    """The columns that all cells had a part in."""
    starts = tuple(beginning for place, beginning, _ in COMPUTED_BEFORE if place == table)
    more = STATISTICS if table == "var" else ()
    return [str(name) for name in columns if str(name).startswith(starts) or str(name) in more]


def _plain(table: pd.DataFrame, names: Iterable[object], without: list[str]) -> pd.DataFrame:
    """A table of its own, without some columns and without values that no row has any more."""
    made = table.drop(columns=without).copy()
    made.index = pd.Index([str(one) for one in names], dtype=object)
    for name in made.columns:
        if isinstance(made[name].dtype, pd.CategoricalDtype):
            made[name] = made[name].cat.remove_unused_categories()
    return made


def _named(var: pd.DataFrame, genes: tuple[str, ...]) -> pd.DataFrame:
    """var by the names that genes go by here; other names of the file stay in a column."""
    if tuple(var.index) == genes:
        return var
    return var.assign(**{RENAMED: list(var.index)}).set_axis(pd.Index(list(genes), dtype=object), axis=0)


def _counts(screen: Screen, file: Group, rows: Rows) -> Expression | None:
    """The layer of counts, of the cells that are read; None where there is none that can be read by cells."""
    if "counts" not in screen.facts.layers:
        return None
    if is_by_columns(file["layers/counts"]):
        return None
    counts = BackedRows(screen.path, "layers/counts")
    return counts if len(rows) == screen.facts.cells else Subset(counts, rows)


def _elsewhere(file: Group, with_counts: bool) -> list[str]:
    """What else the file holds: layers, embeddings, neighbours, raw, notes of other steps."""
    kept = {("layers", "counts")} if with_counts else set()
    kept |= {("uns", name) for name in (*TAKEN_OVER, "log1p")}
    others = [
        f"{place}[{name!r}]" for place in ELSEWHERE for name in names_in(file.get(place)) if (place, name) not in kept
    ]
    return [*others, *(["raw"] if "raw" in file else [])]


def _taken_over(file: Group) -> dict[str, object]:
    uns = file.get("uns")
    if not isinstance(uns, Group):
        return {}
    found = {name: read_element(uns[name]) for name in TAKEN_OVER if name in uns}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _each(values: list[str], cells: Cells) -> list[str]:
    return [values[code] for code in cells.codes]


def _gears(genes: tuple[str, ...]) -> str:
    return f"{genes[0]}+ctrl" if len(genes) == 1 else "+".join(genes) or "ctrl"


def _only_mode(cells: Cells) -> str:
    return str(min(cells.modes)) if len(cells.modes) == 1 else ""
