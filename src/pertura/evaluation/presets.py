"""Named sets of metrics. Preset and version are stamped in every output."""

from collections.abc import Sequence
from dataclasses import dataclass

from pertura.core.errors import UsageError
from pertura.evaluation.table import METRICS, Metric


@dataclass(frozen=True)
class Preset:
    """Which metrics, in which order, and which of them heads the report.

    Version 2 of `pertura` added rank tests, cells, weights, diversity, pairs, and variants without target genes; the
    eight metrics of version 1 are as they were.
    """

    name: str
    version: int
    headline: str
    metrics: tuple[str, ...]


PRESETS = {"pertura": Preset("pertura", 2, "pearson_delta", tuple(METRICS))}


def chosen(preset: str, only: Sequence[str] | None = None) -> tuple[Metric, ...]:
    """Return the metrics of a preset, or those of `only`; an unknown name raises `UsageError`."""
    if preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    names = PRESETS[preset].metrics if only is None else only
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UsageError(f"no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return tuple(METRICS[name] for name in names)


def shown(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return those that a report's main table shows; all, where that would be none."""
    return tuple(name for name in metrics if METRICS[name].shown) or tuple(metrics)
