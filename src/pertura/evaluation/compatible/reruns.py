"""The judge of a preset asked again: about references, permuted labels, halves, redrawn cells, controls apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pertura.core.errors import PerturaError
from pertura.core.expression import InMemory, dense
from pertura.core.seeds import generator
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.altered import Codes, Draw, common, label_means, means_of, stacked
from pertura.evaluation.compatible.effort import Runs
from pertura.evaluation.compatible.profile import Judged, Options
from pertura.evaluation.compatible.study import LEAVE_ONE_OUT, Profiles, Reference, Study

FEWEST_CONTROLS = 4
Answers = list[Judged | None]


@dataclass(eq=False)
class Reruns:
    """The re-runs of one tier of metrics, each made once and only when it is asked for.

    Metrics of means are asked about one cell for each label, its mean; all others about cells. `refused` says for
    each purpose what the preset refused.
    """

    study: Study
    tier: str
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> Runs:
        """How many of each kind."""
        return self.study.runs[self.tier]

    @property
    def by_means(self) -> bool:
        """A label's mean stands for its cells."""
        return self.tier in ("means", "pairs") and self.study.logged

    @cached_property
    def referred(self) -> dict[str, Judged | None]:
        """Each reference against the observed cells as they are."""
        whole = self.study.sides.whole()
        return {one.name: self._reference(one, whole) for one in self.study.references}

    @cached_property
    def permuted(self) -> Answers:
        """The prediction against permuted labels."""
        sides, count = self.study.sides, self.runs.permutations
        return self._asked([sides.permuted(self.study.seed, i) for i in range(count)], "permuted labels")

    @cached_property
    def replicates(self) -> Answers:
        """Half of the observed cells against the other half."""
        sides, count = self.study.sides, self.runs.halves
        return self._asked([sides.replicate(self.study.seed, i) for i in range(count)], "the ceiling")

    @cached_property
    def redrawn(self) -> Answers:
        """The prediction against redrawn cells."""
        draws = self.study.sides.redrawn(self.study.seed, self.runs.draws) if self.runs.draws else []
        return self._asked(draws, "redrawn cells")

    @cached_property
    def apart(self) -> Answers:
        """The prediction with shared controls cut in two; none where they are not shared."""
        cuts = self.runs.cuts if self._can_be_cut else 0
        return self._asked([self.study.sides.apart(self.study.seed, i) for i in range(cuts)], "controls apart")

    @cached_property
    def null_shared(self) -> Answers:
        """The leave-one-out mean on permuted labels, with one pool of controls."""
        return self._null(apart=False)

    @cached_property
    def null_apart(self) -> Answers:
        """The leave-one-out mean on the same permuted labels, with disjoint halves of the controls."""
        return self._null(apart=True)

    def _null(self, *, apart: bool) -> Answers:
        mine = [one for one in self.study.references if one.name == LEAVE_ONE_OUT]
        if not mine or not self._can_be_cut:
            return []
        draws = [self.study.sides.permuted(self.study.seed, i) for i in range(self.runs.cuts)]
        return [self._reference(mine[0], one, apart=apart) for one in draws]

    @property
    def _can_be_cut(self) -> bool:
        sides = self.study.sides
        return sides.shared > 0 and len(sides.observed.rows_of(sides.observed.control)) >= FEWEST_CONTROLS

    # ---- the prediction against an altered side

    def _asked(self, draws: Sequence[Draw], purpose: str) -> Answers:
        sides = self.study.sides
        if not self.by_means:
            return [self._judge(*sides.cells(draw), purpose) for draw in draws]
        observed = _means_by_batches(sides.observed, draws, self.study.options.memory)
        if purpose == "redrawn cells":
            control = sides.observed.labels.index(sides.observed.control)
            observed = _at_its_length(observed, self._observed_means, control)
        answers: Answers = []
        for draw, mine in zip(draws, observed):
            theirs, mine = _above_zero(self._predicted(draw), mine)
            pair = common(means_of(sides.predicted, theirs), means_of(sides.observed, mine))
            answers.append(self._judge(*pair, purpose))
        return answers

    def _predicted(self, draw: Draw) -> Profiles:
        """Means of the predicted side: only control changes, or all of it comes from observed cells."""
        sides = self.study.sides
        lent_rows = np.flatnonzero(draw.borrowed >= 0)
        lent = label_means(sides.observed, [(draw.borrowed, np.ones_like(draw.borrowed))], lent_rows)[0]
        if not draw.predicted.any():
            return lent
        control, rows = sides.predicted_control, sides.predicted.rows_of(sides.predicted.control)
        own = label_means(sides.predicted, [(sides.predicted.codes, draw.predicted)], rows)[0, control]
        weights = np.asarray([draw.predicted[rows].sum(), len(lent_rows)], dtype=np.float64)
        means = self._predicted_means.copy()
        means[control] = weights @ np.nan_to_num([own, lent[control]]) / weights.sum() if weights.any() else np.nan
        return means

    @cached_property
    def _predicted_means(self) -> Profiles:
        cells = self.study.sides.predicted
        return label_means(cells, [(cells.codes, np.ones_like(cells.codes))])[0]

    @cached_property
    def _observed_means(self) -> Profiles:
        cells = self.study.sides.observed
        return label_means(cells, [(cells.codes, np.ones_like(cells.codes))])[0]

    # ---- a reference against an altered side

    def _reference(self, reference: Reference, draw: Draw, *, apart: bool = False) -> Judged | None:
        """Judge a reference against a draw: both sides on the same controls, or each on a half of them."""
        cells = self.study.sides.observed
        control = cells.labels.index(cells.control)
        judged = self.study.sides.apart(self.study.seed, 0, draw) if apart else draw
        own = (draw.codes == control) & (judged.codes < 0) if apart else draw.codes == control
        seen = np.where(own | (draw.codes != control), draw.codes, -1)
        profiles = reference.profiles(self._means_under(seen, draw.copies), control).copy()
        purpose = f"{reference.name} on permuted labels" if draw.codes is not cells.codes else reference.name
        if self.by_means:
            profiles[control] = self._means_under(seen, draw.copies)[control]
            both = _above_zero(profiles, self._means_under(judged.codes, judged.copies))
            return self._judge(*common(means_of(cells, both[0]), means_of(cells, both[1])), purpose)
        measured = self.study.sides.measured(judged)
        made = self._emitted(reference.name, measured, profiles, cells.take(np.flatnonzero(own)))
        return self._judge(*common(made, measured), purpose)

    def _means_under(self, codes: Codes, copies: Codes) -> Profiles:
        cells = self.study.sides.observed
        same = np.array_equal(codes, cells.codes) and bool((copies == 1).all())
        return self._observed_means if same else label_means(cells, [(codes, copies)])[0]

    def _emitted(self, name: str, like: Labelled, profiles: Profiles, controls: Labelled) -> Labelled:
        """As many cells of each label as `like` has, around the profiles, and the control cells they were made from."""
        pool = controls.take(np.argsort(controls.ids.astype(str), kind="stable"))
        values, codes = [], []
        for code, label in enumerate(like.labels):
            count = like.counts[label]
            if label == like.control or not count or not np.isfinite(profiles[code]).all():
                continue
            rng = generator(self.study.seed, "reference", name, label)
            drawn = np.resize(rng.permutation(len(pool.codes)), count)
            values.append(self.study.emitter(dense(pool.expression.rows(drawn)), profiles[code], rng))
            codes.append(np.full(count, code, dtype=np.int64))
        place = np.concatenate(codes)
        ids = np.asarray([f"{name} {i}" for i in range(len(place))], dtype=object)
        matrix = InMemory(np.concatenate(values).astype(np.float32))
        made = Labelled(matrix, like.genes, ids, like.labels, place, like.control, name)
        return stacked(made, replace(pool, codes=np.full(len(pool.codes), like.labels.index(like.control))))

    # ---- asking

    @cached_property
    def _options(self) -> Options:
        mine = {one.name for one in self.study.metrics(self.tier)}
        every = {one.name for one in self.study.preset.metrics}
        return replace(self.study.options, skip=frozenset(every - mine))

    def _judge(self, predicted: Labelled, observed: Labelled, purpose: str) -> Judged | None:
        """Ask the preset; what it refuses is told once for each purpose, and its number is not known."""
        try:
            return self.study.preset.judge(predicted, observed, self._options)
        except PerturaError as error:
            self.refused.setdefault(purpose, f"{self.tier} metrics: {purpose} is not known: {error}")
            return None


