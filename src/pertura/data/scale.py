"""Recognises the scale of expression from the numbers themselves: counts, or logarithms with base and target sum."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import Expression, dense
from pertura.core.seeds import shuffled
from pertura.data.conventions import LIBRARY_COLUMNS, LIBRARY_PREFIX, NONE, nearest

SAMPLE_CELLS = 512
BASES: Mapping[str, float] = {"e": math.e, "2": 2.0, "10": 10.0}
WHOLE_GENES = 10_000
"""A matrix of at least so many genes holds nearly all counts of its cells; a smaller one is a panel."""
EQUAL = 1e-3
"""Relative spread below which sums or factors count as equal (float32 logarithms keep about 1e-6)."""
NEAR = 0.02
ROUND_SUMS = (1e2, 1e3, 5e3, 1e4, 1e5, 1e6)


@dataclass(frozen=True, eq=False)
class Sample:
    """Some cells' rows, with their counts and stored library sizes where the file has them."""

    values: Float[np.ndarray, "cells genes"]
    counts: Float[np.ndarray, "cells genes"] | None
    libraries: Mapping[str, Float[np.ndarray, " cells"]]


@dataclass(frozen=True, eq=False)
class Measured:
    """The scale, the obs column of library sizes ("" where none serves), and what else should be known."""

    scale: Scale
    library_column: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unit:
    """Value of one count after normalisation, for each cell that shows it, and how it was found."""

    base: str
    cells: Int[np.ndarray, " shown"]
    value: Float[np.ndarray, " shown"]
    evidence: str


def sample(expression: Expression, counts: Expression | None, obs: pd.DataFrame, library_column: str | None) -> Sample:
    """Return up to 512 cells, chosen by their names so that the order of cells plays no role."""
    rows = np.sort(shuffled([str(name) for name in obs.index], 0, "scale")[:SAMPLE_CELLS])
    libraries = {}
    for name in _library_columns(obs, library_column):
        libraries[name] = obs[name].to_numpy(dtype=np.float64, na_value=np.nan)[rows]
    return Sample(dense(expression.rows(rows)), None if counts is None else dense(counts.rows(rows)), libraries)


def _library_columns(obs: pd.DataFrame, given: str | None) -> list[str]:
    if given == NONE:
        return []
    if given is not None:
        if given not in obs.columns:
            names = [str(name) for name in obs.columns]
            raise UsageError(f"--library-size-column {given!r}: obs has no such column{nearest(given, names)}")
        return [given]
    names = [str(name) for name in obs.columns]
    alike = [name for name in names if name in LIBRARY_COLUMNS or name.startswith(LIBRARY_PREFIX)]
    return [name for name in alike if pd.api.types.is_numeric_dtype(obs[name]) and not obs[name].isna().any()]


def measure(taken: Sample, all_whole: bool, log1p: Mapping[str, object] | None, whole: bool | None) -> Measured:
    """Return the scale of a sample.

    `all_whole`: every value of the matrix is a whole number. `log1p`: what `uns["log1p"]` holds, None where it is
    absent. `whole`: whether the user says that size factors came from all genes of the cell.
    """
    if all_whole:
        return _measure_counts(taken, whole)
    return _measure_logs(taken, log1p, whole)


# ---- counts


def _measure_counts(taken: Sample, whole: bool | None) -> Measured:
    panel = taken.values.sum(axis=1)
    genes = taken.values.shape[1]
    larger = {name: sizes for name, sizes in taken.libraries.items() if _holds(sizes, panel)}
    own = [name for name, sizes in larger.items() if np.allclose(sizes, panel)]
    beyond = [name for name in larger if name not in own]
    said, warnings = ["all values are whole numbers"], []
    if whole is None and genes >= WHOLE_GENES:
        whole = True
        said.append(f"{genes:,} genes are a whole transcriptome")
    column = ""
    if len({tuple(larger[name]) for name in beyond}) > 1:
        warnings.append(
            f"library sizes are not known: {' and '.join(beyond)} differ; say which with --library-size-column"
        )
    elif beyond:
        column = beyond[0]
        share = float(np.median(panel / np.maximum(larger[column], 1)))
        said.append(f"library sizes from obs[{column!r}], of which this panel holds {share:.0%}")
        whole = True  # of the library sizes, which are what a normalisation will use
    elif own:
        column = own[0] if whole else ""
        said.append(f"obs[{own[0]!r}] is the sum over these genes")
    small = [name for name in taken.libraries if name not in larger]
    if small:
        warnings.append(f"obs[{small[0]!r}] is smaller than the sum of the counts: not the library size")
    if not column and not whole:
        warnings.append(
            "library sizes are not known: these counts cannot be normalised, because size factors must come from all "
            "genes; say --library-size-column COLUMN, or --whole-transcriptome if all genes of the cell are here"
        )
    return Measured(Scale("counts", whole_transcriptome=whole, evidence="; ".join(said)), column, tuple(warnings))


