"""`pertura.annotate`: strategies compared on labelled cells, and labels for others."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import anndata
import pandas as pd

from pertura.annotation.annotator import Annotator, load_annotator
from pertura.annotation.source import open_source
from pertura.annotation.trust import UnknownRule
from pertura.annotation.tuning_options import Adapters, Schedule, TuningOptions
from pertura.core.errors import UsageError
from pertura.data.conventions import reject_unknown
from pertura.recipes.annotating.copied import annotated_name
from pertura.recipes.annotating.files import out_of_fold, write_all
from pertura.recipes.annotating.querying import Labelled, labelled_anndata, labelled_cells, labelled_file
from pertura.recipes.annotating.running import Compared, ran
from pertura.recipes.annotating.tables import class_frame, confusion_frame, difference_frame, fold_frame, strategy_frame
from pertura.recipes.annotating.wish import Wish, profiled
from pertura.recipes.annotating.wording import headline
from pertura.recipes.foreign.in_python import PerturaWarning
from pertura.recipes.narration import Narrator, Silent

Data: TypeAlias = str | Path | anndata.AnnData
NESTED = {"rule": UnknownRule, "tuning": TuningOptions, "head": Schedule, "lora": Schedule, "full": Schedule,
          "adapters": Adapters}  # fmt: skip
SPARED = ("strategies", "subset", "profile")


@dataclass(frozen=True, eq=False)
class Annotation:
    """What came of it. `query` is a copy of an AnnData that was given, with labels; for a file its labels alone."""

    found: Compared
    labelled: Labelled | None = None
    query: anndata.AnnData | None = None

    @property
    def answer(self) -> str:
        """Whether anything beats the linear model, in a sentence."""
        return headline(self.found)

    @property
    def strategies(self) -> pd.DataFrame:
        """A row for each strategy: means over folds."""
        return strategy_frame(self.found.comparison)

    @property
    def folds(self) -> pd.DataFrame:
        """A row for each strategy and fold."""
        return fold_frame(self.found.comparison)

    @property
    def differences(self) -> pd.DataFrame:
        """Paired differences from the linear model, with intervals."""
        return difference_frame(self.found)

    @property
    def classes(self) -> pd.DataFrame:
        """Scores of each class under each strategy."""
        return class_frame(self.found)

    @property
    def confusion(self) -> pd.DataFrame:
        """The pooled confusion of the best strategy, observed classes as rows."""
        return confusion_frame(self.found)

    @property
    def labels(self) -> pd.DataFrame | None:
        """The columns of the query, by cell; None where there was none."""
        return None if self.labelled is None else self.labelled.columns.set_index(self.labelled.query.source.obs.index)

    @property
    def annotator(self) -> Annotator:
        """What labels further cells; `save(folder)` keeps it."""
        return self.found.annotator


def annotate(
    reference: Data,
    label: str,
    *,
    query: Data | None = None,
    model: str | Path | None = None,
    strategy: str | tuple[str, ...] | list[str] | None = None,
    **flags: Any,
) -> Annotation:
    """Return strategies compared on labelled cells, an annotator fitted to them, and the labels of a query.

    `reference` and `query` are AnnData, or paths of .h5ad or .zarr; `label` is the column of obs with types; `model`
    is a published scGPT folder, without which the linear strategies still work. Flags are the fields of `Wish`, as
    `layer="raw"`, `group="donor"`, `folds=5`, `seed=0`; `output=DIR` writes the same files as `pertura annotate`, and
    `profile="quickstart"` or `"full"` takes the sizes of the published tutorial. What must be known before believing a
    label is a `PerturaWarning`; input that would give wrong labels raises a `PerturaError`.
    """
    output, profile = flags.pop("output", None), str(flags.pop("profile", ""))
    wish = wish_of(label, strategy, flags)
    wish = profiled(wish, profile) if profile else wish
    made = annotation(reference, query, wish, (model, None if output is None else Path(output)), Silent())
    for one in dict.fromkeys((*made.found.warnings, *(made.labelled.query.warnings if made.labelled else ()))):
        warnings.warn(one, PerturaWarning, stacklevel=2)
    return made


def wish_of(label: str, strategy: str | tuple[str, ...] | list[str] | None, flags: Mapping[str, Any]) -> Wish:
    """Return the wish that flags describe; unknown flags raise `UsageError` with the nearest name."""
    known = [one.name for one in fields(Wish) if one.name not in (*SPARED, "label")]
    reject_unknown(flags, known, "flag")
    for name, kind in NESTED.items():
        if name in flags and not isinstance(flags[name], kind):
            raise UsageError(f"{name}={flags[name]!r}: give a {kind.__name__}")
    words = tuple(strategy.split(",")) if isinstance(strategy, str) else strategy
    made: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in flags.items()}
    return Wish(label=label, strategies=None if words is None else tuple(words), **made)


def annotation(
    reference: Data,
    query: Data | None,
    wish: Wish,
    places: tuple[str | Path | None, Path | None],
    narrator: Narrator,
) -> Annotation:
    """Return an annotation; `places` are the pretrained network and the folder for files, each None for none."""
    model, out = places
    source = open_source(reference, wish.layer, wish.gene_column)
    found = ran(source, wish, model, narrator)
    labelled, made = None, None
    if query is not None:
        labelled, made = _labelled(query, found, wish, out, narrator)
    elif out is not None:
        _labelled(reference, found, replace(wish, query_layer=wish.layer), out, narrator)
    if out is not None:
        write_all(found, labelled, out)
    return Annotation(found, labelled, made)


def _labelled(
    data: Data, found: Compared, wish: Wish, out: Path | None, narrator: Narrator
) -> tuple[Labelled, anndata.AnnData | None]:
    """Label cells: written to `annotated.h5ad` (`annotated.zarr` of a store) where there is a folder for it.

    Cells of the reference get what the folds said that had not learnt from them.
    """
    given = out_of_fold(found) if data is found.reference.source.origin or _same(data, found) else None
    if isinstance(data, anndata.AnnData):
        labelled, made = labelled_anndata(data, found.annotator, wish, narrator.stage, given)
        if out is not None:
            _write_anndata(made, out / annotated_name(data))
        return labelled, made
    if out is None:
        return labelled_cells(data, found.annotator, wish, narrator.stage, given)[0], None
    return labelled_file(Path(data), out / annotated_name(data), found.annotator, wish, narrator.stage, given), None


def _same(data: Data, found: Compared) -> bool:
    origin = found.reference.source.origin
    return isinstance(origin, Path) and isinstance(data, str | Path) and Path(data).resolve() == origin.resolve()


def _write_anndata(adata: anndata.AnnData, path: Path) -> None:
    from pertura.core.atomic import replacing

    with replacing(path) as temporary:
        adata.write_h5ad(temporary)


def relabelled(
    folder: Path, query: Data, wish: Wish, places: tuple[str | Path | None, Path], narrator: Narrator
) -> Labelled:
    """Label a query with the annotator that an earlier run left in a folder."""
    from pertura.recipes.annotating.again import write_again

    model, out = places
    inner = folder / "annotator" if (folder / "annotator").is_dir() else folder
    annotator = load_annotator(inner, model, wish.tuning.device)
    wish = replace(wish, label=str(annotator.facts.get("label", "")))
    if isinstance(query, anndata.AnnData):
        labelled, made = labelled_anndata(query, annotator, wish, narrator.stage)
        _write_anndata(made, out / annotated_name(query))
    else:
        labelled = labelled_file(Path(query), out / annotated_name(query), annotator, wish, narrator.stage)
    write_again(labelled, annotator, wish, out)
    return labelled
