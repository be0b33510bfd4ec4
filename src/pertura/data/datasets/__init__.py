"""Screens that can be had by name."""

from collections.abc import Mapping

from pertura.data.datasets.entry import DatasetEntry
from pertura.data.datasets.measured import MCFALINE, NORMAN
from pertura.data.datasets.simulated import LINES, PAIRS

DATASETS: Mapping[str, DatasetEntry] = {one.name: one for one in (NORMAN, MCFALINE, PAIRS, LINES)}
"""Name -> screen. To add one: write its `DatasetEntry` and name it here."""

__all__ = ["DATASETS", "DatasetEntry"]
