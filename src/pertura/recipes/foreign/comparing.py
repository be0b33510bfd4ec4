"""Several prediction files against one another, and against references that are added to them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pertura.core.errors import BadDataError, UsageError
from pertura.data.anndata_io import open_cells
from pertura.data.means_table import is_means_table
from pertura.data.stores import SUFFIXES
from pertura.models.table import BASELINES
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.files import REFERENCES, Files, Pair, Reading, check_name, open_pair, some
from pertura.recipes.foreign.judging import Judgement, judged, metrics_of
from pertura.recipes.narration import Narrator, Silent


def are_predictions(paths: Sequence[Path]) -> bool:
    """Whether these are prediction files; a mixture of files and folders raises `UsageError`."""
    files = [one for one in paths if one.suffix in SUFFIXES or is_means_table(one)]
    if files and len(files) < len(paths):
        other = next(one for one in paths if one not in files)
        raise UsageError(f"{files[0]} is a prediction file and {other} is not: give prediction files, or run folders")
    return bool(files)


def compare_files(
    paths: Sequence[Path],
    beside: Files,
    reading: Reading,
    asked: Asked,
    narrator: Narrator | None = None,
) -> Judgement:
    """Return the scores of several prediction files on the conditions that all of them predict, and of references.

    `beside` names observed and train cells and the split. No-change and the leave-one-out mean are added, with train
    cells every baseline. A condition that one of the files lacks is judged for none, and counted.
    """
    metrics = metrics_of(asked)
    told = narrator or Silent()
    names = model_names(paths)
    pairs = []
    for place, (path, name) in enumerate(zip(paths, names, strict=True)):
        told.stage(f"reading {path.name}", place, len(paths))
        pairs.append(open_pair(replace(beside, predicted=path, name=name), reading, asked.seed))
    train = None if beside.train is None else open_cells(beside.train, **reading.flags)
    return judged(_alike(pairs), train, asked, metrics, told)


def model_names(paths: Sequence[Path]) -> list[str]:
    """Return what the files' models are called: by their files, with the folder where two files are called alike."""
    stems = [one.stem for one in paths]
    names = [f"{one.resolve().parent.name}-{one.stem}" if stems.count(one.stem) > 1 else one.stem for one in paths]
    if len(set(names)) < len(names):
        raise UsageError("two prediction files have one name and stand in folders of one name: rename one")
    names = [f"{one}-file" if one in {*REFERENCES, *BASELINES} else one for one in names]
    for one in names:
        check_name(one)
    return names


def _alike(pairs: Sequence[Pair]) -> list[Pair]:
    """All pairs judged on the conditions they share, under one split."""
    first = pairs[0]
    shared = frozenset.intersection(*(one.split.test for one in pairs))
    if not shared:
        raise BadDataError("no condition is predicted by all of the files")
    for one in pairs[1:]:
        if one.cells.genes != first.cells.genes or one.split.controls != first.split.controls:
            raise BadDataError(
                "the files bring different observed cells or control halves with them", remedy="give --observed FILE"
            )
    lost = frozenset.union(*(one.split.test for one in pairs)) - shared
    told = (f"not predicted by all files, and so not judged: {some(lost)}",) if lost else ()
    strata = {name: members & shared for name, members in first.split.strata.items()}
    split = replace(first.split, test=shared, strata=strata)
    return [replace(one, cells=first.cells, split=split, warnings=(*told, *one.warnings)) for one in pairs]
