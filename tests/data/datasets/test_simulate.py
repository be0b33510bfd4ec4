import anndata
import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from pertura.core.errors import MissingError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.data.anndata_io import open_cells
from pertura.data.datasets.effects import Plan
from pertura.data.datasets.simulate import simulate, simulate_norman, simulate_replogle, write_simulation
from pertura.data.datasets.simulation import GeneTable, norman_like, replogle_like

SMALL = {"genes": 60, "targets": 6, "cells_per_condition": 12, "controls_per_line": 30}
NORMAN = norman_like(**SMALL, **{"pairs": 5})
REPLOGLE = replogle_like(**SMALL, **{"batches": 2, "batch_sd": 0.2})


def matrix_bytes(cells):
    matrix = cells.expression.matrix
    return matrix.data.tobytes() + matrix.indices.tobytes() + matrix.indptr.tobytes() + cells.ids.tobytes()


@pytest.mark.parametrize("config", [NORMAN, REPLOGLE], ids=["norman", "replogle"])
def test_same_seed_same_bytes_and_another_seed_another_screen(config):
    first, again, other = simulate(config, 3), simulate(config, 3), simulate(config, 4)
    assert matrix_bytes(first.cells) == matrix_bytes(again.cells)
    assert matrix_bytes(first.cells) != matrix_bytes(other.cells)
    for condition in first.cells.perturbed:
        assert (first.truth.effects[condition] == again.truth.effects[condition]).all()


@pytest.mark.parametrize("density", [0.3, 0.4, 0.5])
@pytest.mark.parametrize("preset", [norman_like, replogle_like])
def test_density_is_the_one_asked_for(preset, density):
    cells = simulate(preset(density=density, cells_per_condition=10, controls_per_line=200)).cells
    found = cells.expression.matrix.nnz / np.prod(cells.expression.shape)
    assert found == pytest.approx(density, abs=0.05)


def test_a_norman_like_screen_has_its_shape():
    found = simulate_norman(NORMAN, seed=1)
    perturbed = found.cells.perturbed
    assert sum(one.perturbation.is_pair for one in perturbed) == 5
    assert sum(one.perturbation.is_single for one in perturbed) == 6
    assert len(found.cells) == 30 + 11 * 12
    outside = {gene for one in perturbed for gene in one.genes} - set(found.cells.genes)
    assert len(outside) == round(0.25 * 6)
    assert found.cells.expression.matrix.dtype == np.float32


def test_a_replogle_like_screen_has_every_single_in_every_line():
    cells = simulate_replogle(REPLOGLE).cells
    assert cells.contexts == ("line-a", "line-b", "line-c")
    assert len(cells.perturbed) == 3 * 6
    assert cells.batches == ("batch0", "batch1")
    for condition in cells.present:
        assert len(set(np.bincount(cells.batch_codes[cells.rows_of(condition)]))) == 1


def test_pair_effects_add_unless_the_pair_interacts():
    truth = simulate(norman_like(targets=12, pairs=40, cells_per_condition=1, targets_outside_panel=0.0)).truth
    pairs = [one for one in truth.effects if one.perturbation.is_pair]
    assert 0 < len(truth.interacting) < len(pairs)
    for pair in pairs:
        singles = [truth.effects[Condition(Perturbation.of(g, mode="activation"), pair.context)] for g in pair.genes]
        adds = np.allclose(truth.effects[pair], singles[0] + singles[1])
        assert adds == (pair not in truth.interacting)


def test_a_knocked_down_gene_goes_down_and_null_targets_move_nothing_else():
    config = replogle_like(targets=20, null_fraction=0.5, targets_outside_panel=0.0, cells_per_condition=200)
    found = simulate(config, 2)
    assert 0 < len(found.truth.null) < len(found.truth.effects)
    for condition in found.cells.perturbed:
        column = found.truth.genes.index(condition.genes[0])
        effect = found.truth.effects[condition]
        assert effect[column] == config.target_effect
        assert (np.count_nonzero(effect) == 1) == (condition in found.truth.null)
        assert found.truth.expected_delta(condition)[column] < 0


