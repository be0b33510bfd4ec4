"""Goals that are a state of cells: from one group of cells to another, or from the controls to a group."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pertura.core.errors import BadDataError, MissingError, UsageError

FEWEST = 5


@dataclass(frozen=True, eq=False)
class GroupMeans:
    """Mean expression of two groups of cells on their shared genes; `start` is None where only a target was named."""

    genes: tuple[str, ...]
    target: Float[np.ndarray, " genes"]
    start: Float[np.ndarray, " genes"] | None
    told: str


def group_means(file: str, asked: str, against: str | None = None, *, largest: float) -> GroupMeans:
    """Return the means of cells of an .h5ad: `asked` is `column=group`, or empty for all cells of the file.

    `against` is another `column=group` of the same file. Values must be on the scale of the screen: where the largest
    is more than twice `largest`, that of the screen, `BadDataError` says so. Groups of fewer than five cells are
    refused.
    """
    from pathlib import Path

    import anndata

    from pertura.data.validate import walk_file

    path = Path(file)
    if not path.is_file():
        raise MissingError(f"no file {file}; the target state is an .h5ad")
    walk_file(path)
    with_cells = anndata.read_h5ad(path)
    means = [_mean_of(with_cells, one, file) for one in (asked, against) if one is not None]
    highest = float(max(np.max(with_cells.X[:1000]) if with_cells.n_obs else 0.0, 0.0))
    if highest > 2 * largest:
        raise BadDataError(
            f"values up to {highest:g}, the screen has {largest:g} at most: another scale",
            file=file,
            remedy="normalise it as the screen was: log1p of counts scaled to the same sum",
        )
    told = asked or "all cells of the file"
    if against is not None:
        told += f" against {against}"
    return GroupMeans(tuple(map(str, with_cells.var_names)), means[0], means[1] if against is not None else None, told)


def displacement(means: GroupMeans, panel: tuple[str, ...], control: Float[np.ndarray, " genes"]) -> np.ndarray:
    """Return the way from start to target on a panel, zeros for genes that the target does not have.

    Without a start it begins at the mean of the controls. `BadDataError` where fewer than ten genes are shared.
    """
    place = {gene: column for column, gene in enumerate(means.genes)}
    shared = [i for i, gene in enumerate(panel) if gene in place]
    if len(shared) < 10:
        raise BadDataError(f"the target state shares {len(shared)} genes with the panel of {len(panel)}")
    columns = [place[panel[i]] for i in shared]
    way = np.zeros(len(panel))
    way[shared] = means.target[columns] - (control[shared] if means.start is None else means.start[columns])
    return way


def _mean_of(cells: object, asked: str, file: str) -> Float[np.ndarray, " genes"]:
    obs, matrix = cells.obs, cells.X  # type: ignore[attr-defined]
    rows = np.arange(len(obs))
    if asked:
        column, mark, group = asked.partition("=")
        if not mark or column not in obs:
            known = ", ".join(map(str, obs.columns[:12])) or "none"
            raise UsageError(f"{asked!r}: write it column=group with a column of {file} (it has: {known})")
        labels = obs[column].astype(str).to_numpy()
        rows = np.flatnonzero(labels == group)
        if not len(rows):
            there = ", ".join(sorted(set(labels))[:12])
            raise UsageError(f"no cell of {file} has {column} {group!r}; there are: {there}")
    if len(rows) < FEWEST:
        raise BadDataError(f"{asked or 'the file'} has {len(rows)} cells; a state needs {FEWEST}", file=file)
    return np.asarray(matrix[rows].mean(axis=0), dtype=np.float64).ravel()
