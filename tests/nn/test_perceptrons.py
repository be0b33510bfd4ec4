"""Perceptrons, codes of time, dropout: against what they stand for."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from pertura.nn.dropout import dropout
from pertura.nn.mlp import MLP, JoinedLinear, linear
from pertura.nn.time_embedding import TimeEmbedding


def test_a_map_of_several_inputs_is_the_map_of_the_joined_input():
    torch.manual_seed(0)
    made = JoinedLinear((3, 4, 2), 5)
    inputs = [torch.randn(6, width) for width in (3, 4, 2)]
    whole = torch.cat([part.weight for part in made.parts], dim=1)
    wanted = functional.linear(torch.cat(inputs, dim=1), whole, made.parts[0].bias)
    torch.testing.assert_close(made(*inputs), wanted)
    shared = [inputs[0], inputs[1][:1], inputs[2][:1]]
    torch.testing.assert_close(made(*shared), made(*[one.expand(6, -1) for one in shared]))


def test_weights_start_with_the_variance_of_one_input_and_cut_tails():
    torch.manual_seed(0)
    weight = linear(200, 400).weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(1 / 200), rel=0.02)
    assert float(weight.abs().max()) <= 2 / math.sqrt(200) / 0.9594
    parts = JoinedLinear((150, 50), 400).parts
    assert all(float(one.weight.detach().std()) == pytest.approx(math.sqrt(1 / 200), rel=0.03) for one in parts)


def test_a_perceptron_is_its_maps_with_silu_between_and_after():
    torch.manual_seed(0)
    made, rows = MLP(3, (5, 4)), torch.randn(7, 3)
    first, second = made.maps
    wanted = functional.silu(second(functional.silu(first(rows))))
    torch.testing.assert_close(made(rows), wanted)
    made.activate_last = False
    torch.testing.assert_close(functional.silu(made(rows)), wanted)


def test_a_perceptron_without_layers_gives_its_input_back():
    rows = torch.randn(2, 3)
    assert MLP(3, ())(rows) is rows
    with pytest.raises(ValueError, match="at least one layer"):
        MLP((3, 2), ())


# ---- time


def test_the_stretched_code_has_the_frequencies_of_its_period():
    code, time = TimeEmbedding(8, 10_000.0), torch.tensor([[0.0], [0.37], [1.0]])
    rates = 10_000.0 ** (1 - np.arange(4) / 4)
    angles = time.double().numpy() * rates
    # angles of 10,000 are known to half a thousandth in float32
    np.testing.assert_allclose(code(time), np.concatenate([np.cos(angles), np.sin(angles)], axis=1), atol=2e-3)
    assert code.width == 8


def test_the_cyclical_code_is_the_same_at_both_ends():
    code = TimeEmbedding(5, None)
    found = code(torch.tensor([[0.0], [1.0], [0.25]]))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2], torch.tensor([1.0, 0, -1, 0, 1, 0, 1, 0, -1, 0]), atol=1e-5, rtol=0)


def test_half_precision_does_not_reach_the_code_of_time():
    code, time = TimeEmbedding(8, 10_000.0), torch.rand(5, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(code(time), TimeEmbedding(8, 10_000.0)(time))


# ---- dropout


def test_dropout_keeps_the_mean_and_zeroes_the_share_it_is_told():
    torch.manual_seed(0)
    found = dropout(torch.ones(400, 1001), 0.2, training=True)
    assert float((found == 0).float().mean()) == pytest.approx(0.2, abs=0.003)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.003)
    assert set(np.round(np.unique(found.numpy()), 3)) == {0.0, 1.25}


def test_dropout_decides_on_each_place_by_itself():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(200, 512), 0.5, training=True) > 0).float() - 0.5
    for shift in (1, 2, 3, 4, 512):
        flat = kept.flatten()
        assert abs(float((flat[shift:] * flat[:-shift]).mean())) < 0.004


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_gradient_of_dropout_is_its_mask(kind):
    rows = torch.ones(50, 31, dtype=kind, requires_grad=True)
    found = dropout(rows, 0.3, training=True)
    found.sum().backward()
    assert found.dtype == rows.grad.dtype == kind
    assert 0 < int((found == 0).sum()) < rows.numel()
    torch.testing.assert_close(rows.grad, found.detach())


def test_dropout_follows_the_seed_and_stops_outside_of_training():
    rows = torch.randn(5, 7)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(dropout(rows, 0.5, training=True))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert dropout(rows, 0.5, training=False) is rows
    assert torch.equal(dropout(rows, 1.0, training=True), torch.zeros(5, 7))
