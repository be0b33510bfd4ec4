"""Scores of foreign predictions under the presets of this package, beside references."""

from collections.abc import Sequence
from dataclasses import dataclass

from pertura.comparison.compare import Comparison, compare
from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.prediction import Prediction
from pertura.core.split import Split
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import Scores, evaluate
from pertura.evaluation.observed import Observed, observe
from pertura.evaluation.presets import chosen
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.files import Pair
from pertura.recipes.foreign.references import baselines, leave_one_out_mean, no_change, train_of, with_cells
from pertura.recipes.narration import Narrator

SHOWN = ("no-change", "leave-one-out-mean", "train-mean", "additive", "linear")
EFFORTS = {
    "less": Effort(bootstrap=40, permutations=20, halves=3, effect_permutations=99),
    "normal": Effort(),
    "more": Effort(
        bootstrap=400,
        permutations=200,
        halves=20,
        effect_permutations=999,
        means=4e9,
        ranks=2e12,
        tests=5e10,
        cells=5e9,
    ),
}
"""How many draws are made, by the word that is given for it."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """Predictions beside their references, what they were judged on, and what a reader must be warned of."""

    comparison: Comparison
    warnings: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    observed: Observed
    cells: Cells
    split: Split

    @property
    def scores(self) -> Scores:
        """The scores of the prediction that was asked about."""
        return self.comparison.of(self.predictions[0].provenance.model)


def metrics_of(asked: Asked) -> tuple[str, ...]:
    """Return the metrics of a preset of this package without those to skip; unknown names raise `UsageError`."""
    names = tuple(one.name for one in chosen(asked.preset))
    if asked.effort not in EFFORTS:
        raise UsageError(f"--effort {asked.effort}: one of {', '.join(EFFORTS)}")
    unknown = sorted(asked.skip - set(names))
    if unknown:
        raise UsageError(f"--skip {unknown[0]}: preset {asked.preset} has {', '.join(names)}")
    return tuple(one for one in names if one not in asked.skip)


def judged(
    pairs: Sequence[Pair],
    train: Cells | None,
    asked: Asked,
    metrics: Sequence[str],
    narrator: Narrator,
) -> Judgement:
    """Return the scores of predictions of the same conditions, and of their references."""
    pair = pairs[0]
    known = None if train is None else train_of(train, pair.split, train.name)
    narrator.stage("observed cells: redrawn, permuted, halved", 1, 3)
    observed = observe(pair.cells, pair.split, seed=asked.seed, effort=EFFORTS[asked.effort])
    references = [no_change(observed), leave_one_out_mean(observed)]
    if known is not None:
        references += baselines(known, pair.cells, pair.split, observed.conditions, asked.seed)
    if not all(one.means_only for one in pairs):
        references = [_with_cells(one, pair, asked.seed) for one in references]
    predictions = [one.prediction for one in pairs]
    names = {one.provenance.model for one in predictions}
    every = [*predictions, *(one for one in references if one.provenance.model not in names)]
    narrator.stage("scores", 2, 3)
    scores = [evaluate(one, observed, preset=asked.preset, metrics=metrics) for one in every]
    subject = predictions[0].provenance.model if len(predictions) == 1 else None
    told = (*(text for one in pairs for text in one.warnings), *_own_warnings(scores[: len(pairs)]))
    told += known.warnings if known is not None else ()
    unique = tuple(dict.fromkeys(told))
    return Judgement(compare(scores, subject=subject), unique, tuple(every), observed, pair.cells, pair.split)


def _with_cells(reference: Prediction, pair: Pair, seed: int) -> Prediction:
    """The references that every reader wants get cells, so that tests can be held against them; others keep means."""
    if reference.provenance.model not in SHOWN:
        return reference
    return with_cells(reference, pair.cells, pair.split, seed)


def _own_warnings(scores: Sequence[Scores]) -> tuple[str, ...]:
    """What the scores of the predictions warn of; where there are several, by whose name."""
    alike = frozenset.intersection(*(frozenset(one.warnings) for one in scores))
    return tuple(text if text in alike else f"{one.model}: {text}" for one in scores for text in one.warnings)
