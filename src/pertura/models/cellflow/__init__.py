"""CellFlow: flow matching from control to perturbed cells (Klein et al. 2025)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pertura.models.cellflow.foreign import load_foreign
    from pertura.models.cellflow.official import load_official

__all__ = ["load_foreign", "load_official"]

_HOMES = {"load_foreign": "foreign", "load_official": "official"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"pertura.models.cellflow.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pertura.models.cellflow' has no attribute {name!r}")
