"""The nearest observed perturbation, what is doubtful about a candidate, and what is hidden from whom."""

import numpy as np
import pytest

from pertura.core import Mode
from pertura.core.errors import BadDataError
from pertura.core.seeds import generator
from pertura.screening.held_out import kind_of, turns
from pertura.screening.nearest import Domain, Neighbourhood
from screens import perturbed

NAMES = ["A", "B", "C", "D", "E", "F", "A+B", "C+D", "A+F", "B+E"]
CONDITIONS = [perturbed(name) for name in NAMES]


def test_the_nearest_is_the_most_alike_and_never_itself():
    deltas = generator(0, "observed").normal(size=(10, 30))
    near = Neighbourhood.of(CONDITIONS, deltas)
    found = near.nearest([perturbed("A"), perturbed("X")], np.asarray([deltas[3] + 0.1 * deltas[0], deltas[7]]))
    assert found.rows.tolist() == [3, 7]
    assert found.similarity[1] == pytest.approx(1.0)
    own = near.nearest(CONDITIONS[:1], deltas[:1])
    assert own.rows[0] != 0


def test_what_all_perturbations_share_makes_none_alike():
    deltas = generator(0, "observed").normal(size=(10, 30)) + 5.0
    found = Neighbourhood.of(CONDITIONS, deltas).nearest([perturbed("X")], np.full((1, 30), 5.0))
    assert abs(found.similarity[0]) < 0.8


def test_nothing_is_near_where_nothing_was_observed():
    found = Neighbourhood.of([], np.empty((0, 3))).nearest([perturbed("X")], np.ones((1, 3)))
    assert found.rows.tolist() == [-1]


def test_flags_say_what_is_doubtful():
    domain = Domain(("A", "B"), np.asarray([0.0, 0.9]), frozenset({"B"}), frozenset({"B"}), usual=0.2)
    silenced = perturbed("A", mode=Mode.INTERFERENCE)
    assert "little to lose" in domain.flags(silenced, 0.5)[0]
    assert domain.flags(perturbed("A"), 0.5) == ()
    assert "in the goal itself" in domain.flags(perturbed("B"), 0.5)[0]
    assert domain.flags(perturbed("KLF1"), 0.1) == ("target not measured", "unlike any observed perturbation")


def test_every_single_and_every_pair_is_hidden_once():
    found = turns(CONDITIONS, folds=3, seed=1)
    assert sorted(one for turn in found for one in turn.test) == sorted(CONDITIONS)


def test_a_hidden_gene_is_hidden_with_all_its_pairs():
    for turn in turns(CONDITIONS, folds=3, seed=1):
        hidden = {gene for one in turn.test if one.perturbation.is_single for gene in one.genes}
        assert not any(hidden.intersection(one.genes) for one in turn.train)
        assert not set(turn.test) & set(turn.train)


def test_a_perturbation_is_hidden_in_all_contexts_at_once():
    both = [perturbed(name, context) for name in NAMES for context in ("K562", "RPE1")]
    for turn in turns(both, folds=3, seed=1):
        assert not {one.perturbation for one in turn.test} & {one.perturbation for one in turn.train}


def test_turns_do_not_depend_on_the_order_of_conditions():
    first, second = turns(CONDITIONS, seed=2), turns(CONDITIONS[::-1], seed=2)
    assert [set(one.test) for one in first] == [set(one.test) for one in second]


def test_too_few_conditions_cannot_be_hidden():
    with pytest.raises(BadDataError, match="too few"):
        turns([perturbed("A"), perturbed("B")])


def test_kinds_count_the_genes_that_were_trained():
    assert kind_of(perturbed("A"), frozenset()) == "single"
    assert kind_of(perturbed("A+B"), frozenset({"A"})) == "pair, 1 of 2 genes seen"
