"""What can be reached on a screen: by oracles that look at the answer, and where baselines already reach it."""

from dataclasses import replace

from pertura.comparison.compare import Comparison
from pertura.comparison.saturation import RESISTANT, SOLVED, STRATA, saturation
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.oracles import interpolated_duplicate, technical_duplicate
from pertura.evaluation.presets import shown
from pertura.evaluation.table import METRICS
from pertura.models.table import MODELS
from pertura.recipes.run import Screen
from pertura.report.tables import Better, Column, Row, Table

ONCE = Effort(bootstrap=2, permutations=1, halves=1, effect_permutations=1)
FEWEST = 4


def saturation_table(comparison: Comparison) -> Table | None:
    """Return each model's score where a baseline solves the perturbation, where none does, and between.

    None where no baseline was run. The best baseline of each perturbation decides, so that baselines look good in the
    first stratum and bad in the last by choice.
    """
    metric = comparison.metric
    named = [one for one in comparison.scores if one.model in MODELS and MODELS[one.model].family == "baseline"]
    if not named:
        return None
    strata = {str(name): members for name, members in saturation(named, metric).strata.items() if members}
    better: Better = "higher" if METRICS[metric].higher_is_better else "lower"
    columns = [Column("model")]
    columns += [
        Column(f"{name} ({len(strata[name])})", "number", f"mean {metric}", better=better)
        for name in STRATA
        if name in strata
    ]
    rows = []
    for one in comparison.headline:
        apart = replace(one, strata=strata)
        rows.append(Row((one.model, *(apart.summary(metric, name).value for name in STRATA if name in strata))))
    note = (
        f"The best of {len(named)} baselines comes from the floor (0) to the ceiling (1): solved from {SOLVED:g} on, "
        f"resistant up to {RESISTANT:g}. Baselines are good in the first and bad in the last by choice; other models "
        "show here what they add. In brackets: perturbations."
    )
    return Table(f"{metric} by what baselines solve", tuple(columns), tuple(rows), note)


def oracle_table(screen: Screen) -> Table | None:
    """Return what half of the observed cells scores as a prediction of the other half, plain and interpolated.

    None where fewer than two judged conditions have four cells.
    """
    cells = screen.cells
    conditions = [one for one in screen.observed.conditions if len(cells.rows_of(one)) >= FEWEST]
    if len(conditions) < 2:
        return None
    seed = screen.recipe.seed
    scores = []
    for make in (technical_duplicate, interpolated_duplicate):
        oracle = make(cells, conditions, seed=seed)
        observed = observe(oracle.rest, screen.split, conditions, seed=seed, effort=ONCE)
        scores.append(evaluate(oracle.prediction, observed, metrics=shown(tuple(METRICS))))
    metrics = scores[0].metrics
    columns = (Column("oracle"), *(Column(name, "number", METRICS[name].summary) for name in metrics))
    rows = [Row((one.model, *(one.summary(name, "all").value for name in metrics))) for one in scores]
    left_out = len(screen.observed.conditions) - len(conditions)
    note = (
        "Half of the observed cells of each perturbation predicts the other half: cells that no model sees. "
        "The interpolated duplicate takes genes that do not set a perturbation apart from the mean of all."
        + (f" {left_out} perturbations with fewer than {FEWEST} cells are left out." if left_out else "")
    )
    return Table(f"Oracles on {len(conditions)} test perturbations", columns, tuple(rows), note)
