"""Published networks: the package's own outputs, what the versions did, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError, UsageError
from pertura.models.cellflow import load_official

REFERENCE = Path(__file__).parents[2] / "reference/cellflow"
META = json.loads((REFERENCE / "meta.json").read_text())["configs"]
CASES = json.loads((REFERENCE / "cases.json").read_text())
SETS = ("single", "second", "pair", "triple", "none")


def stored(name: str) -> dict[str, np.ndarray]:
    with np.load(REFERENCE / name) as content:
        return {key: content[key] for key in content.files}


ALL = stored("cases.npz")


def case(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, torch.Tensor]]:
    """Return configuration, parameters, and inputs with outputs."""
    own = {key.removeprefix(f"{name}:"): one for key, one in ALL.items() if key.startswith(f"{name}:")}
    params = {key.removeprefix("params:"): one for key, one in own.items() if key.startswith("params:")}
    told = {key: torch.from_numpy(one) for key, one in own.items() if not key.startswith("params:")}
    return dict(CASES[name]), params, told


def condition(told: dict[str, torch.Tensor], which: str) -> dict[str, torch.Tensor]:
    return {"gene": told[f"gene_{which}"]} | ({"line": told["line"]} if "line" in told else {})


@pytest.mark.parametrize("name", META)
@torch.no_grad()
def test_shipped_networks_answer_as_the_package_does(name):
    told = {key: torch.from_numpy(one) for key, one in stored(f"{name}.io.npz").items()}
    network = load_official(META[name], stored(f"{name}.params.npz"))
    for which in ("single", "single_r", "double", "null"):
        answer = network(told["t"], told["x"], {"target_gene": told[f"cond_{which}"]}, told["noise"])
        torch.testing.assert_close(answer.velocity, told[f"v_{which}"], atol=5e-5, rtol=0)
        torch.testing.assert_close(answer.condition_mean, told[f"mean_{which}"], atol=1e-6, rtol=0)
        assert torch.equal(answer.condition_logvar, told[f"logvar_{which}"])


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_networks_of_every_kind_answer_as_the_package_does(name):
    config, params, told = case(name)
    network = load_official(config, params)
    for which in SETS:
        answer = network(told["t"], told["x"], condition(told, which), told["noise"], told.get("x0"))
        torch.testing.assert_close(answer.velocity, told[f"velocity_{which}"], atol=1e-5, rtol=0)
        torch.testing.assert_close(answer.condition_mean, told[f"mean_{which}"], atol=2e-6, rtol=0)
        torch.testing.assert_close(answer.condition_logvar, told[f"logvar_{which}"], atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_conditions_asked_together_answer_as_each_alone(name):
    config, params, told = case(name)
    network = load_official(config, params)
    together = {"gene": torch.cat([told[f"gene_{one}"] for one in SETS])}
    if "line" in told:
        together["line"] = told["line"].expand(len(SETS), -1, -1)
    means = torch.cat([told[f"mean_{one}"] for one in SETS])
    torch.testing.assert_close(network.encode(together).mean, means, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("self_attention", "bare_dicts")])
@torch.no_grad()
def test_where_no_place_is_empty_our_own_masks_answer_as_the_package_does(name):
    config, params, told = case(name)
    own = load_official(config, params, compat=None).encode(condition(told, "triple"))
    torch.testing.assert_close(own.mean, told["mean_triple"], atol=2e-6, rtol=0)


def test_parameters_may_be_nested():
    config, params, _ = case("film")
    nested: dict[str, Any] = {}
    for path, value in params.items():
        place = nested
        *folders, last = path.split("/")
        for one in folders:
            place = place.setdefault(one, {})
        place[last] = value
    both = [load_official(config, one).state_dict() for one in (params, {"params": nested})]
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


# ---- bare dicts


def test_a_layer_that_stands_alone_is_dropped_as_published_and_told():
    config, params, _ = case("bare_dicts")
    remarks = load_official(config, params, "0.0.9").remarks
    assert [one.split(" ")[0] for one in remarks] == ["layers_before_pool.gene", "layers_after_pool"]


@pytest.mark.parametrize("place", ["layers_before_pool", "layers_after_pool"])
def test_elsewhere_a_layer_that_stands_alone_is_refused_with_the_way_out(place):
    config, params, _ = case("bare_dicts")
    other = {"layers_before_pool": {"gene": []}, "layers_after_pool": []}
    with pytest.raises(UsageError, match=rf"{place}.*write \[layer\]"):
        load_official({**config, **other, place: config[place]}, params, compat=None)


# ---- the version of the paper


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def dense(params: dict[str, np.ndarray], path: str, rows: np.ndarray) -> np.ndarray:
    return np.tensordot(rows, params[f"{path}/kernel"], 1) + params[f"{path}/bias"]


def silu(rows: np.ndarray) -> np.ndarray:
    return rows / (1 + np.exp(-rows))


def written_out_token(params: dict[str, np.ndarray], genes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The condition vector by the formulas, with the token looking at the places that are `seen`."""
    path = "condition_encoder"
    rows = genes.astype(np.float64)
    for i in range(2):
        rows = silu(dense(params, f"{path}/before_pool_modules_gene_0/Dense_{i}", rows))
    pool = f"{path}/pool_module"
    joined = np.concatenate([params[f"{pool}/Embed_0/embedding"], rows])
    query, key, value = (dense(params, f"{pool}/MultiHeadDotProductAttention_0/{one}", joined) for one in QKV)
    scores = np.einsum("hd,khd->hk", query[0], key) / np.sqrt(query.shape[-1])
    scores[:, 1:][:, ~seen] = -np.inf
    mixed = np.einsum("hk,khd->hd", softmax(scores), value)
    out = params[f"{pool}/MultiHeadDotProductAttention_0/out/kernel"]
    pooled = np.einsum("hd,hdw->w", mixed, out) + params[f"{pool}/MultiHeadDotProductAttention_0/out/bias"]
    after = silu(dense(params, f"{path}/after_pool_modules_mean_0/Dense_0", pooled))
    return dense(params, f"{path}/after_pool_modules_mean_1", after)


