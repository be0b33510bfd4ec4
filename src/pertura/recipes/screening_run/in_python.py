"""The ranking from Python: with runs, or with models that are fitted already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.model import PerturbationModel
from pertura.core.split import Split
from pertura.recipes.screening_run.asking import question
from pertura.recipes.screening_run.ranking import Ranking
from pertura.recipes.screening_run.running import rank
from pertura.recipes.screening_run.runs import Member
from pertura.recipes.screening_run.setting import open_setting, setting_of
from pertura.recipes.screening_run.writing import backtest_table, write_ranking
from pertura.screening.programme import Programme

if TYPE_CHECKING:
    import anndata
    import pandas

Runs = str | PathLike[str] | PerturbationModel


@dataclass(frozen=True, eq=False)
class Screening:
    """A finished ranking. `table` has a row for each candidate, `backtest` one for each model and share of the best."""

    ranking: Ranking

    @property
    def table(self) -> "pandas.DataFrame":
        """The ranked candidates; see `docs/screening.md` for the columns."""
        return self.ranking.table

    @property
    def backtest(self) -> "pandas.DataFrame":
        """How models and baselines ranked conditions that were hidden from them."""
        return backtest_table(self.ranking.trust)

    @property
    def verdict(self) -> str:
        """In a sentence, what was found."""
        return self.ranking.verdict

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before believing a number."""
        return self.ranking.notes

    def write(self, folder: str | PathLike[str]) -> Path:
        """Write tables and report into a folder and return the report."""
        write_ranking(self.ranking, Path(folder))
        return Path(folder) / "report.html"


def screen(
    model: Runs | Sequence[Runs],
    programme: str | Mapping[str, float] | Programme | None = None,
    *,
    controls: "str | Cells | anndata.AnnData | None" = None,
    cells: Cells | None = None,
    split: Split | None = None,
    **options: Any,
) -> Screening:
    """Return perturbations ranked by what they are predicted to do to a programme, with what can be trusted of it.

    `model`: folders of `pertura run` (`FOLDER` or `FOLDER:MODEL`), or fitted models with the `cells` and the `split`
    they were fitted with. `programme`: genes, a mapping to weights, or a file. `controls`: cells, an AnnData or a file;
    by default those of the screen. Further options are those of `pertura screen`: `direction`, `kind` ("singles",
    "pairs"), `candidates`, `statistic`, `target`, `unwanted`, `context`, `mode`, `share`, `members`, `level`, `seed`.
    """
    models = [model] if isinstance(model, str | PathLike | PerturbationModel) else list(model)
    fitted = [one for one in models if isinstance(one, PerturbationModel)]
    given = {"programme": programme, **options}
    if isinstance(programme, Mapping):
        given["programme"] = Programme("the programme", {gene: float(size) for gene, size in programme.items()})
    own = _cells(controls)
    if isinstance(controls, str):
        given["controls"] = controls
    words = {name: one for name, one in given.items() if one is not None}
    if not fitted:
        asked = question({**words, "model": [str(one) for one in models]})
        return Screening(rank(open_setting(asked, own)))
    if len(fitted) < len(models) or cells is None or split is None:
        raise UsageError("fitted models go with the cells and the split they were fitted with, and not with folders")
    members = tuple(Member(_name(one, i), one, None) for i, one in enumerate(fitted))
    asked = question({**words, "model": [one.name for one in members]})
    return Screening(rank(setting_of(asked, members, (cells, split), own)))


def _name(model: object, number: int) -> str:
    return str(getattr(model, "name", "") or type(model).__name__) + (f" {number + 1}" if number else "")


def _cells(controls: "str | Cells | anndata.AnnData | None") -> Cells | None:
    if controls is None or isinstance(controls, str | Cells):
        return controls if isinstance(controls, Cells) else None
    from pertura.data.anndata_io import cells_from_anndata

    return cells_from_anndata(controls)
