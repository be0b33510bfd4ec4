"""The presets that give another evaluator's numbers, by name. A preset module exports `PRESETS`; its row is here."""

from collections.abc import Mapping

from pertura.evaluation.compatible import cell_eval, cellflow, gears, vcc2026
from pertura.evaluation.compatible.profile import CompatiblePreset

COMPATIBLE: Mapping[str, CompatiblePreset] = {
    preset.name: preset for module in (cell_eval, gears, cellflow, vcc2026) for preset in module.PRESETS
}
"""Name -> preset."""
