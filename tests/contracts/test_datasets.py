"""What every entry of `DATASETS` keeps."""

import re
from functools import lru_cache

import numpy as np
import pytest

from pertura.core.expression import BLOCK_CELLS
from pertura.data.datasets import DATASETS
from pertura.data.pseudobulk import pseudobulk
from pertura.metrics.delta import pearson

FEWEST_CONTROLS = 50


@pytest.fixture(params=DATASETS)
def entry(request):
    return DATASETS[request.param]


@lru_cache
def loaded(name, seed):
    return DATASETS[name].load(seed)


@pytest.fixture(params=[0, 1])
def cells(request, entry):
    return loaded(entry.name, request.param)


def values(cells):
    """Every value, a block at a time."""
    for start in range(0, len(cells), BLOCK_CELLS):
        yield cells.dense(np.arange(start, min(start + BLOCK_CELLS, len(cells))))


def test_an_entry_says_what_it_is_where_it_is_from_and_on_what_terms(entry):
    assert DATASETS[entry.name] is entry
    assert all(len(text) > 10 for text in (entry.description, entry.licence, entry.source))
    assert entry.modes


def test_the_description_has_the_size_of_the_screen(entry, cells):
    cell_count, gene_count = re.search(r"([\d,]+) cells x ([\d,]+) genes", entry.description).groups()
    assert (len(cells), len(cells.genes)) == tuple(int(one.replace(",", "")) for one in (cell_count, gene_count))


def test_cells_carry_the_name_and_the_modes_of_the_entry(entry, cells):
    assert cells.name == entry.name
    assert cells.modes == set(entry.modes)


def test_expression_is_finite_and_not_negative_and_every_cell_expresses_something(cells):
    for block in values(cells):
        assert np.isfinite(block).all()
        assert block.min() >= 0
        assert block.any(axis=1).all()


def test_the_scale_is_the_declared_one(cells):
    scale = cells.scale
    assert scale.evidence
    for block in values(cells):
        if scale.kind == "counts":
            np.testing.assert_array_equal(block, np.rint(block))
            continue
        # what the panel adds up to is at most the target sum of the whole transcriptome
        total = np.expm1(block * np.log(scale.log_base)).sum(axis=1)
        assert total.max() <= scale.target_sum * 1.001
        if scale.whole_transcriptome:
            assert np.median(total) < 0.9 * scale.target_sum
        else:
            np.testing.assert_allclose(total, scale.target_sum, rtol=1e-3)


def test_counts_come_back_whole_where_library_sizes_are_known(cells):
    if cells.library_sizes is None or cells.scale.kind == "counts":
        return
    sizes = cells.library_sizes[:, None] / cells.scale.target_sum
    counts = np.expm1(np.concatenate(list(values(cells))) * np.log(cells.scale.log_base)) * sizes
    assert np.abs(counts - np.rint(counts)).max() < 0.01


def test_every_context_has_controls_and_perturbed_cells(cells):
    for context in cells.contexts:
        assert len(cells.control_rows(context)) >= FEWEST_CONTROLS
        assert any(one.context == context for one in cells.perturbed)


def test_every_condition_that_is_listed_has_cells(cells):
    assert set(cells.present) == set(cells.conditions)


def content(cells):
    whole = np.concatenate(list(values(cells)))
    return whole.tobytes(), cells.codes.tobytes(), cells.ids.tolist(), cells.genes, cells.conditions


def test_the_same_seed_gives_the_same_bytes_and_only_simulations_follow_it(entry):
    assert content(entry.load(0)) == content(loaded(entry.name, 0))
    differs = content(loaded(entry.name, 1))[0] != content(loaded(entry.name, 0))[0]
    assert differs == (entry.truth is not None)


@pytest.mark.parametrize("name", [name for name, entry in DATASETS.items() if entry.truth is not None])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_truth_of_a_simulation_is_that_of_its_cells(name, seed):
    cells, truth = loaded(name, seed), DATASETS[name].truth(seed)
    assert truth.genes == cells.genes
    assert set(truth.effects) == set(cells.perturbed)
    bulk = pseudobulk(cells, cells.perturbed, {one: cells.control_rows(one) for one in cells.contexts})
    expected = np.asarray([truth.expected_delta(one) for one in bulk.conditions])
    effective = np.asarray([one not in truth.null for one in bulk.conditions])
    assert np.median(pearson(bulk.deltas, expected)[effective]) > 0.5
    np.testing.assert_allclose(bulk.deltas.mean(), expected.mean(), atol=0.01)
