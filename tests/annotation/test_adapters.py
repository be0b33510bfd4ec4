"""Laws of adapters: each is trained, each moves what is evaluated, merged equals apart, switched off is the base."""

import copy

import numpy as np
import pytest
import torch
from small_networks import small_base, small_view, symbols

from pertura.annotation.feeding import LabelledTokens
from pertura.annotation.network import (
    LabelHead,
    lora_network,
    merge,
    parameters_of,
    switch_adapters,
    whole_network,
)
from pertura.annotation.pretrained import base_of, merged_checkpoint
from pertura.annotation.tokens import Reading, batch_of, tokenised
from pertura.annotation.tuning import LabelObjective
from pertura.annotation.tuning_options import Adapters
from pertura.core.errors import BadDataError

CLASSES = 3
TARGETS = [("linear",), ("attention",), ("linear", "attention")]
ROWS = np.arange(12)


def made(targets, seed=1):
    base = small_base(symbols(20))
    network = lora_network(base, CLASSES, Adapters(targets=targets), 0.1, (seed,))
    batch = batch_of(tokenised(small_view(base), ROWS, base), base, Reading())
    return base, network, batch


def disturbed(network):
    """B begins at zero: without this an adapter changes nothing, whatever is done with it."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, one in network.trained():
            if "lora_B" in name:
                one.normal_(std=0.3)
    return network


@torch.inference_mode()
def logits(network, batch):
    return network.eval()(batch)[0]


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_every_trained_tensor_gets_a_gradient(targets):
    _, network, batch = made(targets)
    disturbed(network).train()
    codes = torch.arange(len(ROWS)) % CLASSES
    LabelObjective(network, torch.ones(CLASSES)).loss(LabelledTokens(batch, codes)).total.backward()
    without = [name for name, one in network.trained() if one.grad is None or not one.grad.abs().max() > 0]
    assert without == []
    assert all(one.grad is None for one in network.parameters() if not one.requires_grad)


@pytest.mark.parametrize("targets", TARGETS[2:], ids="+".join)
def test_moving_any_trained_tensor_moves_what_is_evaluated(targets):
    _, network, batch = made(targets)
    before = logits(disturbed(network), batch)
    for name, one in network.trained():
        kept = one.detach().clone()
        with torch.no_grad():
            one.add_(torch.randn_like(one) * 0.5)
        assert (logits(network, batch) - before).abs().max() > 1e-4, name
        with torch.no_grad():
            one.copy_(kept)
    assert torch.equal(logits(network, batch), before)


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_merged_equals_apart_and_has_no_adapter_left(targets):
    base, network, batch = made(targets)
    apart = logits(disturbed(network), batch)
    body = merge(network)
    torch.testing.assert_close(logits(network, batch), apart, rtol=1e-4, atol=1e-5)
    assert not [name for name in body.state_dict() if "lora" in name or "base_layer" in name]
    exported = base_of(merged_checkpoint(base, body), "merged")
    network.body = exported.body()
    torch.testing.assert_close(logits(network, batch), apart, rtol=1e-4, atol=1e-5)
    assert exported.digest != base.digest


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_switched_off_is_the_base(targets):
    base, network, batch = made(targets)
    with_adapters = logits(disturbed(network), batch)
    switch_adapters(network, on=False)
    off = logits(network, batch)
    switch_adapters(network, on=True)
    assert torch.equal(logits(network, batch), with_adapters)
    network.body = base.body()
    assert torch.equal(logits(network, batch), off)
    assert (off - with_adapters).abs().max() > 1e-3


def test_fresh_adapters_change_nothing():
    base, network, batch = made(("linear", "attention"))
    fresh = logits(network, batch)
    network.body = base.body()
    assert torch.equal(logits(network, batch), fresh)


def test_the_base_is_never_changed():
    base = small_base(symbols(20))
    before = copy.deepcopy(base.checkpoint.network.state_dict())
    for network in (lora_network(base, CLASSES, Adapters(), 0.1, (0,)), whole_network(base, CLASSES, 0.1, (0,))):
        with torch.no_grad():
            for _, one in network.trained():
                one.add_(1.0)
    assert all(torch.equal(one, before[name]) for name, one in base.checkpoint.network.state_dict().items())


def test_a_frozen_body_has_no_dropout_while_adapters_have():
    _, network, batch = made(("linear",))
    disturbed(network).train()
    network.head.eval()
    dropouts = [one for name, one in network.body.named_modules() if ".lora_dropout" in name]
    assert dropouts
    assert all(one.training for one in dropouts)
    for one in dropouts:
        one.eval()
    with torch.inference_mode():
        assert torch.equal(network(batch)[0], network(batch)[0])


def test_the_state_holds_what_is_trained_and_refuses_another():
    _, network, _ = made(("linear",))
    state = network.state_dict()
    assert sum(one.numel() for one in state.values()) == parameters_of(network)
    _, other, _ = made(("attention",))
    with pytest.raises(BadDataError, match="another network or other adapters"):
        other.load_state_dict(state)


def test_the_sizes_of_the_published_tutorial():
    # 2 x 512 + 513 x 6, and 12 layers x 2 maps x 4 x (512 + 512) more
    head = LabelHead(512, 6, 0.1)
    assert parameters_of(head) == 4102
    base = small_base(symbols(4), width=512, heads=8, hidden=512, layers=12)
    network = lora_network(base, 6, Adapters(rank=4, alpha=8.0, dropout=0.05), 0.1, (0,))
    assert parameters_of(network) == 102_406
    # without gene vectors, of which this vocabulary has 7 and the published one 60,697
    assert parameters_of(whole_network(base, 6, 0.1, (0,))) == 50_282_502 - (60_697 - 7) * 512
