"""Curves of a training for those who watch it: TensorBoard files, read by `tensorboard --logdir FOLDER`."""

from pathlib import Path
from typing import Any

from pertura.core.errors import MissingError
from pertura.training.options import TrainingOptions
from pertura.training.record import Epoch

FOLDER = "tensorboard"


def track(epoch: Epoch, folder: Path, options: TrainingOptions) -> None:
    """Write an epoch's loss, learning rate and valid metrics where `options.tracking` says; `none` writes nothing.

    Each epoch is a file of its own, so that a training that was killed and went on shows one curve.
    """
    if options.tracking == "none":
        return
    writer = _summary_writer()(log_dir=str(folder / FOLDER), filename_suffix=f".epoch{epoch.epoch}")
    told = {"loss": epoch.loss, "learning_rate": epoch.learning_rate}
    told |= {f"valid/{name}": value for name, value in epoch.valid.items()}
    for name, value in told.items():
        writer.add_scalar(name, value, epoch.epoch)
    writer.close()


def check_tracking(options: TrainingOptions) -> None:
    """Raise `MissingError` where the library that the tracking needs is not installed."""
    if options.tracking == "tensorboard":
        _summary_writer()


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingError("tracking=tensorboard needs the extra: pip install 'pertura[track]'") from error
    return SummaryWriter
