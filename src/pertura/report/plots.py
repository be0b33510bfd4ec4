"""Charts of scores, of cells and of detectable effects, drawn from plain numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from pertura.report.canvas import (
    BLUE,
    GREEN,
    INK,
    KEY_ROW,
    ORANGE,
    PALE,
    QUIET,
    SKY,
    SMALL,
    TEXT,
    TITLE_HEIGHT,
    VERMILION,
    WIDTH,
    Canvas,
    finite_limits,
    fitted,
    key_rows,
    nothing,
    plain_numbers,
    rule_axes,
    style,
    value_axis,
    widest,
)
from pertura.report.figure import Figure
from pertura.report.tables import Better, Interval
from pertura.report.wording import Number, Whole, as_float, count, decimals_for, number, printable, shortened

ROW = 26.0
NAME_LETTERS = 30
NAME_WIDTH = 245.0
NARROWEST = 100.0
STRETCH = 60.0
"""A range of positive scores wider than this factor is drawn on a logarithmic axis."""

Look = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A model's score. `null` is the same score on permuted labels; `mark` says what is not the model's own in it."""

    name: str
    score: Interval
    null: Interval | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class References:
    """What scores are read against; each may be missing."""

    floor: Number | None = None
    null: Interval | None = None
    ceiling: Interval | None = None
    chance: Number | None = None


@dataclass(frozen=True, slots=True)
class Stratum:
    """A named part of the test conditions, how many they are, and the score of each model in it."""

    name: str
    conditions: Whole
    scores: tuple[Interval | None, ...]
    floor: Number | None = None
    ceiling: Number | None = None


@dataclass(frozen=True, slots=True)
class ContextCells:
    """How many cells a context has: perturbed, and controls on the models' and on the judge's side."""

    context: str
    perturbed: Whole
    model_controls: Whole
    judge_controls: Whole


@style()
def score_chart(rows: Sequence[ScoreRow], references: References, *, title: str, better: Better) -> Figure:
    """Return each model's score as a dot with its interval, beside floor, permuted labels, chance and ceiling.

    Models stand in the order given. A model with a mark is drawn hollow and its mark is in the caption.
    """
    names = [fitted(row.name, NAME_WIDTH) for row in rows]
    entries = _score_key(rows, references)
    top = TITLE_HEIGHT + KEY_ROW * len(key_rows([words for words, _ in entries])) + 6
    height = ROW * max(len(rows), 2)
    canvas = Canvas(top + height + 46)
    canvas.title(title)
    canvas.key(entries, TITLE_HEIGHT)
    left = widest(names) + 14
    axes = canvas.axes(left, top, WIDTH - left - 66, height)
    drawn = [one for row in rows for one in _ends(row.score) + _ends(row.null)] + _reference_values(references)
    logarithmic = _row_axes(axes, names, drawn)
    _draw_references(axes, references)
    for position, row in enumerate(rows):
        if row.null is not None:
            _null_bar(axes, position, row.null)
        _score_dot(axes, position, row.score, hollow=bool(row.mark))
    _write_values(axes, [row.score for row in rows], logarithmic)
    axes.set_xlabel(_direction(better), size=SMALL)
    caption = "Dot: score; line: its interval." + (" The axis is logarithmic." if logarithmic else "")
    marks = "".join(f" {row.name}: {row.mark}." for row in rows if row.mark)
    return Figure(canvas.svg(), f"{title}: {_listed(rows)}", printable(caption + marks))


