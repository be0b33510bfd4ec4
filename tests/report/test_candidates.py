"""Tables that sort without a script, and charts of candidates."""

import re

import numpy as np
import pytest

from pertura.core.errors import UsageError
from pertura.report.candidate_plots import GeneBars, Line, gene_bars_chart, pair_map, rounds_chart, uncertainty_chart
from pertura.report.html import Page, Section, render
from pertura.report.sortable import SortableTable
from pertura.report.tables import Column, Interval, Row, Table

TABLE = Table(
    "Candidates",
    (Column("name"), Column("score", "interval"), Column("told", "flag")),
    (
        Row(("b<script>", Interval(2.0, 1.0, 3.0), True)),
        Row(("a", Interval(None), False)),
        Row(("c", Interval(-1.0), False)),
    ),
)


def orders(table: SortableTable) -> list[dict[str, int]]:
    return [{name: int(place) for name, place in re.findall(r"--(\w+):(\d+)", one)} for one in table.styles]


def test_each_row_knows_its_place_in_every_order_and_the_undefined_stand_last():
    found = orders(SortableTable(TABLE))
    assert [one["u0"] for one in found] == [1, 0, 2]
    assert [one["d0"] for one in found] == [1, 2, 0]
    assert [one["u1"] for one in found] == [1, 2, 0]
    assert [one["d1"] for one in found] == [0, 2, 1]
    assert [one["d2"] for one in found] == [0, 1, 2]


def test_the_page_escapes_names_and_runs_no_script():
    page = Page("t", "h", "l", (Section("one", "One", (SortableTable(TABLE, "candidates", 1),)),))
    text = render(page)
    assert "<script" not in text
    assert "b&lt;script&gt;" in text
    assert text.count('name="sort-candidates"') == 6
    assert text.count(" checked") == 1


def test_a_table_too_long_to_sort_is_refused():
    rows = tuple(Row((str(i), Interval(1.0), True)) for i in range(2001))
    with pytest.raises(UsageError, match="2001 rows"):
        SortableTable(Table("long", TABLE.columns, rows))
    with pytest.raises(UsageError, match="plain word"):
        SortableTable(TABLE, "a b")


def test_charts_are_drawn_the_same_each_time_and_name_what_they_show():
    scores, spread = np.linspace(2, -1, 30), np.linspace(0.1, 1, 30)
    names = [f"GENE{i}" for i in range(30)]
    first, second = (uncertainty_chart(scores, spread, scores > 1, names, axis="score") for _ in range(2))
    assert first.svg == second.svg
    assert "GENE0" in first.svg
    assert "GENE0" in first.alt


def test_empty_charts_say_so():
    none = np.empty(0)
    assert "nothing" in uncertainty_chart(none, none, none.astype(bool), [], axis="score").svg
    assert "nothing" in gene_bars_chart([], title="parts").svg
    assert "nothing" in pair_map(["A", "B"], {}, title="pairs", called={}).svg


def test_bars_pairs_and_rounds_show_their_names():
    assert "HBZ" in gene_bars_chart([GeneBars("KLF1", ("HBZ", "2 others"), (0.5, -0.2))], title="parts").svg
    drawn = pair_map(["A", "B", "C"], {("A", "B"): 1.0, ("B", "C"): -0.5}, title="pairs", called={("A", "B"): "S"})
    assert ">S<" in drawn.svg
    assert "A+B" in drawn.alt
    line = Line("the design", (4, 8), (0.2, 0.6), (0.1, 0.5), (0.3, 0.7))
    assert "the design" in rounds_chart([line], title="rounds", axis="found").svg
