"""scGPT and its relatives with gene priors (Cui et al. 2024; Istrate et al. 2024)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pertura.models.scgpt.embedded import embed
    from pertura.models.scgpt.foreign import load_foreign, save_foreign

__all__ = ["embed", "load_foreign", "save_foreign"]

_HOMES = {"embed": "embedded", "load_foreign": "foreign", "save_foreign": "foreign"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"pertura.models.scgpt.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pertura.models.scgpt' has no attribute {name!r}")
