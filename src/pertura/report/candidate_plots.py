"""Charts of ranked candidates: score against uncertainty, what genes add to a score, pairs, and rounds of a design."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.patches import Rectangle

from pertura.report.canvas import (
    BLUE,
    GREEN,
    INK,
    KEY_ROW,
    ORANGE,
    PALE,
    QUIET,
    SMALL,
    TITLE_HEIGHT,
    VERMILION,
    WIDTH,
    Canvas,
    dots,
    finite_limits,
    fitted,
    nothing,
    rule_axes,
    style,
    value_axis,
    widest,
    width_of,
)
from pertura.report.figure import Figure
from pertura.report.labels import Box, place_labels
from pertura.report.wording import MINUS, count, decimals_for, number, printable

MOST_LABELS = 14
MOST_POINTS = 20_000
BAR = 17.0
CELL_ROOM = 460.0
LINES = {0: BLUE, 1: ORANGE, 2: GREEN, 3: VERMILION}
Values = Float[np.ndarray, " candidates"]


@dataclass(frozen=True, slots=True)
class GeneBars:
    """One candidate and what each gene adds to its score, the largest first."""

    name: str
    genes: tuple[str, ...]
    parts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy over rounds: values with their intervals at growing numbers of measured conditions."""

    name: str
    at: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@style()
def uncertainty_chart(
    scores: Values,
    spread: Values,
    told: Bool[np.ndarray, " candidates"],
    names: Sequence[str],
    *,
    axis: str,
    uncertainty: str = "spread of the ensemble",
) -> Figure:
    """Return each candidate as a dot: its score, and how uncertain it is, the most certain on top.

    `uncertainty` says what `spread` is. `names` stand in the order of rank, and the first are written. Candidates told
    from noise are dark.
    """
    height = 330.0
    canvas = Canvas(TITLE_HEIGHT + KEY_ROW + height + 48)
    canvas.title("Score against uncertainty")
    look = {"marker": "o", "ls": "", "ms": 6}
    canvas.key(
        [("told from noise", {**look, "color": BLUE}), ("not told from noise", {**look, "color": PALE})], TITLE_HEIGHT
    )
    left, top = 62.0, TITLE_HEIGHT + KEY_ROW + 4
    axes = canvas.axes(left, top, WIDTH - left - 14, height)
    if not len(scores):
        nothing(axes)
        return Figure(canvas.svg(), "no candidate", "")
    kept = np.arange(len(scores))[:MOST_POINTS]
    x, y = scores[kept], spread[kept]
    rule_axes(axes, "both")
    value_axis(axes, "x", finite_limits([*x.tolist(), 0.0]))
    value_axis(axes, "y", finite_limits([0.0, *y.tolist()]))
    axes.invert_yaxis()
    axes.axvline(0.0, color=QUIET, lw=1, ls=(0, (4, 3)))
    axes.set(xlabel=axis, ylabel=f"{uncertainty} (smaller is higher)")
    mine = told[kept]
    dots(axes, np.stack([x, y], axis=1)[~mine], QUIET, 3.5, 0.35)
    dots(axes, np.stack([x, y], axis=1)[mine], BLUE, 4.5, 0.7)
    _name_first(axes, x, y, names, Box(0, 0, WIDTH - left - 14, height))
    caption = f"Each dot is a candidate ({count(len(scores))}); dashed: no change. The first {MOST_LABELS} are named."
    if len(scores) > len(kept):
        caption += f" The first {count(len(kept))} are drawn."
    listed = ", ".join(f"{name} {number(value, 3)}" for name, value in zip(names[:5], x[:5].tolist()))
    return Figure(canvas.svg(), printable(f"Score against uncertainty. First: {listed}"), caption)


def _name_first(axes: Axes, x: Values, y: Values, names: Sequence[str], room: Box) -> None:
    """Write the names of the first candidates where they fit."""
    pixels = axes.transData.transform(np.stack([x, y], axis=1))
    low = axes.transData.transform([(axes.get_xlim()[0], axes.get_ylim()[0])])[0]
    places = [(float(a), float(b)) for a, b in pixels - low]
    few = min(MOST_LABELS, len(names))
    sizes = [(width_of(name, SMALL), 14.0) for name in names[:few]]
    boxes = place_labels(places[:few], sizes, room, places[few : few + 400])
    for name, box in zip(names[:few], boxes):
        if box is not None:
            at = axes.transData.inverted().transform(np.add(low, (box.left, box.low + box.height / 2)))
            axes.text(float(at[0]), float(at[1]), name, size=SMALL, va="center", color=INK)


