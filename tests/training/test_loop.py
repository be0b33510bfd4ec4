"""Laws of the training loop: the end does not depend on what happened on the way."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from line_fit import CELLS, LineFeed, LineFit

from pertura.core.errors import BadDataError, DivergedError, MissingError, OutOfMemoryError, UsageError
from pertura.training.loop import Loop
from pertura.training.options import TrainingOptions

OPTIONS = {"epochs": 4, "batch": 8, "learning_rate": 0.05, "patience": None, "checkpoint_steps": 2}


def trained(folder: Path, objective=None, feed=None, validate=None, watch=None, **changes):
    objective = objective or LineFit()
    options = TrainingOptions(**{**OPTIONS, **changes})
    loop = Loop(objective, feed or LineFeed(), options, folder, 7, validate, watch)
    return objective.network.state_dict(), loop.run()


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls_and_the_learning_rate_decays(tmp_path):
    _, record = trained(tmp_path, LineFit(dropout=0.0), epochs=8)
    losses = [one.loss for one in record.epochs]
    assert losses[-1] < losses[0] / 4
    assert [one.learning_rate for one in record.epochs] == pytest.approx([0.05 * 0.9**i for i in range(8)])
    assert record.cells_seen == 8 * CELLS
    assert record.reason == "max_epochs"


class KilledError(Exception):
    pass


@pytest.mark.parametrize("moment", [1, 4, 5, 6, 11, 19])
def test_a_training_that_is_interrupted_ends_with_the_same_weights(tmp_path, moment):
    whole, record = trained(tmp_path / "whole")
    seen = []

    def kill(now):
        seen.append(now)
        if len(seen) == moment:
            raise KilledError

    with pytest.raises(KilledError):
        trained(tmp_path / "cut", watch=kill)
    resumed, again = trained(tmp_path / "cut", LineFit(seed=99))
    assert_equal(whole, resumed)
    assert [one.loss for one in again.epochs] == [one.loss for one in record.epochs]


def test_calling_a_finished_training_again_changes_nothing(tmp_path):
    first, _ = trained(tmp_path)
    stored = (tmp_path / "last.safetensors").read_bytes()
    again, _ = trained(tmp_path, LineFit(seed=5))
    assert_equal(first, again)
    assert stored == (tmp_path / "last.safetensors").read_bytes()


def test_a_state_of_other_data_or_options_is_not_continued(tmp_path):
    trained(tmp_path)
    for change in ({"feed": LineFeed(data_seed=2)}, {"learning_rate": 0.1}):
        with pytest.raises(BadDataError, match="other data, options"):
            trained(tmp_path, **change)
    (tmp_path / "last.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(BadDataError, match="cannot be continued"):
        trained(tmp_path)


def test_a_loss_that_is_not_finite_is_rolled_back_with_other_batches_and_half_the_rate(tmp_path):
    feed = LineFeed(broken=frozenset({(1, 3, "0")}))
    weights, record = trained(tmp_path, feed=feed)
    assert all(bool(torch.isfinite(one).all()) for one in weights.values())
    assert record.rollbacks == 1
    assert "not finite" in record.events[0]
    assert record.epochs[-1].learning_rate == pytest.approx(0.05 * 0.9**3 / 2)
    assert json.loads((tmp_path / "training_stats.json").read_text())["rollbacks"] == 1


def test_a_loss_that_stays_broken_ends_with_exit_code_5(tmp_path):
    feed = LineFeed(broken=frozenset((1, 3, str(attempt)) for attempt in range(9)))
    with pytest.raises(DivergedError, match="after 2 returns") as caught:
        trained(tmp_path, feed=feed, rollbacks=2)
    assert caught.value.exit_code == 5


class Narrow(LineFit):
    """Memory for `most` cells only."""

    most = 3

    def loss(self, batch):
        if len(batch[0]) > self.most:
            raise torch.OutOfMemoryError("no room")
        return super().loss(batch)


def test_smaller_pieces_make_the_same_update(tmp_path):
    whole, _ = trained(tmp_path / "whole", LineFit(dropout=0.0))
    narrow, record = trained(tmp_path / "narrow", Narrow(dropout=0.0))
    assert record.micro_batch == 2
    assert len(record.events) == 2
    for name, one in whole.items():
        torch.testing.assert_close(narrow[name], one, atol=1e-6, rtol=1e-5)


def test_no_room_for_one_cell_is_an_error_with_the_way_out(tmp_path):
    objective = Narrow()
    objective.most = 0
    with pytest.raises(OutOfMemoryError, match="max_genes") as caught:
        trained(tmp_path, objective)
    assert caught.value.exit_code == 6


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    objective, scores, kept = LineFit(), iter([0.1, 0.5, 0.4, math.nan, 0.3, 0.9]), []

    def validate():
        kept.append({name: one.clone() for name, one in objective.network.state_dict().items()})
        return {"pearson_delta": next(scores)}

    weights, record = trained(tmp_path, objective, validate=validate, patience=3, epochs=20)
    assert record.reason == "early_stop"
    assert record.best_epoch == 1
    assert record.best_score == 0.5
    assert len(record.epochs) == 5
    assert_equal(weights, kept[1])


def test_an_unknown_stop_metric_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no stop metric 'pearson_delta'; there are mse"):
        trained(tmp_path, validate=lambda: {"mse": 1.0}, patience=2)


SCRIPT = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    from line_fit import LineFeed, LineFit
    from pertura.training.loop import Loop
    from pertura.training.options import TrainingOptions
    folder, dropout, slow = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    options = TrainingOptions(epochs=4, batch=8, learning_rate=0.05, patience=None, checkpoint_steps=2)
    def watch(moment):
        print("update", flush=True)
        time.sleep(slow)
    Loop(LineFit(dropout), LineFeed(), options, folder, 7, None, watch).run()
    """
)


