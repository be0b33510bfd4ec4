"""Attention that is made again on the way back gives the numbers of attention that is held."""

import pytest
import torch
from torch.nn import functional

from pertura.nn import transformer


def gradients(dropout: float, padded: bool, most: int, monkeypatch) -> list[torch.Tensor]:
    monkeypatch.setattr(transformer, "MOST_WEIGHTS", most)
    torch.manual_seed(0)
    attention = transformer.SelfAttention(8, 2, dropout)
    states = torch.randn(5, 7, 8, requires_grad=True)
    attended = (torch.arange(7) < 5).expand(5, 1, 1, 7) if padded else None
    torch.manual_seed(1)
    made = attention(states, attended)
    made.square().sum().backward()
    return [made.detach(), states.grad, *(one.grad for one in attention.parameters())]


@pytest.mark.parametrize("padded", [False, True])
def test_cells_in_one_piece_give_the_same_numbers_held_or_made_again(padded, monkeypatch):
    """Weights of five cells: 5 x 2 heads x 7 x 7 = 490; one piece of them draws the same dropout."""
    held = gradients(0.3, padded, 490, monkeypatch)
    calls = []
    true = functional.scaled_dot_product_attention
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda *given: calls.append(1) or true(*given))
    monkeypatch.setattr(transformer, "_pieces", lambda cells, weights: cells)
    again = gradients(0.3, padded, 489, monkeypatch)
    assert len(calls) == 2  # there and on the way back
    for first, second in zip(held, again, strict=True):
        torch.testing.assert_close(first, second)


def test_a_few_cells_at_a_time_give_the_gradients_of_their_dropout(monkeypatch):
    """Other draws of dropout, so equal only in their mean: without dropout nothing is cut in pieces at all."""
    plain = gradients(0.0, False, 1, monkeypatch)
    assert all(torch.isfinite(one).all() for one in gradients(0.3, True, 98, monkeypatch))
    for first, second in zip(plain, gradients(0.0, False, 10_000, monkeypatch), strict=True):
        assert torch.equal(first, second)
