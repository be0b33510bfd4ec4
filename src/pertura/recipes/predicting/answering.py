"""A model asked about control cells: matched genes, one scale, every row of an answer from the same row of controls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, DivergedError, UsageError
from pertura.core.expression import Expression, Rows, dense
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Condition
from pertura.core.prediction import Provenance
from pertura.core.seeds import generator, shuffled
from pertura.data.normalise import log_normalise
from pertura.genes.identified import found_among
from pertura.models.baselines.baseline import Baseline
from pertura.models.scgpt.foreign_model import ForeignPerturbation
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.narrowed import asking_bytes, narrowed
from pertura.prediction.emit import EMITTERS

Answer = Float[np.ndarray, "cells genes"]
NAMED = 6
Missing = Literal["mask", "refuse"]
LARGEST_SHARE = 0.5
"""A model is not asked where more of its panel than this is missing."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a model is asked. `missing`: genes of its panel that the controls lack are masked, or refused.

    `genes_at_once`: a network is asked about so many genes in one call (None: all); each call holds the perturbed
    genes. `emitter` makes cells around an answer that is a mean.
    """

    seed: int = 0
    missing: Missing = "mask"
    genes_at_once: int | None = None
    emitter: str = "control-shift"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.missing not in get_args(Missing):
            raise UsageError(f"genes that the controls lack: mask or refuse them, not {self.missing!r}")
        if self.emitter not in EMITTERS:
            raise UsageError(f"no emitter {self.emitter!r}; there are {', '.join(EMITTERS)}")


@dataclass(frozen=True, eq=False)
class Matched:
    """Controls on the genes of a model, by its names and on its scale, and what it took to bring them there.

    `missing` are genes of the panel that the controls do not have; `cells` holds the others, in the panel's order.
    """

    cells: Cells
    panel: tuple[str, ...]
    missing: tuple[str, ...]
    renamed: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Answered(Mapping[Condition, Answer]):
    """What every control becomes under each condition: row i belongs to row i of `controls`; made when asked for."""

    controls: Cells
    conditions: tuple[Condition, ...]
    make: Callable[[Condition], Answer]
    provenance: Provenance
    fallbacks: Mapping[Condition, str] = field(default_factory=dict)

    def __getitem__(self, condition: Condition) -> Answer:
        if condition not in self.conditions:
            raise KeyError(condition)
        made = self.make(condition)
        if not np.isfinite(made).all():
            raise DivergedError(f"model {self.provenance.model}: the answer for {condition} is not finite")
        return made

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.conditions)

    def __len__(self) -> int:
        return len(self.conditions)


def matched(controls: Cells, panel: Sequence[str], scale: Scale | None, manner: Manner) -> Matched:
    """Return controls on a panel. Counts are normalised where the model takes logarithms and all counts are there.

    Raises `BadDataError` where genes are missing and that is to be refused, or where more than half of them are.
    """
    notes: list[str] = []
    if scale is not None and scale.kind == "lognormalised" and controls.scale.kind == "counts":
        controls = log_normalise(controls, target_sum=scale.target_sum or 1e4)
        notes.append(f"counts of the controls were normalised to {scale.target_sum or 1e4:,.6g} per cell, logarithm")
    found = found_among(panel, controls.genes)
    missing = tuple(gene for gene in panel if gene not in found)
    _check_missing(missing, panel, manner)
    kept = [gene for gene in panel if gene in found]
    renamed = {gene: found[gene] for gene in kept if found[gene] != gene}
    if renamed:
        named = ", ".join(f"{gene} as {other}" for gene, other in list(renamed.items())[:NAMED])
        notes.append(f"{len(renamed):,} genes are found under another name: {named}")
    cells = replace(controls.with_genes([found[gene] for gene in kept]), genes=tuple(kept))
    return Matched(cells, tuple(panel), missing, len(renamed), tuple(notes))


def answered(model: PerturbationModel, given: Matched, conditions: Sequence[Condition], manner: Manner) -> Answered:
    """Return a model's answer for each control and condition, on the genes that the controls have."""
    if manner.genes_at_once is not None and isinstance(model, ScGPT | ForeignPerturbation):
        return _in_parts(model, given, conditions, manner)
    if not given.missing:
        return _whole(model, given.cells, conditions, manner)
    if isinstance(model, ScGPT):
        return _whole(narrowed(model, given.cells.genes), given.cells, conditions, manner)
    if isinstance(model, Baseline):
        return _without(model, given, conditions, manner)
    raise BadDataError(
        f"the controls lack {len(given.missing):,} of {len(given.panel):,} genes ({_listed(given.missing)}), and "
        f"{getattr(model, 'name', 'this model')} cannot be asked without them",
        remedy="give controls that measure the whole panel",
    )


