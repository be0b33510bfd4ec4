"""Several models on one screen: the table, and the sentence that heads the report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pertura.comparison.roles import is_control
from pertura.comparison.significance import Difference, check_pairable, difference
from pertura.core.errors import UsageError
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.presets import PRESETS
from pertura.evaluation.table import METRICS


@dataclass(frozen=True)
class Comparison:
    """The scores of several models, the two that head the report, and their paired difference.

    `remark` says where either of the two did not answer itself; empty where both did.
    """

    scores: tuple[Scores, ...]
    metric: str
    subset: str
    first: str
    second: str
    difference: Difference
    sentence: str
    remark: str

    @property
    def headline(self) -> tuple[Scores, ...]:
        """The scores of all models but those that were given a control in place of a prior."""
        return tuple(one for one in self.scores if not is_control(one.model))

    def of(self, model: str) -> Scores:
        """Return the scores of a model."""
        return next(one for one in self.scores if one.model == model)


def compare(scores: Sequence[Scores], *, subject: str | None = None, metric: str | None = None) -> Comparison:
    """Return the comparison of `subject` with the strongest of the others.

    Without a subject the strongest model meets the next strongest. Judged on the conditions with a detectable effect;
    on all where none has one. A model that answered every condition with something else is never named the strongest,
    nor is one that was given a control in place of a prior.
    """
    _check_comparable(scores)
    headline = metric or PRESETS[scores[0].preset.partition("/")[0]].headline
    _check_headline(scores, headline)
    subset = "detectable" if scores[0].detectable.any() else "all"
    ranked = [one.model for one in _ranked(scores, headline, subset)]
    first = subject if subject is not None else ranked[0]
    if first not in {one.model for one in scores}:
        raise UsageError(f"no scores of {first}; there are {', '.join(sorted(one.model for one in scores))}")
    second = next(name for name in ranked if name != first)
    by_name = {one.model: one for one in scores}
    gap = difference(by_name[first], by_name[second], headline, subset)
    remark = _stand_ins([by_name[first], by_name[second]], subset)
    return Comparison(tuple(scores), headline, subset, first, second, gap, _sentence(gap, subset), remark)


def comparison_table(comparison: Comparison) -> pd.DataFrame:
    """Return one row per model, metric and subset, with all that stands beside the score and the paired difference.

    `difference` is the paired one from the model named in `against` (the first of the comparison; for that one, the
    second), positive where this model is better.
    """
    rows = []
    for scores in comparison.scores:
        against = comparison.first if scores.model != comparison.first else comparison.second
        for metric in scores.metrics:
            for subset in ("all", "detectable", *sorted(scores.strata)):
                rows.append(_row(scores, comparison.of(against), metric, subset))
    return pd.DataFrame(rows)


def _check_comparable(scores: Sequence[Scores]) -> None:
    names = [one.model for one in scores]
    if len(set(names)) < 2:
        raise UsageError("a comparison needs two models")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"several scores go by the name {', '.join(twice)}; give each a name of its own")
    for one in scores[1:]:
        check_pairable(scores[0], one)


def _check_headline(scores: Sequence[Scores], metric: str) -> None:
    """Raise where a metric cannot rank the models."""
    lacking = [one for one in scores if metric not in one.metrics]
    if lacking:
        why = lacking[0].undone.get(metric, "it was not asked for")
        raise UsageError(f"{lacking[0].model} was not judged by {metric} ({why}); there are {_common(scores)}")
    if METRICS[metric].better == "nearer":
        raise UsageError(f"{metric} is best in the middle and ranks no models; there are {_common(scores)}")


def _common(scores: Sequence[Scores]) -> str:
    names = [name for name in scores[0].metrics if all(name in one.metrics for one in scores)]
    return ", ".join(name for name in names if METRICS[name].better != "nearer")


def _row(scores: Scores, against: Scores, metric: str, subset: str) -> dict[str, object]:
    mine = scores.among(subset)
    gap = difference(scores, against, metric, subset)
    fallbacks = sum(name in scores.fallbacks for name, taken in zip(scores.conditions, mine) if taken)
    return {
        "model": scores.model,
        "metric": metric,
        "subset": subset,
        "best": METRICS[metric].best,
        **scores.told(metric, subset),
        "detectable": int((scores.detectable & mine).sum()),
        "fallbacks": fallbacks,
        "against": against.model,
        "difference": gap.value,
        "difference_low": gap.low,
        "difference_high": gap.high,
    }


def _ranked(scores: Sequence[Scores], metric: str, subset: str) -> list[Scores]:
    def place(one: Scores) -> tuple[bool, bool, float, str]:
        merit = float(METRICS[metric].merit(np.asarray(one.summary(metric, subset).value)))
        stand_in = all(condition in one.fallbacks for condition in one.conditions)
        return is_control(one.model), stand_in, -merit if np.isfinite(merit) else np.inf, one.model

    return sorted(scores, key=place)


def _sentence(gap: Difference, subset: str) -> str:
    kind = "detectable perturbation" if subset == "detectable" else "perturbation (none has a detectable effect)"
    plural = kind if gap.conditions == 1 else kind.replace("perturbation", "perturbations", 1)
    ends = [one for one in (gap.value, gap.low, gap.high) if np.isfinite(one)]
    size = max((abs(one) for one in ends), default=0.0)
    decimals = 3 if size == 0 else max(3, 2 - int(np.floor(np.log10(size))))  # small errors keep their digits
    value, low, high = (f"{one:+.{decimals}f}" for one in (gap.value, gap.low, gap.high))
    return (
        f"{gap.first} {gap.verdict} {gap.second} on {gap.conditions} {plural}, "
        f"{gap.metric} difference {value} [{low}, {high}]"
    )


def _stand_ins(pair: Sequence[Scores], subset: str) -> str:
    """A tie between two stand-ins is no tie of ideas."""
    told = []
    for one in pair:
        mine = one.among(subset)
        fallen = sum(condition in one.fallbacks for condition, taken in zip(one.conditions, mine) if taken)
        if fallen:
            told.append(f"{one.model} could not represent {fallen} of {int(mine.sum())} and answered with a stand-in")
    return "; ".join(told)
