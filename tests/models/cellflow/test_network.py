"""Laws of the network: sets without order, empty places without influence, conditions shared by cells."""

from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
import torch
from pydantic import TypeAdapter

from pertura.core.errors import UsageError
from pertura.flow.integrate import solve
from pertura.models.cellflow.config import AttentionLayer, CellFlowConfig, Covariate, MlpLayer, PoolingConfig
from pertura.models.cellflow.network import CellFlowNetwork

POOLINGS = {
    "mean": PoolingConfig(kind="mean"),
    "token": PoolingConfig(kind="token", heads=2, size=8),
    "seed": PoolingConfig(kind="seed", heads=2, size=8, seed=4, feed_forward=True, norm=True),
}
ATTENTION = AttentionLayer(heads=(2,), sizes=(8,), feed_forward=True, norm=True)


def config(pooling: str = "token", **changes: object) -> CellFlowConfig:
    gene = Covariate(name="gene", width=5, layers=(MlpLayer(dims=(7, 6)), ATTENTION))
    line = Covariate(name="line", width=3, layers=(MlpLayer(dims=(4,)),), pooled=False, marks_presence=False)
    made = CellFlowConfig(
        dims=4,
        covariates=(gene, line),
        pooling=POOLINGS[pooling],
        condition_width=6,
        layers_after_pool=(MlpLayer(dims=(9,)),),
        time_features=16,
        time_dims=(8, 8),
        cell_dims=(9, 8),
        decoder_dims=(10, 8),
    )
    return replace(made, **changes)


def network(pooling: str = "token", **changes: object) -> CellFlowNetwork:
    torch.manual_seed(0)
    return CellFlowNetwork(config(pooling, **changes)).eval()


def told(*sets: tuple[int, ...], places: int = 2) -> dict[str, torch.Tensor]:
    """Return conditions whose genes are rows of a table; -1 is an empty place."""
    rng = torch.Generator().manual_seed(1)
    table, line = torch.randn(4, 5, generator=rng), torch.randn(1, 1, 3, generator=rng)
    padded = [(*one, *[-1] * (places - len(one))) for one in sets]
    genes = torch.stack([torch.stack([table[i] * (i >= 0) for i in one]) for one in padded])
    return {"gene": genes, "line": line.expand(len(sets), places, -1)}


Made = Callable[..., CellFlowNetwork]


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_order_and_empty_places_have_no_influence(pooling):
    made = network(pooling)
    pair, single = made.encode(told((0, 1))).mean, made.encode(told((2,), places=1)).mean
    for same in (told((1, 0)), told((0, 1, -1), places=3), told((-1, 1, 0, -1), places=4)):
        torch.testing.assert_close(made.encode(same).mean, pair)
    for same in (told((2, -1)), told((-1, 2)), told((-1, -1, 2), places=3)):
        torch.testing.assert_close(made.encode(same).mean, single)
    assert not torch.allclose(pair, made.encode(told((0, 2))).mean, atol=1e-3)


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_what_fills_an_empty_place_has_no_influence_where_presence_is_said(pooling):
    made, present = network(pooling), torch.tensor([[True, False]])
    filled = told((0, 1))
    torch.testing.assert_close(made.encode(filled, present).mean, made.encode(told((0,))).mean)
    everything = torch.tensor([[True, True]])
    assert not torch.allclose(made.encode(told((0,)), everything).mean, made.encode(told((0,))).mean)


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_sets_are_encoded_each_by_itself(pooling):
    made, sets = network(pooling), ((0,), (1, 2), (), (-1, 3))
    together = made.encode(told(*sets)).mean
    alone = torch.cat([made.encode(told(one)).mean for one in sets])
    torch.testing.assert_close(together, alone)
    assert torch.isfinite(together).all()


@torch.no_grad()
def test_a_context_told_with_each_place_wakes_empty_ones_only_in_the_published_version():
    for compat, moved in ((None, False), ("0.0.9", True)):
        made = network(compat=compat)
        wide, narrow = made.encode(told((2, -1))).mean, made.encode(told((2,), places=1)).mean
        assert torch.allclose(wide, narrow, atol=1e-5) is not moved