def manner_notes(model: PerturbationModel, given: Matched, manner: Manner) -> list[str]:
    """Return what a reader must know of how answers are made: cells around a mean, genes asked in parts."""
    if isinstance(model, Baseline):
        return [f"it answers with a mean: the cells are the controls, brought to that mean ({manner.emitter})"]
    parts = -(-len(given.cells.genes) // (manner.genes_at_once or len(given.cells.genes)))
    if parts == 1 or not isinstance(model, ScGPT | ForeignPerturbation):
        return []
    return [
        f"asked in {parts} parts of at most {manner.genes_at_once:,} genes: genes of two parts do not see each other"
    ]


def memory_needed(model: PerturbationModel, cells: int, genes: int, manner: Manner) -> float:
    """Return about how many bytes asking about one condition takes: the answer, and of a network its states."""
    answer = 3.0 * cells * genes * 8
    if not isinstance(model, ScGPT | ForeignPerturbation):
        return answer
    if isinstance(model, ForeignPerturbation):
        network, batch = model.asking.network, model.asking.batch
    else:
        network, batch = model._trained.network, model.options.predict_batch
    config = network.config
    at_once = min(genes, manner.genes_at_once or genes)
    weights = sum(one.numel() * one.element_size() for one in network.parameters())
    return answer + weights + asking_bytes(config.width, config.hidden, at_once, min(batch, cells))


def _check_missing(missing: Sequence[str], panel: Sequence[str], manner: Manner) -> None:
    if not missing:
        return
    said = f"the controls lack {len(missing):,} of the {len(panel):,} genes of the model's panel ({_listed(missing)})"
    if manner.missing == "refuse":
        raise BadDataError(said, remedy="to ask without them, let them be masked: --missing mask")
    if len(missing) > LARGEST_SHARE * len(panel):
        raise BadDataError(said, remedy="are genes named by symbol? --gene-column names the column of var that does")


def _whole(model: PerturbationModel, cells: Cells, conditions: Sequence[Condition], manner: Manner) -> Answered:
    """Ask about all genes at once; a mean profile becomes a cell for each control."""
    answer = model.predict(cells, conditions, seed=manner.seed)
    place = {gene: column for column, gene in enumerate(answer.genes)}
    columns = [place[gene] for gene in cells.genes]

    def make(condition: Condition) -> Answer:
        rows = np.asarray(answer.cells[condition])[:, columns]
        if len(rows) == len(cells) != 1:
            return rows.astype(np.float32)
        if len(rows) != 1:
            raise BadDataError(f"model {answer.provenance.model} gave {len(rows)} cells for {len(cells)} controls")
        rng = generator(manner.seed, "disperse", condition.label)
        return EMITTERS[manner.emitter](cells.dense(np.arange(len(cells))), np.asarray(rows[0], dtype=np.float64), rng)

    fallbacks = {one: why for one, why in answer.fallbacks.items() if one in conditions}
    return Answered(cells, tuple(conditions), make, answer.provenance, fallbacks)


@dataclass(frozen=True, slots=True, eq=False)
class _Widened:
    """An expression with columns of zeros put in; only for rules whose answer on a gene looks at no other gene."""

    source: Expression
    measured: Bool[np.ndarray, " genes"]

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.shape[0], len(self.measured)

    def rows(self, index: Rows) -> Float[np.ndarray, "cells genes"]:
        made = np.zeros((len(index), len(self.measured)))
        made[:, self.measured] = dense(self.source.rows(index))
        return made


def _without(model: Baseline, given: Matched, conditions: Sequence[Condition], manner: Manner) -> Answered:
    """Ask a baseline, whose change of a gene was learnt and depends on no control; genes not measured drop out."""
    measured = np.isin(np.asarray(given.panel), given.cells.genes)
    wide = replace(given.cells, genes=given.panel, expression=_Widened(given.cells.expression, measured))
    answer = model.predict(wide, conditions, seed=manner.seed)
    profiles = {one: np.asarray(answer.cells[one], dtype=np.float64)[0][measured] for one in conditions}

    def make(condition: Condition) -> Answer:
        rng = generator(manner.seed, "disperse", condition.label)
        return EMITTERS[manner.emitter](given.cells.dense(np.arange(len(given.cells))), profiles[condition], rng)

    return Answered(given.cells, tuple(conditions), make, answer.provenance, dict(answer.fallbacks))


def _in_parts(
    model: ScGPT | ForeignPerturbation, given: Matched, conditions: Sequence[Condition], manner: Manner
) -> Answered:
    """Ask a network about some genes at a time; which go together depends on their names and the seed alone."""
    genes = given.cells.genes
    order = shuffled(np.asarray(genes, dtype=object), manner.seed, "genes at once")
    size = int(manner.genes_at_once or len(genes))
    parts = [np.sort(order[start : start + size]) for start in range(0, len(genes), size)]
    named = {gene for one in conditions for gene in one.genes}
    first = _part(model, given.cells, parts[0], named, conditions, manner)[0]

    def make(condition: Condition) -> Answer:
        made = np.empty((len(given.cells), len(genes)), dtype=np.float32)
        for columns in parts:
            part, mine = _part(model, given.cells, columns, set(condition.genes), [condition], manner)
            made[:, columns] = part[condition][:, mine]
        return made

    return Answered(given.cells, tuple(conditions), make, first.provenance, first.fallbacks)


def _part(
    model: ScGPT | ForeignPerturbation,
    cells: Cells,
    columns: Int[np.ndarray, " part"],
    named: set[str],
    conditions: Sequence[Condition],
    manner: Manner,
) -> tuple[Answered, Int[np.ndarray, " part"]]:
    """Ask about some columns and the perturbed genes; return the answer and where the columns stand in it."""
    wanted = {cells.genes[column] for column in columns}
    kept = [gene for gene in cells.genes if gene in wanted or gene in named]
    some = cells.with_genes(kept)
    if isinstance(model, ScGPT):
        smaller: PerturbationModel = narrowed(model, kept)
    else:
        smaller = ForeignPerturbation(model.source, kept, model.scope.modes, device=manner.device)
    place = {gene: i for i, gene in enumerate(kept)}
    mine = np.asarray([place[cells.genes[column]] for column in columns], dtype=np.int64)
    return _whole(smaller, some, conditions, manner), mine


def _listed(genes: Sequence[str]) -> str:
    more = f" and {len(genes) - NAMED:,} more" if len(genes) > NAMED else ""
    return ", ".join(genes[:NAMED]) + more
