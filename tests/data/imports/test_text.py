"""Text from outside is read line by line, in bounds, and refused by line."""

import gzip

import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.data.imports import text
from pertura.data.imports.tables import column_named, read_table
from pertura.data.imports.text import lines


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_those_of_the_text_however_it_is_stored(zipped, end, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "PIECE_BYTES", 3)
    content = end.join(["ü,b", "", "1,2", "last"]).encode()
    path = written(tmp_path / "a.txt", gzip.compress(content) if zipped else content)
    assert list(lines(path)) == [(1, "ü,b"), (2, ""), (3, "1,2"), (4, "last")]


def test_what_grows_out_of_proportion_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "FREE_BYTES", 1 << 16)
    path = written(tmp_path / "bomb.gz", gzip.compress((b"0" * 999 + b"\n") * (40 << 10)))
    with pytest.raises(BadDataError, match="grow to more than"):
        list(lines(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"a\nb\n")[:-6], "to its end"),
        (gzip.compress(b"a\nb\n" * 99)[:20] + b"xxxxxxxxxxxxx", "to its end"),
        (b"a\nb\xff\n", "line 2: byte 2 is not UTF-8"),
        (b"a\n\0\n", "line 2: holds a NUL"),
        (b"a\n" + b"x" * (3 << 20), "line 2: is longer"),
    ],
    ids=["cut", "mangled", "latin", "binary", "endless line"],
)
def test_what_is_no_text_is_refused_with_its_line(content, words, tmp_path):
    with pytest.raises(BadDataError, match=words):
        list(lines(written(tmp_path / "a.txt", content)))


def test_a_folder_or_nothing_at_all_is_refused(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        list(lines(tmp_path / "none"))
    with pytest.raises(BadDataError, match="not a file"):
        list(lines(tmp_path))


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_a_table_reads_the_same_with_any_delimiter(mark, tmp_path):
    rows = [["guide", "gene"], ["a", " A "], ["b", "B"]]
    table = read_table(written(tmp_path / "t", "\n".join(mark.join(row) for row in rows) + "\n\n"))
    assert table.columns == ("guide", "gene")
    assert table.values("gene") == ("A", "B")
    assert table.place(1) == "line 3"


def test_quotes_and_row_names_without_a_header_are_understood(tmp_path):
    table = read_table(written(tmp_path / "t", '"x","y"\n"1","a,b","c"\n"2","d","e"\n'))
    assert table.columns == ("", "x", "y")
    assert table.values("x") == ("a,b", "d")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "line 1: has no header"),
        ("a,a\n1,2\n", "'a' is there twice"),
        ("a,b\n1,2\n3\n", "line 3: has 1 values under 2 columns"),
        ('a,b\n1,"2\n', "line 2: cannot be read"),
        (",".join(map(str, range(3000))) + "\n", "too many columns"),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(content, words, tmp_path):
    with pytest.raises(BadDataError, match=words):
        read_table(written(tmp_path / "t", content))


def test_columns_are_found_by_known_names_or_asked_for(tmp_path):
    table = read_table(written(tmp_path / "t", "Guide ID,other\na,b\n"))
    assert column_named(table, None, ("x", "guide_id"), "the guide", "--g") == "Guide ID"
    assert column_named(table, "other", ("guide_id",), "the guide", "--g") == "other"
    with pytest.raises(UsageError, match=r"--g 'othr'.*did you mean 'other'"):
        column_named(table, "othr", (), "the guide", "--g")
    with pytest.raises(UsageError, match=r"no column of a known name for the gene \(gene\).*'Guide ID', 'other'.*--g"):
        column_named(table, None, ("gene",), "the gene", "--g")
