import hashlib
import re
import time

import numpy as np
import pytest

from pertura.core.errors import BadDataError
from pertura.core.perturbation import Mode
from pertura.data.datasets import DATASETS
from pertura.data.datasets.compact import read_compact
from pertura.data.datasets.measured import FOLDER

MEASURED = ("norman-500", "mcfaline-500")


def test_norman_is_what_it_says():
    cells = DATASETS["norman-500"].load()
    assert (len(cells), len(cells.genes), cells.contexts) == (3375, 500, ("K562",))
    assert sum(one.perturbation.is_single for one in cells.perturbed) == 18
    assert sum(one.perturbation.is_pair for one in cells.perturbed) == 15
    assert len(cells.perturbed) == 33
    assert cells.is_control.sum() == 100
    assert cells.modes == {Mode.ACTIVATION}
    targets = {gene for one in cells.perturbed for gene in one.genes}
    assert targets & set(cells.genes) == {"TMSB4X"}
    singles = {one.genes[0] for one in cells.perturbed if one.perturbation.is_single}
    assert sum(singles.issuperset(one.genes) for one in cells.perturbed if one.perturbation.is_pair) == 5


def test_mcfaline_is_what_it_says():
    cells = DATASETS["mcfaline-500"].load()
    assert (len(cells), len(cells.genes), cells.contexts) == (2586, 500, ("A172", "T98G", "U87MG"))
    per_context = [{o.perturbation for o in cells.perturbed if o.context == one} for one in cells.contexts]
    assert per_context[0] == per_context[1] == per_context[2]
    assert len(per_context[0]) == 9
    assert [len(cells.control_rows(one)) for one in cells.contexts] == [100, 100, 100]
    assert cells.modes == {Mode.INTERFERENCE}


@pytest.mark.parametrize("name", MEASURED)
def test_expression_is_the_logarithm_of_whole_counts_over_the_size_factor(name):
    cells = DATASETS[name].load()
    matrix = cells.expression.matrix
    assert matrix.dtype == np.float32
    factors = np.repeat(cells.library_sizes, np.diff(matrix.indptr))
    counts = np.expm1(matrix.data.astype(np.float64)) * factors / 1e4
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    assert counts.min() > 0.5
    assert (matrix.sum(axis=1) > 0).all()
    assert cells.scale.whole_transcriptome
    assert (np.bincount(np.repeat(np.arange(len(cells)), np.diff(matrix.indptr)), counts) < cells.library_sizes).all()


def test_a_known_cell_has_its_known_values():
    """First cell of the source file: 19,755 counts kept, 43 of them of H4C3."""
    cells = DATASETS["norman-500"].load()
    row = cells.row_of_id["TGGTTAGCACATCCGG-3"]
    assert cells.library_sizes[row] == 19_755
    assert cells.conditions[cells.codes[row]].label == "KLF1+MAP2K6@K562"
    profile = cells.dense(np.asarray([row]))[0]
    assert profile[cells.genes.index("H4C3")] == pytest.approx(3.125296366192874, rel=1e-6)
    assert profile[cells.genes.index("TMSB4X")] == pytest.approx(3.5235053500056885, rel=1e-6)


@pytest.mark.parametrize("name", MEASURED)
def test_notes_say_what_was_done_before_any_split(name):
    notes = " ".join(DATASETS[name].load().notes)
    assert "500-gene panel" in notes
    assert "MAP3K21" in notes


@pytest.mark.parametrize("name", MEASURED)
def test_loading_takes_less_than_half_a_second(name):
    DATASETS[name].load()
    start = time.process_time()
    DATASETS[name].load()
    assert time.process_time() - start < 0.5


def test_the_files_are_the_ones_whose_source_is_recorded():
    source = (FOLDER / "SOURCE.txt").read_text()
    for name in ("norman_500.npz", "mcfaline_500.npz"):
        recorded = re.search(rf"{name}.*?sha256: +(\w+)", source, re.DOTALL)
        assert recorded
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == recorded[1]


def test_a_file_that_is_no_compact_screen_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and then nothing")
    np.savez(tmp_path / "b.npz", format=np.asarray("another"))
    np.savez(tmp_path / "c.npz", format=np.asarray([{}], dtype=object))
    for name in "abc":
        with pytest.raises(BadDataError, match=rf"{name}\.npz"):
            read_compact(tmp_path / f"{name}.npz", Mode.ACTIVATION, "bad")


@pytest.mark.parametrize("name", DATASETS)
def test_entries_say_what_their_cells_are(name):
    entry = DATASETS[name]
    cells = entry.load()
    assert cells.name == entry.name == name
    assert cells.modes == frozenset(entry.modes)
    assert entry.licence
    assert entry.source
    assert f"{len(cells):,} cells" in entry.description
    assert set(cells.spellings) == set(cells.conditions)