def test_lines_share_some_of_an_effect_and_own_the_rest():
    def correlation(own_share):
        config = replogle_like(genes=3000, targets=1, own_share=own_share, null_fraction=0.0)
        first, second, _ = map(Plan(config, 0).effect, [one for one in Plan(config, 0).conditions if one.genes])
        return np.corrcoef(first[first != 0], second[first != 0])[0, 1]

    assert correlation(0.0) == pytest.approx(1.0)
    assert correlation(0.3) == pytest.approx(0.7, abs=0.1)
    assert correlation(1.0) == pytest.approx(0.0, abs=0.2)


def deviations(cells_per_condition):
    """Observed deltas against expected ones in standard errors, and their root mean square."""
    config = norman_like(
        genes=40,
        targets=4,
        pairs=3,
        batches=2,
        batch_sd=0.3,
        cells_per_condition=cells_per_condition,
        controls_per_line=cells_per_condition,
    )
    found = simulate(config, 5)
    control = found.cells.dense(found.cells.control_rows("line-a"))
    errors, scores = [], []
    for condition in found.cells.perturbed:
        cells = found.cells.dense(found.cells.rows_of(condition))
        error = cells.mean(axis=0) - control.mean(axis=0) - found.truth.expected_delta(condition)
        scores.append(error / np.sqrt(cells.var(axis=0) / len(cells) + control.var(axis=0) / len(control)))
        errors.append(error)
    return np.sqrt(np.mean(np.square(errors))), np.concatenate(scores)


def test_observed_deltas_tend_to_the_expected_ones_as_cells_grow():
    few, _ = deviations(100)
    many, scores = deviations(6400)
    assert many < few / 5
    assert np.abs(scores).max() < 5
    assert 0.7 < scores.std() < 1.3


def test_more_targets_and_pairs_leave_the_others_as_they_were():
    small = simulate(norman_like(**SMALL, **{"pairs": 2, "targets_outside_panel": 0.0}))
    large = simulate(norman_like(**(SMALL | {"targets": 10}), **{"pairs": 9, "targets_outside_panel": 0.0}))
    shared = [one for one in small.cells.perturbed if one in large.truth.effects]
    assert len(shared) >= 6
    for condition in shared:
        assert (small.truth.effects[condition] == large.truth.effects[condition]).all()
        rows = [found.cells.dense(found.cells.rows_of(condition)) for found in (small, large)]
        assert (rows[0] == rows[1]).all()


def test_counts_are_whole_and_their_expectation_is_known():
    found = simulate(norman_like(**(SMALL | {"cells_per_condition": 4000}), **{"output": "counts", "pairs": 0}))
    matrix = found.cells.expression.matrix
    assert found.cells.scale.kind == "counts"
    assert (matrix.data == np.rint(matrix.data)).all()
    condition = found.cells.perturbed[0]
    mean = found.cells.dense(found.cells.rows_of(condition)).mean(axis=0)
    assert np.corrcoef(mean, found.truth.expected_mean(condition))[0, 1] > 0.999


def table_of(width=8, genes=200):
    values = np.random.default_rng(0).standard_normal((genes, width))
    return GeneTable(tuple(f"T{i:03d}" for i in range(genes)), values)


def test_effects_that_follow_a_table_are_equal_for_equal_rows():
    table = table_of()
    values = table.table.copy()
    values[1::2] = values[::2]
    twins = GeneTable(table.genes, values)
    config = replogle_like(genes=80, targets=60, table_noise=0.0, null_fraction=0.0, targets_outside_panel=0.5)
    truth = simulate(config, table=twins).truth
    effects = {one.genes[0]: effect for one, effect in truth.effects.items() if one.context == "line-a"}
    couples = [(f"T{i:03d}", f"T{i + 1:03d}") for i in range(0, 200, 2)]
    found = [(effects[a], effects[b]) for a, b in couples if a in effects and b in effects]
    assert found
    for first, second in found:
        own = (first == config.target_effect) | (second == config.target_effect)
        np.testing.assert_allclose(first[~own], second[~own])


def test_effects_follow_a_table_but_not_linearly_and_noise_loosens_them():
    table = table_of(width=4, genes=400)

    def explained(noise):
        config = replogle_like(
            genes=50, targets=300, lines=("a",), table_noise=noise, null_fraction=0.0, targets_outside_panel=0.9
        )
        truth = simulate(config, table=table).truth
        rows = np.asarray([table.table[table.genes.index(one.genes[0])] for one in truth.effects])
        effects = np.asarray(list(truth.effects.values()))
        outside = np.asarray([one.genes[0] not in truth.genes for one in truth.effects])
        inputs, target = np.c_[np.ones(outside.sum()), rows[outside]], effects[outside]
        residual = target - inputs @ np.linalg.lstsq(inputs, target, rcond=None)[0]
        return 1 - residual.var() / target.var()

    free, loose = explained(0.0), explained(0.8)
    assert 0.2 < free < 0.95
    assert loose < free / 2