@torch.no_grad()
def test_the_mean_is_over_the_genes_that_are_there_and_was_over_places():
    bare = {"covariates": (Covariate(name="gene", width=5),), "layers_after_pool": ()}
    genes = {"gene": told((2, -1))["gene"]}
    for compat, share in ((None, 1.0), ("0.0.9", 0.5)):
        made = network("mean", compat=compat, **bare)
        wanted = made.condition.after.last(share * genes["gene"][:, 0])
        torch.testing.assert_close(made.encode(genes).mean, wanted)


@torch.no_grad()
def test_the_feed_forward_map_of_a_set_layer_is_used_except_in_the_published_version():
    for compat, used in ((None, True), ("0.0.9", False)):
        made = network(compat=compat)
        before = made.encode(told((0, 1))).mean
        layer = made.condition.own[0].layers[1]
        layer.inner.weight.mul_(-3.0)
        assert torch.equal(made.encode(told((0, 1))).mean, before) is not used


# ---- cells


@pytest.mark.parametrize("conditioning", ["concatenation", "film", "residual"])
@torch.no_grad()
def test_one_condition_for_all_one_for_each_and_one_for_each_set_agree(conditioning):
    made, time, cells = network(conditioning=conditioning), torch.rand(12, 1), torch.randn(12, 4)
    sets = told((0,), (1, 2))
    repeated = {name: one.repeat_interleave(6, dim=0) for name, one in sets.items()}
    each = made(time, cells, repeated).velocity
    grouped = made(time.reshape(2, 6, 1), cells.reshape(2, 6, 4), sets).velocity.reshape(12, 4)
    first = made(time[:6], cells[:6], told((0,))).velocity
    torch.testing.assert_close(each, grouped, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(each[:6], first, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_time_may_be_one_for_all_or_one_for_each_cell():
    made, cells = network(), torch.randn(5, 4)
    wanted = made(torch.full((5, 1), 0.3), cells, told((0,))).velocity
    for time in (torch.tensor(0.3), torch.tensor([0.3]), torch.full((5,), 0.3), torch.full((1, 1), 0.3)):
        torch.testing.assert_close(made(time, cells, told((0,))).velocity, wanted, atol=1e-6, rtol=1e-5)


def test_conditions_and_cells_that_do_not_go_together_are_refused():
    with pytest.raises(UsageError, match="one for all cells, or one for each row"):
        network()(torch.tensor(0.5), torch.randn(5, 4), told((0,), (1,)))


@pytest.mark.parametrize("norms", [False, True])
@torch.no_grad()
def test_the_flow_of_a_network_run_backwards_returns_to_its_start(norms):
    made, start = network(norms=norms, time_period=None, time_features=2), torch.randn(10, 4)
    velocity = made.guided(made.embedded(made.encode(told((0, 1)))))
    end = solve(velocity, start, steps=40)
    assert (end - start).norm() > 0.1
    torch.testing.assert_close(solve(velocity, end, steps=40, interval=(1.0, 0.0)), start, atol=2e-4, rtol=0)


# ---- guidance, noise, dropout


@torch.no_grad()
def test_guidance_goes_from_no_condition_through_the_condition_and_beyond():
    made, time, cells = network(), torch.tensor(0.4), torch.randn(6, 4)
    embedding = made.embedded(made.encode(told((0, 1))))
    dropped = made.embedded(made.encode(told((0, 1))), dropped=torch.tensor([True]))
    free, full = made.velocity(time, cells, dropped), made.velocity(time, cells, embedding)
    assert not torch.allclose(free, full, atol=1e-4)
    for scale in (0.0, 1.0, 2.5):
        found = made.guided(embedding, scale=scale)(time, cells)
        torch.testing.assert_close(found, free + scale * (full - free), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_noise_moves_a_stochastic_condition_by_its_deviation_and_no_other():
    noise = torch.randn(2, 6)
    for stochastic in (False, True):
        made = network(stochastic=stochastic)
        encoded = made.encode(told((0, 1), (2,)))
        moved = made.embedded(encoded, noise) - encoded.mean
        torch.testing.assert_close(moved, noise * torch.exp(encoded.logvar / 2) * stochastic, atol=1e-6, rtol=1e-5)
        assert bool((encoded.logvar != 0).any()) is stochastic
        torch.testing.assert_close(made.embedded(encoded), encoded.mean)


@torch.no_grad()
def test_noise_may_differ_between_the_cells_of_a_set():
    made, noise = network(stochastic=True), torch.randn(2, 7, 6)
    cells, sets = torch.randn(2, 7, 4), told((0,), (1, 2))
    found = made(torch.tensor(0.2), cells, sets, noise).velocity
    alone = made(torch.tensor(0.2), cells[1], told((1, 2)), noise[1]).velocity
    torch.testing.assert_close(found[1], alone, atol=1e-6, rtol=1e-5)


def test_dropout_of_a_condition_is_one_mask_for_its_cells():
    made = network(condition_dropout=0.5).train()
    embedding = made.embedded(made.encode(told((0,), (1,))))
    assert embedding.shape == (2, 6)
    assert (embedding == 0).any()


# ---- from noise


@torch.no_grad()
def test_a_network_from_noise_is_told_the_control_cell_whatever_its_width():
    made = network(source_dims=(5,), source_width=3)
    cells, controls = torch.randn(6, 4), torch.randn(6, 3)
    found = made(torch.rand(6, 1), cells, told((0,)), source=controls).velocity
    assert found.shape == (6, 4)
    with pytest.raises(UsageError, match="give the control cells"):
        made(torch.tensor(0.5), cells, told((0,)))
    with pytest.raises(UsageError, match="starts at the control cells"):
        network()(torch.tensor(0.5), cells, told((0,)), source=cells)


# ---- configuration


def test_a_single_layer_where_a_list_belongs_is_refused_with_the_way_out():
    layer = MlpLayer(dims=(3,))
    for bare in (layer, {"layer_type": "mlp", "dims": (3,)}):
        with pytest.raises(UsageError, match=r"write \[layer\]"):
            replace(config(), layers_after_pool=bare)
        with pytest.raises(UsageError, match=r"write \[layer\]"):
            Covariate(name="gene", width=5, layers=bare)
    assert replace(config(), layers_after_pool=[layer]).layers_after_pool == (layer,)


def test_a_configuration_survives_being_written_down():
    made = config(layers_before_pool=(ATTENTION, MlpLayer(dims=(3,))))
    assert TypeAdapter(CellFlowConfig).validate_python(asdict(made), strict=False) == made


@pytest.mark.parametrize(
    ("change", "told_"),
    [
        ({"gene": None}, "'gene', 'line'"),
        ({"dose": torch.zeros(1, 2, 1)}, "'dose', 'gene', 'line'"),
        ({"gene": torch.zeros(1, 2, 4)}, r"\(sets, elements, 5\)"),
    ],
)
def test_conditions_of_other_groups_or_widths_are_refused(change, told_):
    sets = {name: one for name, one in {**told((0,)), **change}.items() if one is not None}
    with pytest.raises(UsageError, match=told_):
        network().encode(sets)


def test_names_of_parameters_are_as_folders_have_them():
    names = list(network(source_dims=(5,), norms=True, stochastic=True).state_dict())
    heads = sorted({".".join(one.split(".")[:2]) for one in names})
    assert heads == [
        *("condition.after", "condition.own", "condition.pooling", "condition.spread"),
        *("field.cell", "field.joint", "field.norms", "field.output", "field.source", "field.time"),
    ]
    assert [one for one in names if one.startswith("field.joint")] == [
        "field.joint.decoder.maps.0.parts.0.weight",
        "field.joint.decoder.maps.0.parts.0.bias",
        "field.joint.decoder.maps.0.parts.1.weight",
        "field.joint.decoder.maps.0.parts.2.weight",
        "field.joint.decoder.maps.0.parts.3.weight",
        "field.joint.decoder.maps.1.weight",
        "field.joint.decoder.maps.1.bias",
    ]
