import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import HOSTILE, figures, panel

from pertura.report.canvas import WIDTH
from pertura.report.deltas import MOST_POINTS, DeltaPanel, delta_scatter, thinned, top_genes_box
from pertura.report.labels import Box, place_labels
from pertura.report.plots import (
    ContextCells,
    References,
    ScoreRow,
    Stratum,
    cells_chart,
    detectable_chart,
    score_chart,
    stratum_chart,
)
from pertura.report.tables import Interval

SVG = "{http://www.w3.org/2000/svg}"
NAN = float("nan")


def words(svg: str) -> list[str]:
    return ["".join(one.itertext()).strip() for one in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def drawn():
    return figures()


def test_the_same_drawing_is_the_same_bytes(drawn):
    assert [one.svg for one in figures()] == [one.svg for one in drawn]


def test_a_figure_is_one_vector_drawing_with_words_that_can_be_selected(drawn):
    for one in drawn:
        tags = {element.tag.removeprefix(SVG) for element in ET.fromstring(one.svg).iter()}
        assert "text" in tags
        assert not {"image", "metadata", "script", "style", "a"} & tags
        assert "DejaVu" not in one.svg
        assert len(one.svg) < 120_000


def test_every_figure_says_what_it_shows(drawn):
    assert all(len(one.alt) > 10 for one in drawn)
    assert all(one.caption for one in drawn)


def test_hostile_names_are_words_and_nothing_else(drawn):
    for one in drawn:
        assert not [element for element in ET.fromstring(one.svg).iter() if "script" in element.tag]
        assert "\x1b" not in one.svg + one.caption
        assert any("<script>" in text for text in words(one.svg))


def test_drawing_leaves_the_settings_of_the_caller_alone(drawn):
    before = dict(matplotlib.rcParams)
    matplotlib.rcParams["font.size"] = 31.0
    try:
        again = figures()
        assert matplotlib.rcParams["font.size"] == 31.0
    finally:
        matplotlib.rcParams["font.size"] = before["font.size"]
    assert dict(matplotlib.rcParams) == before
    assert [one.svg for one in again] == [one.svg for one in drawn]


def test_ids_of_one_drawing_on_one_page_twice_do_not_meet(drawn):
    first, second = drawn[0].inlined("a-"), drawn[0].inlined("b-")
    ids = [set(re.findall(r' id="([^"]+)"', one)) for one in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) <= own


def test_no_text_is_drawn_outside_the_figure(drawn):
    for one in drawn:
        root = ET.fromstring(one.svg)
        width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
        assert width == WIDTH
        for text in root.iter(f"{SVG}text"):
            x, y = (float(text.attrib.get(axis, 0)) for axis in "xy")
            assert -0.5 <= x <= width
            assert -0.5 <= y <= height


# Degenerate input


def score_of(rows, references=None, better="higher"):
    return score_chart(rows, references or References(), title="t", better=better)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [ScoreRow("only", Interval(0.5, 0.4, 0.6))],
        [ScoreRow("only", Interval(None))],
        [ScoreRow("a", Interval(NAN, NAN, NAN)), ScoreRow("b", Interval(0.0, 0.0, 0.0))],
        [ScoreRow("a", Interval(1e-12, None, None)), ScoreRow("b", Interval(1e9, 1.0, 1e10))],
        [ScoreRow("a", Interval(np.float64(0.1)), null=Interval(None, 0.1, 0.2))],
        [ScoreRow("n" * 300, Interval(1, 0, 2), mark="m" * 300)],
        [ScoreRow("", Interval(float("inf"), 0.0, 1.0))],
        [ScoreRow("基因", Interval(0.5, 0.4, 0.6))],
    ],
)
def test_score_charts_take_whatever_scores_there_are(rows):
    ET.fromstring(score_of(rows).svg)
    ET.fromstring(score_of(rows, References(NAN, Interval(None), Interval(NAN, 0, 1), None), "lower").svg)


