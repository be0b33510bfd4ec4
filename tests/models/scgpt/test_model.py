"""Laws of the scGPT perturbation model, on networks small enough to train in a second."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError, ModeError, NotFittedError, UnknownGeneError
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Mode, Perturbation, Target
from pertura.core.split import ControlPartition, Split
from pertura.data.datasets.planted import simulate_additive
from pertura.models.scgpt.feed import PairFeed, Windows
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.options import NetworkSize, ScGPTOptions
from pertura.models.scgpt.panel import TokenPanel, panel_vocab
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.training.options import TrainingOptions

TRAINING = TrainingOptions(epochs=2, batch=16, learning_rate=3e-3, patience=None, checkpoint_steps=3)
SMALL = ScGPTOptions(
    size=NetworkSize(width=16, heads=2, hidden=16, layers=1, dropout=0.1),
    from_random=True,
    max_genes=24,
    training=TRAINING,
)


@pytest.fixture(scope="module")
def screen():
    return simulate_additive(1, genes=30, targets=6, pairs=4, cells=12).cells


@pytest.fixture(scope="module")
def split(screen):
    perturbed = screen.perturbed
    ids = [str(one) for one in screen.ids[screen.control_rows("line-a")]]
    halves = {"line-a": ControlPartition.halves(ids, 0, "line-a")}
    return Split("small", frozenset(perturbed[:6]), frozenset(perturbed[6:8]), frozenset(perturbed[8:]), {}, halves)


@pytest.fixture(scope="module")
def fitted(screen, split):
    model = ScGPT(SMALL)
    model.fit(screen, split, seed=3)
    return model


def single(gene, mode=Mode.ACTIVATION):
    return Condition(Perturbation(frozenset({Target(gene, mode)})), "line-a")


def asked(model, screen, split, conditions):
    controls = screen.take(split.model_controls(screen, "line-a"))
    return model.predict(controls, conditions, seed=0)


def test_row_i_of_an_answer_belongs_to_row_i_of_the_controls(fitted, screen, split):
    one = sorted(split.test)[0]
    controls = screen.take(split.model_controls(screen, "line-a"))
    turned = controls.take(np.arange(len(controls))[::-1].copy())
    first = fitted.predict(controls, [one], seed=0).cells[one]
    second = fitted.predict(turned, [one], seed=5).cells[one]
    assert first.shape == (len(controls), len(screen.genes))
    np.testing.assert_allclose(first, second[::-1], rtol=1e-4, atol=1e-5)


def test_the_batch_of_a_prediction_changes_nothing(fitted, screen, split, monkeypatch):
    one = sorted(split.test)[0]
    whole = asked(fitted, screen, split, [one]).cells[one]
    monkeypatch.setattr(fitted, "options", replace(fitted.options, predict_batch=3))
    np.testing.assert_allclose(asked(fitted, screen, split, [one]).cells[one], whole, rtol=1e-4, atol=1e-5)


def test_a_saved_model_answers_alike_and_an_altered_one_is_refused(fitted, screen, split, tmp_path):
    one = sorted(split.test)[0]
    fitted.save(tmp_path)
    loaded = ScGPT.load(tmp_path)
    assert loaded.checkpoint == fitted.checkpoint
    assert loaded.record.best_epoch == fitted.record.best_epoch
    np.testing.assert_array_equal(
        asked(loaded, screen, split, [one]).cells[one], asked(fitted, screen, split, [one]).cells[one]
    )
    (tmp_path / "weights.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(BadDataError):
        ScGPT.load(tmp_path)


def test_nothing_of_a_test_condition_reaches_the_weights(fitted, screen, split):
    poisoned = screen.expression.rows(np.arange(len(screen))).copy()
    for one in split.test:
        poisoned[screen.rows_of(one)] = np.nan
    judge = split.judge_controls(screen, "line-a")
    poisoned[judge] = np.nan
    other = ScGPT(SMALL)
    other.fit(replace(screen, expression=InMemory(poisoned)), split, seed=3)
    assert other.checkpoint == fitted.checkpoint


def test_the_order_of_the_cells_in_the_file_changes_nothing(fitted, screen, split):
    order = np.random.default_rng(0).permutation(len(screen))
    other = ScGPT(SMALL)
    other.fit(screen.take(order), split, seed=3)
    for name, one in fitted._trained.network.state_dict().items():
        torch.testing.assert_close(other._trained.network.state_dict()[name], one, rtol=1e-5, atol=1e-6)


def test_a_training_that_was_cut_ends_with_the_same_model(fitted, screen, split, tmp_path):
    class CutError(Exception):
        pass

    def cut(moment):
        if (moment.epoch, moment.step) == (1, 2):
            raise CutError

    broken = ScGPT(SMALL)
    broken.workspace, broken.watch = tmp_path, cut
    with pytest.raises(CutError):
        broken.fit(screen, split, seed=3)
    resumed = ScGPT(SMALL)
    resumed.workspace = tmp_path
    resumed.fit(screen, split, seed=3)
    for name, one in fitted._trained.network.state_dict().items():
        assert torch.equal(resumed._trained.network.state_dict()[name], one)


def test_what_cannot_be_answered_is_refused_by_name(fitted, screen, split):
    with pytest.raises(NotFittedError):
        ScGPT(SMALL).scope  # noqa: B018
    with pytest.raises(UnknownGeneError, match="NOTAGENE"):
        asked(fitted, screen, split, [single("NOTAGENE")])
    with pytest.raises(ModeError):
        asked(fitted, screen, split, [single(screen.genes[0], Mode.KNOCKOUT)])


def prior_of(names, seed=0, width=5):
    rows = np.random.default_rng(seed).normal(size=(len(names), width)).astype(np.float32)
    return GenePrior("planted", tuple(names), rows, PriorFacts(source="test"))


@pytest.mark.parametrize("placement", ["token", "scgenept"])
def test_a_gene_beside_the_panel_is_told_apart_by_its_prior_alone(screen, split, placement):
    model = ScGPT(replace(SMALL, placement=placement), prior_of([*screen.genes, "FAR1", "FAR2", "FAR3"]))
    model.fit(screen, split, seed=3)
    mode = next(iter(screen.modes))
    answers = asked(model, screen, split, [single("FAR1", mode), single("FAR2", mode)])
    first, second = (answers.cells[single(name, mode)] for name in ("FAR1", "FAR2"))
    assert np.abs(first - second).max() > 1e-4
    assert not answers.fallbacks
    zero = model._trained.network.genes.table.weight[len(screen.genes) : -3]
    assert not zero.any()


def test_a_gene_of_which_nothing_is_known_is_named(screen, split):
    prior = prior_of([*screen.genes, "FAR1"])
    model = ScGPT(SMALL, prior)
    model.fit(screen, split, seed=3)
    table = model._trained.network.prior_tables[0]
    table.has_row[model._trained.panel.vocab.ids["FAR1"]] = False
    one = single("FAR1", next(iter(screen.modes)))
    assert "without a prior" in asked(model, screen, split, [one]).fallbacks[one]


def feed_of(screen, split, **windows):
    seen = split.visible(screen)
    conditions = tuple(one for one in seen.perturbed if one in split.train)
    panel = TokenPanel(screen.genes, panel_vocab(screen.genes, ()))
    return PairFeed(seen, conditions, panel, Windows(**windows), 8, 0)


def test_perturbed_genes_are_always_in_the_window_but_in_the_published_procedure(screen, split):
    flagged = {}
    for reference in (False, True):
        feed = feed_of(screen, split, most=10, reference=reference)
        batches = [feed.batch(0, step, feed.places(0, step), "0") for step in range(feed.steps)]
        assert all(one.gene_ids.shape[1] == 10 for one in batches)
        flagged[reference] = [int(row.sum()) for one in batches for row in one.flags]
    wanted = sorted(len(one.genes) for one in split.train for _ in range(12))
    assert sorted(flagged[False]) == wanted
    assert sum(flagged[True]) < sum(wanted)


def test_controls_are_drawn_anew_each_epoch_and_cells_are_not(screen, split):
    feed = feed_of(screen, split)
    first, second = feed.epoch(0, "0"), feed.epoch(1, "0")
    assert sorted(first.perturbed.tolist()) == sorted(second.perturbed.tolist())
    paired = [dict(zip(one.perturbed.tolist(), one.controls.tolist())) for one in (first, second)]
    assert paired[0] != paired[1]
    controls = set(feed.cells.control_rows("line-a").tolist())
    assert set(first.controls.tolist()) <= controls


def test_controls_come_from_the_batch_of_the_cell(screen, split):
    codes = np.arange(len(screen)) % 3
    batched = replace(screen, batches=("x", "y", "z"), batch_codes=codes)
    feed = feed_of(batched, split)
    pairs = feed.epoch(0, "0")
    own = feed.cells.batch_codes
    there = set(own[feed.cells.control_rows("line-a")].tolist())
    for cell, control in zip(pairs.perturbed.tolist(), pairs.controls.tolist()):
        assert own[cell] == own[control] or own[cell] not in there
