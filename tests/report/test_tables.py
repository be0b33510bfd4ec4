import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import scores_table

from pertura.core.errors import UsageError
from pertura.report.tables import Column, Interval, Row, Table, csv_rows, shown, to_csv, to_text
from pertura.report.wording import MINUS, decimals_for, number, printable, shortened

numbers = st.floats(allow_nan=True, allow_infinity=False)


def column_of(values, **settings) -> list[str]:
    column = Column("x", **({"kind": "number"} | settings))
    return [row[1].value for row in shown(Table("c", (Column("n"), column), tuple(Row(("n", v)) for v in values)))]


@given(st.lists(st.tuples(st.text(), numbers, numbers, numbers, st.integers(0, 10**9)), max_size=8))
def test_csv_gives_every_number_back(content):
    columns = (Column("name"), Column("score", "interval"), Column("n", "count"))
    rows = tuple(Row((name, Interval(value, low, high), size)) for name, value, low, high, size in content)
    text = to_csv(Table("c", columns, rows))
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines[0] == ["name", "score", "score_low", "score_high", "n"]
    back = [(one[0], *(float(part) if part else math.nan for part in one[1:4]), int(one[4])) for one in lines[1:]]
    assert [one[0] for one in back] == [printable(one[0]) for one in content]
    np.testing.assert_array_equal([one[1:] for one in back], [one[1:] for one in content])


def test_csv_keeps_groups_marks_and_flags():
    lines = csv_rows(scores_table())
    assert lines[0] == [
        "group", "model", "pearson_delta", "pearson_delta_low", "pearson_delta_high", "mse", "valid", "detectable",
        "notes",
    ]  # fmt: skip
    assert lines[1] == ["without features", "no-change", "", "", "", "0.00612", "0", "no", ""]
    assert lines[2][-1] == "7 of 14 answered with the train mean"
    assert all(len(line) == len(lines[0]) for line in lines)


def test_numbers_of_a_column_share_their_decimals():
    assert column_of([0.5, 0.12345, -0.0001]) == ["0.500", "0.123", "0.000"]
    assert column_of([0.00431, 0.0032]) == ["0.00431", "0.00320"]
    assert column_of([123.456, 88.0]) == ["123.5", "88.0"] or column_of([123.456, 88.0]) == ["123", "88"]


def test_one_outlier_does_not_hide_the_rest():
    assert column_of([0.0041, 0.0052, 120.0])[:2] == ["0.00410", "0.00520"]


def test_undefined_is_a_dash_and_infinite_says_so():
    assert column_of([None, float("nan"), math.inf, -math.inf]) == ["\N{EN DASH}", "\N{EN DASH}", "∞", f"{MINUS}∞"]


def test_counts_have_no_decimals_and_flags_are_words():
    assert column_of([3420399, np.int64(7), None], kind="count") == ["3,420,399", "7", "\N{EN DASH}"]
    assert column_of([True, np.bool_(False), None], kind="flag") == ["yes", "no", "\N{EN DASH}"]


def test_best_is_claimed_only_as_far_as_it_is_shown():
    columns = (Column("n"), Column("x", "number", better="lower"))
    values = (0.5004, 0.5001, 0.7, None, 0.1)
    rows = tuple(Row(("n", one), reference=one == 0.1) for one in values)
    assert [row[1].best for row in shown(Table("c", columns, rows))] == [True, True, False, False, False]


def test_a_single_competitor_is_not_the_best_of_anything():
    columns = (Column("n"), Column("x", "number", better="lower"))
    assert not shown(Table("c", columns, (Row(("n", 1.0)), Row(("n", None)))))[0][1].best


def test_an_unbounded_interval_shows_that_it_is():
    cells = shown(Table("c", (Column("n"), Column("x", "interval")), (Row(("n", Interval(0.5, 0.25, None))),)))
    assert cells[0][1].line == "0.500 [0.250, \N{EN DASH}]"


def test_text_lines_up_and_repeats_the_names_of_rows_that_continue_below():
    table = scores_table()
    wide, narrow = to_text(table), to_text(table, width=70)
    assert "\x1b" not in wide
    rules = [line for line in wide.splitlines() if line.startswith("--")]
    assert len(rules) == 1
    assert narrow.count("no-change") == sum(line.startswith("--") for line in narrow.splitlines()) > 1
    for words in ("[a] 7 of 14 answered", "without features:", "A note."):
        assert words in wide
        assert words in narrow


def test_text_of_an_ordinary_table_keeps_within_the_width():
    columns = (Column("model"), *(Column(f"metric_{i}", "interval", better="higher") for i in range(8)))
    rows = tuple(Row((f"model {i}", *(Interval(0.5, 0.4, 0.6),) * 8)) for i in range(3))
    assert max(map(len, to_text(Table("c", columns, rows), width=80).splitlines())) <= 80


def test_a_row_of_another_length_is_refused():
    with pytest.raises(UsageError, match="2 cells for 1 columns"):
        Table("c", (Column("a"),), (Row(("x", "y")),))


def test_footnotes_beyond_the_alphabet_stay_distinct():
    rows = tuple(Row(("x",), (f"mark {i}",)) for i in range(60))
    letters = Table("c", (Column("a"),), rows).footnotes
    assert len(set(letters.values())) == 60


@given(numbers, st.integers(0, 6))
def test_a_number_in_words_is_the_number_to_half_a_decimal(value, decimals):
    words = number(value, decimals).replace(MINUS, "-").replace(",", "")
    if math.isnan(value):
        assert words == "\N{EN DASH}"
    else:
        assert abs(float(words) - value) <= 0.5000001 * 10.0**-decimals + 1e-15 * abs(value)
        assert not (float(words) == 0 and words.startswith("-"))


def test_tiny_numbers_are_written_as_powers():
    assert number(1.234e-9, decimals_for([1.234e-9], 3)) == f"1.23e{MINUS}09"


@given(st.text(), st.integers(3, 40))
def test_printable_text_is_one_line_and_shortened_text_fits(text, most):
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)
    assert len(shortened(text, most)) <= most
