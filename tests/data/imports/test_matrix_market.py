"""Counts from text files: what is written is what is read, and the first wrong line is named."""

import gzip
import io

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pertura.core.errors import BadDataError
from pertura.data.imports import matrix_market
from pertura.data.imports.matrix_market import Triple, read_features, read_triple
from tenx_folders import library, write_triple

HEAD = "%%MatrixMarket matrix coordinate integer general\n"


def triple(folder, matrix, genes=3, cells=2, zipped=False):
    folder.mkdir(exist_ok=True)
    content = matrix if isinstance(matrix, bytes) else matrix.encode()
    (folder / "matrix.mtx").write_bytes(gzip.compress(content) if zipped else content)
    (folder / "barcodes.tsv").write_text("".join(f"CELL{i}-1\n" for i in range(cells)))
    (folder / "features.tsv").write_text("".join(f"ENSG{i}\tG{i}\tGene Expression\n" for i in range(genes)))
    return Triple(folder / "matrix.mtx", folder / "barcodes.tsv", folder / "features.tsv")


@settings(max_examples=40, deadline=None)
@given(counts=hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 9)))
def test_what_scipy_writes_is_read_back(counts, tmp_path_factory):
    content = io.BytesIO()
    scipy.io.mmwrite(content, sp.coo_matrix(counts), field="integer", symmetry="general")
    genes, cells = counts.shape
    found = read_triple(triple(tmp_path_factory.mktemp("t"), content.getvalue(), genes, cells))
    assert found.matrix.dtype == np.int32
    np.testing.assert_array_equal(found.matrix.toarray(), counts.T)


@pytest.mark.parametrize("size", [8, 40, 1 << 20])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_size_of_blocks_plays_no_role(size, zipped, tmp_path, monkeypatch):
    made = library()
    folder = write_triple(made, tmp_path / "t", zipped=zipped)
    end = ".gz" * zipped
    monkeypatch.setattr(matrix_market, "BLOCK_BYTES", max(size, 200))
    found = read_triple(Triple(*(folder / f"{name}{end}" for name in ("matrix.mtx", "barcodes.tsv", "features.tsv"))))
    np.testing.assert_array_equal(found.matrix.toarray(), made.counts)
    assert found.barcodes == tuple(made.calls)
    assert list(zip(found.gene_ids, found.symbols)) == made.genes
    assert found.others == {"CRISPR Guide Capture": 2}


def test_whole_numbers_written_as_fractions_and_wide_gaps_are_counts(tmp_path):
    head = HEAD.replace("integer", "real")
    found = read_triple(triple(tmp_path, f"{head}% note\n%\n3 2 2\n1 1   3.0\n2\t2 1e1\r\n\n"))
    np.testing.assert_array_equal(found.matrix.toarray(), [[3, 0, 0], [0, 10, 0]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "line 1: has no line with its size"),
        ("hello\n1 1 1\n", "line 1: begins with 'hello'"),
        (HEAD.replace("coordinate", "array"), "line 1: begins with"),
        (HEAD.replace("integer", "complex"), "line 1: holds complex general"),
        (HEAD.replace("general", "symmetric"), "line 1: holds integer symmetric"),
        (HEAD + "%\n3 2\n", "line 3: is '3 2'"),
        (HEAD + "3 2 -1\n", "line 2: is '3 2 -1'"),
        (HEAD + "3 2 7\n", "line 2: states 7 entries in 3 x 2"),
        (HEAD + "3 9 1\n1 1 1\n", "line 2: states 3 features x 9 cells, but barcodes.tsv has 2"),
        (HEAD + "9 2 1\n1 1 1\n", "line 2: states 9 features x 2 cells, but features.tsv has 3"),
        (HEAD + "3 2 2\n1 1 1\n", "holds only 1 entries, and states 2"),
        (HEAD + "3 2 1\n1 1 1\n2 2 2\n", "more than 1 entries"),
        (HEAD + "3 2 2\n1 1 1\n4 1 1\n", "line 4: '4 1 1' lies outside"),
        (HEAD + "3 2 2\n1 1 1\n0 1 1\n", "line 4: '0 1 1' lies outside"),
        (HEAD + "3 2 2\n1 1 1\n1 1.5 1\n", "line 4: the value in|line 4: '1 1.5 1'"),
        (HEAD + "3 2 2\n1 1 1\n2 1 -1\n", "line 4: the value in '2 1 -1' is not a count"),
        (HEAD + "3 2 2\n1 1 1\n2 1 0.5\n", "line 4: the value in '2 1 0.5' is not a count"),
        (HEAD + "3 2 2\n1 1 1\n2 1 9999999999\n", "line 4: the value in"),
        (HEAD + "3 2 2\n1 1 1\n2 1 nan\n", "line 4: '2 1 nan' is not feature"),
        (HEAD + "3 2 2\n1 1 1\n2 1 x\n", "line 4: '2 1 x' is not feature"),
        (HEAD + "3 2 2\n1 1 1\n2 1\n", "line 4: '2 1' is not feature"),
        (HEAD + "3 2 2\n1 1 1 1\n2 1 1 1\n", "line 3: '1 1 1 1' is not feature"),
        (HEAD + "3 2 2\n1 1 1\n% late\n", "line 4: '% late' is not feature"),
        (HEAD + "3 2 2\n1 1 1\n1 1 2\n", "1 entries stand in a place that another has taken"),
        (HEAD.encode() + b"3 2 2\n1 1 1\n\xff\xfe\n", "line 4: .* is not feature"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_first_wrong_line_is_named(content, words, zipped, tmp_path):
    with pytest.raises(BadDataError, match=words):
        read_triple(triple(tmp_path, content, zipped=zipped))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("barcodes.tsv", "CELL0-1\nCELL0-1\n", "barcode 'CELL0-1' is there more than once"),
        ("barcodes.tsv", "CELL0-1\n\n", "line 2: is not a barcode"),
        ("features.tsv", "a\tA\na\tB\nc\tC\n", "gene id 'a' is there more than once"),
        ("features.tsv", "a\tA\nb\nc\tC\n", "line 2: is not a feature"),
        ("features.tsv", "".join(f"{i}\t{i}\tAntibody Capture\n" for i in range(3)), "no feature is of type"),
    ],
)
def test_names_that_do_not_serve_are_refused(name, content, words, tmp_path):
    made = triple(tmp_path, HEAD + "3 2 1\n1 1 1\n")
    (tmp_path / name).write_text(content)
    with pytest.raises(BadDataError, match=words):
        read_triple(made)


def test_features_without_a_type_are_genes(tmp_path):
    (tmp_path / "genes.tsv").write_text("ENSG1\tA\nENSG2\t\n")
    assert read_features(tmp_path / "genes.tsv").types == ("Gene Expression",) * 2
