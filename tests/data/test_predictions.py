"""Prediction files: exact round trip, readable by anndata, equal bytes, and refusal of what is malformed."""

import json
import time
from dataclasses import replace

import anndata
import h5py
import numpy as np
import pytest

from pertura.core import Condition, ControlPartition, Mode, Perturbation, Prediction, Provenance, Target
from pertura.core.errors import BadDataError, MissingError
from pertura.core.seeds import generator
from pertura.data.predictions import is_prediction_file, read_predictions, write_predictions
from screens import SCREENS, Screen, contexts_screen, pairs_screen


@pytest.fixture(params=SCREENS)
def screen(request) -> Screen:
    return SCREENS[request.param]()


def predicted(screen: Screen, low: float = 0.0) -> Prediction:
    rng = generator(4, "predicted")
    shape = {one: (len(screen.cells.rows_of(one)), len(screen.cells.genes)) for one in screen.asked}
    return Prediction(
        genes=screen.cells.genes,
        cells={one: rng.uniform(low, 5, size=size).astype(np.float32) for one, size in shape.items()},
        provenance=Provenance(
            "made", tuple(screen.cells.modes), screen.cells.scale, "abc", screen.split.fingerprint, 7, {"pertura": "0"}
        ),
        fallbacks={screen.asked[1]: "G00 is outside the panel: answered with train-mean"},
    )


def written(tmp_path, screen: Screen, prediction: Prediction | None = None):
    path = tmp_path / "predictions.h5ad"
    write_predictions(path, prediction or predicted(screen), screen.cells, screen.split)
    return path


def test_what_was_written_is_read_again(screen, tmp_path):
    prediction = predicted(screen)
    file = read_predictions(written(tmp_path, screen, prediction))
    assert file.prediction.conditions == screen.asked
    assert file.prediction.genes == screen.cells.genes
    assert file.prediction.provenance == prediction.provenance
    assert file.prediction.fallbacks == prediction.fallbacks
    assert file.split == screen.split
    assert file.negative == 0
    assert file.observed.scale == screen.cells.scale
    for one in screen.asked:
        assert file.prediction.cells[one].tobytes() == prediction.cells[one].tobytes()
        rows, before = file.observed.rows_of(one), screen.cells.rows_of(one)
        assert list(file.observed.ids[rows]) == list(screen.cells.ids[before])
        assert np.array_equal(file.observed.dense(rows), screen.cells.dense(before))
    assert file.observed.perturbed == screen.asked


def test_controls_of_both_sides_stand_in_both_matrices(screen, tmp_path):
    path = written(tmp_path, screen)
    adata = anndata.read_h5ad(path)
    file = read_predictions(path)
    for context in {one.context for one in screen.asked}:
        for side in ("model_controls", "judge_controls"):
            there = getattr(screen.split, side)(file.observed, context)
            before = getattr(screen.split, side)(screen.cells, context)
            assert np.array_equal(file.observed.dense(there), screen.cells.dense(before))
            part = side.removesuffix("_controls")
            assert set(adata.obs_names[there]) == set(screen.cells.ids[before])
            assert set(adata.obs["control_part"].iloc[there]) == {part}
    controls = (adata.obs["condition"] == "ctrl").to_numpy()
    assert np.array_equal(adata.X[controls], adata.layers["truth"][controls])


def test_anndata_reads_it_with_the_names_other_tools_expect(tmp_path):
    screen = pairs_screen()
    adata = anndata.read_h5ad(written(tmp_path, screen))
    assert {"G06+ctrl", "G02+G03", "ctrl"} <= set(adata.obs["condition"])
    assert set(adata.obs["context"]) == {"K562"}
    assert set(adata.obs["mode"]) == {"activation", "activation+activation", ""}
    assert list(adata.var_names) == list(screen.cells.genes)
    assert adata.uns["pert_col"] == "condition"
    assert adata.uns["control_label"] == "ctrl"
    assert json.loads(adata.uns["pertura"])["split_fingerprint"] == screen.split.fingerprint
    row_of = screen.cells.row_of_id
    batches = [screen.cells.batches[screen.cells.batch_codes[row_of[one]]] for one in adata.obs_names]
    assert list(adata.obs["batch"]) == batches
    assert adata.X.dtype == np.float32


@pytest.mark.slow
def test_a_rewritten_and_reordered_file_means_the_same(screen, tmp_path):
    path = written(tmp_path, screen)
    adata = anndata.read_h5ad(path)
    adata[np.random.default_rng(0).permutation(adata.n_obs)].copy().write_h5ad(tmp_path / "turned.h5ad")
    first, second = read_predictions(path), read_predictions(tmp_path / "turned.h5ad")
    for one in screen.asked:
        np.testing.assert_allclose(second.prediction.mean(one), first.prediction.mean(one), rtol=1e-6)
    assert second.split == first.split


@pytest.mark.slow
def test_equal_input_makes_equal_bytes(screen, tmp_path):
    first = written(tmp_path / "a", screen).read_bytes()
    time.sleep(1.1)
    assert written(tmp_path / "b", screen).read_bytes() == first


def test_library_sizes_and_notes_are_kept(tmp_path):
    screen = contexts_screen()
    sizes = np.arange(len(screen.cells), dtype=np.float64) + 0.5
    cells = replace(screen.cells, library_sizes=sizes, notes=("an HVG panel",), name="mine")
    file = read_predictions(written(tmp_path, replace(screen, cells=cells)))
    assert file.observed.notes == ("an HVG panel",)
    assert file.observed.name == "mine"
    one = screen.asked[0]
    assert np.array_equal(file.observed.library_sizes[file.observed.rows_of(one)], sizes[cells.rows_of(one)])


