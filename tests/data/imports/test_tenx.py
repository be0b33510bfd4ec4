"""A folder of cellranger gives the same counts in every layout, and is refused where it is not sound."""

import re

import h5py
import numpy as np
import pytest

from pertura.core.errors import BadDataError, MissingError
from pertura.data.imports.tenx import called_guides, read_counts, read_tenx_file
from pertura.data.imports.walk_tenx import walk_tenx
from pertura.data.values import Refusal
from tenx_folders import library, outs, write_calls, write_h5, write_old_h5, write_triple

LAYOUTS = ("h5", "old h5", "triple", "plain triple")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("below", ["", "outs"])
def test_every_layout_holds_the_same_counts(layout, below, tmp_path):
    made = library()
    outs(made, tmp_path / "run" / below, layout)
    found = read_counts(tmp_path / "run")
    assert found.matrix.dtype == np.int32
    np.testing.assert_array_equal(found.matrix.toarray(), made.counts)
    assert found.barcodes == tuple(made.calls)
    assert list(zip(found.gene_ids, found.symbols)) == made.genes
    assert found.others == ({} if layout == "old h5" else {"CRISPR Guide Capture": 2})
    assert called_guides(tmp_path / "run").name == "protospacer_calls_per_cell.csv"


def test_the_files_of_an_archive_carry_a_prefix(tmp_path):
    made = library()
    write_triple(made, tmp_path, prefix="GSM1_")
    write_calls(made, tmp_path / "GSM1_protospacer_calls_per_cell.csv")
    np.testing.assert_array_equal(read_counts(tmp_path).matrix.toarray(), made.counts)
    assert called_guides(tmp_path).name.startswith("GSM1_")
    write_triple(made, tmp_path, prefix="GSM2_")
    with pytest.raises(BadDataError, match=r"GSM1_matrix.mtx.gz, GSM2_matrix.mtx.gz: which is meant"):
        read_counts(tmp_path)


def test_the_matrix_folder_itself_or_the_file_will_do(tmp_path):
    made = library()
    folder = outs(made, tmp_path / "a" / "outs", "triple")
    assert read_counts(folder / "filtered_feature_bc_matrix").barcodes == tuple(made.calls)
    assert called_guides(folder / "filtered_feature_bc_matrix").parent.name == "crispr_analysis"
    single = write_h5(made, tmp_path / "b" / "filtered_feature_bc_matrix.h5")
    write_calls(made, single.parent / "protospacer_calls_per_cell.csv")
    assert read_counts(single).barcodes == tuple(made.calls)
    assert called_guides(single).exists()


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(MissingError, match="no such folder"):
        read_counts(tmp_path / "none")
    with pytest.raises(MissingError, match=r"neither filtered_feature_bc_matrix.h5 nor matrix.mtx"):
        read_counts(tmp_path)
    with pytest.raises(MissingError, match=r"no protospacer_calls_per_cell.csv.*--assignments"):
        called_guides(tmp_path)
    (tmp_path / "matrix.mtx").write_text("")
    with pytest.raises(MissingError, match=r"matrix.mtx is there, but barcodes.tsv is not"):
        read_counts(tmp_path)


def _set(name, at, value):
    def mutate(group):
        group[name][at] = value

    return mutate


def _replaced(name, value):
    def mutate(group):
        del group[name]
        group[name] = value

    return mutate


def _without(name):
    def mutate(group):
        del group[name]

    return mutate


def _huge(group):
    del group["data"]
    group.create_dataset("data", shape=(1 << 34,), dtype="int32", chunks=(1 << 20,), compression="gzip")


def _looked_through_and_read(path):
    walk_tenx(str(path))
    read_tenx_file(path)  # that names repeat is found when the cells are read


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        (_without("indptr"), "matrix/indptr: is missing"),
        (_without("features/feature_type"), "matrix/features/feature_type: is missing"),
        (_set("data", 3, -1), "is not a count. give raw counts"),
        (_set("indices", 0, 999), "index 999 at position 0 is outside"),
        (_set("indices", 1, 0), "one row holds the same index twice|index"),
        (_set("indptr", 1, 10**6), "matrix/indptr: goes from"),
        (_set("shape", 0, 7), "matrix/"),
        (_set("shape", 1, -7), "is not a shape"),
        (_replaced("shape", np.arange(3)), "is not a shape"),
        (_replaced("barcodes", np.arange(40)), "matrix/barcodes: is not a list of words"),
        (_replaced("barcodes", np.asarray([b"A-1"] * 39)), r"has shape \(39,\), not \(40,\)"),
        (_replaced("barcodes", np.asarray([b"A-1"] * 40)), "barcode 'A-1' is there more than once"),
        (_replaced("features/id", np.asarray([b"same"] * 32)), "gene id 'same' is there more than once"),
        (_replaced("features/feature_type", np.asarray([b"x"] * 32)), "no feature is of type"),
        (_replaced("data", np.asarray(["a", "b"], dtype="S")), "is not a list of numbers"),
        (_replaced("barcodes", h5py.ExternalLink("/etc/passwd", "/")), "an external link"),
        (_replaced("data", h5py.SoftLink("/none")), "a soft link"),
        (_huge, "claim to hold"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused_with_its_place(mutate, words, tmp_path):
    path = write_h5(library(), tmp_path / "filtered_feature_bc_matrix.h5")
    with h5py.File(path, "r+") as file:
        mutate(file["matrix"])
    with pytest.raises((Refusal, BadDataError)) as refused:
        _looked_through_and_read(path)
    error = refused.value
    said = f"{error.place}: {error.problem}. {error.remedy}"
    assert re.search(words, said), said
    assert "anndata" not in said


def test_the_child_process_finds_the_same_and_the_file_is_named(tmp_path):
    path = write_h5(library(), tmp_path / "filtered_feature_bc_matrix.h5")
    with h5py.File(path, "r+") as file:
        file["matrix/data"][3] = -1
    with pytest.raises(BadDataError, match=r"matrix/data\[3\]: -1 \(cell [ACGT]+-1\) is not a count") as refused:
        read_tenx_file(path)
    assert str(refused.value).startswith(str(path))


def test_fractions_are_refused_and_whole_numbers_as_fractions_are_counts(tmp_path):
    made = library()
    path = write_h5(made, tmp_path / "a.h5", dtype="float64")
    np.testing.assert_array_equal(read_tenx_file(path).matrix.toarray(), made.counts)
    with h5py.File(path, "r+") as file:
        file["matrix/data"][5] = 0.5
    with pytest.raises(BadDataError, match=r"0.5 \(cell [ACGT]+-1\) is not a count"):
        read_tenx_file(path)


def test_two_genomes_and_other_files_are_refused(tmp_path):
    path = write_old_h5(library(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.copy("GRCh38", "mm10")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["X"] = np.zeros(3)
    (tmp_path / "c.h5").write_text("text")
    for name, words in (("a.h5", "2 genomes"), ("b.h5", "there is no matrix"), ("c.h5", "not an HDF5 file")):
        with pytest.raises(Refusal, match=words):
            walk_tenx(str(tmp_path / name))
