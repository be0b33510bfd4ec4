"""Each finding of the domain check turns where its cause is, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from pertura.core.cells import Scale
from pertura.core.errors import BadDataError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.prediction.domain import Coverage, OwnRecord, Question, domain_check, told
from pertura.prediction.training_facts import (
    ControlFacts,
    TrainingFacts,
    read_training_facts,
    training_facts,
    write_training_facts,
)
from screens import controls_of, pairs_screen

GENES = tuple(f"G{i}" for i in range(50))
LOGS = Scale("lognormalised", target_sum=1e4, log_base=float(np.e))
MODE = Mode.INTERFERENCE


def condition(text, context="K562", mode=MODE):
    return Condition(Perturbation.parse(text, mode), context)


def facts_of_controls(context="K562", shift=0.0, cells=200):
    mean = np.linspace(0.2, 3.0, 50) + shift
    return ControlFacts(context, cells, mean, np.full(50, 0.5), np.full(50, 0.6), (20.0, 30.0, 40.0))


TRAINING = TrainingFacts(
    GENES,
    LOGS,
    (facts_of_controls(), facts_of_controls("RPE1", 1.0)),
    frozenset({condition("G1"), condition("G2"), condition("G3+G4"), condition("G1", "RPE1")}),
    0.2,
)
USUAL = Question(
    condition("G1"), facts_of_controls(cells=80), GENES, LOGS, Coverage(50, 50), LOGS, frozenset({MODE}), {"G1": True}
)


def levels(question, facts=TRAINING):
    return {one.topic: one.level for one in domain_check(question, facts).findings}


def test_a_question_of_training_is_as_trained_in_every_respect():
    assert set(levels(USUAL).values()) == {"as trained"}
    assert domain_check(USUAL, TRAINING).expectation.startswith("expect what the model's own test shows")


def controls(**changes):
    return replace(USUAL.controls, **changes)


CASES = {
    "few genes": (replace(USUAL, coverage=Coverage(50, 30)), "genes", "doubtful"),
    "some genes": (replace(USUAL, coverage=Coverage(50, 45)), "genes", "differs"),
    "counts": (replace(USUAL, scale=Scale("counts")), "scale", "doubtful"),
    "another sum": (replace(USUAL, scale=replace(LOGS, target_sum=4e3)), "scale", "doubtful"),
    "an unknown sum": (replace(USUAL, scale=replace(LOGS, target_sum=None)), "scale", "not known"),
    "shallow": (replace(USUAL, controls=controls(detected=(10.0, 15.0, 20.0))), "depth", "differs"),
    "very shallow": (replace(USUAL, controls=controls(detected=(1.0, 4.0, 9.0))), "depth", "doubtful"),
    "a little apart": (replace(USUAL, controls=controls(mean=USUAL.controls.mean + 0.4)), "controls", "differs"),
    "far apart": (replace(USUAL, controls=controls(mean=USUAL.controls.mean + 2.0)), "controls", "doubtful"),
    "another mode": (replace(USUAL, condition=condition("G1", mode=Mode.KNOCKOUT)), "mode", "doubtful"),
    "no mode": (replace(USUAL, modes=frozenset({Mode.UNSPECIFIED})), "mode", "not known"),
    "a new gene": (replace(USUAL, condition=condition("G9")), "seen", "differs"),
    "a new pair of seen genes": (replace(USUAL, condition=condition("G1+G2")), "seen", "as trained"),
    "a pair with one": (replace(USUAL, condition=condition("G1+G9")), "seen", "differs"),
    "a pair with none": (replace(USUAL, condition=condition("G8+G9")), "seen", "doubtful"),
    "only in a pair": (replace(USUAL, condition=condition("G3")), "seen", "differs"),
    "nothing to lose": (replace(USUAL, controls=controls(shown=np.zeros(50))), "target", "doubtful"),
    "little to lose": (replace(USUAL, controls=controls(shown=np.full(50, 0.05))), "target", "differs"),
    "not measured": (replace(USUAL, condition=condition("OUT")), "target", "not known"),
    "no row, seen": (replace(USUAL, prior_rows={"G1": False}), "prior", "differs"),
    "no row, new": (replace(USUAL, condition=condition("G9"), prior_rows={"G9": False}), "prior", "doubtful"),
    "a table that does not tell": (replace(USUAL, prior_rows={"G1": None}), "prior", "not known"),
    "a stand-in": (replace(USUAL, stand_in="because"), "answer", "doubtful"),
    "three genes": (replace(USUAL, condition=condition("G1+G2+G3")), "number of genes", "doubtful"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_cause_turns_its_own_finding(case):
    question, topic, level = CASES[case]
    assert levels(question)[topic] == level
    if topic != "target" or level != "not known":
        assert domain_check(question, TRAINING).level != "as trained" or level == "as trained"


@pytest.mark.parametrize(
    ("value", "level", "said"),
    [
        (0.6, "as trained", "beside it"),
        (0.42, "differs", "no better than ridge"),
        (-0.3, "doubtful", "worse than ridge"),
    ],
)
def test_a_model_that_lost_to_simple_ones_is_told_so(value, level, said):
    record = OwnRecord("pearson_delta", value, 7, "singles", {"train-mean": 0.3, "ridge": 0.4}, 0.8)
    check = domain_check(replace(USUAL, record=record), TRAINING)
    assert check.level == level
    assert said in check.lines[-1]


def test_a_target_that_is_not_measured_decides_nothing():
    seen = replace(TRAINING, train=TRAINING.train | {condition("OUT")})
    check = domain_check(replace(USUAL, condition=condition("OUT"), prior_rows=None), seen)
    assert check.level == "as trained"
    assert "OUT is not measured" in "".join(check.lines)


def test_a_silent_gene_can_still_be_activated():
    silent = replace(
        USUAL,
        condition=condition("G1", mode=Mode.ACTIVATION),
        modes=frozenset({Mode.ACTIVATION}),
        controls=controls(shown=np.zeros(50)),
    )
    assert levels(silent)["target"] == "as trained"


def test_sampling_noise_alone_is_no_distance():
    """Twenty cells of the same population: their mean is off by noise, which is taken off."""
    rng = np.random.default_rng(0)
    mean = USUAL.controls.mean + rng.normal(size=50) * 0.5 / np.sqrt(20)
    few = replace(USUAL, controls=controls(mean=mean, cells=20), condition=condition("G1"))
    facts = replace(TRAINING, effect=0.05)
    assert levels(few, facts)["controls"] == "as trained"
    assert levels(replace(few, controls=controls(mean=mean, cells=100_000)), facts)["controls"] == "differs"


def test_a_context_that_was_not_trained_on_is_compared_with_the_nearest():
    near = replace(USUAL, condition=condition("G1", "HepG2"), controls=controls(mean=USUAL.controls.mean + 1.0))
    found = {one.topic: one for one in domain_check(near, TRAINING).findings}["controls"]
    assert found.level == "differs"
    assert "RPE1" in found.text
    assert "HepG2 was not trained on" in found.text


def test_without_facts_nothing_is_vouched_for():
    found = levels(replace(USUAL, model_scale=None, modes=frozenset()), None)
    assert {found[topic] for topic in ("scale", "depth", "controls", "mode", "seen")} == {"not known"}


def test_what_all_perturbations_share_is_said_once():
    checks = [domain_check(replace(USUAL, condition=condition(name)), TRAINING) for name in ("G1", "G2", "G9")]
    lines = told(checks)
    assert sum("genes the model answers on" in line for line in lines) == 1
    assert [line for line in lines if line.startswith("G9:")]
    everything = "\n".join(lines)
    for check in checks:
        assert all(one.text in everything for one in check.findings)


def test_facts_come_from_what_models_may_see_and_survive_a_file(tmp_path):
    screen = pairs_screen()
    facts = training_facts(screen.cells, screen.split)
    mine = controls_of(screen)
    values = mine.dense(np.arange(len(mine)))
    np.testing.assert_allclose(facts.controls[0].mean, values.mean(axis=0))
    np.testing.assert_allclose(facts.controls[0].deviation, values.std(axis=0), atol=1e-9)
    assert facts.train == screen.split.train
    deltas = [screen.deltas[one] for one in facts.train]
    assert 0.7 < facts.effect / np.median([np.sqrt(np.mean(one**2)) for one in deltas]) < 1.3
    write_training_facts(facts, tmp_path)
    again = read_training_facts(tmp_path)
    np.testing.assert_allclose(again.controls[0].mean, facts.controls[0].mean, rtol=1e-6)
    assert (again.train, again.scale, again.genes, again.effect) == (
        facts.train,
        facts.scale,
        facts.genes,
        facts.effect,
    )
    assert read_training_facts(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("spoiled", ["{}", "[1]", "not json", '{"format": "pertura-training-facts", "version": 1}'])
def test_facts_that_were_altered_are_refused(spoiled, tmp_path):
    (tmp_path / "training_facts.json").write_text(spoiled)
    with pytest.raises(BadDataError, match="not training facts"):
        read_training_facts(tmp_path)
