import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core import Condition, Mode, Perturbation, Target
from pertura.core.errors import UsageError
from pertura.core.perturbation import spelled

quick = settings(max_examples=50, deadline=None)
gene_names = st.text(
    st.characters(exclude_characters="+@", exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=6
)
gene_lists = st.lists(gene_names, min_size=1, max_size=4)
modes = st.sampled_from(Mode)


@given(genes=gene_lists, mode=modes, rng=st.randoms(use_true_random=False))
@quick
def test_order_and_repeats_of_genes_carry_no_meaning(genes, mode, rng):
    turned = [*genes, *rng.choices(genes, k=2)]
    rng.shuffle(turned)
    first, second = Perturbation.of(*genes, mode=mode), Perturbation.of(*turned, mode=mode)
    assert first == second
    assert hash(first) == hash(second)
    assert first.label == second.label
    assert len(first.targets) == len(set(genes))


@given(genes=gene_lists, mode=modes, context=st.sampled_from(["", "K562", "K562@day 3", "a+b"]))
@quick
def test_a_label_is_parsed_into_what_it_came_from(genes, mode, context):
    one = Perturbation.of(*genes, mode=mode)
    assert Perturbation.parse(one.label, mode) == one
    condition = Condition(one, context)
    name, mark, rest = condition.label.partition("@")
    assert (name, rest, bool(mark)) == (one.label, context, bool(context))


@given(genes=gene_lists, pair=st.lists(modes, min_size=2, max_size=2, unique=True))
@quick
def test_modes_distinguish_perturbations_of_the_same_genes(genes, pair):
    first, second = (Perturbation.of(*genes, mode=mode) for mode in pair)
    assert first != second
    assert first.genes == second.genes
    assert (first.modes, second.modes) == ({pair[0]}, {pair[1]})


@pytest.mark.parametrize("genes", [("A+B",), ("A@K562",), ("",), (" A",), ("A\n",), ("A", "B+C")])
def test_what_is_no_gene_name_is_refused(genes):
    with pytest.raises(UsageError, match="not a gene name"):
        Perturbation.of(*genes)


@pytest.mark.parametrize("text", ["A+", "+A", "A++B", "A+B@K562", " "])
def test_a_text_with_a_hole_in_it_is_refused(text):
    with pytest.raises(UsageError, match="not a gene name"):
        Perturbation.parse(text)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="psychic"):
        Perturbation.of("A", mode="psychic")


def test_the_empty_perturbation_is_control_and_comes_first():
    control = Perturbation.parse("")
    assert control == Perturbation()
    assert control.is_control
    assert control.label == "control"
    assert not control.genes
    assert not control.modes
    assert min(Perturbation.of("A"), control, Perturbation.of("0")) == control


@given(genes=gene_lists)
@quick
def test_singles_pairs_and_control_exclude_one_another(genes):
    one = Perturbation.of(*genes)
    kinds = [one.is_control, one.is_single, one.is_pair]
    assert kinds == [False, len(set(genes)) == 1, len(set(genes)) == 2]


@given(
    conditions=st.lists(
        st.builds(Condition, st.builds(Perturbation.parse, gene_names, modes), st.sampled_from("xy")), max_size=6
    ),
    rng=st.randoms(use_true_random=False),
)
@quick
def test_conditions_sort_the_same_way_from_any_order(conditions, rng):
    turned = list(conditions)
    rng.shuffle(turned)
    assert sorted(turned) == sorted(conditions)


def test_contexts_are_spelled_only_where_there_are_several():
    here, there = (Condition(Perturbation.of("A"), context) for context in ("K562", "RPE1"))
    assert spelled([here], ["K562"]) == {here: "A"}
    assert spelled([here, there], ["K562", "RPE1"]) == {here: "A@K562", there: "A@RPE1"}


def test_modes_are_spelled_only_where_nothing_else_tells_conditions_apart():
    here, there = (Condition(Perturbation.of("A", mode="activation"), context) for context in ("K562", "RPE1"))
    otherwise = Condition(Perturbation.of("A", mode="knockout"), "K562")
    assert spelled([here, otherwise], ["K562"]) == {here: "A:activation", otherwise: "A:knockout"}
    assert spelled([here, there, otherwise], ["K562", "RPE1"]) == {
        here: "A:activation@K562",
        there: "A@RPE1",
        otherwise: "A:knockout@K562",
    }


def test_targets_of_a_pair_may_have_different_modes():
    pair = Perturbation(frozenset({Target("A", Mode.ACTIVATION), Target("B", Mode.INTERFERENCE)}))
    assert pair.is_pair
    assert pair.modes == {Mode.ACTIVATION, Mode.INTERFERENCE}
    assert pair != Perturbation(frozenset({Target("A", Mode.INTERFERENCE), Target("B", Mode.ACTIVATION)}))
