import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core import Condition, ControlPartition, Mode, Outline, Perturbation, Split, Target
from pertura.core.errors import BadDataError, LeakError
from screens import contexts_screen, pairs_screen, perturbed, reordered

quick = settings(max_examples=40, deadline=None)
names = st.text("ABCDEF", min_size=1, max_size=3)
targets = st.builds(Target, names, st.sampled_from([Mode.ACTIVATION, Mode.KNOCKOUT]))
perturbations = st.builds(Perturbation, st.frozensets(targets, min_size=1, max_size=2))
conditions = st.builds(Condition, perturbations, st.sampled_from(["", "K562", "RPE1@day 2", "a+b"]))
cell_names = st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=12, unique=True)


@st.composite
def ingredients(draw):
    """What a split is made from; made outside the strategy, since checking types draws from the global generator."""
    everything = draw(st.lists(conditions, max_size=12, unique=True))
    parts = draw(st.lists(st.integers(0, 2), min_size=len(everything), max_size=len(everything)))
    controls = draw(st.dictionaries(st.sampled_from(["K562", "RPE1@day 2", "HeLa"]), cell_names))
    return draw(st.text(max_size=5)), everything, parts, controls, draw(st.integers(0, 2**40))


def split_of(made):
    name, everything, parts, controls, seed = made
    train, valid, test = (frozenset(one for one, part in zip(everything, parts) if part == i) for i in range(3))
    return Split(
        name=name,
        train=train,
        valid=valid,
        test=test,
        strata={"first": frozenset(sorted(test)[:1])},
        controls={context: ControlPartition.halves(ids, 0, context) for context, ids in controls.items()},
        unseen=frozenset(controls) & {"HeLa"},
        seed=seed,
        options={"fraction": "0.75"},
    )


@given(made=ingredients())
@quick
def test_a_split_survives_json(made):
    split = split_of(made)
    again = Split.from_json(json.loads(json.dumps(split.to_json())))
    assert again == split
    assert again.fingerprint == split.fingerprint


@given(made=ingredients(), change=st.sampled_from(["name", "train", "test", "strata", "controls", "unseen", "seed"]))
@quick
def test_any_difference_of_content_is_a_difference_of_fingerprints(made, change):
    split = split_of(made)
    extra = perturbed("Z", "HeLa")
    changes = {
        "name": split.name + "x",
        "train": split.train | {extra},
        "test": split.test | {extra},
        "strata": {**split.strata, "second": frozenset()},
        "controls": {**split.controls, "new": ControlPartition(("1",), ("2",))},
        "unseen": split.unseen | {"new"},
        "seed": split.seed + 1,
    }
    other = replace(split, **{change: changes[change]})
    assert other.fingerprint != split.fingerprint


@given(made=ingredients(), rng=st.randoms(use_true_random=False))
@quick
def test_the_fingerprint_does_not_depend_on_the_order_things_were_given_in(made, rng):
    split = split_of(made)

    def turned(mapping):
        items = list(mapping.items())
        rng.shuffle(items)
        return dict(items)

    def rebuilt(part):
        listed = list(part)
        rng.shuffle(listed)
        return frozenset(listed)

    other = replace(
        split,
        train=rebuilt(split.train),
        test=rebuilt(split.test),
        strata=turned({"other": frozenset(), **split.strata}),
        controls=turned(split.controls),
        options=turned({"a": "1", **split.options}),
    )
    same = replace(split, strata={"other": frozenset(), **split.strata}, options={"a": "1", **split.options})
    assert other.fingerprint == same.fingerprint


def test_the_fingerprint_of_a_small_split_is_frozen():
    parts = [frozenset({perturbed(name, "K562")}) for name in ("A", "B", "A+B")]
    split = Split("small", *parts, controls={"K562": ControlPartition(("c1",), ("c2",))}, seed=1)
    assert split.fingerprint == "603c226eeb557aa036fe7fe09d75bf3aa4e82d50d579279d5d69555807ea477f"


@pytest.mark.parametrize(("first", "second"), list(combinations(["train", "valid", "test"], 2)))
def test_a_condition_in_two_parts_is_refused_and_named(first, second):
    split = Split("s", frozenset({perturbed("A")}), frozenset({perturbed("B")}), frozenset({perturbed("C")}))
    both = getattr(split, first) | getattr(split, second)
    with pytest.raises(LeakError, match=f"in {first} and in {second}"):
        replace(split, **{second: both})


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_control_is_no_condition_of_any_part(part):
    split = Split("s", frozenset({perturbed("A")}), frozenset(), frozenset({perturbed("C")}))
    with pytest.raises(LeakError, match="control is listed as a condition"):
        replace(split, **{part: frozenset({Condition(Perturbation(), "K562")})})


def test_a_stratum_lies_within_test():
    one, other = perturbed("A"), perturbed("B")
    with pytest.raises(LeakError, match="stratum unseen has conditions outside test: A"):
        Split("s", frozenset({one}), frozenset(), frozenset({other}), strata={"unseen": frozenset({one, other})})


def test_the_same_genes_in_another_context_or_mode_are_another_condition():
    here, there, otherwise = perturbed("A", "x"), perturbed("A", "y"), perturbed("A", "x", Mode.KNOCKOUT)
    split = Split("s", frozenset({here}), frozenset({otherwise}), frozenset({there}))
    assert Split.from_json(split.to_json()) == split


