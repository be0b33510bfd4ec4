"""A table of means is read whichever way round it was written, and refused where it does not say which."""

import numpy as np
import pandas as pd
import pytest

from pertura.core.errors import BadDataError, MissingError
from pertura.data.means_table import is_means_table, means_from_frame, read_means

GENES = ("A1", "B2", "C3", "D4")
NAMES = ("A1", "C3", "ctrl")


@pytest.fixture
def frame():
    """Conditions x genes; conditions are named by genes too."""
    return pd.DataFrame(np.arange(12.0).reshape(3, 4) / 10, index=list(NAMES), columns=list(GENES))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("turned", [False, True])
def test_every_way_of_writing_it_reads_alike(suffix, turned, frame, tmp_path):
    table = frame.T if turned else frame
    path = tmp_path / f"means{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if suffix == ".tsv" else ",")
    made = read_means(path, GENES)
    assert (made.names, made.genes) == (NAMES, GENES)
    np.testing.assert_array_equal(made.means, frame.to_numpy())
    assert f"the {'rows' if turned else 'columns'} name all genes" in made.evidence
    assert is_means_table(path)


def test_a_parquet_without_an_index_is_named_by_its_first_text(frame, tmp_path):
    frame.reset_index(names="perturbation").to_parquet(tmp_path / "means.parquet", index=False)
    assert read_means(tmp_path / "means.parquet", GENES).names == NAMES


@pytest.mark.parametrize("old", [b"B2", b"ctrl"], ids=["gene", "condition"])
def test_a_parquet_of_spoiled_names_is_refused(old, frame, tmp_path):
    path = tmp_path / "means.parquet"
    frame.to_parquet(path, compression=None)
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, b"\xff\xfe" + old[2:]))
    with pytest.raises(BadDataError, match=r"means\.parquet"):
        read_means(path, GENES)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet_is_refused(content, tmp_path):
    (tmp_path / "means.parquet").write_bytes(content)
    with pytest.raises(BadDataError, match="cannot be read as a table"):
        read_means(tmp_path / "means.parquet", GENES)


def test_genes_are_brought_into_order_and_further_ones_counted(frame):
    wider = frame[["D4", "B2", "A1", "C3"]].assign(Z9=1.0)
    made = means_from_frame(wider, GENES)
    np.testing.assert_array_equal(made.means, frame.to_numpy())
    assert made.evidence.endswith("sorted into its order; 1 further genes are left out")
    np.testing.assert_array_equal(made.of("C3"), frame.loc["C3"])


def bad(frame, place, value):
    frame = frame.copy()
    frame.iloc[place] = value
    return frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.drop(columns="B2"), r"1 of 4 observed genes are missing from its columns \(first: B2\)"),
        (lambda one: pd.DataFrame(np.ones((4, 4)), list(GENES), list(GENES)), "rows and columns both name every gene"),
        (lambda one: bad(one, (1, 2), np.nan), "C3, C3: 1 values are not finite"),
        (lambda one: bad(one, (0, 0), -1.0), "A1, A1: 1 values are negative"),
        (lambda one: bad(one, (0, 0), 1e3), "1 values are above 30, so no means of logarithms"),
        (lambda one: one.assign(D4=list("xyz")), "column 'D4' holds no numbers"),
        (lambda one: one.loc[["A1", "A1", "ctrl"]], r"1 names of rows repeat \(first: A1\)"),
        (lambda one: one.iloc[:0], "holds nothing"),
    ],
    ids=["missing gene", "both ways", "nan", "negative", "large", "text", "repeated", "empty"],
)
def test_what_is_no_table_of_means_is_refused(change, message, frame):
    with pytest.raises(BadDataError, match=message):
        means_from_frame(change(frame), GENES)


def test_files_that_are_no_tables_are_refused(frame, tmp_path):
    frame.to_csv(tmp_path / "repeated.csv")
    text = (tmp_path / "repeated.csv").read_text().replace("B2", "A1", 1)
    (tmp_path / "repeated.csv").write_text(text)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    for name, message in (
        ("repeated.csv", r"1 names of columns repeat \(first: A1\)"),
        ("broken.parquet", "cannot be read as a table"),
        ("binary.csv", "cannot be read as a table"),
    ):
        with pytest.raises(BadDataError, match=message):
            read_means(tmp_path / name, GENES)
    with pytest.raises(MissingError, match="no such file"):
        read_means(tmp_path / "nowhere.csv", GENES)