def test_an_undefined_score_is_named_undefined():
    assert "undefined" in words(score_of([ScoreRow("a", Interval(NAN)), ScoreRow("b", Interval(0.5))]).svg)


def test_fallbacks_are_marked_in_the_drawing_and_named_in_the_caption():
    marked = score_of([ScoreRow("additive", Interval(0.5, 0.4, 0.6), mark="7 of 14 answered with the train mean")])
    assert "score with fallbacks" in words(marked.svg)
    assert "additive: 7 of 14 answered with the train mean." in marked.caption
    assert "score with fallbacks" not in words(score_of([ScoreRow("additive", Interval(0.5))]).svg)


def test_scores_over_decades_are_drawn_on_an_axis_that_says_so():
    rows = [ScoreRow("a", Interval(0.001, 0.0005, 0.002)), ScoreRow("b", Interval(3.0, 2.0, 4.0))]
    assert "logarithmic" in score_of(rows).caption
    assert "logarithmic" not in score_of([*rows, ScoreRow("c", Interval(-0.1))]).caption


@pytest.mark.parametrize(
    ("models", "strata"),
    [
        ([], []),
        (["a"], []),
        (["a"], [Stratum("only", 1, (Interval(0.5),))]),
        (["a", "b"], [Stratum(f"stratum {'x' * i} {i}", 0, (None, Interval(NAN))) for i in range(23)]),
        ([f"m{i}" for i in range(30)], [Stratum("s", 3, (Interval(0.0, 0.0, 0.0),) * 30, NAN, 0.5)]),
    ],
)
def test_stratum_charts_take_whatever_strata_there_are(models, strata):
    figure = stratum_chart(models, strata, title="t", better="lower")
    shown = " ".join(words(figure.svg))
    assert shown.count("n = ") == len(strata)


@pytest.mark.parametrize("rows", [[], [ContextCells("c", 0, 0, 0)], [ContextCells("c", np.int64(5), 1, 10**7)]])
def test_cells_charts_write_every_count(rows):
    figure = cells_chart(rows)
    shown = words(figure.svg)
    for row in rows:
        for size in (row.perturbed, row.model_controls, row.judge_controls):
            assert f"{int(size):,}" in shown


@pytest.mark.parametrize("size", [0, 1, 2, 21, 61, 200])
def test_detectable_charts_name_every_perturbation_once(size):
    names = [f"G{i}" for i in range(size)]
    figure = detectable_chart(names, [None if i % 5 == 4 else (i + 1) / (size + 1) for i in range(size)])
    shown = words(figure.svg)
    assert all(shown.count(name) == 1 for name in names)
    assert shown.count("not tested") == size // 5


def test_detectable_charts_count_what_they_draw_and_ignore_the_order_given():
    first = detectable_chart(["a", "b", "c", "d"], [0.05, 0.051, 0.0, NAN])
    assert "2 of 4 perturbations have a detectable effect" in first.caption
    assert "1 could not be tested" in first.caption
    assert detectable_chart(["d", "c", "b", "a"], [NAN, 0.0, 0.051, 0.05]).svg == first.svg


def delta(observed, predicted, **more) -> DeltaPanel:
    genes = tuple(f"G{i}" for i in range(len(observed)))
    return DeltaPanel("p", genes, np.asarray(observed, float), np.asarray(predicted, float), **more)


@pytest.mark.parametrize(
    "panels",
    [
        [],
        [delta([], [])],
        [delta([0.0] * 5, [0.0] * 5)],
        [delta([1.0, 2.0, 3.0], [0.0] * 3, correlation=NAN)],
        [delta([NAN] * 4, [1.0] * 4)],
        [delta([1e-9, -1e-9], [1e-9, 1e-9])],
        [delta([1e6, NAN, 1.0], [np.inf, 0.0, 2.0])],
        [delta([1.0] * 40, [1.0] * 40)],
        [panel(f"P{i}", constant=i % 2 == 0, seed=i) for i in range(25)],
    ],
)
def test_delta_scatters_take_whatever_changes_there_are(panels):
    ET.fromstring(delta_scatter(panels, title="t").svg)


