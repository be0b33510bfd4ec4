"""Recipes of published CellFlow models, and what their reports say of populations."""

from dataclasses import replace

import numpy as np
import pytest

from pertura.core.errors import MissingError, UsageError
from pertura.core.split import Outline
from pertura.data.splits import SPLITS
from pertura.metrics.population import energy_distance, mean_e_distance
from pertura.models.table import BASELINES
from pertura.prediction.predict import predict
from pertura.recipes.population_section import Spaces
from pertura.recipes.published_flows import FLOWS
from pertura.recipes.sources import check_networks, models_of, network_of
from pertura.recipes.table import named_recipe, with_priors
from screens import pairs_screen


def options_of(recipe, model):
    return network_of(model).chosen(recipe.size, recipe.changes_of(model), model)


@pytest.mark.parametrize("name", FLOWS)
def test_every_debug_recipe_can_be_made_and_its_models_begin_here(name):
    recipe = named_recipe(name, "debug")
    assert recipe.name == name
    for one in (recipe, *recipe.companions):
        assert set(BASELINES) < set(models_of(one, ()))
        check_networks(one)


def test_hyper_parameters_of_the_card():
    recipe = named_recipe("norman-cellflow")
    found = options_of(recipe, "cellflow+esm2-8m")
    net, told = found.network, found.training
    assert (recipe.data, recipe.seed, recipe.rule) == ("norman", 42, "gears-simulation")
    assert (net.condition_width, net.condition_dropout, net.decoder_dropout, net.dims) == (1024, 0.9, 0.2, 50)
    assert (net.time_dims, net.cell_dims, net.decoder_dims) == ((2048,) * 3, (4096,) * 3, (4096,) * 3)
    assert (net.time_features, net.time_period, net.compat, net.pooling.kind) == (1024, 10000.0, "0.0.9", "token")
    assert not net.covariates[0].layers
    assert not net.layers_after_pool
    transport = found.coupling.sinkhorn
    assert (transport.epsilon, transport.scale_cost, transport.tau_source, transport.tau_target) == (0.1, True, 1, 1)
    assert (found.path, found.deviation, found.cells) == ("constant-noise", 1.0, 1024)
    assert told.epochs * found.updates * told.batch == 200_000
    assert (told.batch, told.learning_rate, told.decay, told.clip, told.patience) == (20, 5e-5, 1.0, None, None)
    with pytest.raises(MissingError, match="--prior esm2-8m=FILE"):
        models_of(recipe, ())


def test_the_card_has_as_many_numbers_as_were_published():
    from pertura.models.networks import Extent

    recipe = named_recipe("norman-cellflow")
    network = network_of("cellflow")
    found = network.footprint(
        options_of(recipe, "cellflow+esm2-8m"), Extent(genes=5045, cells=49_349, prior_width=320, prior_genes=105)
    )
    assert found.parameters == 107_806_578


def test_the_paper_has_five_splits_with_500_controls_held_out():
    recipe = named_recipe("norman-cellflow-paper")
    screens = (recipe, *recipe.companions)
    assert [one.seed for one in screens] == [1, 2, 3, 4, 5]
    assert all(one.options == {"judge_controls": 500} and "cellflow+esm2-3b" in one.models for one in screens)
    net = options_of(recipe, "cellflow+esm2-3b").network
    assert (net.time_period, net.compat) == (None, "paper")


def test_a_prior_that_is_given_reaches_every_screen_that_asks_for_it(tmp_path):
    path = tmp_path / "vectors.safetensors"
    path.write_bytes(b"")
    recipe = with_priors(named_recipe("norman-cellflow-paper"), (f"esm2-3b={path}",))
    assert all(one.priors == (f"esm2-3b={path}",) for one in (recipe, *recipe.companions))
    assert not with_priors(named_recipe("demo"), (f"esm2-3b={path}",)).companions[0].priors


def test_both_networks_learn_on_one_split():
    recipe = named_recipe("norman-scgpt-vs-cellflow")
    assert {"scgpt", "cellflow+esm2-8m", *BASELINES} == set(recipe.models)


@pytest.mark.parametrize("kept", [1, 7])
def test_the_rule_keeps_as_many_controls_from_models_as_it_is_told(kept):
    cells = pairs_screen().cells
    outline = Outline.of(cells)
    plain = SPLITS["gears-simulation"](outline, seed=3)
    split = SPLITS["gears-simulation"](outline, seed=3, judge_controls=kept)
    assert len(split.controls["K562"].judge) == kept
    assert set(split.controls["K562"].model) | set(split.controls["K562"].judge) == set(outline.controls["K562"])
    assert split.test == plain.test
    assert "judge_controls" not in plain.options
    assert replace(plain, controls=split.controls, options=split.options) == split
    with pytest.raises(UsageError, match="judge_controls"):
        SPLITS["gears-simulation"](outline, seed=3, judge_controls=len(outline.controls["K562"]))


def test_distances_of_populations_are_those_of_all_their_cells_over_genes():
    made = pairs_screen()
    model = models_of(named_recipe("demo"), ())["additive"]
    model.fit(made.cells, made.split, seed=0)
    answer = predict(model, made.cells, made.split, made.asked, seed=0)
    spaces = Spaces.of(made.cells, made.split, made.asked, 0)
    values = spaces.values(answer)
    one = made.asked[0]
    sides = np.asarray(answer.cells[one], dtype=np.float64), made.cells.dense(made.cells.rows_of(one))
    assert values.shape == (len(made.asked), 7)
    assert values[0, 1] == pytest.approx(mean_e_distance(*sides))
    assert values[0, 2] == pytest.approx(energy_distance(*sides))
    assert (values[:, 4] <= values[:, 1] + 1e-9).all()  # components leave something out


def test_observed_cells_that_are_predicted_are_at_no_distance():
    made = pairs_screen()
    from pertura.core.prediction import Prediction, Provenance

    same = {one: made.cells.dense(made.cells.rows_of(one)) for one in made.asked}
    found = Spaces.of(made.cells, made.split, made.asked, 0).values(
        Prediction(made.cells.genes, same, Provenance("the observed cells"))
    )
    np.testing.assert_allclose(found[:, 0], 1.0)
    np.testing.assert_allclose(found[:, 1:], 0.0, atol=1e-6)
