"""Both sides of a judgement by another evaluator's rules: cells under labels as the files spell them."""

from dataclasses import dataclass, replace

import numpy as np

from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory
from pertura.data.labelled import Labelled
from pertura.data.labelled_file import TRUTH, LabelColumns, LabelledFile, open_labelled
from pertura.data.means_table import MeansTable, is_means_table, read_means
from pertura.data.predictions import CONTROL, is_prediction_file
from pertura.data.pseudobulk import mean_of
from pertura.evaluation.compatible.altered import Sides
from pertura.recipes.foreign.checks import Side, check_sides
from pertura.recipes.foreign.files import ONE_FILE, Files, Reading
from pertura.recipes.foreign.template import explained


@dataclass(frozen=True, eq=False)
class Opened:
    """Both sides as read. `means_only` says that the prediction has one row for each label: its mean."""

    predicted: LabelledFile
    observed: LabelledFile
    means_only: bool = False
    warnings: tuple[str, ...] = ()


def columns_of(files: Files, reading: Reading) -> LabelColumns:
    """Return how labels are found: as given, or as our own prediction files have them."""
    own = not is_means_table(files.predicted) and files.observed is None and is_prediction_file(files.predicted)
    if own and not reading.flags:
        return LabelColumns("condition", CONTROL)
    return LabelColumns(reading.perturbation_column, reading.control, reading.context_column)


def open_sides(files: Files, reading: Reading, memory: int = 4 << 30) -> Opened:
    """Return both sides of a judgement; expression that takes more than a quarter of `memory` stays on disk."""
    room = memory // 4
    if is_means_table(files.predicted):
        if files.observed is None:
            raise UsageError(f"{files.predicted} holds means only; give --observed FILE")
        observed = open_labelled(files.observed, columns_of(files, reading), in_memory_bytes=room)
        return sides_of_means(read_means(files.predicted, observed.cells.genes), observed)
    columns = columns_of(files, reading)
    with explained(files.predicted):
        predicted = open_labelled(files.predicted, columns, in_memory_bytes=room)
    if files.observed is not None:
        return Opened(predicted, open_labelled(files.observed, columns, in_memory_bytes=room))
    try:
        return Opened(predicted, open_labelled(files.predicted, columns, layer=TRUTH, in_memory_bytes=room))
    except BadDataError as error:
        if error.problem != "is not there":
            raise
        raise UsageError(f"{files.predicted} {ONE_FILE}") from error


def sides_of_means(table: MeansTable, observed: LabelledFile) -> Opened:
    """Return means as one cell for each label; without a control of their own they take the observed control mean."""
    cells = observed.cells
    if observed.whole:
        raise BadDataError("means of logarithms cannot be judged on counts", remedy="normalise the observed cells")
    if len(observed.contexts) > 1:
        raise UsageError("a table of means has no contexts: leave out --context-column, or give cells")
    names, means = table.names, table.means
    told = [f"means only ({table.evidence}): metrics that look at cells need cells"]
    if cells.control not in names:
        control = mean_of(cells.expression, cells.rows_of(cells.control))
        names, means = (*names, cells.control), np.concatenate([means, control[None]])
        told.append("the table has no control: the mean of all observed control cells stands for it")
    labels = tuple(sorted(names))
    order = [names.index(one) for one in labels]
    ids, codes = np.asarray(labels, dtype=object), np.arange(len(labels))
    made = Labelled(InMemory(means[order]), cells.genes, ids, labels, codes, cells.control, "means")
    return Opened(LabelledFile(made, "", observed.contexts, np.zeros_like(codes), False), observed, True, tuple(told))


def contexts_of(opened: Opened) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the contexts to judge, and which observed ones were not predicted; unknown ones are refused."""
    ours, theirs = opened.observed.contexts, opened.predicted.contexts
    unknown = [one for one in theirs if one not in ours]
    if unknown:
        raise BadDataError(
            f"predicted but not observed: {len(unknown)} contexts ({', '.join(unknown[:6])})",
            remedy="give files with the same contexts",
        )
    left = [one for one in ours if one not in theirs]
    told = (f"observed but not predicted, and so not judged: {len(left)} contexts ({', '.join(left)})",) if left else ()
    return theirs, told


def checked(opened: Opened, context: str, *, from_log: bool = False) -> tuple[Sides, tuple[str, ...]]:
    """Return both sides of a context with the labels to judge, and warnings; what cannot be judged is refused.

    `from_log` says that predicted logarithms are meant to be judged against observed counts.

    A label that was predicted but not observed is refused; one that was only observed is named and left out, because
    a prediction may have left out the hard ones.
    """
    predicted, observed = opened.predicted.of(context), opened.observed.of(context)
    if predicted.control != observed.control:
        raise BadDataError(
            f"control is {predicted.control!r} in predicted, {observed.control!r} in observed cells",
            remedy="spell it alike in both files",
        )
    lacking = sorted(set(predicted.targets) - set(observed.targets))
    if lacking or not predicted.targets:
        raise BadDataError(
            f"predicted but not observed: {_some(lacking)}" if lacking else "no predicted condition",
            remedy="give files with the same labels",
        )
    rest = sorted(set(observed.targets) - set(predicted.targets))
    told = (f"observed but not predicted, and so not judged: {_some(rest)}",) if rest else ()
    observed = observed.only([*predicted.targets, observed.control])
    sides = Side.of_labelled(predicted, predicted.name), Side.of_labelled(observed, observed.name)
    if opened.means_only:
        return Sides(predicted, observed), told
    whole = (opened.predicted.whole != from_log, opened.observed.whole)
    more = check_sides(*sides, whole)
    # a cell is known by its name within its own side only
    return Sides(replace(predicted, name="predicted"), replace(observed, name="observed")), (*told, *more)


def _some(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names[:6])}{' and more' if len(names) > 6 else ''})"
