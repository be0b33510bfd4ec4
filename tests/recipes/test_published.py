"""Recipes of published fine-tunings: their hyper-parameters, their splits, and what is said where something lacks."""

import json
from pathlib import Path

import pytest

from pertura.core.errors import MissingError, UsageError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.split import Outline
from pertura.data.splits import SPLITS
from pertura.models.table import BASELINES
from pertura.recipes.published import PUBLISHED, VARIANTS
from pertura.recipes.sources import check_networks, models_of, network_of
from pertura.recipes.table import named_recipe

SPLIT_LISTS = Path(__file__).parents[1] / "reference" / "splits"
ZOO = ("scgpt", *(f"scgenept-{one}" for one in ("ncbi", "ncbi+uniprot", "go-f", "go-c", "go-p", "go-all")))


def spelled(names):
    conditions = {}
    for name in names:
        genes = [gene for gene in name.split("+") if gene != "ctrl"]
        if genes:
            conditions[Condition(Perturbation.of(*genes))] = name
    return Outline(tuple(sorted(conditions)), conditions)


def split_of(recipe, outline):
    return SPLITS[recipe.rule](outline, seed=recipe.seed, **recipe.options)


def training_of(recipe, model):
    network = network_of(model)
    return network.chosen(recipe.size, recipe.changes_of(model), model)


@pytest.mark.parametrize("screen", ["norman", "adamson"])
def test_the_seven_published_variants_are_there_and_beside_them_every_baseline(screen):
    for variant in ZOO:
        recipe = named_recipe(f"{screen}-{variant}")
        assert recipe.data == screen
        assert set(recipe.models) - set(BASELINES) == {VARIANTS[variant]}


def test_hyper_parameters_of_scgenept():
    options = training_of(named_recipe("norman-scgenept-go-c"), "scgenept+go-c")
    told = options.training
    assert (told.epochs, told.batch, told.learning_rate, told.decay, told.clip) == (20, 64, 1e-4, 0.9, 1.0)
    assert (told.precision, told.patience, told.stop_metric) == ("fp16", 10, "pearson_delta")
    assert (options.max_genes, options.size.dropout, options.flag_pad) == (1536, 0.2, 2)
    assert (options.placement, options.final_norm, options.trainable_prior, options.decoder) == (
        "scgenept",
        True,
        True,
        "plain",
    )


def test_hyper_parameters_of_the_card_on_replogle():
    for name, model in (("replogle-to-rpe1", "scgpt"), ("replogle-to-rpe1-esm2", "scgpt+esm2")):
        recipe = named_recipe(name)
        options = training_of(recipe, model)
        told = options.training
        assert (told.batch, told.epochs, told.patience, told.stop_metric) == (192, 30, 10, "pearson_delta")
        assert (told.learning_rate, told.decay, told.precision) == (1e-4, 0.9, "fp16")
        size = options.size
        assert (size.layers, size.heads, size.width, options.max_genes) == (12, 8, 512, 1536)
        assert (options.placement, options.trainable_prior, options.prior_rows) == ("token", False, "stored")
        assert model in recipe.models


def test_split_counts_of_norman():
    split = split_of(named_recipe("norman-scgpt"), spelled((SPLIT_LISTS / "norman_conditions.txt").read_text().split()))
    published = json.loads((SPLIT_LISTS / "gears_simulation_seed1_subgroups.json").read_text())["norman"]
    sizes = {name: len(members) for name, members in split.strata.items()}
    assert sizes["combo_seen0"] == 9
    assert sizes["combo_seen1"] == 52
    assert sizes["combo_seen2"] == 18
    # 37 and 14 names: A+ctrl and ctrl+A are two there and one here
    for part, count, stratum in ((split.test, 37, "test_subgroup"), (split.valid, 14, "val_subgroup")):
        names = published[stratum]["unseen_single"]
        assert len(names) == count
        singles = {gene for one in part if one.perturbation.is_single for gene in one.genes}
        assert singles == {gene for name in names for gene in name.split("+") if gene != "ctrl"}
    assert sum(not one.perturbation.is_single for one in split.valid) == 11 + 5


def test_split_counts_of_adamson():
    """86 singles, of which 22 are test and 7 valid, as GEARS's fractions make them."""
    split = split_of(named_recipe("adamson-scgpt"), spelled([f"G{i:02d}+ctrl" for i in range(86)]))
    published = json.loads((SPLIT_LISTS / "gears_simulation_seed1_subgroups.json").read_text())["adamson"]
    assert len(split.test) == len(published["test_subgroup"]["unseen_single"]) == 22
    assert len(split.valid) == len(published["val_subgroup"]["unseen_single"]) == 7
    assert len(split.train) == 57


def test_split_counts_of_the_card_on_replogle():
    """1,456 perturbations of K562 make 1,383 and 73; 1,047 of the 1,499 of RPE1 are among them."""
    done = [("k562", range(1456)), ("rpe1", range(1456 - 1047, 1456 - 1047 + 1499))]
    conditions = [
        Condition(Perturbation.of(f"G{i:04d}", mode=Mode.INTERFERENCE), line) for line, genes in done for i in genes
    ]
    split = split_of(named_recipe("replogle-to-rpe1"), Outline(tuple(conditions)))
    assert (len(split.train), len(split.valid), len(split.test)) == (1383, 73, 1499)
    elsewhere = {one.genes for one in split.train | split.valid}
    assert sum(one.genes in elsewhere for one in split.test) == 1047
    assert {one.context for one in split.test} == {"rpe1"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_debug_recipe_can_be_made_and_its_models_begin_here(name):
    recipe = named_recipe(name, "debug")
    assert recipe.name == name
    for one in (recipe, *recipe.companions):
        assert set(BASELINES) < set(models_of(one, ()))
        check_networks(one)
    assert recipe.companions


def test_what_is_not_there_is_named_with_the_way_out():
    with pytest.raises(MissingError, match="--pretrained FOLDER, or --size debug"):
        check_networks(named_recipe("norman-scgpt"))
    with pytest.raises(MissingError, match="--prior esm2=FILE"):
        models_of(named_recipe("replogle-to-rpe1-esm2"), ())


def test_a_size_that_is_none_is_refused():
    with pytest.raises(UsageError, match="full and debug"):
        named_recipe("norman-scgpt", "huge")
    with pytest.raises(UsageError, match="has no sizes"):
        named_recipe("demo", "debug")
