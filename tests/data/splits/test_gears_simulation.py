import json
import random
from pathlib import Path

import numpy as np
import pytest
from split_screens import gene_sets, genes_of, spelled_outline

from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline
from pertura.data.splits.gears_simulation import gears_simulation

REFERENCE = Path(__file__).parents[2] / "reference" / "splits"
CASES = json.loads((REFERENCE / "gears_simulation_cases.json").read_text())
NORMAN = (REFERENCE / "norman_conditions.txt").read_text().split()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['conditions'])}-{case['seed']}")
def test_parts_and_strata_are_those_of_gears(case):
    outline = spelled_outline(case["conditions"])
    split = gears_simulation(outline, seed=case["seed"], train_gene_fraction=case["train_gene_set_size"])
    assert genes_of(split.train) == gene_sets(case["train"])
    assert genes_of(split.valid) == gene_sets(case["val"])
    assert genes_of(split.test) == gene_sets(case["test"])
    strata = {name: genes_of(members) for name, members in split.strata.items()}
    assert strata == {name: gene_sets(members) for name, members in case["test_subgroup"].items()}


def test_norman_strata_are_the_published_ones():
    published = json.loads((REFERENCE / "gears_simulation_seed1_subgroups.json").read_text())["norman"]
    split = gears_simulation(spelled_outline(NORMAN), seed=1, train_gene_fraction=0.75)
    strata = {name: genes_of(members) for name, members in split.strata.items()}
    assert strata == {name: gene_sets(members) for name, members in published["test_subgroup"].items()}
    valid = set().union(*(gene_sets(members) for members in published["val_subgroup"].values()))
    assert genes_of(split.valid) == valid


def test_fingerprint_of_norman_is_frozen():
    split = gears_simulation(spelled_outline(NORMAN), seed=1, train_gene_fraction=0.75)
    assert split.fingerprint == "418ffa0fc5513be16ac503c71088c56bb780f289db7212a8e44588be68c5b3f6"


@pytest.mark.parametrize("seed", [1, 42])
def test_order_of_conditions_changes_nothing(seed):
    shuffled = random.Random(seed).sample(NORMAN, len(NORMAN))
    first = gears_simulation(spelled_outline(NORMAN), seed=seed)
    assert gears_simulation(spelled_outline(shuffled), seed=seed) == first


def test_the_global_generator_of_numpy_is_left_alone():
    before = np.random.get_state()[1].copy()
    gears_simulation(spelled_outline(NORMAN))
    assert (np.random.get_state()[1] == before).all()


def test_how_a_pair_is_spelled_decides_where_it_sorts():
    """GEARS sorts `B+A` under B: the reference cases fail if pairs are spelled with sorted genes."""
    relabelled = [spelled_outline(case["conditions"]).conditions for case in CASES]
    differing = 0
    for case, conditions in zip(CASES, relabelled):
        split = gears_simulation(
            Outline(conditions), seed=case["seed"], train_gene_fraction=case["train_gene_set_size"]
        )
        differing += genes_of(split.train) != gene_sets(case["train"])
    assert differing > 0


def test_a_perturbation_has_one_part_in_all_contexts():
    base = spelled_outline(NORMAN)
    conditions = tuple(Condition(one.perturbation, context) for one in base.conditions for context in "xy")
    spellings = {one: base.spellings[Condition(one.perturbation)] for one in conditions}
    split = gears_simulation(Outline(conditions, spellings))
    alone = gears_simulation(base)
    for part in ("train", "valid", "test"):
        assert {one.perturbation for one in getattr(split, part)} == {o.perturbation for o in getattr(alone, part)}
        assert len(getattr(split, part)) == 2 * len(getattr(alone, part))


def test_two_spellings_of_a_pair_are_one_condition_and_are_named():
    pair = Perturbation.of("A", "B")
    first, second = Condition(pair, "x"), Condition(pair, "y")
    others = tuple(Condition(Perturbation.of(gene), context) for gene in "ABCD" for context in "xy")
    outline = Outline((first, second, *others), {first: "B+A", second: "A+B"})
    split = gears_simulation(outline)
    assert split.options["merged_spellings"] == "1: A+B@x"
    assert any({first, second} <= part for part in (split.train, split.valid, split.test))


def test_a_single_counts_as_one_gene_however_it_is_spelled():
    conditions = spelled_outline(NORMAN).conditions
    spellings = {one: one.perturbation.label for one in conditions if one.perturbation.is_single}
    with_pairs = {one: spelled_outline(NORMAN).spellings[one] for one in conditions if one not in spellings}
    assert gears_simulation(Outline(conditions, spellings | with_pairs)).test == (
        gears_simulation(spelled_outline(NORMAN)).test
    )


def test_three_genes_at_once_are_refused():
    with pytest.raises(BadDataError, match="A\\+B\\+C perturbs 3 genes"):
        gears_simulation(spelled_outline(["A+ctrl", "A+B+C"]))


@pytest.mark.parametrize("options", [{"train_gene_fraction": 1.5}, {"pair_train_fraction": -0.1}, {"seed": -1}])
def test_an_impossible_option_is_refused(options):
    with pytest.raises(UsageError):
        gears_simulation(spelled_outline(NORMAN), **options)