@pytest.mark.parametrize(
    "change",
    [
        {"format": "another"},
        {"version": 2},
        {"version": "x"},
        {"contexts": 3},
        {"train": None},
        {"train": [1]},
        {"train": ["A++B"]},
        {"test": [" A"]},
        {"strata": []},
        {"controls": {"x": []}},
        {"controls": {"x": [["c1"]]}},
        {"controls": [["c1"], ["c2"]]},
        {"modes": ["psychic"]},
        {"modes": ["activation", "knockout"]},
        {"modes": {"A": ["A:activation"]}},
        {"seed": None},
        {"options": 3},
        {"unseen": 3},
    ],
    ids=str,
)
def test_what_is_no_split_is_bad_data(change):
    content = Split("s", frozenset({perturbed("A", "x")}), frozenset(), frozenset({perturbed("B", "x")})).to_json()
    with pytest.raises(BadDataError, match="not a split file"):
        Split.from_json(content | change)


@pytest.mark.parametrize(
    "lost", ["format", "version", "name", "seed", "contexts", "modes", "train", "test", "controls"]
)
def test_a_lost_entry_is_bad_data(lost):
    content = Split("s", frozenset({perturbed("A", "x")}), frozenset(), frozenset()).to_json()
    del content[lost]
    with pytest.raises(BadDataError, match="not a split file"):
        Split.from_json(content)


def test_overlapping_parts_of_a_file_are_a_leak():
    content = Split("s", frozenset({perturbed("A", "x")}), frozenset(), frozenset()).to_json()
    with pytest.raises(LeakError):
        Split.from_json(content | {"test": content["train"]})


@given(ids=cell_names, seed=st.integers(0, 99), rng=st.randoms(use_true_random=False))
@quick
def test_halves_are_disjoint_and_complete_whatever_the_order(ids, seed, rng):
    turned = list(ids)
    rng.shuffle(turned)
    one = ControlPartition.halves(ids, seed, "K562")
    assert sorted(one.model + one.judge) == sorted(ids)
    assert not set(one.model) & set(one.judge)
    assert 0 <= len(one.model) - len(one.judge) <= 1
    assert not one.is_shared
    assert ControlPartition.halves(turned, seed, "K562") == one


def test_halves_depend_on_seed_and_context():
    ids = [f"cell-{i}" for i in range(30)]
    cuts = {ControlPartition.halves(ids, seed, context).model for seed in range(5) for context in ("x", "y")}
    assert len(cuts) == 10


def test_each_control_falls_on_either_side_equally_often():
    ids = [f"cell-{i}" for i in range(20)]
    cuts = [set(ControlPartition.halves(ids, seed, "x").model) for seed in range(400)]
    share = np.asarray([np.mean([one in cut for cut in cuts]) for one in ids])
    assert np.abs(share - 0.5).max() < 4 * 0.5 / np.sqrt(400)


def test_a_shared_pool_serves_both_sides():
    one = ControlPartition.shared(["b", "a"])
    assert one.model == one.judge == ("a", "b")
    assert one.is_shared


@pytest.mark.parametrize("screen", [pairs_screen(), contexts_screen()], ids=["one context", "three contexts"])
def test_only_train_valid_and_model_side_controls_are_visible(screen):
    seen = set(screen.split.visible(screen.cells).ids)
    expected = [screen.cells.rows_of(one) for one in screen.split.train | screen.split.valid]
    expected += [screen.split.model_controls(screen.cells, context) for context in screen.cells.contexts]
    hidden = [screen.cells.rows_of(one) for one in screen.split.test]
    hidden += [screen.split.judge_controls(screen.cells, context) for context in screen.cells.contexts]
    assert seen == set(screen.cells.ids[np.concatenate(expected)])
    assert not seen & set(screen.cells.ids[np.concatenate(hidden)])


def test_conditions_that_no_part_lists_are_invisible():
    screen = pairs_screen()
    dropped = min(screen.split.train)
    split = replace(screen.split, train=screen.split.train - {dropped})
    assert dropped not in split.visible(screen.cells).present


def test_controls_of_an_unseen_context_are_withheld_from_fit_alone():
    screen = contexts_screen()
    split = replace(screen.split, unseen=frozenset({"RPE1"}))
    visible = split.visible(screen.cells)
    assert not len(visible.control_rows("RPE1"))
    assert len(visible.control_rows("A549")) == len(split.controls["A549"].model)
    assert len(split.model_controls(screen.cells, "RPE1")) == len(split.controls["RPE1"].model)


def test_visible_is_idempotent_and_keeps_the_order_of_the_file():
    screen = pairs_screen()
    for cells in (screen.cells, reordered(screen.cells)):
        once = screen.split.visible(cells)
        assert screen.split.visible(once).ids.tolist() == once.ids.tolist()
        assert (np.diff(cells.rows_of_ids(list(once.ids))) > 0).all()


def test_the_two_sides_of_the_controls_are_rows_of_their_context():
    screen = contexts_screen()
    for context in screen.cells.contexts:
        both = [screen.split.model_controls(screen.cells, context), screen.split.judge_controls(screen.cells, context)]
        assert sorted(np.concatenate(both)) == sorted(screen.cells.control_rows(context))


def test_a_context_without_controls_is_refused_with_those_there_are():
    screen = contexts_screen()
    with pytest.raises(BadDataError, match=r"'HeLa' \(it has: A549, HepG2, RPE1\)"):
        screen.split.model_controls(screen.cells, "HeLa")


def test_a_split_of_another_file_is_refused():
    split = pairs_screen().split
    with pytest.raises(BadDataError, match="named cells are not in"):
        split.judge_controls(contexts_screen().cells.take(np.arange(5)), "K562")


def test_an_outline_lists_what_has_cells():
    screen = contexts_screen()
    outline = Outline.of(screen.cells)
    assert outline.conditions == screen.cells.perturbed
    assert outline.contexts == screen.cells.contexts
    assert {one: set(ids) for one, ids in outline.controls.items()} == {
        one: set(screen.cells.ids[screen.cells.control_rows(one)]) for one in screen.cells.contexts
    }