def test_modes_that_differ_between_the_targets_of_a_pair_are_kept(tmp_path):
    screen = pairs_screen()
    old = next(one for one in screen.asked if one.perturbation.is_pair)
    first, second = old.genes
    mixed = Condition(Perturbation(frozenset({Target(first, Mode.ACTIVATION), Target(second, Mode.KNOCKOUT)})), "K562")
    cells = replace(screen.cells, conditions=tuple(mixed if one == old else one for one in screen.cells.conditions))
    split = replace(screen.split, test=screen.split.test - {old} | {mixed}, strata={})
    turned = Screen(cells, split, screen.deltas)
    assert mixed in read_predictions(written(tmp_path, turned)).prediction.cells


def test_shared_controls_are_called_both(tmp_path):
    screen = pairs_screen()
    ids = [str(one) for one in screen.cells.ids[screen.cells.control_rows("K562")]]
    shared = replace(screen.split, controls={"K562": ControlPartition.shared(ids)})
    path = written(tmp_path, replace(screen, split=shared))
    assert read_predictions(path).split.controls["K562"].is_shared
    assert set(anndata.read_h5ad(path).obs["control_part"]) == {"", "both"}


def test_negative_values_become_zero_and_are_counted(screen, tmp_path):
    prediction = predicted(screen, low=-1.0)
    file = read_predictions(written(tmp_path, screen, prediction))
    assert file.negative == sum(int((values < 0).sum()) for values in prediction.cells.values())
    for one in screen.asked:
        assert np.array_equal(file.prediction.cells[one], np.maximum(prediction.cells[one], 0))


def test_what_does_not_fit_the_observed_cells_is_refused_and_nothing_is_written(screen, tmp_path):
    good = predicted(screen)
    one = screen.asked[0]
    broken = np.full_like(good.cells[one], np.nan)
    for cells, words in ((good.cells[one][:1], "mean profiles"), (broken, "not finite")):
        with pytest.raises(BadDataError, match=words):
            written(tmp_path, screen, replace(good, cells={**good.cells, one: cells}))
    stranger = Condition(Perturbation.of("NEVERSEEN", mode=Mode.ACTIVATION), one.context)
    with pytest.raises(BadDataError, match="NEVERSEEN"):
        written(tmp_path, screen, replace(good, cells={stranger: good.cells[one]}))
    assert not list(tmp_path.iterdir())


def without_record(file: h5py.File) -> None:
    del file["uns/pertura"]


def with_altered_split(file: h5py.File) -> None:
    record = json.loads(file["uns/pertura"][()])
    record["split"]["seed"] += 1
    del file["uns/pertura"]
    anndata.io.write_elem(file["uns"], "pertura", json.dumps(record))


def with_text_for_a_record(file: h5py.File) -> None:
    del file["uns/pertura"]
    anndata.io.write_elem(file["uns"], "pertura", "[1, 2")


def without_truth(file: h5py.File) -> None:
    del file["layers/truth"]


def with_fewer_observed(file: h5py.File) -> None:
    truth = file["layers/truth"][:-1]
    del file["layers/truth"]
    anndata.io.write_elem(file["layers"], "truth", truth)


def without_modes(file: h5py.File) -> None:
    del file["obs/mode"]
    file["obs"].attrs["column-order"] = [name for name in file["obs"].attrs["column-order"] if name != "mode"]


def with_values_for_notes(file: h5py.File) -> None:
    del file["uns"]
    file["uns"] = np.zeros(3)


def with_a_record_in_records(file: h5py.File) -> None:
    del file["uns/pertura"]
    file["uns/pertura"] = "[" * 100_000


def with_an_unknown_encoding(file: h5py.File) -> None:
    file["obs/condition/codes"].attrs["encoding-version"] = "9.9.9"


BREAKS = (
    with_values_for_notes,
    with_a_record_in_records,
    with_an_unknown_encoding,
    without_record,
    with_altered_split,
    with_text_for_a_record,
    without_truth,
    with_fewer_observed,
    without_modes,
)


@pytest.mark.parametrize("damage", BREAKS)
def test_malformed_files_are_refused(damage, tmp_path):
    path = written(tmp_path, pairs_screen())
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(BadDataError, match=r"predictions\.h5ad"):
        read_predictions(path, walked=True)


@pytest.mark.slow
def test_a_prediction_file_is_told_from_another(tmp_path):
    path = written(tmp_path, pairs_screen())
    assert is_prediction_file(path)
    adata = anndata.read_h5ad(path)
    del adata.uns["pertura"]
    adata.write_h5ad(path)
    assert not is_prediction_file(path)
    with pytest.raises(BadDataError, match="no record"):
        read_predictions(path)
    with h5py.File(path, "r+") as file:
        with_values_for_notes(file)
    assert not is_prediction_file(path)


def test_files_that_are_no_predictions_are_refused(tmp_path):
    for walked in (True, False):
        with pytest.raises(MissingError):
            read_predictions(tmp_path / "absent.h5ad", walked=walked)
    (tmp_path / "text.h5ad").write_text("not HDF5")
    for walked in (True, False):
        with pytest.raises(BadDataError):
            read_predictions(tmp_path / "text.h5ad", walked=walked)
    path = written(tmp_path, pairs_screen())
    (tmp_path / "cut.h5ad").write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadDataError):
        read_predictions(tmp_path / "cut.h5ad", walked=True)
