"""What every entry of `MODELS` keeps, on two small screens: baselines as they are, networks in their debug size."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pertura.core import Condition, Mode, Perturbation, PerturbationModel
from pertura.core.errors import (
    BadDataError,
    ContextError,
    DivergedError,
    MissingError,
    ModeError,
    NotFittedError,
    UnknownGeneError,
)
from pertura.models.table import MODELS, NETWORKS, load_model
from pertura.prediction.predict import predict
from pertura.priors.prior import GenePrior
from screens import SCREENS, Screen, controls_of, perturbed, reordered, with_nan

QUICK = {"training": {"epochs": 1}}
QUICKER = {"cellflow": {**QUICK, "updates": 6, "cells": 32}}
KEPT: dict[tuple[str, str, int], PerturbationModel] = {}
"""Networks that were fitted to a screen as it is: nothing but `fit` changes a model."""


def cases():
    """Every model on every screen; of networks all but one case wait for the slow tests."""
    for kind in SCREENS:
        for name in MODELS:
            slow = name in NETWORKS and (name, kind) != ("scgpt", "pairs")
            yield pytest.param((name, kind), marks=[pytest.mark.slow] if slow else [], id=f"{name}-{kind}")


@pytest.fixture(params=cases(), scope="module")
def case(request) -> tuple[str, str]:
    return request.param


@pytest.fixture(scope="module")
def screen(case) -> Screen:
    return SCREENS[case[1]]()


@pytest.fixture
def name(case) -> str:
    return case[0]


@pytest.fixture
def close(name) -> dict[str, float]:
    """What rounding may change: networks compute in 32 bits."""
    return {"rtol": 1e-4, "atol": 1e-4} if name in NETWORKS else {"rtol": 1e-8, "atol": 1e-8}


def unfitted(name: str, screen: Screen) -> PerturbationModel:
    entry = MODELS[name]
    if entry.network is None:
        return entry.build(None)
    import torch

    torch.set_num_threads(1)  # so small a network only waits for a second one
    genes = (*screen.cells.genes, "KLF1", "MAP2K6", "TP53", "GATA1")
    rows = np.random.default_rng(0).normal(size=(len(genes), 4)).astype(np.float32)
    priors = (GenePrior("made", genes, rows),) if entry.network.needs_prior else ()
    return entry.configured(priors, size="debug", changes=QUICKER.get(name, QUICK))


def fitted(name: str, screen: Screen, cells=None, seed: int = 3) -> PerturbationModel:
    key = (name, screen.split.fingerprint, seed)
    if cells is None and key in KEPT:
        return KEPT[key]
    model = unfitted(name, screen)
    model.fit(screen.cells if cells is None else cells, screen.split, seed=seed)
    if cells is None and name in NETWORKS:
        KEPT[key] = model
    return model


def answers(model: PerturbationModel, screen: Screen, cells=None) -> dict[Condition, np.ndarray]:
    given = controls_of(screen) if cells is None else controls_of(replace(screen, cells=cells))
    prediction = model.predict(given, screen.asked, seed=5)
    place = {gene: column for column, gene in enumerate(prediction.genes)}
    columns = [place[gene] for gene in screen.cells.genes]
    return {one: by_control(np.asarray(prediction.cells[one])[:, columns], given, one) for one in screen.asked}


def by_control(cells: np.ndarray, given, one: Condition) -> np.ndarray:
    """A mean profile as it is; cells, where row i belongs to control i, in the order of the controls' names."""
    ids = given.ids[given.control_rows(one.context)]
    return cells if len(cells) == 1 else cells[np.argsort(ids)]


def judged_rows(screen: Screen) -> np.ndarray:
    """The test cells and the judge-side controls: all that a model must not see."""
    test = [screen.cells.rows_of(one) for one in screen.asked]
    judge = [screen.split.judge_controls(screen.cells, context) for context in screen.cells.contexts]
    return np.concatenate(test + judge)


def test_is_a_perturbation_model_and_says_what_it_is(name):
    entry = MODELS[name]
    assert isinstance(entry.build(None), PerturbationModel)
    assert entry.name == name
    assert entry.summary
    assert (entry.family == "network") == (entry.network is not None)


def test_poisoned_test_cells_and_judge_controls_change_no_byte(name, screen):
    poisoned = with_nan(screen.cells, judged_rows(screen))
    clean, other = answers(fitted(name, screen), screen), answers(fitted(name, screen, poisoned), screen)
    assert all(clean[one].tobytes() == other[one].tobytes() for one in screen.asked)


def test_poison_where_a_model_looks_is_noticed(name, screen):
    if name == "no-change":
        pytest.skip("looks at no perturbed cell")
    rows = np.concatenate([screen.cells.rows_of(one) for one in screen.split.train])
    with np.errstate(invalid="ignore"):
        try:
            noticed = answers(fitted(name, screen, with_nan(screen.cells, rows)), screen)
        except (ValueError, np.linalg.LinAlgError, DivergedError):
            return
    assert any(np.isnan(values).any() for values in noticed.values())


def test_the_same_seed_gives_the_same_bytes(name, screen):
    first, second = answers(fitted(name, screen), screen), answers(fitted(name, screen, screen.cells), screen)
    assert all(first[one].tobytes() == second[one].tobytes() for one in screen.asked)


