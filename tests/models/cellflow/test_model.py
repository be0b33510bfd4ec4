"""Laws of the CellFlow perturbation model, on networks small enough to train in a second."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError, ModeError, NotFittedError, UnknownGeneError, UsageError
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Mode, Perturbation, Target
from pertura.core.split import ControlPartition, Split
from pertura.data.datasets.planted import simulate_additive
from pertura.models.cellflow.config import CellFlowConfig, Covariate, PoolingConfig
from pertura.models.cellflow.flowing import not_negative
from pertura.models.cellflow.model import CellFlow
from pertura.models.cellflow.options import CellFlowOptions, SolverOptions
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.training.options import TrainingOptions
from screens import contexts_screen, pairs_screen

NETWORK = CellFlowConfig(
    dims=6,
    covariates=(Covariate(name="gene", width=1),),
    pooling=PoolingConfig(heads=2, size=8),
    condition_width=8,
    time_features=8,
    time_period=None,
    time_dims=(8,),
    cell_dims=(16,),
    decoder_dims=(16,),
    decoder_dropout=0.1,
)
TRAINING = TrainingOptions(
    epochs=2,
    batch=3,
    learning_rate=3e-3,
    decay=1.0,
    patience=None,
    checkpoint_steps=4,
    stop_metric="negative_energy_distance",
)
SMALL = CellFlowOptions(
    network=NETWORK,
    deviation=0.1,
    cells=16,
    updates=5,
    valid_cells=8,
    solver=SolverOptions(steps=3),
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


def trained(screen, split, options=SMALL, prior=None, **settings):
    model = CellFlow(options, prior)
    for name, value in settings.items():
        setattr(model, name, value)
    model.fit(screen, split, seed=3)
    return model


@pytest.fixture(scope="module")
def fitted(screen, split):
    return trained(screen, split)


def perturbed(*genes, mode=Mode.ACTIVATION, context="line-a"):
    return Condition(Perturbation(frozenset(Target(gene, mode) for gene in genes)), context)


def asked(model, screen, split, conditions, seed=0):
    rows = [split.model_controls(screen, name) for name in sorted({one.context for one in conditions})]
    return model.predict(screen.take(np.concatenate(rows)), conditions, seed=seed)


def prior_of(names, seed=0, width=5):
    rows = np.random.default_rng(seed).normal(size=(len(names), width)).astype(np.float32)
    return GenePrior("planted", tuple(names), rows, PriorFacts(source="test"))


def weights(model):
    return model._trained.flowing.network.state_dict()


def test_row_i_of_an_answer_belongs_to_row_i_of_the_controls(fitted, screen, split):
    one = sorted(split.train)[0]
    controls = screen.take(split.model_controls(screen, "line-a"))
    order = np.random.default_rng(0).permutation(len(controls))
    first = fitted.predict(controls, [one], seed=0).cells[one]
    second = fitted.predict(controls.take(order), [one], seed=5).cells[one]
    assert first.shape == (len(controls), len(screen.genes))
    np.testing.assert_array_equal(first[order], second)


def test_the_batch_of_a_prediction_changes_nothing_beyond_rounding(fitted, screen, split, monkeypatch):
    one = sorted(split.train)[0]
    whole = asked(fitted, screen, split, [one]).cells[one]
    monkeypatch.setattr(fitted, "options", replace(fitted.options, predict_batch=2))
    np.testing.assert_allclose(asked(fitted, screen, split, [one]).cells[one], whole, rtol=1e-4, atol=1e-5)


def test_the_order_of_cells_and_genes_in_the_file_changes_no_byte(fitted, screen, split):
    rng = np.random.default_rng(0)
    turned = screen.take(rng.permutation(len(screen))).with_genes([screen.genes[i] for i in rng.permutation(30)])
    other = trained(turned, split)
    for name, one in weights(fitted).items():
        assert torch.equal(weights(other)[name], one)


def test_nothing_of_a_test_condition_reaches_the_weights(fitted, screen, split):
    poisoned = screen.expression.rows(np.arange(len(screen))).copy()
    for one in split.test:
        poisoned[screen.rows_of(one)] = np.nan
    poisoned[split.judge_controls(screen, "line-a")] = np.nan
    other = trained(replace(screen, expression=InMemory(poisoned)), split)
    assert other.checkpoint == fitted.checkpoint


def test_components_are_those_of_train_and_not_of_valid(fitted, screen, split):
    changed = screen.expression.rows(np.arange(len(screen))).copy()
    for one in split.valid:
        changed[screen.rows_of(one)] += 1.0
    other = trained(replace(screen, expression=InMemory(changed)), split)
    axes = [one._trained.flowing.space.projection.axes for one in (fitted, other)]
    assert axes[0].tobytes() == axes[1].tobytes()
    assert other.record.epochs[0].valid != fitted.record.epochs[0].valid


def test_a_training_that_was_cut_ends_with_the_same_model(fitted, screen, split, tmp_path):
    class CutError(Exception):
        pass

    def cut(moment):
        if (moment.epoch, moment.step) == (1, 3):
            raise CutError

    with pytest.raises(CutError):
        trained(screen, split, workspace=tmp_path, watch=cut)
    resumed = trained(screen, split, workspace=tmp_path)
    assert resumed.checkpoint == fitted.checkpoint
    assert [one.loss for one in resumed.record.epochs] == [one.loss for one in fitted.record.epochs]


def test_conditions_worked_on_one_by_one_make_the_update_of_all_at_once(screen, split):
    still = replace(SMALL, network=replace(NETWORK, decoder_dropout=0.0))
    whole = trained(screen, split, still)
    pieces = trained(screen, split, replace(still, training=replace(TRAINING, micro_batch=1)))
    assert [one.loss for one in pieces.record.epochs] == pytest.approx([one.loss for one in whole.record.epochs], 1e-4)
    one = sorted(split.train)[0]
    answers = [asked(model, screen, split, [one]).cells[one] for model in (whole, pieces)]
    np.testing.assert_allclose(*answers, rtol=1e-3)


def test_a_saved_model_answers_alike_and_an_altered_one_is_refused(fitted, screen, split, tmp_path):
    one = sorted(split.train)[0]
    fitted.save(tmp_path)
    loaded = CellFlow.load(tmp_path)
    assert loaded.checkpoint == fitted.checkpoint
    assert loaded.learnt().parameters == fitted.learnt().parameters > 0
    np.testing.assert_array_equal(
        asked(loaded, screen, split, [one]).cells[one], asked(fitted, screen, split, [one]).cells[one]
    )
    (tmp_path / "weights.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(BadDataError):
        CellFlow.load(tmp_path)


def test_what_cannot_be_answered_is_refused_by_name(fitted, screen, split):
    with pytest.raises(NotFittedError):
        CellFlow(SMALL).scope  # noqa: B018
    with pytest.raises(UnknownGeneError, match="NOTAGENE"):
        asked(fitted, screen, split, [perturbed("NOTAGENE")])
    with pytest.raises(ModeError):
        asked(fitted, screen, split, [perturbed(screen.genes[0], mode=Mode.KNOCKOUT)])
    with pytest.raises(UsageError, match="drop_conditions"):
        trained(screen, split, replace(SMALL, solver=SolverOptions(guidance=2.0)))


def test_a_gene_without_a_vector_is_named_with_what_is_answered_instead(fitted, screen, split):
    seen = sorted({gene for one in split.train for gene in one.genes})[0]
    pair, alone = perturbed("GATA1", seen), perturbed("GATA1")
    answers = asked(fitted, screen, split, [pair, alone, perturbed(seen)])
    assert f"answered as {seen} alone" in answers.fallbacks[pair]
    assert "GATA1" in answers.fallbacks[alone]
    assert "without a prior" in answers.fallbacks[alone]
    assert perturbed(seen) not in answers.fallbacks
    np.testing.assert_array_equal(answers.cells[pair], answers.cells[perturbed(seen)])
    assert np.isfinite(answers.cells[alone]).all()


def test_a_gene_that_train_never_saw_is_told_apart_by_its_prior(screen, split):
    prior = prior_of([*screen.genes, "FAR1", "FAR2"])
    answers = asked(trained(screen, split, prior=prior), screen, split, [perturbed("FAR1"), perturbed("FAR2")])
    first, second = (answers.cells[perturbed(name)] for name in ("FAR1", "FAR2"))
    assert np.abs(first - second).max() > 1e-4
    assert not answers.fallbacks
    assert answers.provenance.versions["prior"] == "planted"


def test_a_perturbed_gene_that_the_prior_lacks_has_a_place_of_its_own_and_is_named(screen, split):
    lacking = sorted({gene for one in split.train for gene in one.genes})[0]
    prior = prior_of([gene for gene in screen.genes if gene != lacking])
    answers = asked(trained(screen, split, prior=prior), screen, split, [perturbed(lacking)])
    assert not answers.fallbacks
    assert f"told apart by a place of their own: {lacking}" in answers.provenance.versions["notes"]


def test_predicted_expression_is_not_negative_and_what_was_below_zero_is_told(fitted, screen, split):
    low = screen.expression.rows(np.arange(len(screen))).copy()
    low -= low.mean(axis=0)
    answers = asked(trained(replace(screen, expression=InMemory(low)), split), screen, split, [sorted(split.train)[0]])
    assert all((answers.cells[one] >= 0).all() for one in answers.conditions)
    plain = asked(fitted, screen, split, [sorted(split.train)[0]])
    assert "below zero" not in plain.provenance.versions.get("notes", "")


def test_setting_values_to_zero_keeps_the_means_of_genes():
    cells = np.random.default_rng(0).normal(0.3, size=(50, 20))
    cells[:, 0] -= 5.0
    found = not_negative(cells)
    assert found.min() >= 0
    np.testing.assert_allclose(found.mean(axis=0), np.maximum(cells.mean(axis=0), 0.0), atol=1e-12)
    above = np.abs(cells)
    np.testing.assert_allclose(not_negative(above), above, rtol=1e-12)


def test_a_network_that_changes_nothing_gives_back_the_controls(fitted, screen, split):
    flowing = fitted._trained.flowing
    with torch.no_grad():
        kept = [one.clone() for one in flowing.network.field.output.parameters()]
        for one in flowing.network.field.output.parameters():
            one.zero_()
    controls = screen.take(split.model_controls(screen, "line-a"))
    one = sorted(split.train)[0]
    found = fitted.predict(controls, [one], seed=0).cells[one]
    with torch.no_grad():
        for mine, before in zip(flowing.network.field.output.parameters(), kept):
            mine.copy_(before)
    np.testing.assert_allclose(found, controls.dense(np.arange(len(controls))), rtol=1e-4, atol=1e-5)


VARIANTS = {
    "from noise": {"network": replace(NETWORK, source_dims=(8,))},
    "stochastic": {"network": replace(NETWORK, stochastic=True), "condition_penalty": 1.0},
    "bridge": {"path": "bridge"},
    "guided": {"drop_conditions": 0.3, "solver": SolverOptions(steps=2, guidance=1.5)},
    "adaptive": {"solver": SolverOptions(method="dopri5", tolerance=1e-3)},
    "averaged": {"training": replace(TRAINING, average=0.2, clip=None)},
}


FAST = ("from noise", "averaged")


@pytest.mark.parametrize(
    "variant", [one if one in FAST else pytest.param(one, marks=pytest.mark.slow) for one in VARIANTS]
)
def test_every_variant_trains_resumes_and_repeats_itself(screen, split, tmp_path, variant):
    options = replace(SMALL, **VARIANTS[variant])

    def cut(moment):
        if (moment.epoch, moment.step) == (1, 2):
            raise KeyError

    with pytest.raises(KeyError):
        trained(screen, split, options, workspace=tmp_path, watch=cut)
    resumed, whole = trained(screen, split, options, workspace=tmp_path), trained(screen, split, options)
    assert resumed.checkpoint == whole.checkpoint
    one = sorted(split.train)[0]
    first, second = (asked(model, screen, split, [one], seed=4).cells[one] for model in (resumed, whole))
    assert first.tobytes() == second.tobytes()
    assert np.isfinite(first).all()


def test_only_a_flow_from_noise_depends_on_the_seed(fitted, screen, split):
    one = sorted(split.train)[0]
    same = [asked(fitted, screen, split, [one], seed=seed).cells[one] for seed in (1, 2)]
    assert same[0].tobytes() == same[1].tobytes()
    noisy = trained(screen, split, replace(SMALL, **VARIANTS["from noise"]))
    other = [asked(noisy, screen, split, [one], seed=seed).cells[one] for seed in (1, 2)]
    assert other[0].tobytes() != other[1].tobytes()


@pytest.mark.parametrize("context", ["controls", "label", "none"])
def test_several_contexts_can_be_told_apart_and_a_new_one_is_answered(context):
    made = contexts_screen()
    unseen = replace(
        made.split,
        unseen=frozenset({"RPE1"}),
        train=frozenset(one for one in made.split.train if one.context != "RPE1"),
    )
    model = trained(made.cells, unseen, replace(SMALL, context=context))
    here, there = (perturbed("G00", mode=Mode.INTERFERENCE, context=name) for name in ("A549", "RPE1"))
    answers = asked(model, made.cells, unseen, [here, there])
    assert np.isfinite(answers.cells[there]).all()
    assert (there in answers.fallbacks) == (context == "label")
    assert here not in answers.fallbacks


def test_controls_come_from_the_batch_of_the_cell_where_asked():
    made = pairs_screen(batches=2)
    batched, whole = (trained(made.cells, made.split, replace(SMALL, match_batches=one)) for one in (True, False))
    assert batched.checkpoint != whole.checkpoint


def test_the_order_of_the_genes_of_a_pair_changes_nothing(fitted, screen, split):
    pair = next(one for one in sorted(split.train | split.test) if one.perturbation.is_pair)
    turned = Condition(Perturbation.of(*reversed(pair.genes), mode=Mode.ACTIVATION), pair.context)
    both = [asked(fitted, screen, split, [one]).cells[one] for one in (pair, turned)]
    assert both[0].tobytes() == both[1].tobytes()
