"""Averaged weights: their formula, and that the loop looks at them and keeps them."""

import pytest
import torch
from line_fit import LineFeed, LineFit
from safetensors.torch import load_file

from pertura.training.average import Average
from pertura.training.loop import Loop
from pertura.training.options import TrainingOptions

WEIGHT = 0.3


def test_the_average_moves_towards_the_weights_and_is_shown_for_a_while():
    network = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)
    average = Average(network, WEIGHT)
    with torch.no_grad():
        network.weight.fill_(3.0)
    average.take()
    average.take()
    expected = 1.0 + (1 - (1 - WEIGHT) ** 2) * 2.0
    with average.shown():
        torch.testing.assert_close(network.weight, torch.full((1, 2), expected))
    torch.testing.assert_close(network.weight, torch.full((1, 2), 3.0))


def trained(folder, average, seen=None):
    objective = LineFit(dropout=0.0)

    def validate():
        if seen is not None:
            seen.append({name: one.clone() for name, one in objective.network.state_dict().items()})
        return {"pearson_delta": 0.0}

    options = TrainingOptions(epochs=3, batch=8, learning_rate=0.05, patience=None, average=average)
    Loop(objective, LineFeed(), options, folder, 7, validate).run()
    return objective.network.state_dict()


def test_a_whole_step_is_no_average(tmp_path):
    plain, whole = (trained(tmp_path / str(average), average) for average in (None, 1.0))
    assert all(torch.equal(plain[name], whole[name]) for name in plain)


def test_the_loop_looks_at_averaged_weights_and_keeps_them(tmp_path):
    seen = []
    kept = trained(tmp_path, WEIGHT, seen)
    last = load_file(tmp_path / "last.safetensors")
    for name, one in kept.items():
        assert torch.equal(one, seen[-1][name])
        assert torch.equal(one, last[f"average.{name}"])
    assert any(not torch.equal(one, last[f"network.{name}"]) for name, one in kept.items())


@pytest.mark.parametrize("average", [0.0, 1.5])
def test_a_weight_that_is_none_is_refused(average):
    with pytest.raises(ValueError, match="average"):
        TrainingOptions(average=average)