def test_the_order_of_cells_and_genes_changes_nothing_beyond_rounding(name, screen, close):
    other = reordered(screen.cells)
    first, second = answers(fitted(name, screen), screen), answers(fitted(name, screen, other), screen, other)
    for one in screen.asked:
        np.testing.assert_allclose(second[one], first[one], **close)


def test_predicted_cells_do_not_depend_on_the_order_of_cells_and_genes(name, screen, close):
    other = reordered(screen.cells)
    given = predict(fitted(name, screen), screen.cells, screen.split, screen.asked, seed=1)
    turned = predict(fitted(name, screen, other), other, screen.split, screen.asked, seed=1)
    columns = [other.genes.index(gene) for gene in screen.cells.genes]
    for one in screen.asked:
        order = np.argsort(screen.cells.ids[screen.cells.rows_of(one)])
        other_order = np.argsort(other.ids[other.rows_of(one)])
        np.testing.assert_allclose(
            turned.cells[one][other_order][:, columns], given.cells[one][order], atol=max(1e-5, close["atol"])
        )


def test_a_saved_model_gives_the_same_answer_and_saves_the_same_files(name, screen, tmp_path):
    model = fitted(name, screen)
    model.save(tmp_path / "first")
    loaded = load_model(tmp_path / "first")
    before, after = answers(model, screen), answers(loaded, screen)
    assert all(before[one].tobytes() == after[one].tobytes() for one in screen.asked)
    loaded.save(tmp_path / "second")
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
    given = controls_of(screen)
    provenance = [one.predict(given, screen.asked, seed=5).provenance for one in (model, loaded)]
    assert provenance[0] == provenance[1]
    assert provenance[0].split == screen.split.fingerprint


def test_altered_files_are_refused(name, screen, tmp_path):
    fitted(name, screen).save(tmp_path)
    header = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**header, "split": "another"}))
    with pytest.raises(BadDataError, match=r"model\.json"):
        load_model(tmp_path)
    fitted(name, screen).save(tmp_path)  # whole again
    weights = next(path for path in tmp_path.iterdir() if path.suffix == ".safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(BadDataError, match="sha256"):
        load_model(tmp_path)
    weights.unlink()
    with pytest.raises(MissingError, match="incomplete"):
        load_model(tmp_path)


def test_an_unfitted_model_neither_predicts_nor_saves(name, screen, tmp_path):
    model = unfitted(name, screen)
    with pytest.raises(NotFittedError):
        model.predict(controls_of(screen), screen.asked, seed=0)
    with pytest.raises(NotFittedError):
        model.save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_unknown_gene_raises_and_is_named(name, screen):
    one = screen.asked[0]
    mode = min(one.perturbation.modes)
    stranger = perturbed("NOSUCHGENE9", one.context, mode)
    with pytest.raises(UnknownGeneError, match="NOSUCHGENE9"):
        fitted(name, screen).predict(controls_of(screen), [*screen.asked, stranger], seed=0)


def test_a_gene_that_only_the_vocabulary_knows_is_answered(name, screen):
    one = screen.asked[0]
    known = perturbed("GATA1", one.context, min(one.perturbation.modes))
    prediction = fitted(name, screen).predict(controls_of(screen), [known], seed=0)
    assert np.isfinite(prediction.cells[known]).all()


def test_controls_of_another_context_are_refused(name, screen):
    elsewhere = Condition(screen.asked[0].perturbation, "HeLa")
    with pytest.raises(ContextError, match="HeLa"):
        fitted(name, screen).predict(controls_of(screen), [elsewhere], seed=0)


def test_another_mode_is_refused(name, screen):
    other = perturbed("G00", screen.asked[0].context, Mode.KNOCKOUT)
    with pytest.raises(ModeError, match="knockout"):
        fitted(name, screen).predict(controls_of(screen), [other], seed=0)


def test_perturbed_cells_are_no_controls(name, screen):
    with pytest.raises(BadDataError, match="perturbed"):
        fitted(name, screen).predict(screen.cells, screen.asked, seed=0)


def test_control_is_answered_with_the_controls(name, screen, close):
    control = Condition(Perturbation(), screen.asked[0].context)
    given = controls_of(screen)
    prediction = fitted(name, screen).predict(given, [control], seed=0)
    expected = given.dense(given.control_rows(control.context)).mean(axis=0)
    np.testing.assert_allclose(prediction.mean(control), expected, rtol=close["rtol"] * 1e-2)


def test_every_fallback_is_a_condition_with_a_reason(name, screen):
    prediction = fitted(name, screen).predict(controls_of(screen), screen.asked, seed=0)
    assert set(prediction.fallbacks) <= set(screen.asked)
    assert all(len(why) > 10 for why in prediction.fallbacks.values())


def test_the_prediction_says_what_made_it(name, screen):
    provenance = fitted(name, screen).predict(controls_of(screen), screen.asked, seed=5).provenance
    assert provenance.model == name
    assert provenance.modes == tuple(sorted(screen.cells.modes))
    assert provenance.scale == screen.cells.scale
    assert provenance.seed == 5
    assert len(provenance.checkpoint) == 64
    assert provenance.versions
