"""Named sets of metrics. Preset and version are stamped in every output."""

from collections.abc import Sequence
from dataclasses import dataclass

from pertura.core.errors import UsageError
from pertura.evaluation.table import METRICS, Metric


@dataclass(frozen=True)
class Preset:
    """Which metrics, in which order, and which of them heads the report."""

    name: str
    version: int
    headline: str
    metrics: tuple[str, ...]


PRESETS = {
    "pertura": Preset(
        "pertura",
        1,
        "pearson_delta",
        (
            "pearson_delta",
            "mse",
            "mae",
            "mse_delta",
            "mae_delta",
            "discrimination_score_l1",
            "discrimination_score_l2",
            "discrimination_score_cosine",
        ),
    )
}


def chosen(preset: str, only: Sequence[str] | None = None) -> tuple[Metric, ...]:
    """Return the metrics of a preset, or those of `only`; an unknown name raises `UsageError`."""
    if preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    names = PRESETS[preset].metrics if only is None else only
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UsageError(f"no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return tuple(METRICS[name] for name in names)
