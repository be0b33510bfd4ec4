"""Baselines that are given a prior: how its weight is chosen, how it joins expression, and what is kept of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV

from pertura.core import Condition, Mode
from pertura.models.baselines.baseline import Baseline
from pertura.models.baselines.embedding import Embedding
from pertura.models.baselines.left_out_genes import PENALTIES, USUAL, best_penalty, gene_blocks, left_out_error
from pertura.models.baselines.nearest_neighbours import NearestNeighbours
from pertura.models.baselines.ridge import Ridge
from pertura.models.baselines.train_mean import TrainMean
from pertura.models.table import BASELINES, MODELS, load_model
from pertura.priors.prior import GenePrior, PriorFacts
from screens import Screen, controls_of, pairs_screen, perturbed

FACTS = PriorFacts("go-c", "tfidf-svd-6", "CC BY 4.0", "0" * 64, "permuted", ("go-c/tfidf-svd-6",))
PARTS = ("train", "valid", "test")
TAKING = [name for name, entry in BASELINES.items() if entry.takes_prior]


def prior_for(genes, width: int = 6, facts: PriorFacts = FACTS) -> GenePrior:
    table = np.random.default_rng(6).normal(size=(len(genes), width)).astype(np.float32)
    return GenePrior("made", tuple(genes), table, facts)


@pytest.fixture(scope="module")
def screen() -> Screen:
    return pairs_screen()


@pytest.fixture(scope="module")
def prior(screen) -> GenePrior:
    return prior_for([*screen.cells.genes, "KLF1", "MAP2K6"])


def answers(model, screen: Screen, asked=()) -> dict[Condition, np.ndarray]:
    model.fit(screen.cells, screen.split, seed=0)
    return dict(model.predict(controls_of(screen), asked or screen.asked, seed=0).cells)


def singles_of(screen: Screen) -> Screen:
    """The screen without its pairs."""
    kept = {part: frozenset(one for one in getattr(screen.split, part) if one.perturbation.is_single) for part in PARTS}
    return replace(screen, split=replace(screen.split, strata={}, **kept))


def same(first, second, **tolerance) -> None:
    for one, values in first.items():
        np.testing.assert_allclose(second[one], values, **(tolerance or {"atol": 1e-9}))


# ---- the penalty


def regression(conditions: int, width: int, noise: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(conditions, width))
    changes = vectors @ rng.normal(size=(width, 7)) + noise * rng.normal(size=(conditions, 7))
    centred = vectors - vectors.mean(axis=0)
    return vectors, centred @ centred.T, changes - changes.mean(axis=0)


PAIRED = [*(perturbed(f"G{i}") for i in range(8)), *(perturbed(f"G{i}+G{i + 1}") for i in range(0, 8, 2))]


@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
def test_the_error_on_left_out_genes_is_that_of_fits_without_them(penalty):
    vectors, kernel, changes = regression(len(PAIRED), 5, 0.5)
    errors = []
    for gene in sorted({gene for one in PAIRED for gene in one.genes}):
        out = np.asarray([gene in one.genes for one in PAIRED])
        fit = SklearnRidge(alpha=penalty, tol=1e-12).fit(vectors[~out], changes[~out])
        errors.append(((changes[out] - fit.predict(vectors[out])) ** 2).sum() / out.sum())
    assert left_out_error(kernel, changes, gene_blocks(PAIRED), penalty) == pytest.approx(np.mean(errors), rel=1e-8)


@pytest.mark.parametrize("noise", [0.1, 1.0, 4.0, 40.0])
def test_of_singles_it_is_the_penalty_that_scikit_learn_chooses(noise):
    singles = [perturbed(f"G{i:02d}") for i in range(30)]
    vectors, kernel, changes = regression(30, 5, noise)
    chosen = RidgeCV(alphas=PENALTIES).fit(vectors, changes).alpha_
    assert best_penalty(kernel, changes, singles) == pytest.approx(chosen)


def test_more_noise_never_asks_for_a_smaller_penalty():
    singles = [perturbed(f"G{i:02d}") for i in range(40)]
    found = [best_penalty(*regression(40, 8, noise)[1:], singles) for noise in (0.01, 1.0, 10.0, 300.0)]
    assert found == sorted(found)
    assert found[0] < 0.1
    assert found[-1] >= 100.0


def test_a_gene_in_every_condition_cannot_be_left_out():
    hub = [perturbed(f"HUB+G{i}") for i in range(4)]
    _, kernel, changes = regression(4, 2, 1.0)
    assert best_penalty(kernel, changes, [perturbed("HUB"), perturbed("HUB", "RPE1")][:1]) == USUAL
    assert best_penalty(kernel, changes, hub) in PENALTIES


def test_the_penalty_in_use_is_kept(screen, prior, tmp_path):
    for given in (None, 3.0):
        model = Baseline(Ridge(penalty=given), prior)
        answers(model, screen)
        model.save(tmp_path / str(given))
    chosen = load_model(tmp_path / "None")._state.memories[frozenset({Mode.ACTIVATION})].arrays["penalty"][0]
    assert chosen in PENALTIES
    assert load_model(tmp_path / "3.0").rule.penalty == 3.0
    same(answers(Baseline(Ridge(penalty=float(chosen)), prior), screen), answers(Baseline(Ridge(), prior), screen))


# ---- what a prior may not change


@pytest.mark.parametrize("name", TAKING)
def test_neither_the_scale_of_a_prior_nor_the_order_of_its_rows_has_an_influence(name, screen, prior):
    turned = np.random.default_rng(0).permutation(len(prior.genes))
    other = replace(prior, genes=tuple(prior.genes[i] for i in turned), table=1000.0 * prior.table[turned])
    same(answers(MODELS[name].build(prior), screen), answers(MODELS[name].build(other), screen), atol=1e-6)


def test_a_prior_that_knows_no_train_gene_is_named_and_the_train_mean_answers(screen):
    stranger = prior_for(["GATA1", "G06"])
    model = MODELS["ridge"].build(stranger)
    mean = answers(Baseline(TrainMean()), screen)
    same(answers(model, screen), mean)
    told = model.predict(controls_of(screen), screen.asked, seed=0).fallbacks
    assert set(told) == set(screen.asked)
    assert all("not in prior made" in one for one in told.values())


def test_where_all_genes_have_one_vector_the_answer_is_the_train_mean(screen, prior):
    flat, alone = replace(prior, table=np.ones_like(prior.table)), singles_of(screen)
    same(answers(MODELS["ridge"].build(flat), alone), answers(Baseline(TrainMean()), alone))


# ---- a prior joined with expression


def test_both_parts_weigh_the_same_over_the_perturbed_genes():
    rng = np.random.default_rng(0)
    known = Embedding(("A", "B", "C", "X"), 900.0 + 30.0 * rng.normal(size=(4, 9)), "not in prior")
    shown = Embedding(("B", "C", "D", "Y"), 0.01 * rng.normal(size=(4, 2)), "outside the panel")
    made = known.joined(shown, {"A", "B", "C", "D"})
    assert made.genes == ("A", "B", "C", "D", "X", "Y")
    left, right = made.table[:, :9], made.table[:, 9:]
    for part, rows in ((left, [0, 1, 2]), (right, [1, 2, 3])):
        np.testing.assert_allclose(part[rows].mean(axis=0), 0.0, atol=1e-12)
        assert (part[rows] ** 2).sum(axis=1).mean() == pytest.approx(1.0)
    assert not left[[3, 5]].any()
    assert not right[[0, 4]].any()
    assert made.partial == {"not in prior": ("D", "Y"), "outside the panel": ("A", "X")}
    assert made.without(perturbed("A+Z")) == "Z is not in prior and outside the panel"


def test_without_expression_of_any_perturbed_gene_the_prior_answers_alone(screen, prior):
    """On a panel without a single perturbed gene. (A pair has two averages of a part that is not centred by gene.)"""
    unseen = {gene for one in screen.cells.perturbed for gene in one.genes}
    panel = [gene for gene in screen.cells.genes if gene not in unseen]
    narrow = replace(singles_of(screen), cells=screen.cells.with_genes(panel))
    alone, both = Baseline(Ridge(penalty=2.0), prior), Baseline(Ridge(penalty=2.0, with_expression=True), prior)
    same(answers(alone, narrow), answers(both, narrow))
    noted = both.predict(controls_of(narrow), narrow.asked, seed=0).provenance.versions["notes"]
    assert f"{len(narrow.asked)} of {len(narrow.asked)} conditions: a perturbed gene is outside the panel" in noted


@pytest.mark.parametrize("name", TAKING)
def test_joined_it_answers_where_either_knows_the_gene_and_says_what_is_lacking(name, screen):
    prior = prior_for(["KLF1", *screen.cells.genes[:6]])
    both = MODELS[name].build_with_expression(prior)
    answers(both, screen)
    told = both.predict(controls_of(screen), screen.asked, seed=0)
    assert list(told.fallbacks) == [one for one in screen.asked if "MAP2K6" in one.genes]
    assert "not in prior made and outside the panel" in next(iter(told.fallbacks.values()))
    assert "average there" in told.provenance.versions["notes"]


@pytest.mark.parametrize("name", TAKING)
def test_without_a_prior_there_is_nothing_to_join(name, screen):
    rule = {"ridge": Ridge, "nearest-neighbours": NearestNeighbours}[name]
    same(answers(Baseline(rule(with_expression=True)), screen), answers(MODELS[name].build(None), screen))


# ---- what is kept


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize("joined", [False, True])
def test_a_saved_model_needs_no_prior_and_says_which_it_had(name, joined, screen, prior, tmp_path):
    entry = MODELS[name]
    model = entry.build_with_expression(prior) if joined else entry.build(prior)
    before = answers(model, screen)
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.prior is None
    told = [one.predict(controls_of(screen), screen.asked, seed=0) for one in (model, loaded)]
    assert all(told[1].cells[one].tobytes() == before[one].tobytes() for one in screen.asked)
    assert told[0].provenance == told[1].provenance
    kept = json.loads((tmp_path / "model.json").read_text())["prior"]
    assert kept["name"] == "made"
    assert (kept["genes"], kept["width"]) == (len(prior.genes), 6)
    assert kept["made_from"] == "go-c/tfidf-svd-6"
    assert kept["kind"] == "permuted"
    for fact in ("made: ", "permuted", "CC BY 4.0", "0" * 64):
        assert fact in told[1].provenance.versions["prior"]


def test_without_a_prior_none_is_recorded(screen, tmp_path):
    model = MODELS["ridge"].build(None)
    answers(model, screen)
    assert "prior" not in model.predict(controls_of(screen), screen.asked, seed=0).provenance.versions
    model.save(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["prior"] == {}