def _means_by_batches(cells: Labelled, draws: Sequence[Draw], memory: int) -> list[Profiles]:
    """Means under all draws, with as many at one reading as fit into a quarter of the memory."""
    size = max(int(memory // 4 // (8 * len(cells.labels) * len(cells.genes))), 1)
    found: list[Profiles] = []
    for start in range(0, len(draws), size):
        found += list(label_means(cells, [(one.codes, one.copies) for one in draws[start : start + size]]))
    return found


def _above_zero(predicted: Profiles, observed: Profiles) -> tuple[Profiles, Profiles]:
    """Both sides moved, gene by gene, by what it takes that none is below zero: no change and no error is altered."""
    lowest = np.nanmin([np.nanmin(predicted, axis=0), np.nanmin(observed, axis=0)], axis=0)
    shift = np.maximum(-np.nan_to_num(lowest), 0.0)
    return predicted + shift, observed + shift


def _at_its_length(draws: Sequence[Profiles], means: Profiles, control: int) -> list[Profiles]:
    """Redrawn means whose deltas have the length of the observed ones.

    A redraw adds the noise of the cells to means that carry it already; so the observed delta is first shortened to
    the part of its squared length that this noise does not explain.
    """
    if not draws:
        return []
    deltas = means - means[control]
    noise = np.mean([np.square(one - one[control] - deltas).sum(axis=1) for one in draws], axis=0)
    length = np.square(deltas).sum(axis=1)
    share = np.clip(1 - np.divide(noise, length, out=np.ones(len(length)), where=length > 0), 0.0, 1.0)
    lost = (1 - np.sqrt(share))[:, None] * deltas
    return [one - lost for one in draws]