def _holds(sizes: Float[np.ndarray, " cells"], panel: Float[np.ndarray, " cells"]) -> bool:
    """A library size is at least the sum over a part of its genes."""
    return bool((sizes >= panel - 1e-6 * np.maximum(panel, 1)).all())


# ---- logarithms


def _measure_logs(taken: Sample, log1p: Mapping[str, object] | None, whole: bool | None) -> Measured:
    unit = _unit_of_counts(taken) if taken.counts is not None else None
    unit = unit or _unit_of_steps(taken)
    equal = _equal_sums(taken, unit.base if unit else None)
    said: list[str] = ["fractions and no negative values: logarithms"]
    base = _base(unit, equal, log1p, said)
    column, target = "", None
    if equal is not None:
        target = _rounded(equal[1])
        said.append(f"every cell sums to {equal[1]:,.6g} before the logarithm")
    if unit is not None:
        column, found, words = _target(unit, taken.libraries)
        target = found if target is None else target
        said.extend(words)
    elif taken.libraries:
        column = next(iter(taken.libraries))
    whole, reason, warnings = _whole(taken, equal, unit, column, whole)
    said.append(reason)
    scale = Scale("lognormalised", target, BASES.get(base) if base else None, whole, "; ".join(said))
    return Measured(scale, column, warnings)


def _base(
    unit: _Unit | None, equal: tuple[str, float] | None, log1p: Mapping[str, object] | None, said: list[str]
) -> str | None:
    if unit is not None:
        said.append(f"base {unit.base}: {unit.evidence}")
        return unit.base
    if equal is not None:
        said.append(f"base {equal[0]}: cells sum to the same only in it")
        return equal[0]
    if log1p is not None:
        stated = log1p.get("base")
        base = next((name for name, value in BASES.items() if np.isclose(float(str(stated or math.e)), value)), None)
        said.append(f"base {base or stated}: uns['log1p'] says so")
        return base
    said.append("base not known")
    return None


def _unscaled(values: Float[np.ndarray, "cells genes"], base: str) -> Float[np.ndarray, "cells genes"]:
    """Values before the logarithm, log_b(1 + v) -> v."""
    with np.errstate(over="ignore"):
        return np.expm1(values * np.log(BASES[base]))


def _unit_of_counts(taken: Sample) -> _Unit | None:
    """With the counts at hand the right base gives one factor for all genes of a cell, exactly."""
    counts = taken.counts
    if counts is None or not np.array_equal(counts > 0, taken.values > 0):
        return None
    for base in BASES:
        before = _unscaled(taken.values, base)
        ratio = np.divide(before, counts, out=np.full_like(before, np.nan), where=counts > 0)
        cells = np.flatnonzero((counts > 0).sum(axis=1) >= 2)
        several = [row for row in cells if len(np.unique(counts[row][counts[row] > 0])) > 1]
        if len(several) < 3:
            continue
        spread = np.nanmax(ratio[several], axis=1) / np.nanmin(ratio[several], axis=1) - 1
        if np.median(spread) < EQUAL:
            shown = np.flatnonzero((counts > 0).any(axis=1))
            value = np.nanmedian(ratio[shown], axis=1)
            return _Unit(base, shown, value, "layers['counts'] gives one factor per cell")
    return None