def test_panel_and_targets_of_a_table_are_its_genes():
    found = simulate(norman_like(**SMALL, **{"pairs": 0}), table=table_of())
    assert set(found.cells.genes) <= set(table_of().genes)
    assert {gene for one in found.cells.perturbed for gene in one.genes} <= set(table_of().genes)


@pytest.mark.parametrize("config", [NORMAN, REPLOGLE], ids=["norman", "replogle"])
def test_the_screen_on_disk_is_the_one_in_memory(config, tmp_path):
    found = simulate(config, 7)
    truth = write_simulation(config, tmp_path / "a.h5ad", 7)
    read = anndata.read_h5ad(tmp_path / "a.h5ad")
    matrix = found.cells.expression.matrix
    assert (matrix != read.X).nnz == 0
    assert read.X.dtype == np.float32
    assert tuple(read.var_names) == found.cells.genes
    assert (read.obs_names.to_numpy() == found.cells.ids).all()
    assert (read.obs["ncounts"].to_numpy() == found.cells.library_sizes).all()
    spelt = [found.cells.spellings[found.cells.conditions[code]] for code in found.cells.codes]
    assert list(read.obs["condition"]) == spelt
    contexts = [found.cells.conditions[code].context for code in found.cells.codes]
    assert list(read.obs["cell_line"]) == contexts
    for condition in found.cells.perturbed:
        assert (truth.expected_delta(condition) == found.truth.expected_delta(condition)).all()


@pytest.mark.parametrize("config", [NORMAN, REPLOGLE], ids=["norman", "replogle"])
def test_the_screen_on_disk_is_read_as_the_cells_in_memory(config, tmp_path):
    cells = simulate(config, 7).cells
    write_simulation(config, tmp_path / "a.h5ad", 7)
    read = open_cells(tmp_path / "a.h5ad")
    assert read.present == cells.present
    assert read.modes == cells.modes
    assert read.genes == cells.genes
    assert (read.ids == cells.ids).all()
    assert (read.library_sizes == cells.library_sizes).all()
    rows = np.arange(len(cells))
    assert (read.dense(rows) == cells.dense(rows)).all()
    for condition in cells.present:
        assert (read.rows_of(condition) == cells.rows_of(condition)).all()


def test_same_seed_same_file(tmp_path):
    for name in "ab":
        write_simulation(NORMAN, tmp_path / name, 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_blocks_are_appended_across_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("pertura.data.datasets.block_file.CHUNK", 1000)
    write_simulation(NORMAN, tmp_path / "a.h5ad", 1)
    with h5py.File(tmp_path / "a.h5ad") as file:
        assert file["X/data"].chunks == (1000,)
        assert file["X/data"].shape[0] == file["X/indptr"][-1] > 1000
    assert (simulate(NORMAN, 1).cells.expression.matrix != anndata.read_h5ad(tmp_path / "a.h5ad").X).nnz == 0


def test_a_failed_writing_leaves_nothing(tmp_path):
    with pytest.raises(UsageError):
        write_simulation(norman_like(targets=3, pairs=100), tmp_path / "a.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_the_truth_knows_only_what_was_simulated():
    truth = simulate(NORMAN).truth
    with pytest.raises(MissingError, match="G99999@line-a was not simulated"):
        truth.expected_delta(Condition(Perturbation.of("G99999", mode="activation"), "line-a"))


@pytest.mark.parametrize("change", [{"density": 1.5}, {"genes": 0}, {"depth": 3}, {"targets": "many"}])
def test_an_impossible_config_is_refused(change):
    with pytest.raises(ValidationError):
        norman_like(**change)


@pytest.mark.slow
def test_a_large_screen_is_written_within_little_memory(tmp_path):
    import tracemalloc

    config = replogle_like(genes=2000, targets=60, lines=("a", "b"), cells_per_condition=200, controls_per_line=1000)
    tracemalloc.start()
    write_simulation(config, tmp_path / "a.h5ad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with h5py.File(tmp_path / "a.h5ad") as file:
        entries = len(file["X/data"])
    assert peak < 8 * entries / 2
