"""Attention that is written out on a CPU: its definition, its gradients, held or made again on the way back."""

import pytest
import torch
from torch.nn import functional

from pertura.nn import transformer


def gradients(dropout: float, padded: bool, monkeypatch, most: int = 1 << 26, piece: int = 1 << 22) -> list:
    """Five cells of seven genes and two heads: 490 weights, 98 of each cell, 49 of each head."""
    monkeypatch.setattr(transformer, "MOST_WEIGHTS", most)
    monkeypatch.setattr(transformer, "PIECE", piece)
    torch.manual_seed(0)
    attention = transformer.SelfAttention(8, 2, dropout)
    states = torch.randn(5, 7, 8, requires_grad=True)
    attended = (torch.arange(7) < 5).expand(5, 1, 1, 7) if padded else None
    torch.manual_seed(1)
    made = attention(states, attended)
    made.square().sum().backward()
    return [made.detach(), states.grad, *(one.grad for one in attention.parameters())]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("piece", [1, 49, 147, 490])
def test_weights_that_are_made_again_drop_the_same_places(padded, piece, monkeypatch):
    """The pieces of a head, of three heads, of all: the state of the random stream is taken back for each."""
    held = gradients(0.3, padded, monkeypatch, most=490, piece=piece)
    made = []
    true = transformer._written_out
    monkeypatch.setattr(transformer, "_written_out", lambda *given: made.append(len(given[0])) or true(*given))
    again = gradients(0.3, padded, monkeypatch, most=489, piece=piece)
    rows = max(piece // 49, 1)
    assert len(made) == 2 * -(-10 // rows)  # there and on the way back
    assert sum(made) == 20
    for first, second in zip(held, again, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("padded", [False, True])
def test_written_out_attention_is_that_of_the_fused_kernel(padded, monkeypatch):
    """Where dropout drops nothing, values and gradients are those of the kernel."""
    fused = gradients(0.0, padded, monkeypatch)
    monkeypatch.setattr(transformer, "dropped", lambda states, share, *, training: states)
    for first, second in zip(fused, gradients(0.3, padded, monkeypatch, piece=49), strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("piece", [1, 1 << 22])
def test_bfloat16_attends_as_precisely_as_it_can_be_written(padded, piece, monkeypatch):
    """Numbers have eight bits: two roundings of scores near 3 and one of the weights are below 0.02."""
    monkeypatch.setattr(transformer, "PIECE", piece)
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, 40, 16) for _ in range(3))
    attended = (torch.arange(40) < 30).expand(3, 1, 1, 40) if padded else None
    with torch.inference_mode():
        made = transformer._attention(query.bfloat16(), key.bfloat16(), value.bfloat16(), attended, 0.0)
    wanted = functional.scaled_dot_product_attention(query.double(), key.double(), value.double(), attended)
    assert made.dtype == torch.bfloat16
    assert float((made - wanted).norm() / wanted.norm()) < 0.02


def test_dropout_keeps_the_mean_of_attention(monkeypatch):
    """Over 800 draws of one head the mean lies within 4.5 standard errors of attention without dropout."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 1, 9, 4).expand(400, 2, 9, 4) for _ in range(3))
    drawn = transformer._attention(query, key, value, None, 0.2).flatten(0, 1)
    plain = functional.scaled_dot_product_attention(query, key, value)[0, 0]
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    assert float(drawn.std()) > 0
    assert ((drawn.mean(dim=0) - plain).abs() / error).max() < 4.5
