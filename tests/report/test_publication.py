"""Laws of every figure for print: size, text, colours, bytes, and that the table beside it holds what is drawn."""

import csv
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.patches import PathPatch
from printed import (
    METRICS,
    MODELS,
    SHEETS,
    UNIT,
    delta_chart,
    made,
    overlaps,
    placed,
    pooled_chart,
    score_grid,
    top_genes_panel,
    words_of_pdf,
)

from pertura.core.errors import UsageError
from pertura.report.canvas import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from pertura.report.delta_sheet import DeltaChart, delta_capacity, delta_sheet, pooled_sheet
from pertura.report.deltas import DeltaPanel
from pertura.report.plots import References
from pertura.report.publication import MM, TALLEST, WIDTHS, Sheet, families, wrapped
from pertura.report.score_grid import Mark, ScoreColumn, ScoreGrid, grid_capacity, score_sheet
from pertura.report.tables import Interval, to_csv
from pertura.report.top_genes import CellGroup, boxes_of, top_genes_capacity, top_genes_sheet

SVG = "{http://www.w3.org/2000/svg}"
NAN = float("nan")
MADE = list(product(WIDTHS, SHEETS))
EVERY = pytest.mark.parametrize("which", MADE, ids=lambda one: f"{one[1]} at {one[0]}")
SOME = pytest.mark.parametrize("which", MADE[::3], ids=lambda one: f"{one[1]} at {one[0]}")  # of either width


def rows(sheet: Sheet) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(sheet.source))))


def column(sheet: Sheet, name: str) -> list[float]:
    return [float(one[name]) for one in rows(sheet)]


def words_of_svg(content: bytes) -> list[str]:
    return ["".join(one.itertext()).strip() for one in ET.fromstring(content).iter(f"{SVG}text")]


def shown(sheet: Sheet) -> list[str]:
    return [words for words, _, _ in placed(sheet)]


def markers(sheet: Sheet, shape: str) -> list[list[float]]:
    """Where markers of a shape stand, for each axes that has some; the key, at the top, is left out."""
    found = [
        [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == shape and len(line.get_xdata()) == 1]
        for axes in sheet.canvas.drawing.axes[1:]
    ]
    return [one for one in found if one]


# ---- every figure


@EVERY
def test_no_words_overlap_or_leave_the_sheet(which):
    sheet = made(*which)
    assert overlaps(sheet) == []
    for words, _, (left, low, right, high) in placed(sheet):
        inside = left > -0.6 and low > -0.6 and right < sheet.width + 0.6 and high < sheet.height + 0.6
        assert inside, words


def test_words_that_overlap_are_found():
    sheet = Sheet(89, 100, score_grid_sheet().source)
    sheet.text(10, 50, "one")
    sheet.text(12, 51, "another")
    assert overlaps(sheet) == [("one", "another")]


@EVERY
def test_words_can_be_read_in_print(which):
    assert min(size for _, size, _ in placed(made(*which))) >= 5


@EVERY
def test_a_figure_fits_on_a_page(which):
    assert made(*which).height <= TALLEST


@SOME
def test_svg_is_as_wide_as_asked_and_its_text_is_text(which):
    sheet, (width, _) = made(*which), which
    content = sheet.rendered("svg")
    root = ET.fromstring(content)
    assert root.get("width") == f"{width}mm"
    box = [float(one) for one in root.get("viewBox").split()]
    assert box[2] == pytest.approx(width * MM, abs=1e-3)
    assert box[3] / box[2] == pytest.approx(float(root.get("height").removesuffix("mm")) / width, rel=1e-4)
    assert {words.strip() for words in shown(sheet)} <= set(words_of_svg(content))
    assert b"Liberation Sans" in content
    assert b"font-family: Arial" in content or b"px Arial" in content


@SOME
def test_pdf_is_as_wide_as_asked_and_its_text_is_text(which):
    content = made(*which).rendered("pdf")
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    assert float(box[1]) / MM == pytest.approx(which[0], abs=1e-6)
    assert b"/Type3" not in content
    assert b"/FontFile2" in content  # the font itself: nothing is drawn as outlines
    text = words_of_pdf(content)
    assert [words for words in shown(made(*which)) if words.isascii() and words.replace(" ", "") not in text] == []


