import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from split_screens import CONTEXTS, cells_of, condition_sets

from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline
from pertura.data.datasets import DATASETS
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit

RULE_OPTIONS = {
    "gears-simulation": {},
    "held-out-context": {"context": "x"},
    "held-out-context-and-gene": {"context": "x", "train_gene_fraction": 0.5},
    "folds": {"folds": 3, "fold": 1},
}
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def made(rule, outline, seed=1, **options):
    """The split, or None where the rule refuses an outline that it cannot cut."""
    try:
        return SPLITS[rule](outline, seed=seed, **(RULE_OPTIONS[rule] | options))
    except UsageError:
        return None


def test_every_rule_is_tested_here():
    assert set(RULE_OPTIONS) == set(SPLITS)


@pytest.mark.parametrize("rule", RULE_OPTIONS)
@given(conditions=condition_sets, seed=st.integers(0, 50))
@quick
def test_no_rule_leaks(rule, conditions, seed):
    cells = cells_of(conditions)
    split = made(rule, Outline.of(cells), seed)
    if split is not None:
        audit(split, cells)
        assert split.train | split.valid | split.test <= set(conditions)
        assert set().union(*split.strata.values(), frozenset()) <= split.test


@pytest.mark.parametrize("rule", RULE_OPTIONS)
@given(conditions=condition_sets, seed=st.integers(0, 50))
@quick
def test_the_order_of_the_screen_changes_nothing(rule, conditions, seed):
    cells = cells_of(conditions)
    order = random.Random(seed).sample(range(len(cells)), len(cells))
    turned = cells.take(np.asarray(order))
    first, second = made(rule, Outline.of(cells), seed), made(rule, Outline.of(turned), seed)
    assert (first is None) == (second is None)
    if first is not None:
        assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("rule", RULE_OPTIONS)
def test_controls_are_cut_in_two_disjoint_halves_that_cover_them(rule):
    cells = DATASETS["mcfaline-500"].load()
    options = {"context": "A172"} if "context" in RULE_OPTIONS[rule] else {}
    split = made(rule, Outline.of(cells), **options)
    for context in cells.contexts:
        one = split.controls[context]
        assert not one.is_shared
        assert set(one.model) | set(one.judge) == set(cells.ids[cells.control_rows(context)])
        assert len(one.model) == len(one.judge) == 50


@pytest.mark.parametrize("rule", RULE_OPTIONS)
def test_without_cells_there_are_no_controls(rule):
    conditions = tuple(Condition(Perturbation.of(gene), context) for gene in "ABCDEFGH" for context in CONTEXTS)
    assert made(rule, Outline(conditions)).controls == {}


@pytest.mark.parametrize("rule", RULE_OPTIONS)
def test_shared_controls_only_on_request_and_then_loudly(rule):
    conditions = [Condition(Perturbation.of(gene), context) for gene in "ABCDEFGH" for context in CONTEXTS]
    cells = cells_of(conditions)
    split = made(rule, Outline.of(cells), shared_controls=True)
    assert all(one.is_shared for one in split.controls.values())
    assert any("SHARED CONTROLS" in text for text in audit(split, cells).warnings)


@pytest.mark.parametrize("rule", RULE_OPTIONS)
def test_a_context_with_a_single_control_cell_cannot_be_judged(rule):
    conditions = tuple(Condition(Perturbation.of(gene), context) for gene in "ABCDEFGH" for context in "xy")
    outline = Outline(conditions, controls={"x": ("1", "2"), "y": ("3",)})
    with pytest.raises(BadDataError, match="context y has 1 control cells"):
        SPLITS[rule](outline, **RULE_OPTIONS[rule])


@given(conditions=condition_sets, seed=st.integers(0, 50))
@quick
def test_a_held_out_context_is_tested_whole_and_trained_nowhere(conditions, seed):
    split = made("held-out-context", Outline(tuple(conditions)), seed)
    if split is not None:
        assert split.test == {one for one in conditions if one.context == "x"}
        assert split.train | split.valid == set(conditions) - split.test
        assert not {o.perturbation for o in split.train} & {o.perturbation for o in split.valid}


