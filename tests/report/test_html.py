import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_samples import HOSTILE, page, scores_table

from pertura.core.errors import UsageError
from pertura.report.html import Details, Link, Page, Paragraph, Section, TableBlock, Warnings, render, table_html
from pertura.report.tables import Column, Row, Table

VOID = {"meta", "br", "wbr"}


class Outline(HTMLParser):
    """Tags, attributes and words of a page; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def text() -> str:
    return render(page())


@pytest.fixture(scope="module")
def outline(text) -> Outline:
    return Outline(text)


def small(*blocks) -> Page:
    return Page("t", "h", "l", (Section("one", "One", blocks),))


def test_every_tag_that_opens_closes(outline):
    assert outline.open == []


def test_nothing_hostile_becomes_markup(outline):
    assert not {"script", "iframe", "img", "object", "link"} & set(outline.tags)
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert sum("<script>alert(1)</script>" in one for one in outline.words) >= 10


def test_control_characters_of_a_name_do_not_reach_the_page(text):
    assert "\x1b" not in text
    assert "\N{REPLACEMENT CHARACTER}[31m" in text


def test_nothing_is_fetched_from_elsewhere(text, outline):
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not [value for name, value in outline.attributes if name in ("src", "srcset", "action", "data")]
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_ids_are_unique_and_every_reference_within_the_page_has_its_target(text, outline):
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for name, value in outline.attributes if name == "href" and value.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted
    assert wanted <= set(ids)


def test_the_sentence_on_top_comes_first_and_warnings_before_any_section(text):
    body = text[text.index("<body>") :]
    places = [body.index(one) for one in ("<h1>", "One thing to know.", "<nav", "<section")]
    assert places == sorted(places)
    assert re.search(r"<body>\s*<main>\s*<header>\s*<h1>linear ties with additive</h1>", body)


def test_equal_pages_are_equal_bytes(text):
    assert render(page()) == text


@pytest.mark.slow
def test_bytes_depend_neither_on_the_process_nor_on_its_hash_seed(text):
    code = (
        f"import hashlib, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from report_samples import page; "
        "from pertura.report.html import render; print(hashlib.sha256(render(page()).encode()).hexdigest(), end='')"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {hashlib.sha256(text.encode()).hexdigest()}


def test_an_undefined_value_is_a_dash_that_says_so():
    html = table_html(Table("c", (Column("a"), Column("b", "number")), (Row(("x", float("nan"))), Row(("y", None)))))
    assert html.count('title="undefined"') == 2
    assert "nan" not in html.lower()


def test_a_table_names_its_rows_and_columns_for_readers_who_cannot_see_it():
    outline = Outline(table_html(scores_table()))
    scopes = [value for name, value in outline.attributes if name == "scope"]
    table = scores_table()
    assert scopes.count("col") == len(table.columns)
    assert scopes.count("row") == len(table.rows)
    assert scopes.count("rowgroup") == 2
    assert "caption" in outline.tags
    assert ("tabindex", "0") in outline.attributes


def test_only_the_best_competing_value_is_bold():
    columns = (Column("m"), Column("score", "number", better="higher"))
    rows = (Row(("a", 0.10)), Row(("b", 0.50)), Row(("ceiling", 0.90), reference=True))
    html = table_html(Table("c", columns, rows))
    assert re.findall(r"<b>([\d.]+)</b>", html) == ["0.500"]


def test_a_mark_stands_at_its_row_and_below_the_table():
    html = table_html(scores_table())
    assert 'additive<sup title="7 of 14 answered with the train mean">' in html
    assert re.search(r"<sup>\w</sup> 7 of 14 answered with the train mean", html)


def test_an_empty_table_says_that_it_is_empty():
    assert "nothing to show" in table_html(Table("c", (Column("a"),), ()))


@pytest.mark.parametrize("ids", [("a", "a"), ("A b",), ("contents",), ("",), ('"><script>',)])
def test_section_ids_that_cannot_be_addresses_are_refused(ids):
    with pytest.raises(UsageError, match="section ids"):
        render(Page("t", "h", "l", tuple(Section(one, "x", ()) for one in ids)))


def test_a_warning_cannot_be_folded_away():
    with pytest.raises(UsageError, match="in sight"):
        render(small(Details("more", (Paragraph("x"), Details("deeper", (Warnings(("look",)),))))))


def test_a_page_without_anything_renders():
    Outline(render(Page("", "", "", ())))
    Outline(render(small(TableBlock(Table("", (Column("a"),), ())))))


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("comparison.csv", "./comparison.csv"),
        ("./models/a b/card.md", "./models/a%20b/card.md"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//elsewhere.org/x", "./elsewhere.org/x"),
        ("#scores", "#scores"),
        ("report.html#scores", "./report.html#scores"),
        ("https://doi.org/10.1/x", "https://doi.org/10.1/x"),
    ],
)
def test_a_link_is_a_web_address_a_section_or_a_file_beside_the_page(href, target):
    assert Link("x", href).target == target


def test_the_hostile_name_is_hostile():
    assert "<script>" in HOSTILE
