"""A part of a run's split predicted again, beside what was observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.core.atomic import write_text
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, spelled
from pertura.core.prediction import Prediction
from pertura.core.split import Split
from pertura.data.predictions import write_predictions
from pertura.data.pseudobulk import Pseudobulk, pseudobulk
from pertura.prediction.predict import predict
from pertura.recipes.predicting.answering import Manner
from pertura.recipes.predicting.asked import labels_of
from pertura.recipes.predicting.models import OpenedModel, linear_baselines, split_of_run
from pertura.recipes.predicting.plotting import numbers_beside, write_figure
from pertura.recipes.predicting.summary import GeneSummary, gene_table
from pertura.recipes.recipe import FILE, read_recipe
from pertura.recipes.sources import cells_of
from pertura.report.predicted_genes import OBSERVED


@dataclass(frozen=True, eq=False)
class SplitPart:
    """Conditions of a part that have cells, the models that are asked, and what they are compared with."""

    name: str
    models: tuple[OpenedModel, ...]
    cells: Cells
    split: Split
    conditions: tuple[Condition, ...]
    manner: Manner

    @property
    def lines(self) -> list[str]:
        """What will be asked, in words."""
        names = ", ".join(one.name for one in self.models)
        counted = sum(len(self.cells.rows_of(one)) for one in self.conditions)
        notes = [f"note: {one.note}" for one in self.models if one.note]
        return [f"{names}: the {len(self.conditions)} {self.name} conditions, {counted:,} observed cells", *notes]

    @cached_property
    def labels(self) -> dict[Condition, str]:
        """How each condition is spelled."""
        return spelled(self.conditions, self.cells.contexts)

    @cached_property
    def judged(self) -> Pseudobulk:
        """Observed means and the controls of the judge's side."""
        contexts = sorted({one.context for one in self.conditions})
        sides = {one: self.split.judge_controls(self.cells, one) for one in contexts}
        return pseudobulk(self.cells, self.conditions, sides)

    @cached_property
    def started(self) -> Pseudobulk:
        """Observed means and the controls of the models' side."""
        contexts = sorted({one.context for one in self.conditions})
        sides = {one: self.split.model_controls(self.cells, one) for one in contexts}
        return pseudobulk(self.cells, self.conditions, sides)

    def predicted(self, model: OpenedModel, member: int = 0) -> Prediction:
        """Return the predicted cells of every condition, row i beside the i-th observed cell."""
        asked = model.asked(self.cells.genes, self.cells.modes, self.manner.device)[member]
        return predict(
            asked, self.cells, self.split, self.conditions, seed=self.manner.seed, emitter=self.manner.emitter
        )


def part_of(models: Sequence[OpenedModel], part: str, perturb: Sequence[str], manner: Manner) -> SplitPart:
    """Return a part of the split of the first model's run, or those perturbations of it that are named."""
    run = models[0].run
    if run is None:
        raise UsageError(f"{models[0].name} comes from no run, so it has no split: give --controls and --perturb")
    recipe, split = read_recipe(run / FILE), split_of_run(run)
    cells = cells_of(recipe.data, recipe.seed)
    members: Mapping[str, frozenset[Condition]] = {"train": split.train, "valid": split.valid, "test": split.test}
    present = tuple(one for one in sorted(members[part]) if len(cells.rows_of(one)))
    if perturb:
        wanted = set(labels_of(perturb))
        absent = wanted - {one.perturbation.label for one in present}
        if absent:
            raise UsageError(f"{', '.join(sorted(absent))}: not among the {part} conditions that have cells")
        present = tuple(one for one in present if one.perturbation.label in wanted)
    if not present:
        raise BadDataError(f"no {part} condition of the run has cells", file=run)
    return SplitPart(part, tuple(models), cells, split, present, manner)


def write_part(made: SplitPart, output: Path, plot: Path | None, table: Path | None) -> list[str]:
    """Write cells (further models beside `output`, under their names), table and figure; return what was written."""
    lines = []
    summaries: dict[str, list[GeneSummary]] = {label: [] for label in made.labels.values()}
    baselines = linear_baselines(made.models[0])
    beside = {one.name: made.predicted(one) for one in baselines}
    for i, model in enumerate(made.models):
        path = output if i == 0 else output.with_name(f"{output.stem}.{model.name.replace('/', '_')}.h5ad")
        prediction = made.predicted(model)
        write_predictions(path, prediction, made.cells, made.split, model_name=model.name)
        lines.append(f"wrote {path}; judge it with `pertura evaluate --predicted {path} -o FOLDER`")
        others = [made.predicted(model, k) for k in range(1, len(model.members))]
        for j, (condition, label) in enumerate(made.labels.items()):
            summaries[label].append(_summary(made, j, condition, (model.name, prediction, others), beside))
    if table is not None:
        every = [one for each in summaries.values() for one in each]
        write_text(table, gene_table(every).to_csv(index=False, float_format="%.7g"))
        lines.append(f"wrote {table}: every gene, ranked")
    if plot is not None:
        by_label = {label: condition for condition, label in made.labels.items()}

        def spread(one: GeneSummary, genes: tuple[str, ...]) -> Float[np.ndarray, "cells genes"]:
            condition = by_label[one.perturbation]
            place = made.judged.conditions.index(condition)
            columns = [made.cells.genes.index(gene) for gene in genes]
            observed = made.cells.with_genes(genes).dense(made.cells.rows_of(condition))
            return observed - made.judged.controls[place, columns]

        lines += write_figure(plot, summaries, OBSERVED, spread)
        lines.append(f"wrote {plot} and {numbers_beside(plot).name}")
    return lines


def _summary(
    made: SplitPart,
    place: int,
    condition: Condition,
    answered: tuple[str, Prediction, Sequence[Prediction]],
    beside: Mapping[str, Prediction],
) -> GeneSummary:
    """Means of one condition; the observed one as its change on the judge's side, put on the models' controls."""
    name, prediction, others = answered
    means = [prediction.mean(condition), *(one.mean(condition) for one in others)]
    able = [one for one, answer in beside.items() if condition not in answer.fallbacks]
    linear = next(iter([*able, *beside]), "")
    start = made.started.controls[place]
    return GeneSummary(
        perturbation=made.labels[condition],
        model=name,
        targets=condition.genes,
        genes=made.cells.genes,
        scale=made.cells.scale,
        control=start,
        predicted=means[0],
        deviation=np.std(means, axis=0, ddof=1) if len(means) > 1 else None,
        members=len(means),
        baseline_name=linear,
        baseline=beside[linear].mean(condition) if linear else None,
        baseline_stand_in=bool(linear) and not able,
        observed=start + made.judged.deltas[place],
        stand_in=prediction.fallbacks.get(condition, ""),
    )
