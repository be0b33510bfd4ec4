"""From a fitted model to cells for every condition that is asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, DivergedError, LeakError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.seeds import generator
from pertura.core.split import Split
from pertura.data.pseudobulk import batch_weights, mean_of
from pertura.prediction.emit import EMITTERS, Drawing, Emitter, chosen, draw

Profile = Float[np.ndarray, " genes"]


def predict(
    model: PerturbationModel,
    cells: Cells,
    split: Split,
    conditions: Sequence[Condition],
    *,
    seed: int,
    emitter: str = "control-shift",
    counts: Mapping[Condition, int] | None = None,
) -> Prediction:
    """Return predicted cells for each condition, made one condition at a time and only when they are asked for.

    Each condition has `counts[condition]` cells, by default as many as were observed; row i of it stands for the i-th
    observed cell and comes from a control of that cell's batch. A model that answers with a mean profile has it turned
    into cells by the emitter, around the controls that match in batch; of an answer in cells, where row i belongs to
    control i, rows are chosen likewise. Nothing but names, number and batches of the observed cells is looked at.

    Raises `LeakError` where the model says it was fitted under another split, `BadDataError` where it leaves a
    condition out or answers on other genes, `DivergedError` (on access) where an answer is not finite.
    """
    if emitter not in EMITTERS:
        raise UsageError(f"no emitter is called {emitter!r}; there are: {', '.join(EMITTERS)}")
    numbers = {one: len(cells.rows_of(one)) for one in conditions} | dict(counts or {})
    if not conditions:
        raise UsageError("nothing to predict: no condition is asked")
    empty = sorted(one.label for one in conditions if numbers[one] < 1)
    if empty:
        raise UsageError(f"how many cells? {', '.join(empty[:6])}: none observed; say it in counts")
    emitted: dict[Condition, Emission] = {}
    fallbacks: dict[Condition, str] = {}
    made_by: list[Provenance] = []
    for context in sorted({one.context for one in conditions}):
        asked = sorted({one for one in conditions if one.context == context})
        matching = Matching.of(cells, split, context)
        answer = model.predict(matching.controls, asked, seed=seed)
        _check(answer, asked, cells, split)
        made_by.append(answer.provenance)
        fallbacks |= {one: why for one, why in answer.fallbacks.items() if one in numbers}
        for one in asked:
            emitted[one] = Emission(answer, one, matching, matching.drawn(one, numbers[one], seed), seed)
    return Prediction(
        genes=cells.genes,
        cells=EmittedCells(emitted, EMITTERS[emitter]),
        provenance=_stamped(made_by, split, seed, emitter, emitted),
        fallbacks=dict(sorted(fallbacks.items())),
    )


@dataclass(frozen=True, eq=False)
class Matching:
    """The model-side controls of one context and how they match, batch by batch, the observed cells."""

    cells: Cells
    controls: Cells
    rows: Int[np.ndarray, " controls"]
    mean: Profile
    batch_means: Mapping[int, Profile] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: Cells, split: Split, context: str) -> "Matching":
        """Return the matching of one context."""
        rows = split.model_controls(cells, context)
        if not len(rows):
            raise BadDataError(f"context {context!r} has no control cells on the model side of split {split.name}")
        means: dict[int, Profile] = {}
        if cells.batch_codes is not None:
            codes = cells.batch_codes[rows]
            means = {int(code): mean_of(cells.expression, rows[codes == code]) for code in np.unique(codes)}
        return cls(cells, cells.take(rows), rows, mean_of(cells.expression, rows), means)

    def drawn(self, condition: Condition, count: int, seed: int) -> Drawing:
        """Return the controls behind a condition's predicted cells; the order of cells in the file has no influence."""
        rng = generator(seed, "emit", condition.label)
        observed = self.cells.rows_of(condition)
        if not len(observed):
            return draw(self.controls, count, None, rng)
        by_name = np.argsort(np.asarray([str(one) for one in self.cells.ids[observed]]), kind="stable")
        places = by_name[chosen(len(by_name), count, rng)]
        drawing = draw(self.controls, count, self._batches(observed[places]), rng)
        if count != len(observed):
            return drawing
        return replace(drawing, rows=drawing.rows[np.argsort(places)])

    def start(self, condition: Condition) -> Profile:
        """Return the control mean that matches the batches of a condition's observed cells."""
        observed = self.cells.rows_of(condition)
        if self.cells.batch_codes is None or not len(observed):
            return self.mean
        weights, _ = batch_weights(self.cells, observed, self.rows)
        per_batch = np.bincount(self.cells.batch_codes[self.rows], weights=weights, minlength=len(self.cells.batches))
        return np.sum([per_batch[code] * mean for code, mean in self.batch_means.items()], axis=0)

    def _batches(self, rows: Int[np.ndarray, " cells"]) -> list[str] | None:
        if self.cells.batch_codes is None:
            return None
        return [self.cells.batches[code] for code in self.cells.batch_codes[rows]]