@given(conditions=condition_sets, seed=st.integers(0, 50))
@quick
def test_held_out_genes_are_trained_nowhere(conditions, seed):
    split = made("held-out-context-and-gene", Outline(tuple(conditions)), seed)
    if split is not None:
        tested = {gene for one in split.test for gene in one.genes}
        assert not tested & {gene for one in split.train | split.valid for gene in one.genes}
        assert {one.context for one in split.test} == {"x"}
        assert "x" not in {one.context for one in split.train | split.valid}


def test_what_a_held_out_gene_takes_from_training_is_counted_and_named():
    conditions = tuple(Condition(Perturbation.of(gene), context) for gene in "ABCDEFGH" for context in CONTEXTS)
    split = made("held-out-context-and-gene", Outline(conditions))
    assert len(split.test) == 4
    assert split.options["removed_elsewhere"].startswith("8: ")
    assert split.options["left_out_of_context"].startswith("4: ")
    lost = set(conditions) - split.train - split.valid - split.test
    assert len(lost) == 12
    assert all(one.label in split.options["removed_elsewhere"] + split.options["left_out_of_context"] for one in lost)


@pytest.mark.parametrize(("controls", "withheld"), [("seen", frozenset()), ("unseen", frozenset({"A172"}))])
def test_controls_of_the_held_out_context_are_shown_only_if_seen(controls, withheld):
    cells = DATASETS["mcfaline-500"].load()
    split = SPLITS["held-out-context"](Outline.of(cells), context="A172", controls=controls)
    assert split.unseen == withheld
    assert ("A172" in split.visible(cells).contexts) == (controls == "seen")
    exposures = audit(split, cells).exposures.values()
    assert {one.controls_seen for one in exposures} == {controls == "seen"}


@given(conditions=condition_sets, seed=st.integers(0, 50), folds=st.integers(2, 5))
@quick
def test_folds_are_disjoint_and_cover_everything(conditions, seed, folds):
    outline = Outline(tuple(conditions))
    parts = [made("folds", outline, seed, folds=folds, fold=fold) for fold in range(folds)]
    if None not in parts:
        assert sum(len(split.test) for split in parts) == len(conditions)
        assert set().union(*(split.test for split in parts)) == set(conditions)
        perturbations = [{one.perturbation for one in split.test} for split in parts]
        assert sum(map(len, perturbations)) == len(set().union(*perturbations))


def test_strata_of_folds_count_the_genes_seen():
    conditions = tuple(Condition(Perturbation.of(*genes)) for genes in ("A", "B", "AB", "AC", "CD", "D"))
    split = SPLITS["folds"](Outline(conditions), folds=3, fold=0, valid_fraction=0.0)
    trained = {gene for one in split.train for gene in one.genes}
    for name, members in split.strata.items():
        for one in members:
            kind = "combo" if one.perturbation.is_pair else "single"
            assert name == f"{kind}_seen{len(trained.intersection(one.genes))}"
    assert set().union(*split.strata.values()) == split.test


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("held-out-context", {"context": "nowhere"}, "perturbed contexts: x, y, z"),
        ("held-out-context", {}, "name the context"),
        ("held-out-context", {"context": "x", "controls": "some"}, "'seen' or 'unseen'"),
        ("held-out-context", {"context": "x", "valid_fraction": 2.0}, "valid_fraction is 2.0"),
        ("folds", {"folds": 1}, "1 folds"),
        ("folds", {"folds": 100}, "100 folds of 8 perturbations"),
        ("folds", {"folds": 3, "fold": 3}, "fold 3 of 3"),
    ],
)
def test_an_impossible_request_is_refused_with_the_choices(rule, options, message):
    conditions = tuple(Condition(Perturbation.of(gene), context) for gene in "ABCDEFGH" for context in CONTEXTS)
    with pytest.raises(UsageError, match=message):
        SPLITS[rule](Outline(conditions), **options)