@style()
def gene_bars_chart(candidates: Sequence[GeneBars], *, title: str) -> Figure:
    """Return small bar charts, one a candidate: what each of its genes adds to the score."""
    columns, gap = 3, 18.0
    lines = max(math.ceil(len(candidates) / columns), 1)
    most = max((len(one.genes) for one in candidates), default=1)
    block = BAR * most + 44
    canvas = Canvas(TITLE_HEIGHT + block * lines + 6)
    canvas.title(title)
    step = WIDTH / columns
    limits = finite_limits([0.0, *(part for one in candidates for part in one.parts)])
    left = min(widest([gene for one in candidates for gene in one.genes], SMALL) + 8, step * 0.5)
    for place, one in enumerate(candidates):
        line, column = divmod(place, columns)
        top = TITLE_HEIGHT + block * line + 22
        axes = canvas.axes(step * column + left, top, step - left - gap, BAR * max(len(one.genes), 1))
        rule_axes(axes)
        value_axis(axes, "x", limits, ticks=2)
        axes.set(ylim=(max(len(one.genes), 1) - 0.5, -0.5))
        axes.set_yticks(range(len(one.genes)), [fitted(gene, left - 8, SMALL) for gene in one.genes])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.barh(range(len(one.genes)), one.parts, 0.66, color=[BLUE if p > 0 else VERMILION for p in one.parts])
        axes.axvline(0.0, color=QUIET, lw=1)
        canvas.text(step * column, top - 9, fitted(one.name, step - gap, weight="bold"), weight="bold", size=SMALL)
    if not candidates:
        nothing(canvas.axes(0, TITLE_HEIGHT, WIDTH, block))
    alt = "; ".join(f"{one.name}: {', '.join(one.genes[:3])}" for one in candidates)
    return Figure(canvas.svg(), printable(f"{title}: {alt}"), "What each gene adds to the score; the bars sum to it.")


@style()
def pair_map(
    genes: Sequence[str], values: Mapping[tuple[str, str], float], *, title: str, called: Mapping[tuple[str, str], str]
) -> Figure:
    """Return a heat map of pairs: the score of each that was evaluated, white where none was.

    `called` marks pairs with a letter: S for synergistic, A for antagonistic.
    """
    left = widest(genes, SMALL) + 10
    room = min(CELL_ROOM, WIDTH - left - 90)
    size = room / max(len(genes), 1)
    top = TITLE_HEIGHT + 10
    canvas = Canvas(top + room + left + 6)
    canvas.title(title)
    axes = canvas.axes(left, top, room, room)
    axes.set(xlim=(-0.5, len(genes) - 0.5), ylim=(len(genes) - 0.5, -0.5))
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK, labelsize=min(SMALL, max(size, 5)))
    axes.set_xticks(range(len(genes)), genes, rotation=90)
    axes.set_yticks(range(len(genes)), genes)
    if not values:
        nothing(axes)
        return Figure(canvas.svg(), f"{title}: no pair", "")
    reach = max(abs(one) for one in values.values()) or 1.0
    norm, colours = TwoSlopeNorm(0.0, -reach, reach), colormaps["RdBu"]
    place = {gene: i for i, gene in enumerate(genes)}
    for (first, second), value in sorted(values.items()):
        for a, b in ((place[first], place[second]), (place[second], place[first])):
            axes.add_patch(Rectangle((a - 0.5, b - 0.5), 1, 1, fc=colours(norm(value)), ec="white", lw=0.4))
            mark = called.get((first, second), "")
            if mark:
                axes.text(a, b, mark, ha="center", va="center", size=min(SMALL, max(size * 0.6, 5)), weight="bold")
    _colour_bar(canvas, left + room + 18, top, reach)
    told = " S: synergistic, A: antagonistic." if called else ""
    caption = f"Score of each pair that the model was asked for; white: not asked.{told} The genes of the best pairs."
    best = sorted(values, key=lambda one: -abs(values[one]))[:3]
    return Figure(canvas.svg(), printable(f"{title}: {', '.join('+'.join(one) for one in best)}"), caption)


def _colour_bar(canvas: Canvas, left: float, top: float, reach: float) -> None:
    colours, steps = colormaps["RdBu"], 40
    axes = canvas.axes(left, top, 12, 160)
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(0, steps))
    for i in range(steps):
        axes.add_patch(Rectangle((0, i), 1, 1, fc=colours((i + 0.5) / steps), lw=0))
    decimals = decimals_for([reach], 2)
    for share, words in ((0.0, number(reach, decimals)), (0.5, "0"), (1.0, f"{MINUS}{number(reach, decimals)}")):
        canvas.text(left + 17, top + 160 * share, words, size=SMALL, color=QUIET)


@style()
def rounds_chart(lines: Sequence[Line], *, title: str, axis: str) -> Figure:
    """Return how strategies fare over rounds: lines with their intervals."""
    height = 230.0
    canvas = Canvas(TITLE_HEIGHT + KEY_ROW + height + 48)
    canvas.title(title)
    canvas.key([(one.name, {"color": LINES[i % 4], "lw": 2}) for i, one in enumerate(lines)], TITLE_HEIGHT)
    axes = canvas.axes(56, TITLE_HEIGHT + KEY_ROW + 4, WIDTH - 70, height)
    rule_axes(axes, "both")
    value_axis(axes, "y", (-0.02, 1.02))
    for i, one in enumerate(lines):
        axes.plot(one.at, one.values, color=LINES[i % 4], lw=2, marker="o", ms=4)
        axes.fill_between(one.at, one.low, one.high, color=LINES[i % 4], alpha=0.15, lw=0)
    axes.set(xlabel="conditions measured", ylabel=axis)
    if lines:
        axes.set_xticks(lines[0].at)
    alt = "; ".join(f"{one.name} {number(one.values[-1], 2)}" for one in lines if one.values)
    return Figure(canvas.svg(), printable(f"{title}. Last round: {alt}"), "Mean over ten starts and its 95 % interval.")