@style()
def stratum_chart(
    models: Sequence[str], strata: Sequence[Stratum], *, title: str, better: Better, note: str = ""
) -> Figure:
    """Return the scores of every model in each stratum, side by side on one scale, with the size of each stratum."""
    names = [shortened(name, NAME_LETTERS) for name in models]
    left = widest(names) + 14
    lines = max(1, math.ceil(len(strata) / max(1, (WIDTH - left + 12) // NARROWEST)))
    columns = max(1, math.ceil(len(strata) / lines))
    height = ROW * 0.88 * max(len(models), 2)
    block = height + 72
    canvas = Canvas(TITLE_HEIGHT + block * lines + 10)
    canvas.title(title)
    values = [one for stratum in strata for score in stratum.scores for one in _ends(score)]
    values += [as_float(one) for stratum in strata for one in (stratum.floor, stratum.ceiling)]
    step = (WIDTH - left + 12) / columns
    for place, stratum in enumerate(strata):
        line, column = divmod(place, columns)
        axes = canvas.axes(left + step * column, TITLE_HEIGHT + 38 + block * line, step - 20, height)
        _row_axes(axes, names if column == 0 else [""] * len(names), values, ticks=3)
        _draw_stratum(axes, stratum, step - 8)
    if not strata:
        nothing(canvas.axes(left, TITLE_HEIGHT, WIDTH - left, height))
    canvas.text(left, TITLE_HEIGHT + block * lines - 2, _direction(better), size=SMALL, color=QUIET)
    caption = (
        f"Dot: score in the stratum; line: its interval; dashed: floor; green: ceiling. n: conditions. {note}".strip()
    )
    alt = f"{title} by stratum: " + "; ".join(f"{one.name}, {one.conditions} conditions" for one in strata)
    return Figure(canvas.svg(), alt, printable(caption))


@style()
def cells_chart(rows: Sequence[ContextCells], *, title: str = "Cells and controls per context") -> Figure:
    """Return how many perturbed cells and how many controls on either side each context has."""
    names = [shortened(row.context, NAME_LETTERS) for row in rows]
    kinds = (
        ("perturbed cells", BLUE),
        ("controls that models see", SKY),
        ("controls that the judge subtracts", ORANGE),
    )
    height = 54.0 * max(len(rows), 1)
    canvas = Canvas(TITLE_HEIGHT + KEY_ROW + 6 + height + 40)
    canvas.title(title)
    canvas.key([(words, {"color": colour, "lw": 9}) for words, colour in kinds], TITLE_HEIGHT)
    left = widest(names) + 14
    axes = canvas.axes(left, TITLE_HEIGHT + KEY_ROW + 6, WIDTH - left - 60, height)
    rule_axes(axes)
    value_axis(axes, "x", (0, max([1, *(max(_sizes(row)) for row in rows)])))
    axes.set(ylim=(max(len(rows), 1) - 0.5, -0.5), xlabel="cells")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelsize=TEXT, labelcolor=INK)
    for position, row in enumerate(rows):
        for offset, size, (_, colour) in zip((-0.26, 0.0, 0.26), _sizes(row), kinds, strict=True):
            axes.barh(position + offset, size, 0.22, color=colour)
            axes.annotate(
                count(size), (size, position + offset), (5, 0), textcoords="offset points", va="center", size=SMALL
            )
    if not rows:
        nothing(axes)
    alt = "; ".join(
        "{}: {} perturbed, {} and {} controls".format(row.context, *map(count, _sizes(row))) for row in rows
    )
    return Figure(
        canvas.svg(),
        f"{title}. {alt}",
        "Models see one part of the controls of a context; the judge subtracts the other.",
    )


@style()
def detectable_chart(
    names: Sequence[str],
    p_values: Sequence[Number | None],
    *,
    threshold: float = 0.05,
    title: str = "Detectable effects",
) -> Figure:
    """Return the p-value of each perturbation, smallest first, filled where it is at most `threshold`.

    What was not tested (None, NaN) stands last and is named so.
    """
    order = sorted(range(len(names)), key=lambda i: (_last(p_values[i]), names[i]))
    found = sum(as_float(one) <= threshold for one in p_values)
    columns = 1 if len(names) <= 20 else 2 if len(names) <= 60 else 3
    lines = max(2, math.ceil(len(names) / columns))
    letters = (NAME_LETTERS, 24, 14)[columns - 1]
    canvas = Canvas(TITLE_HEIGHT + 17.0 * lines + 48)
    canvas.title(title)
    smallest = min((one for one in map(as_float, p_values) if one > 0), default=threshold)
    floor = min(smallest, threshold) / 1.6
    for column in range(columns):
        chosen = order[column * lines : (column + 1) * lines]
        words = [shortened(names[i], letters) for i in chosen]
        left = WIDTH / columns * column + widest(words, SMALL) + 12
        axes = canvas.axes(left, TITLE_HEIGHT, max(WIDTH / columns * (column + 1) - left - 24, 40), 17.0 * lines)
        _detectable_axes(axes, words, lines, (floor, threshold))
        for position, i in enumerate(chosen):
            _p_value(axes, position, as_float(p_values[i]), (floor, threshold))
    tested = sum(not math.isnan(as_float(one)) for one in p_values)
    sentence = f"{found} of {len(names)} perturbations have a detectable effect (p at most {threshold:g})"
    caption = f"{sentence}: filled. The axis is logarithmic; the dashed line is the threshold."
    untested = f" {len(names) - tested} could not be tested." if tested < len(names) else ""
    return Figure(canvas.svg(), f"{title}: {sentence}.{untested}", caption + untested)


def _ends(interval: Interval | None) -> list[float]:
    """The finite numbers of an interval."""
    parts = () if interval is None or not interval.defined else (interval.value, interval.low, interval.high)
    return [one for one in map(as_float, parts) if math.isfinite(one)]


def _reference_values(references: References) -> list[float]:
    single = [as_float(references.floor), as_float(references.chance)]
    return [one for one in single if math.isfinite(one)] + _ends(references.null) + _ends(references.ceiling)


def _row_axes(axes: Axes, names: Sequence[str], values: Iterable[float], ticks: int = 5) -> bool:
    """Lay out a row for each name and an axis over the values; whether that axis is logarithmic."""
    kept = [one for one in values if math.isfinite(one)]
    rule_axes(axes)
    axes.set_ylim(max(len(names), 2) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelsize=TEXT, labelcolor=INK)
    if not names:
        nothing(axes)
        return False
    logarithmic = bool(kept) and min(kept) > 0 and max(kept) / min(kept) > STRETCH
    if not logarithmic:
        value_axis(axes, "x", finite_limits(kept), ticks)
        return False
    axes.set(xscale="log", xlim=(min(kept) / 1.2, max(kept) * 1.2))
    axes.tick_params(which="both", length=0)
    plain_numbers(axes, "x")
    return True


def _score_dot(axes: Axes, position: int, score: Interval, *, hollow: bool, colour: str = BLUE) -> None:
    if not score.defined:
        return
    if score.bounded:
        axes.plot(
            [as_float(score.low), as_float(score.high)],
            [position] * 2,
            color=colour,
            lw=2,
            solid_capstyle="butt",
            zorder=4,
        )
    face = "white" if hollow else colour
    axes.plot([as_float(score.value)], [position], "o", ms=7.5, mfc=face, mec=colour, mew=1.8, zorder=5, clip_on=False)


def _null_bar(axes: Axes, position: int, null: Interval) -> None:
    if null.bounded:
        axes.plot(
            [as_float(null.low), as_float(null.high)],
            [position] * 2,
            color=PALE,
            lw=11,
            solid_capstyle="butt",
            zorder=2,
        )
    if null.defined:
        middle = as_float(null.value)
        axes.plot([middle, middle], [position - 0.22, position + 0.22], color=QUIET, lw=1.5, zorder=3)


def _draw_references(axes: Axes, references: References) -> None:
    for band, colour in ((references.null, PALE), (references.ceiling, GREEN)):
        if band is not None and band.defined:
            if band.bounded:
                axes.axvspan(as_float(band.low), as_float(band.high), color=colour, alpha=0.18, lw=0, zorder=1)
            axes.axvline(as_float(band.value), color=colour if colour == GREEN else QUIET, lw=1.6, zorder=2)
    for value, look in ((references.floor, _FLOOR), (references.chance, _CHANCE)):
        if math.isfinite(as_float(value)):
            axes.axvline(as_float(value), zorder=2, **look)


_FLOOR: Look = {"color": INK, "lw": 1.4, "ls": (0, (5, 3))}
_CHANCE: Look = {"color": VERMILION, "lw": 2.4, "ls": (0, (1.2, 2.0))}


def _score_key(rows: Sequence[ScoreRow], references: References) -> list[tuple[str, Look]]:
    """What the key of a score chart explains: only what is drawn, with its number."""
    values = [*_reference_values(references), *(as_float(row.score.value) for row in rows)]
    decimals = decimals_for(values, 3)
    dot: Look = {"color": BLUE, "marker": "o", "ms": 7, "mew": 1.8, "lw": 2}
    entries = [("score", dot)]
    if any(row.mark for row in rows):
        entries.append(("score with fallbacks", dot | {"mfc": "white"}))
    if any(row.null is not None and row.null.defined for row in rows):
        entries.append(("on permuted labels", {"color": PALE, "lw": 9}))
    for words, value, look in (("floor", references.floor, _FLOOR), ("chance", references.chance, _CHANCE)):
        if math.isfinite(as_float(value)):
            entries.append((f"{words} {number(value, decimals)}", look))
    for words, band, colour in (("permuted labels", references.null, QUIET), ("ceiling", references.ceiling, GREEN)):
        if band is not None and band.defined:
            ends = f" [{number(band.low, decimals)}, {number(band.high, decimals)}]" if band.bounded else ""
            entries.append((f"{words} {number(band.value, decimals)}{ends}", {"color": colour, "lw": 1.8}))
    return entries


def _write_values(axes: Axes, scores: Sequence[Interval], logarithmic: bool) -> None:
    """Write each score at the right end of its row; each with digits of its own where they span decades."""
    decimals = decimals_for([one.value for one in scores], 3)
    for position, one in enumerate(scores):
        own = decimals_for([one.value], 3) if logarithmic else decimals
        words = number(one.value, own) if one.defined else "undefined"
        look: Look = {"color": INK} if one.defined else {"color": QUIET, "style": "italic"}
        axes.text(1.0, position, f"  {words}", transform=axes.get_yaxis_transform(), va="center", size=SMALL, **look)


def _direction(better: Better) -> str:
    return "higher is better \N{RIGHTWARDS ARROW}" if better == "higher" else "\N{LEFTWARDS ARROW} lower is better"


def _listed(rows: Sequence[ScoreRow]) -> str:
    decimals = decimals_for([row.score.value for row in rows], 3)
    return "; ".join(
        f"{row.name} {number(row.score.value, decimals)} "
        f"[{number(row.score.low, decimals)}, {number(row.score.high, decimals)}]"
        for row in rows
    )


def _draw_stratum(axes: Axes, stratum: Stratum, room: float) -> None:
    axes.set_title(f"{fitted(stratum.name, room, SMALL)}\nn = {count(stratum.conditions)}", size=SMALL, loc="left")
    for value, look in ((stratum.floor, _FLOOR), (stratum.ceiling, {"color": GREEN, "lw": 1.8})):
        if math.isfinite(as_float(value)):
            axes.axvline(as_float(value), zorder=2, **look)
    for position, score in enumerate(stratum.scores):
        if score is not None:
            _score_dot(axes, position, score, hollow=False)


def _sizes(row: ContextCells) -> tuple[int, int, int]:
    return int(row.perturbed), int(row.model_controls), int(row.judge_controls)


def _last(p_value: Number | None) -> float:
    plain = as_float(p_value)
    return math.inf if math.isnan(plain) else plain


def _detectable_axes(axes: Axes, words: Sequence[str], lines: int, marks: tuple[float, float]) -> None:
    floor, threshold = marks
    rule_axes(axes)
    axes.set(xscale="log", xlim=(1.15, floor), ylim=(lines - 0.5, -0.5), xlabel="p")
    axes.tick_params(which="both", length=0)
    axes.tick_params(axis="y", labelcolor=INK)
    plain_numbers(axes, "x")
    axes.set_yticks(range(len(words)), words)
    axes.axvline(threshold, zorder=2, **_FLOOR)
    if not words:
        nothing(axes)


def _p_value(axes: Axes, position: int, p_value: float, marks: tuple[float, float]) -> None:
    floor, threshold = marks
    if math.isnan(p_value):
        axes.text(1.0, position, " not tested", va="center", size=SMALL, color=QUIET, style="italic")
        return
    face = BLUE if p_value <= threshold else "white"
    axes.plot([max(p_value, floor)], [position], "o", ms=7, mfc=face, mec=BLUE, mew=1.6, clip_on=False, zorder=4)