def test_undefined_changes_are_counted_in_the_caption():
    assert (
        "3 undefined values are left out" in delta_scatter([delta([NAN, NAN, 1, 2], [1, 1, NAN, 1])], title="t").caption
    )


def test_the_genes_that_changed_most_are_named():
    one = delta([0.0, 0.1, -3.0, 0.2, 2.0, 0.0, 0.0], [0.0, 0.1, -1.0, 0.2, 1.0, 2.5, 0.0])
    shown = words(delta_scatter([one], title="t").svg)
    assert {"G2", "G4", "G5"} == {text for text in shown if text.startswith("G")}


def dots_in(svg: str) -> int:
    return svg.count("h0")


def test_every_gene_is_one_dot_where_they_are_few():
    assert dots_in(delta_scatter([panel("P", 60), panel("Q", 70)], title="t").svg) == 130


def test_too_many_dots_are_thinned_and_the_caption_says_so():
    figure = delta_scatter([panel("P", 5000), panel("Q", 4000)], title="t")
    assert dots_in(figure.svg) == MOST_POINTS
    assert "3,000 of 9,000 dots are drawn" in figure.caption
    assert "dots are drawn" not in delta_scatter([panel("P", 60)], title="t").caption


def test_thinning_keeps_the_farthest_genes_and_ignores_their_order():
    whole = panel("P", 500)
    order = np.random.default_rng(3).permutation(500)
    turned = DeltaPanel("P", tuple(whole.genes[i] for i in order), whole.observed[order], whole.predicted[order])
    kept = thinned(whole, 100)
    assert len(set(kept)) == 100
    assert {whole.genes[i] for i in kept} == {turned.genes[i] for i in thinned(turned, 100)}
    far = np.argsort(-whole.reach)[:50]
    assert set(far) <= set(kept)


@pytest.mark.parametrize(
    ("genes", "observed", "predicted"),
    [
        ([], [], {}),
        (["a"], [np.empty(0)], {"m": [None]}),
        (["a", "a"], [np.zeros(5), np.full(3, NAN)], {"m": [0.0, NAN]}),
        (["a"], [np.asarray([1.0])], {f"m{i}": [float(i)] for i in range(9)}),
    ],
)
def test_boxes_take_whatever_cells_there_are(genes, observed, predicted):
    ET.fromstring(top_genes_box(genes, observed, predicted, title="t").svg)


def test_boxes_mark_the_target_and_count_what_no_model_predicted():
    figure = top_genes_box(["KLF1", "SET"], [np.arange(5.0)] * 2, {"linear": [0.1, None]}, title="t", targets=["KLF1"])
    assert "KLF1 (target)" in words(figure.svg)
    assert "linear: 1 undefined." in figure.caption


# Labels


coordinates = st.floats(0, 160, allow_nan=False)


@given(
    st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=3), st.lists(st.tuples(coordinates, coordinates))
)
def test_labels_never_overlap_and_stay_inside(points, others):
    bounds = Box(0.0, 0.0, 160.0, 160.0)
    placed = [one for one in place_labels(points, [(55.0, 14.0)] * len(points), bounds, others) if one is not None]
    for i, one in enumerate(placed):
        assert one.within(bounds) == one
        assert not any(one.overlaps(other) for other in placed[i + 1 :])


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=3))
def test_three_labels_always_find_a_place(points):
    bounds = Box(0.0, 0.0, 160.0, 160.0)
    assert None not in place_labels(points, [(70.0, 14.0)] * len(points), bounds)


def test_the_hostile_name_stays_in_the_words_of_a_reader_who_cannot_see(drawn):
    assert HOSTILE.split("<")[0] in drawn[0].alt
    assert "<script>" not in drawn[0].inlined("a-").split(">", 1)[0]
