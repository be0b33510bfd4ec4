"""Everything a ranking is computed from, opened once: models, controls, goal, candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, ModeError, UsageError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.scope import Scope
from pertura.core.seeds import shuffled
from pertura.core.split import Split
from pertura.models.table import MODELS
from pertura.recipes.screening_run.asked import Asked
from pertura.recipes.screening_run.runs import Member, Run, open_runs
from pertura.recipes.sources import cells_of
from pertura.screening.deltas import few_controls, in_memory
from pertura.screening.goal import Goal, expression_bins
from pertura.screening.observed import Means, means_of
from pertura.screening.programme import Placed, Programme, placed
from pertura.screening.target import displacement, group_means

KEPT_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class Setting:
    """What a screen works with. `members` answer for the candidates; `linear` is what their agreement is measured with.

    `cells` and `split` are those of the screen; all of the same panel. `means` are its conditions as means, on which
    what can be fitted again is fitted again. `learnt` are those that members and linear model learnt from: all, or the
    train part of the split.
    """

    asked: Asked
    goal: Goal
    unwanted: Goal | None
    members: tuple[Member, ...]
    linear: Member | None
    cells: Cells
    split: Split
    means: Means
    learnt: tuple[Condition, ...]
    controls: Cells
    context: str
    mode: Mode
    notes: tuple[str, ...] = ()

    @property
    def is_refitted(self) -> bool:
        """Whether every member can be fitted again in a moment, so that all observed conditions can be hidden."""
        return _are_quick(self.members)

    @cached_property
    def trained(self) -> frozenset[str]:
        """The genes that some condition perturbs that was learnt from."""
        return frozenset(gene for one in self.learnt for gene in one.genes)

    @cached_property
    def bags(self) -> tuple[Member, ...]:
        """Refits of the members on four fifths of what they learnt from: the spread of the ensemble."""
        found = []
        for number in range(self.asked.members):
            for one in self.members:
                if one.fresh is not None and len(self.learnt) > 1:
                    part = bagged(self.learnt, number, self.asked.seed)
                    found.append(refitted(self.means, one, part, f"bag {number}"))
        return tuple(found)

    def condition(self, *genes: str) -> Condition:
        """Return the candidate that perturbs these genes."""
        return Condition(Perturbation.of(*genes, mode=self.mode), self.context)

    @cached_property
    def representable(self) -> tuple[str, ...]:
        """The genes that every member can say something of, sorted.

        Those of the prior of a baseline; of what has none the panel and the genes of its training; of networks with a
        prior both. What a pretrained network knows beyond this must be named.
        """
        found = frozenset.intersection(*(self._known(one) for one in self.members))
        return tuple(sorted(found))

    def _known(self, member: Member) -> frozenset[str]:
        prior = frozenset(member.prior.genes) if member.prior is not None else frozenset[str]()
        if member.fresh is not None and prior:
            return prior
        return prior | frozenset(self.goal.genes) | self.trained


def refitted(means: Means, member: Member, train: Sequence[Condition], name: str) -> Member:
    """Return a member fitted anew to some conditions of a screen as means."""
    assert member.fresh is not None
    model = member.fresh()
    model.fit(means.cells(), means.split(train, name, 0), seed=0)
    return replace(member, name=f"{member.name}, {name}", model=model)


def bagged(train: Sequence[Condition], number: int, seed: int) -> list[Condition]:
    """Return four fifths of some conditions, at least one; another choice for each number."""
    order = shuffled([one.label for one in train], seed, "bag", number)
    kept = max(int(np.ceil(KEPT_SHARE * len(train))), 1)
    return [train[i] for i in sorted(order[:kept].tolist())]


def open_setting(asked: Asked, controls: Cells | None = None) -> Setting:
    """Return the setting of a screen. `controls` are cells in place of the file that `asked` names.

    Raises where the goal has no measured gene, where runs do not belong together, where the mode is another than the
    model's, and where the context has no control cells.
    """
    asked.check()
    runs = open_runs(asked.models)
    first = runs[0][0]
    _together([run for run, _ in runs])
    members = tuple(one for run, names in runs for name in names for one in run.members(name))
    return setting_of(asked, members, (first.cells, first.split), controls)


def setting_of(
    asked: Asked, members: tuple[Member, ...], screen: tuple[Cells, Split], controls: Cells | None = None
) -> Setting:
    """Return the setting of fitted members and the cells and split they learnt from.

    Members that are all fitted in a moment are fitted again, on everything measured: how a ranking does on what it has
    not seen is told by turns that hide conditions, so that none needs to be kept from the ranking itself.
    """
    cells, split = screen
    panel = cells.genes
    source = controls or (cells_of(asked.controls, asked.seed) if asked.controls else cells)
    context, notes = _context(asked, source, cells)
    mine = _on_panel(source, panel, context)
    mode = _mode(asked, members, cells)
    matrix = in_memory(mine)
    goal, told = _goal(asked, panel, matrix)
    unwanted, also = _unwanted(asked, panel, goal)
    means = means_of(cells, split)
    learnt = tuple(one for one in means.conditions if one in split.train)
    if asked.refit and _are_quick(members) and means.conditions:
        learnt = means.conditions
        members = tuple(replace(refitted(means, one, learnt, ""), name=one.name) for one in members)
    linear, lacking = _linear(members, means, learnt)
    notes = (*notes, *lacking, *asked.reading)
    if unwanted is None and asked.unwanted:
        notes = (*notes, also)
    elif also:
        told = f"{told}; unwanted genes: {also}"
    return Setting(
        asked=asked,
        goal=goal,
        unwanted=unwanted,
        members=members,
        linear=linear,
        cells=cells,
        split=split,
        means=means,
        learnt=learnt,
        controls=mine,
        context=context,
        mode=mode,
        notes=(*notes, told) if told else notes,
    )


def _goal(asked: Asked, panel: tuple[str, ...], controls: Float[np.ndarray, "cells genes"]) -> tuple[Goal, str]:
    mean = controls.mean(axis=0)
    bins = expression_bins(mean)
    if asked.target:
        means = group_means(
            asked.target, asked.target_group, asked.target_against or None, largest=float(controls.max())
        )
        way = displacement(means, panel, mean)
        name = f"{asked.target} ({means.told})"
        return Goal(name, panel, way, "distance", asked.direction, bins), f"target state: {means.told}"
    found = placed(Programme(asked.programme_name or "the programme", asked.programme), panel)
    name = asked.programme_name or "the programme"
    return Goal(name, panel, found.weights, asked.statistic, asked.direction, bins), found.told


def _unwanted(asked: Asked, panel: tuple[str, ...], goal: Goal) -> tuple[Goal | None, str]:
    if not asked.unwanted:
        return None, ""
    found: Placed = placed(Programme("unwanted genes", asked.unwanted), panel)
    return Goal("unwanted genes", panel, found.weights, "weighted-mean", "up", goal.bins), found.told


def _on_panel(source: Cells, panel: tuple[str, ...], context: str) -> Cells:
    lacking = [gene for gene in panel if gene not in set(source.genes)]
    if lacking:
        raise BadDataError(
            f"{source.name} lacks {len(lacking)} of the {len(panel)} genes the models predict (first: {lacking[0]})",
            remedy="give controls measured on the whole panel, or run the models on the genes that both have",
        )
    return few_controls(source, context, panel)


def _context(asked: Asked, source: Cells, cells: Cells) -> tuple[str, tuple[str, ...]]:
    there = [name for name in source.contexts if len(source.control_rows(name))]
    if not asked.context and len(there) != 1:
        listed = ", ".join(name or "(unnamed)" for name in there) or "none"
        if not there:
            raise BadDataError(
                f"{source.name} has no control cells", remedy="name a file with control cells: --controls my.h5ad"
            )
        raise UsageError(f"{source.name} has controls of several contexts ({listed}); choose one with --context")
    context = asked.context or there[0]
    if context in cells.contexts:
        return context, ()
    told = ", ".join(name or "(unnamed)" for name in cells.contexts)
    return context, (f"context {context or '(unnamed)'} was not in the training (which had {told}): a transfer",)


def _mode(asked: Asked, members: tuple[Member, ...], cells: Cells) -> Mode:
    learnt = sorted({mode for one in members for mode in _modes(one, cells)})
    if asked.mode:
        if asked.mode not in [str(one) for one in Mode]:
            raise UsageError(f"no mode {asked.mode!r}; there are {', '.join(Mode)}")
        if Mode(asked.mode) not in learnt:
            raise ModeError(
                f"the models learnt {', '.join(learnt)}, asked for {asked.mode}; modes are never transferred into one "
                "another: screen with a model of that mode"
            )
        return Mode(asked.mode)
    if len(learnt) != 1:
        raise UsageError(f"the models learnt {', '.join(learnt) or 'no mode'}; choose one with --mode")
    return learnt[0]


def _modes(member: Member, cells: Cells) -> frozenset[Mode]:
    scope = getattr(member.model, "scope", None)
    return scope.modes if isinstance(scope, Scope) else cells.modes


def _linear(
    members: tuple[Member, ...], means: Means, learnt: Sequence[Condition]
) -> tuple[Member | None, tuple[str, ...]]:
    """Ridge regression on the prior of the first member that has one, else on training PCA; or why there is none.

    It learns from what the members learnt from.
    """
    prior = next((one.prior for one in members if one.prior is not None), None)
    entry = MODELS["ridge"]
    name = f"ridge on {prior.name}" if prior is not None else "ridge on training PCA"
    unfitted = Member(name, entry.build(prior), lambda: entry.build(prior), prior)
    try:
        return replace(refitted(means, unfitted, learnt, ""), name=name), ()
    except BadDataError as error:
        return None, (f"no agreement with a linear model is told: {name} cannot be fitted ({error})",)


def _are_quick(members: Sequence[Member]) -> bool:
    return all(one.fresh is not None for one in members)


def _together(runs: Sequence[Run]) -> None:
    """Runs of one ensemble must have learnt from one screen: the same panel, and no one's test in another's train."""
    first = runs[0]
    for run in runs[1:]:
        if run.cells.genes != first.cells.genes or run.cells.perturbed != first.cells.perturbed:
            raise UsageError(f"{first.folder.name} and {run.folder.name} are runs of different screens")
        if run.split.fingerprint != first.split.fingerprint:
            raise UsageError(
                f"{first.folder.name} and {run.folder.name} have different splits: what one was judged on, the other "
                "may have learnt; run both with one --split"
            )