QKV = ("query", "key", "value")


@pytest.mark.parametrize(("compat", "sees_empty"), [("0.0.9", False), ("paper", True)])
@torch.no_grad()
def test_the_token_of_the_paper_also_looked_at_empty_places(compat, sees_empty):
    config, params, told = case("no_period")
    genes = told["gene_single"]
    seen = np.ones(3, bool) if sees_empty else genes[0].numpy().any(axis=1)
    found = load_official(config, params, compat).encode({"gene": genes}).mean[0]
    np.testing.assert_allclose(found, written_out_token(params, genes[0].numpy(), seen), atol=2e-6)


def test_the_paper_had_the_cyclical_code_of_time():
    config, params, _ = case("no_period")
    del config["time_max_period"]
    assert load_official(config, params, "paper").config.time_period is None
    with pytest.raises(BadDataError, match="time_encoder/Dense_0/kernel"):
        load_official(config, params, "0.0.9")


# ---- widths


@torch.no_grad()
def test_groups_without_layers_need_their_widths_to_be_told_only_where_they_cannot_be_reckoned():
    config, params, told = case("two_raw")
    assert load_official(config, params, widths={"gene": 7}).config.pooled[0].name == "gene"
    two = {**config, "covariates_not_pooled": ["line", "dose"]}
    with pytest.raises(UsageError, match=r"widths=\{'dose': n, 'line': n\}"):
        load_official(two, params)
    network = load_official(two, params, widths={"line": 3, "dose": 1})
    split = {"gene": told["gene_pair"], "dose": told["line"][..., :1], "line": told["line"][..., 1:]}
    torch.testing.assert_close(network.encode(split).mean, told["mean_pair"], atol=2e-6, rtol=0)


# ---- refusals


def test_an_unknown_version_is_refused():
    config, params, _ = case("film")
    with pytest.raises(UsageError, match=r"compat='0\.1'.*'0\.0\.9', 'paper'"):
        load_official(config, params, compat="0.1")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"decoder_dim": [3]}, "did you mean 'decoder_dims'"),
        ({"pooling": "max"}, "attention_seed"),
        ({"conditioning": "adaln"}, "resnet"),
        ({"act_fn": "relu"}, "SiLU"),
        ({"layers_after_pool": [{"layer_type": "conv"}]}, "'conv'"),
        ({"layers_after_pool": [{"dims": [3], "depth": 2}]}, "'depth'"),
        ({"pooling_kwargs": {"temperature": 2}}, "'temperature'"),
    ],
)
def test_a_configuration_that_is_none_is_refused(change, told):
    config, params, _ = case("film")
    with pytest.raises(UsageError, match=told):
        load_official({**config, **change}, params)


def test_fields_that_are_not_of_the_network_are_told():
    config, params, _ = case("film")
    assert "'optimizer'" in load_official({**config, "optimizer": "adam"}, params).remarks[0]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda params: params.pop("output_layer/bias"), r"1 missing \(output_layer/bias\)"),
        (lambda params: params.update({"head/bias": np.zeros(2)}), r"1 without a place \(head/bias\)"),
        (lambda params: params.update({"output_layer/bias": np.zeros(2)}), "1 of another shape"),
        (lambda params: params.update({"film_block/film_generator/kernel": np.zeros((2, 3))}), "1 of another shape"),
        (lambda params: params.update({"output_layer/bias": np.asarray(["a"])}), "no numbers"),
    ],
)
def test_parameters_that_do_not_fit_are_named(damage, told):
    config, params, _ = case("film")
    damage(params)
    with pytest.raises(BadDataError, match=told):
        load_official(config, params)