def command(tmp_path: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return [str(script), *arguments], {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}


def stored_weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "best.safetensors")


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_comes_to_the_same_weights(tmp_path):
    whole, _ = trained(tmp_path / "whole")
    folder, rng = tmp_path / "killed", np.random.default_rng(0)
    arguments, environment = command(tmp_path, str(folder), "0.3", "0.02")
    for _ in range(6):
        with subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE) as running:
            running.stdout.readline()  # the first update is made
            time.sleep(float(rng.uniform(0.0, 0.12)))
            running.send_signal(signal.SIGKILL)
    subprocess.run([sys.executable, *arguments], env=environment, check=True)
    mine = stored_weights(folder)
    for name, one in whole.items():
        np.testing.assert_array_equal(mine[name], one.numpy())


@pytest.mark.slow
def test_two_processes_make_the_update_of_one(tmp_path):
    whole, _ = trained(tmp_path / "whole", LineFit(dropout=0.0))
    arguments, environment = command(tmp_path, str(tmp_path / "two"), "0.0", "0")
    with socket.socket() as free:  # what torchrun would set, without its look-up of this host's name
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    together = {**environment, **world, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([sys.executable, *arguments], env={**together, "RANK": str(rank)}) for rank in (0, 1)]
    try:
        assert [one.wait(timeout=120) for one in running] == [0, 0]
    finally:
        for one in running:
            one.kill()
            one.wait()
    mine = stored_weights(tmp_path / "two")
    for name, one in whole.items():
        np.testing.assert_allclose(mine[name], one.numpy(), atol=1e-6)


def test_tensorboard_is_told_what_the_record_holds_and_changes_nothing(tmp_path):
    """Also by a training that was cut: each epoch is told once, when it is done."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plain, _ = trained(tmp_path / "plain", validate=lambda: {"mse": 0.5})

    def kill(now):
        if (now.epoch, now.step) == (2, 1):
            raise KilledError

    with pytest.raises(KilledError):
        trained(tmp_path / "told", validate=lambda: {"mse": 0.5}, watch=kill, tracking="tensorboard")
    weights, record = trained(tmp_path / "told", LineFit(seed=9), validate=lambda: {"mse": 0.5}, tracking="tensorboard")
    assert_equal(plain, weights)
    told = EventAccumulator(str(tmp_path / "told" / "tensorboard")).Reload()
    assert set(told.Tags()["scalars"]) == {"loss", "learning_rate", "valid/mse"}
    losses = {one.step: one.value for one in told.Scalars("loss")}
    assert losses == {one.epoch: pytest.approx(one.loss, rel=1e-6) for one in record.epochs}
    assert not (tmp_path / "plain" / "tensorboard").exists()


def test_tracking_without_its_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingError, match=r"pertura\[track\]"):
        trained(tmp_path, tracking="tensorboard")


def test_a_device_that_is_not_here_and_a_format_it_does_not_know_are_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    with pytest.raises(MissingError, match="no GPU is here"):
        trained(tmp_path, device="cuda")
    with pytest.raises(UsageError, match="fp16 is for a GPU"):
        trained(tmp_path, precision="fp16")
    _, record = trained(tmp_path, device="auto")
    assert record.device == "cpu"


def test_the_clock_stands_apart_and_adds_up_over_the_parts(tmp_path):
    """States of equal trainings are equal byte for byte, however long they took."""
    trained(tmp_path / "whole")

    def kill(now):
        time.sleep(0.01)
        if (now.epoch, now.step) == (2, 1):
            raise KilledError

    with pytest.raises(KilledError):
        trained(tmp_path / "cut", watch=kill)
    part = json.loads((tmp_path / "cut" / "training_stats.json").read_text())
    _, record = trained(tmp_path / "cut", LineFit(seed=9))
    for name in ("last.safetensors", "best.safetensors", "training.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert part["running_seconds"] > 0
    assert record.seconds > part["wall_clock_s"]
    assert [one.seconds for one in record.epochs][:2] == part["epoch_seconds"]
