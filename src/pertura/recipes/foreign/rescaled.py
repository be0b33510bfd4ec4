"""What the rules of 2026 add to their numbers: a scale of their own, and a way in for predictions in logarithms."""

from dataclasses import replace

import pandas as pd

from pertura.core.errors import PerturaError
from pertura.evaluation.compatible.altered import Sides
from pertura.evaluation.compatible.from_log import counts_from_log
from pertura.evaluation.compatible.profile import CompatiblePreset, Judged, Options
from pertura.evaluation.compatible.table import COMPATIBLE
from pertura.evaluation.compatible.vcc2026_scale import scale, scaled

RULES, FROM_LOG = "vcc2026", "/from-log"


def takes_logarithms(rules: CompatiblePreset) -> bool:
    """Whether a preset judges predicted logarithms against observed counts."""
    return rules.name.endswith(FROM_LOG)


def as_counts(rules: CompatiblePreset, sides: Sides) -> tuple[CompatiblePreset, Sides, tuple[str, ...]]:
    """Return the rules for counts under the name that was asked for, predicted counts, and how they came about."""
    plain = COMPATIBLE[rules.name.removesuffix(FROM_LOG)]
    drawn, how = counts_from_log(sides.predicted, sides.observed)
    return replace(plain, name=rules.name), Sides(drawn, sides.observed), (how,)


def on_published_scale(
    rules: CompatiblePreset, sides: Sides, judged: Judged, options: Options
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Return the numbers between the published baseline (0) and replicate (1), or none, and why where that failed."""
    if rules.name.partition("/")[0] != RULES:
        return None, ()
    try:
        return scaled(judged, scale(sides.observed, options)), ()
    except PerturaError as error:
        return None, (f"the published scale is not known: {error}",)