def _unit_of_steps(taken: Sample) -> _Unit | None:
    """Counts are whole: in the right base a cell's values are whole multiples of its smallest."""
    best: tuple[float, str] | None = None
    units: dict[str, tuple[Int[np.ndarray, " shown"], Float[np.ndarray, " shown"]]] = {}
    for base in BASES:
        before = _unscaled(taken.values, base)
        smallest = np.where(before > 0, before, np.inf).min(axis=1)
        multiple = before / smallest[:, None]
        tells = (multiple > 1.5) & (multiple < 20.5)
        fits = np.abs(multiple - np.rint(multiple)) < NEAR
        cells = np.flatnonzero(tells.sum(axis=1) >= 3)
        if len(cells) < 3:
            continue
        share = float(np.median((tells & fits)[cells].sum(axis=1) / tells[cells].sum(axis=1)))
        units[base] = cells, smallest[cells]
        best = max(best or (share, base), (share, base))
    if best is None or best[0] < 0.95:
        return None
    return _Unit(best[1], *units[best[1]], f"{best[0]:.0%} of a cell's values are whole multiples of its smallest")


def _equal_sums(taken: Sample, base: str | None) -> tuple[str, float] | None:
    """The base in which all cells have one sum, and that sum."""
    for name in [base] if base else list(BASES):
        sums = _unscaled(taken.values, name).sum(axis=1)
        sums = sums[sums > 0]
        if len(sums) >= 10 and np.isfinite(sums).all() and sums.max() / sums.min() - 1 < EQUAL:
            return name, float(np.median(sums))
    return None


def _target(unit: _Unit, libraries: Mapping[str, Float[np.ndarray, " cells"]]) -> tuple[str, float | None, list[str]]:
    """Library size times value of one count is the target sum: the column where that agrees best over cells."""
    options = []
    for name, sizes in libraries.items():
        sums = unit.value * sizes[unit.cells]
        low, middle, high = np.quantile(sums, [0.05, 0.5, 0.95])
        options.append((float(high / low - 1) if low > 0 else np.inf, name, float(low), float(middle)))
    if not options:
        return "", None, ["target sum not known: no column holds library sizes"]
    spread, name, low, middle = min(options)
    if spread < NEAR:
        return name, _rounded(middle), [f"target sum {_rounded(middle):,.6g}, verified with obs[{name!r}]"]
    near = min(ROUND_SUMS, key=lambda one: abs(np.log(low / one))) if low > 0 else 0.0
    if near and abs(low / near - 1) < NEAR:
        said = f"target sum about {near:,.6g}: obs[{name!r}] counts up to as much more as genes were left out before"
        return name, near, [said]
    return name, None, [f"target sum not known: it does not follow from obs[{name!r}]"]


def _rounded(total: float) -> float:
    near = min(ROUND_SUMS, key=lambda one: abs(np.log(total / one)))
    return near if abs(total / near - 1) < NEAR else float(f"{total:.6g}")


def _whole(
    taken: Sample, equal: tuple[str, float] | None, unit: _Unit | None, column: str, given: bool | None
) -> tuple[bool | None, str, tuple[str, ...]]:
    """Whether size factors came from all genes of a cell, the reason, and a warning where they did not."""
    genes = taken.values.shape[1]
    if given is not None:
        return given, f"size factors from {'all genes' if given else 'these genes alone'}, as given", ()
    if equal is None:
        return True, "sums differ between cells: size factors came from more genes than these", ()
    if unit is not None and column:
        agree = np.median(np.abs(unit.value * taken.libraries[column][unit.cells] / equal[1] - 1))
        if agree < NEAR:
            return True, f"and so do the library sizes in obs[{column!r}]", ()
    if genes >= WHOLE_GENES:
        return True, f"{genes:,} genes are a whole transcriptome", ()
    warning = (
        f"these {genes:,} genes were normalised by their own sum, so a change of some genes shows up as an opposite "
        "change of all others; normalise before choosing genes, or say --whole-transcriptome if no gene was left out"
    )
    return False, f"size factors came from these {genes:,} genes alone", (warning,)


def library_sizes(obs: pd.DataFrame, column: str) -> Float[np.ndarray, " cells"] | None:
    """Return the stored library size of each cell; None where there is no such column."""
    if not column:
        return None
    sizes = obs[column].to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes >= 0)))
    if len(wrong):
        raise BadDataError(
            f"{len(wrong):,} cells have no usable library size (first: {obs.index[wrong[0]]})",
            place=f"obs[{column!r}]",
            remedy="leave those cells out, or choose another column with --library-size-column",
        )
    return sizes