def test_png_has_300_dots_per_inch():
    sheet = made(89, "metrics")
    content = sheet.rendered("png")
    assert imread(io.BytesIO(content)).shape[1] == int(89 / 25.4 * 300)
    place = content.index(b"pHYs") + 4
    assert int.from_bytes(content[place : place + 4], "big") == round(300 / 0.0254)


@pytest.mark.parametrize("form", ["pdf", "svg", "png"])
def test_equal_numbers_give_equal_bytes_and_no_date(form):
    first = score_grid_sheet().rendered(form)
    assert score_grid_sheet().rendered(form) == first
    assert b"CreationDate" not in first
    assert b"<dc:date" not in first
    assert not re.search(rb"20\d\d-\d\d-\d\d", first) or form == "png"


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_process():
    code = (
        "import sys, hashlib; from printed import *; "
        "print(*(hashlib.sha256(made(89, n).rendered(f)).hexdigest() for n in SHEETS for f in ('pdf', 'svg')))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert len(next(iter(said)).split()) == 16


def test_the_callers_settings_change_nothing_and_are_left_alone():
    first = score_grid_sheet().rendered("svg")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path", "pdf.fonttype": 3}):
        before = dict(matplotlib.rcParams)
        assert score_grid_sheet().rendered("svg") == first
        assert dict(matplotlib.rcParams) == before


def test_a_hostile_name_is_words_and_nothing_else():
    name = "<script>alert(1)</script>$x^2$\x1b[31m"
    content = delta_sheet([delta_chart(name, model=name)], unit=UNIT, width_mm=183).rendered("svg")
    assert b"<script" not in content
    assert b"\x1b" not in content
    assert any("alert" in one for one in words_of_svg(content))
    assert b"alert" in top_genes_sheet([top_genes_panel(name)], unit=UNIT, width_mm=89).rendered("svg")


@pytest.mark.parametrize("first", [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY])
@pytest.mark.parametrize("second", [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY])
@pytest.mark.parametrize("blindness", ["deutan", "protan"])
def test_colours_can_be_told_apart_without_red_or_green_cones(first, second, blindness):
    if first == second:
        return
    assert np.linalg.norm(seen(first, blindness) - seen(second, blindness)) > 0.1


def seen(colour: str, blindness: str) -> np.ndarray:
    """A colour as dichromats see it: the matrices of Viénot, Brettel and Mollon (1999) on linear light."""
    to_cones = np.asarray([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lost = {
        "protan": [[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]],
        "deutan": [[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]],
    }[blindness]
    linear = np.asarray(to_rgb(colour)) ** 2.2
    return np.clip(np.linalg.inv(to_cones) @ np.asarray(lost) @ to_cones @ linear, 0, 1) ** (1 / 2.2)


def test_a_font_that_a_pdf_can_hold_is_there_everywhere():
    assert families()[-1] == "DejaVu Sans"


def test_words_wrap_where_they_can_be_cut_and_nothing_is_lost():
    name = "pearson_perturbation_mean_without_targets"
    lines = wrapped(name, 60)
    assert len(lines) > 2
    assert "".join(lines) == name
    assert wrapped("a short one", 500) == ["a short one"]
    assert wrapped("", 10) == [""]


# ---- what is drawn is what the table says


def score_grid_sheet() -> Sheet:
    return score_sheet(score_grid(3, 2), width_mm=183)


def test_scores_stand_where_the_table_says():
    sheet = score_grid_sheet()
    drawn = [one for axes in markers(sheet, "o") for one in axes]
    assert drawn == column(sheet, "score")
    assert [(one["metric"], one["model"]) for one in rows(sheet)] == [(m, k) for m in METRICS[:3] for k in MODELS[:2]]


def test_intervals_permuted_labels_floor_and_ceiling_stand_where_the_table_says():
    grid = score_grid(2)
    sheet = score_sheet(grid, width_mm=183)
    for place, axes in enumerate(sheet.canvas.drawing.axes[1:]):
        mine = [one for one in rows(sheet) if one["metric"] == METRICS[place]]
        lines = {tuple(float(x) for x in line.get_xdata()) for line in axes.lines}
        for one in mine:
            assert (float(one["score_low"]), float(one["score_high"])) in lines
            assert (float(one["permuted_low"]), float(one["permuted_high"])) in lines
            assert (float(one["floor"]),) * 2 in lines
            assert (float(one["ceiling"]),) * 2 in lines


def test_a_hollow_dot_has_answers_of_a_stand_in():
    sheet = score_grid_sheet()
    dots = [
        line.get_markerfacecolor()
        for axes in sheet.canvas.drawing.axes[1:]
        for line in axes.lines
        if line.get_marker() == "o"
    ]
    assert ["white" if int(one["stand_ins"]) else BLUE for one in rows(sheet)] == dots


def test_an_interval_far_beyond_everything_else_is_cut_and_marked_but_whole_in_the_table():
    wild, tame = Interval(0.5, 1e-9, 1e6), Interval(0.4, 0.3, 0.5)
    marks = tuple(Mark(one, Interval(0.2, 0.1, 0.3), 2, 2) for one in (wild, tame, tame, tame))
    grid = ScoreGrid("metric", MODELS, (ScoreColumn("mse", "n = 2", References(0.4), marks, "lower"),))
    sheet = score_sheet(grid, width_mm=89)
    (axes,) = sheet.canvas.drawing.axes[1:]
    assert axes.get_xlim()[1] < 2
    assert len(markers(sheet, ">")[0]) == 1
    assert "interval goes on" in shown(sheet)
    assert column(sheet, "score_high")[0] == 1e6


def test_what_is_undefined_is_said_and_is_empty_in_the_table():
    nothing = Interval(None)
    column_ = ScoreColumn("mse", "n = 0 of 5", References(), (Mark(nothing, nothing, 5, 0),) * 4, "lower")
    sheet = score_sheet(ScoreGrid("metric", MODELS, (column_,)), width_mm=89)
    assert shown(sheet).count(" undefined") == 4
    assert {one["score"] for one in rows(sheet)} == {""}


def test_a_shared_scale_is_shared():
    sheet = made(183, "strata")
    limits = {axes.get_xlim() for axes in sheet.canvas.drawing.axes[1:]}
    assert len(limits) == 1
    assert len({axes.get_xlim() for axes in score_grid_sheet().canvas.drawing.axes[1:]}) == 3


def test_dots_of_genes_stand_where_the_table_says():
    charts = [delta_chart("A+B", 200, 1), delta_chart("C", 50, 2)]
    sheet = delta_sheet(charts, unit=UNIT, width_mm=89)
    for axes, chart in zip(sheet.canvas.drawing.axes[1:], charts, strict=True):
        mine = [one for one in rows(sheet) if one["condition"] == chart.panel.title]
        patches = [one for one in axes.patches if isinstance(one, PathPatch)]
        assert [to_rgb(one.get_edgecolor()) for one in patches] == [to_rgb(BLUE), to_rgb(VERMILION)]
        for patch, aimed in zip(patches, ("no", "yes"), strict=True):
            said = [(float(one["observed"]), float(one["predicted"])) for one in mine if one["target"] == aimed]
            np.testing.assert_array_equal(patch.get_path().vertices[::2], said)


def test_a_dot_has_no_length_that_shows():
    sheet = delta_sheet([delta_chart()], unit=UNIT, width_mm=89)
    axes = sheet.canvas.drawing.axes[1]
    vertices = axes.transData.transform(axes.patches[0].get_path().vertices)
    assert 0 < np.abs(vertices[1::2] - vertices[::2]).max() < 0.05


def test_r_floor_and_ceiling_are_printed_and_targets_named():
    sheet = delta_sheet([delta_chart(genes=40)], unit=UNIT, width_mm=89)
    words = shown(sheet)
    assert "r 0.62 (floor 0, ceiling 0.84)" in words
    assert {"GENE0", "GENE1"} <= set(words)
    assert {f"observed change, {UNIT}", f"predicted change, {UNIT}", "model: additive"} <= set(words)


def test_an_undefined_correlation_reads_undefined():
    panel = DeltaPanel("A", ("x", "y"), np.asarray([1.0, NAN]), np.zeros(2), NAN)
    sheet = delta_sheet([DeltaChart(panel, "m", 3)], unit=UNIT, width_mm=89)
    assert any(words.startswith("r undefined") for words in shown(sheet))
    assert [one["observed"] for one in rows(sheet)] == ["1.0", ""]


def test_squares_hold_as_many_genes_as_the_table_says():
    chart = pooled_chart()
    sheet = pooled_sheet([chart], unit=UNIT, width_mm=89)
    (mesh, *_) = (one for axes in sheet.canvas.drawing.axes for one in axes.collections if isinstance(one, QuadMesh))
    genes = [one for one in rows(sheet) if one["kind"] == "genes"]
    assert sorted(mesh.get_array().compressed().astype(int)) == sorted(int(one["pairs"]) for one in genes)
    assert sum(int(one["pairs"]) for one in genes) == chart.counts.sum()
    table = np.zeros_like(chart.counts)
    for one in genes:
        i, j = (np.searchsorted(chart.edges, float(one[side])) - 1 for side in ("observed", "predicted"))
        table[i, j] = int(one["pairs"])
    np.testing.assert_array_equal(table, chart.counts)
    np.testing.assert_array_equal(mesh.get_array().filled(0), chart.counts.T)  # up is predicted


def test_boxes_are_means_and_percentiles_of_the_cells():
    panel = top_genes_panel(models=2)
    sheet = top_genes_sheet([panel], unit=UNIT, width_mm=89)
    said = {(one["gene"], one["kind"], one["model"]): one for one in rows(sheet)}
    assert len(said) == 20 * 4
    for group in panel.groups:
        for i, gene in enumerate(panel.genes):
            one = said[gene, group.kind, group.model]
            assert float(one["mean"]) == pytest.approx(group.cells[:, i].mean(), rel=1e-12)
            assert int(one["cells"]) == len(group.cells)
            expected = np.percentile(group.cells[:, i], (5, 25, 50, 75, 95)) if len(group.cells) > 1 else [NAN] * 5
            found = [float(one[f"percentile_{k}"] or "nan") for k in (5, 25, 50, 75, 95)]
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    (drawn,) = markers(sheet, "D")
    assert sorted(drawn) == sorted(float(one["mean"]) for one in said.values())


def test_a_mean_without_cells_has_no_box():
    (box,) = boxes_of(CellGroup("predicted", np.ones((1, 1)), "m"))
    assert box.quantiles == ()
    assert box.mean == 1.0


def test_the_perturbed_gene_stands_out_and_a_stand_in_is_named():
    sheet = top_genes_sheet([top_genes_panel(models=2)], unit=UNIT, width_mm=89)
    labels = sheet.canvas.drawing.axes[1].get_yticklabels()
    assert [one.get_fontweight() for one in labels] == ["bold"] + ["normal"] * 19
    assert "stand-in: model-1" in shown(sheet)


# ---- how much fits


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_as_much_fits_as_is_said_and_no_more(width):
    most = delta_capacity(width)
    charts = [delta_chart(f"P{i}", 5, i) for i in range(most + 1)]
    assert delta_sheet(charts[:-1], unit=UNIT, width_mm=width).height <= TALLEST
    with pytest.raises(UsageError, match=f"choose at most {most}"):
        delta_sheet(charts, unit=UNIT, width_mm=width)
    most = top_genes_capacity(width, 20, 3)
    panels = [top_genes_panel(f"P{i}") for i in range(most + 1)]
    assert top_genes_sheet(panels[:-1], unit=UNIT, width_mm=width).height <= TALLEST
    with pytest.raises(UsageError, match=f"choose at most {most}"):
        top_genes_sheet(panels, unit=UNIT, width_mm=width)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("models", [2, 40])
def test_a_grid_within_its_capacity_fits(width, models):
    names = (MODELS * 20)[:models]
    most = grid_capacity(names, width)
    assert most >= 1
    assert score_sheet(score_grid(most, models), width_mm=width).height <= TALLEST


def test_one_chart_too_many_is_refused():
    charts = [delta_chart(f"P{i}", 5, i) for i in range(delta_capacity(89) + 1)]
    with pytest.raises(UsageError, match=f"{len(charts)} charts do not fit on a page of 89 mm; choose at most"):
        delta_sheet(charts, unit=UNIT, width_mm=89)


def test_a_grid_that_does_not_fit_says_what_would():
    with pytest.raises(UsageError, match="choose fewer models or columns, a width of 183 mm"):
        score_sheet(score_grid(20, 40), width_mm=89)
