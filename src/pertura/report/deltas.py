"""Charts that set predicted changes beside observed ones, gene by gene."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from pertura.report.canvas import (
    BLUE,
    COLOURS,
    INK,
    KEY_ROW,
    MARKERS,
    PALE,
    QUIET,
    SKY,
    SMALL,
    TEXT,
    TITLE_HEIGHT,
    VERMILION,
    WIDTH,
    Canvas,
    dots,
    finite_limits,
    fitted,
    key_rows,
    nothing,
    rule_axes,
    style,
    value_axis,
    widest,
    width_of,
)
from pertura.report.figure import Figure
from pertura.report.labels import Box, place_labels
from pertura.report.wording import Number, as_float, count, number, printable, shortened

MOST_POINTS = 3000
LABELLED = 3
OBSTACLES = 25
COLUMNS = 3


@dataclass(frozen=True, eq=False)
class DeltaPanel:
    """Observed and predicted change of each gene under one perturbation; `correlation` may be undefined."""

    title: str
    genes: tuple[str, ...]
    observed: Float[np.ndarray, " genes"]
    predicted: Float[np.ndarray, " genes"]
    correlation: Number | None = None
    targets: tuple[str, ...] = ()
    note: str = ""

    @property
    def defined(self) -> Bool[np.ndarray, " genes"]:
        """Which genes have both numbers."""
        return np.isfinite(self.observed) & np.isfinite(self.predicted)

    @property
    def reach(self) -> Float[np.ndarray, " genes"]:
        """How far each gene lies from no change, observed or predicted."""
        return np.maximum(np.abs(self.observed), np.abs(self.predicted))


@style()
def delta_scatter(panels: Sequence[DeltaPanel], *, title: str, note: str = "") -> Figure:
    """Return predicted against observed change of every gene, one small chart for each perturbation.

    Both axes of a chart have the same range. The genes that changed most are named, targets drawn in another colour.
    Beyond `MOST_POINTS` points only some genes are drawn, which the caption says.
    """
    lines = max(1, math.ceil(len(panels) / COLUMNS))
    side, step = 154.0, WIDTH / COLUMNS
    block = side + 84
    canvas = Canvas(TITLE_HEIGHT + block * lines)
    canvas.title(title)
    drawn = [thinned(panel, MOST_POINTS // len(panels)) for panel in panels]
    for place, (panel, kept) in enumerate(zip(panels, drawn, strict=True)):
        line, column = divmod(place, COLUMNS)
        left, top = step * column + 50, TITLE_HEIGHT + block * line
        canvas.text(left, top + 8, fitted(panel.title, side + 8, TEXT, "bold"), weight="bold")
        canvas.text(left, top + 25, _panel_words(panel), size=SMALL, color=QUIET)
        axes = canvas.axes(left, top + 38, side, side)
        _draw_panel(axes, panel, kept, side)
        axes.set_ylabel("predicted" if column == 0 else "", size=SMALL)
        axes.yaxis.set_label_coords(-35 / side, 0.5)
        axes.set_xlabel("observed", size=SMALL)
    if not panels:
        nothing(canvas.axes(40, TITLE_HEIGHT, WIDTH - 40, side))
    alt = f"{title}: " + "; ".join(f"{panel.title}, {_panel_words(panel)}" for panel in panels)
    caption = " ".join(part for part in (_scatter_caption(panels, drawn), note) if part)
    return Figure(canvas.svg(), printable(alt), printable(caption))


@style()
def top_genes_box(
    genes: Sequence[str],
    observed: Sequence[Float[np.ndarray, " _"]],
    predicted: Mapping[str, Sequence[Number | None]],
    *,
    title: str,
    targets: Sequence[str] = (),
) -> Figure:
    """Return the observed change of single cells as a box for each gene, with every model's prediction on it.

    `observed[i]` holds the change of each cell against the mean of its controls; `predicted[model][i]` is one number.
    """
    targets = [printable(one) for one in targets]
    names = [
        f"{shortened(one, 20)} (target)" if one in targets else shortened(one, 20) for one in map(printable, genes)
    ]
    models = {shortened(name, 34): list(values) for name, values in predicted.items()}
    looks: list[dict[str, Any]] = [
        {"color": COLOURS[i % 4], "marker": MARKERS[(i + i // 4) % 4], "ms": 8, "mec": "white", "mew": 0.8, "ls": ""}
        for i in range(len(models))
    ]
    entries = [
        ("observed cells", {"color": SKY, "lw": 9}),
        ("observed mean", {"color": INK, "marker": "|", "ms": 11, "mew": 2, "ls": ""}),
    ]
    entries += list(zip(models, looks, strict=True))
    top = TITLE_HEIGHT + KEY_ROW * len(key_rows([words for words, _ in entries])) + 6
    height = 21.0 * max(len(genes), 2)
    canvas = Canvas(top + height + 44)
    canvas.title(title)
    canvas.key(entries, TITLE_HEIGHT)
    left = widest(names) + 14
    axes = canvas.axes(left, top, WIDTH - left - 8, height)
    boxes = [_box(cells) for cells in observed]
    _gene_axes(
        axes, names, [*(one for box in boxes for one in box), *(as_float(v) for m in models.values() for v in m)]
    )
    for position, box in enumerate(boxes):
        _draw_box(axes, position, box)
    for k, (values, look) in enumerate(zip(models.values(), looks, strict=True)):
        aside = (k - (len(models) - 1) / 2) * 0.3  # two models that agree must both be seen
        places = [(as_float(value), i + aside) for i, value in enumerate(values) if math.isfinite(as_float(value))]
        axes.plot([x for x, _ in places], [y for _, y in places], zorder=6, clip_on=False, **look)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if name.endswith("(target)") else "normal")
    caption = (
        "Box: middle half of the observed cells; whiskers: 5th to 95th percentile; cells beyond them are not drawn. "
        "Zero is the mean of the controls."
    )
    return Figure(canvas.svg(), f"{title}: {', '.join(names)}", caption + _undefined(models))


def thinned(panel: DeltaPanel, most: int) -> list[int]:
    """Return the positions of the genes to draw, at most `most`: the farthest from zero, then some of the rest.

    The rest are chosen evenly by rank. The order of the genes has no influence, apart from ties broken by name.
    """
    found = [int(i) for i in np.flatnonzero(panel.defined)]
    reach = panel.reach
    ranked = sorted(found, key=lambda i: (-reach[i], panel.genes[i]))
    if len(ranked) <= most:
        return ranked
    far = most // 2
    rest = ranked[far:]
    picks = np.linspace(0, len(rest) - 1, most - far).round().astype(int)
    return ranked[:far] + [rest[i] for i in picks]


def _panel_words(panel: DeltaPanel) -> str:
    value = number(panel.correlation, 3) if math.isfinite(as_float(panel.correlation)) else "undefined"
    return f"r {value}" + (f", {shortened(panel.note, 22)}" if panel.note else "")


def _scatter_caption(panels: Sequence[DeltaPanel], drawn: Sequence[list[int]]) -> str:
    words = ["Each dot is a gene; the grey line is a perfect prediction; each chart has its own range."]
    if any(set(panel.targets) & set(panel.genes) for panel in panels):
        words.append("Orange: perturbed genes.")
    total, shown = sum(int(panel.defined.sum()) for panel in panels), sum(map(len, drawn))
    if shown < total:
        words.append(
            f"{count(shown)} of {count(total)} dots are drawn: the genes farthest from zero and an even choice of the "
            "rest; r counts all genes."
        )
    missing = sum(int((~panel.defined).sum()) for panel in panels)
    if missing:
        words.append(f"{count(missing)} undefined values are left out.")
    return " ".join(words)


def _draw_panel(axes: Axes, panel: DeltaPanel, kept: list[int], side: float) -> None:
    places = np.stack([panel.observed[kept], panel.predicted[kept]], axis=1)
    limits = finite_limits([*places.ravel(), 0.0], margin=0.09)
    rule_axes(axes, "both")
    value_axis(axes, "x", limits, ticks=4)
    value_axis(axes, "y", limits, ticks=4)
    axes.plot(limits, limits, color=PALE, lw=1.5, zorder=1)
    if not kept:
        axes.text(0.5, 0.5, "nothing defined", transform=axes.transAxes, ha="center", va="center", color=QUIET)
        return
    aimed = np.isin([panel.genes[i] for i in kept], list(panel.targets))
    dots(axes, places[~aimed], BLUE)
    dots(axes, places[aimed], VERMILION, size=6.0, alpha=1.0)
    _name_genes(axes, panel, kept[: LABELLED + OBSTACLES], limits, side)


def _name_genes(axes: Axes, panel: DeltaPanel, named: list[int], limits: tuple[float, float], side: float) -> None:
    """Write the names of the first genes beside their dots, clear of the other dots."""
    scale = side / (limits[1] - limits[0])
    pairs = zip(panel.observed[named].tolist(), panel.predicted[named].tolist(), strict=True)
    points = [((x - limits[0]) * scale, (y - limits[0]) * scale) for x, y in pairs]
    points, others = points[:LABELLED], points[LABELLED:]
    words = [shortened(panel.genes[i], 16) for i in named[:LABELLED]]
    sizes = [(width_of(one, SMALL), SMALL + 3) for one in words]
    for one, point, box in zip(words, points, place_labels(points, sizes, Box(0, 0, side, side), others), strict=True):
        if box is None:
            continue
        middle = (box.left + box.width / 2, box.low + box.height / 2)
        if abs(middle[1] - point[1]) > box.height:
            ends = np.clip(point, (box.left, box.low), (box.left + box.width, box.low + box.height))
            axes.plot(
                [limits[0] + point[0] / scale, limits[0] + ends[0] / scale],
                [limits[0] + point[1] / scale, limits[0] + ends[1] / scale],
                color=QUIET, lw=0.7, zorder=2,
            )  # fmt: skip
        axes.text(
            limits[0] + middle[0] / scale, limits[0] + middle[1] / scale, one, ha="center", va="center", size=SMALL
        )


def _box(cells: Float[np.ndarray, " _"]) -> tuple[float, ...]:
    """The 5th, 25th, 50th, 75th and 95th percentile and the mean of the finite values; nothing where there are none."""
    kept = cells[np.isfinite(cells)]
    return (*map(float, np.percentile(kept, (5, 25, 50, 75, 95))), float(kept.mean())) if len(kept) else ()


def _gene_axes(axes: Axes, names: Sequence[str], values: Sequence[float]) -> None:
    rule_axes(axes)
    value_axis(axes, "x", finite_limits([*values, 0.0]))
    axes.set(ylim=(max(len(names), 2) - 0.5, -0.5), xlabel="change from control")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelsize=TEXT, labelcolor=INK)
    axes.axvline(0.0, color=INK, lw=1.2, zorder=2)
    if not names:
        nothing(axes)


def _draw_box(axes: Axes, position: int, box: tuple[float, ...]) -> None:
    if not box:
        axes.text(0.0, position, " no cells", va="center", size=SMALL, color=QUIET, style="italic")
        return
    low, lower, middle, upper, high, mean = box
    axes.plot([low, high], [position, position], color=SKY, lw=1.6, solid_capstyle="butt", zorder=3)
    axes.barh(position, upper - lower, 0.62, left=lower, color="#bfe0f5", ec=SKY, lw=1.2, zorder=4)
    axes.plot([middle, middle], [position - 0.31, position + 0.31], color=SKY, lw=1.6, zorder=5)
    axes.plot([mean], [position], "|", color=INK, ms=11, mew=2, zorder=5)


def _undefined(models: Mapping[str, Sequence[Number | None]]) -> str:
    missing = {name: sum(not math.isfinite(as_float(one)) for one in values) for name, values in models.items()}
    return "".join(f" {name}: {size} undefined." for name, size in missing.items() if size)