@dataclass(frozen=True, eq=False)
class Emission:
    """All that is needed to make the predicted cells of one condition."""

    answer: Prediction
    condition: Condition
    matching: Matching
    drawing: Drawing
    seed: int

    def cells(self, emitter: Emitter) -> Float[np.ndarray, "cells genes"]:
        """Return the cells, float32, on the genes of the controls."""
        rows = self._answered()
        if len(rows) == 1:
            # the model started from all controls of the context; its delta is put on those that match in batch
            profile = np.asarray(rows[0], dtype=np.float64) + self.matching.start(self.condition) - self.matching.mean
            rng = generator(self.seed, "disperse", self.condition.label)
            return emitter(self.matching.controls.dense(self.drawing.rows), profile, rng)
        if len(rows) == len(self.matching.controls):
            return rows[self.drawing.rows].astype(np.float32)
        rng = generator(self.seed, "choose", self.condition.label)
        return rows[chosen(len(rows), len(self.drawing.rows), rng)].astype(np.float32)

    def _answered(self) -> Float[np.ndarray, "cells genes"]:
        rows = np.asarray(self.answer.cells[self.condition])
        name, genes = self.answer.provenance.model, self.matching.controls.genes
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(genes):
            raise BadDataError(
                f"model {name}: {self.condition} was answered with an array of shape {rows.shape}",
                remedy=f"answer with cells x {len(genes)} genes",
            )
        if not np.isfinite(rows).all():
            raise DivergedError(f"model {name}: the answer for {self.condition} is not finite")
        if self.answer.genes == genes:
            return rows
        place = {gene: column for column, gene in enumerate(self.answer.genes)}
        return rows[:, [place[gene] for gene in genes]]


@dataclass(frozen=True, eq=False)
class EmittedCells(Mapping[Condition, Float[np.ndarray, "cells genes"]]):
    """The predicted cells of each condition, made anew, and alike, each time they are asked for."""

    emissions: Mapping[Condition, Emission]
    emitter: Emitter

    def __getitem__(self, condition: Condition) -> Float[np.ndarray, "cells genes"]:
        return self.emissions[condition].cells(self.emitter)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.emissions)

    def __len__(self) -> int:
        return len(self.emissions)

    def __contains__(self, condition: object) -> bool:
        return condition in self.emissions


def _check(answer: Prediction, asked: Sequence[Condition], cells: Cells, split: Split) -> None:
    name = answer.provenance.model
    fitted_under = answer.provenance.split
    if fitted_under and fitted_under != split.fingerprint:
        raise LeakError(
            f"model {name} was fitted under split {fitted_under[:12]}, not under {split.fingerprint[:12]}: it may have "
            "been trained on what it is asked; fit it under this split"
        )
    missing = [one.label for one in asked if one not in answer.cells]
    if missing:
        raise BadDataError(f"model {name} gave no answer for {len(missing)} conditions: {', '.join(missing[:6])}")
    lacking = sorted(set(cells.genes) - set(answer.genes))
    if lacking or len(answer.genes) != len(cells.genes):
        raise BadDataError(
            f"model {name} answers on {len(answer.genes)} genes, the screen has {len(cells.genes)}"
            + (f"; {len(lacking)} are missing (first: {lacking[0]})" if lacking else ""),
            remedy="fit the model on this panel",
        )


def _stamped(
    made_by: Sequence[Provenance], split: Split, seed: int, emitter: str, emitted: Mapping[Condition, Emission]
) -> Provenance:
    """Return the model's provenance with split, seed and emitter, and what had to be put up with in drawing cells."""
    repeated = sum(one.drawing.repeated for one in emitted.values())
    unmatched = sum(one.drawing.unmatched for one in emitted.values())
    notes = [one.versions["notes"] for one in made_by if "notes" in one.versions]
    if repeated:
        notes.append(f"{repeated} predicted cells come from a control that was drawn before: too few controls")
    if unmatched:
        notes.append(f"{unmatched} predicted cells come from controls of another batch: theirs has none")
    versions = {**made_by[0].versions, "emitter": emitter}
    if notes:
        versions["notes"] = "; ".join(dict.fromkeys(notes))
    return replace(made_by[0], split=split.fingerprint, seed=seed, versions=versions)
