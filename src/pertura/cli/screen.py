"""`pertura screen`: which perturbation moves the cells to a goal, and would the ranking have worked?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pertura.recipes.screening_run.asked import Asked
    from pertura.recipes.screening_run.ranking import Ranking

FIRST = 15
MOST_SEED = 2**32 - 1
Record = Annotated[
    Path | None, typer.Argument(metavar="[SCREEN.TOML]", help="The record of a screen, to repeat or finish it.")
]
Model = Annotated[
    list[str] | None,
    typer.Option("--model", help="A run folder, or FOLDER:MODEL for one model of it; several make an ensemble."),
]
Controls = Annotated[str | None, typer.Option(help="Your control cells (.h5ad). Default: those of the first run.")]
Context = Annotated[str | None, typer.Option(help="Which cells, where the controls are of several contexts.")]
Mode = Annotated[str | None, typer.Option(help="How genes would be perturbed. Default: as the model learnt.")]
ProgrammeText = Annotated[
    str | None,
    typer.Option("--programme", help="Genes (HBZ,HBG2:2,-SPI1), a list, or a table with genes and fold changes."),
]
Target = Annotated[str | None, typer.Option(help="An .h5ad whose cells are the state to reach.")]
Group = Annotated[str | None, typer.Option(help="Of it the cells to reach, as column=group. Default: all.")]
Against = Annotated[str | None, typer.Option(help="And those to come from, as column=group. Default: the controls.")]
StatisticName = Annotated[
    Literal["weighted-mean", "enrichment"] | None, typer.Option("--statistic", help="Of a programme.")
]
Way = Annotated[Literal["up", "down"] | None, typer.Option("--direction", help="Which way to move it. Default: up.")]
Unwanted = Annotated[str | None, typer.Option(help="Genes that should not change: shown beside the score.")]
Singles = Annotated[bool | None, typer.Option("--singles/--pairs", help="Rank single genes or pairs of them.")]
Genes = Annotated[str | None, typer.Option("--candidates", help="Genes to choose from: a list, or a file of them.")]
Share = Annotated[float | None, typer.Option(help="Of all pairs, the share to evaluate.", min=1e-6, max=1)]
Members = Annotated[int | None, typer.Option(help="Refits of each model behind the spread.", min=0, max=100)]
Refit = Annotated[
    bool | None,
    typer.Option("--refit/--no-refit", help="Rank by quick models fitted to everything measured. Default: yes."),
]
Folds = Annotated[int | None, typer.Option(help="Turns in which conditions are hidden.", min=2, max=100)]
Level = Annotated[float | None, typer.Option(help="What intervals are to hold.", min=0.01, max=0.999)]
Fdr = Annotated[float | None, typer.Option(help="False discovery rate of called pairs.", min=0.001, max=0.5)]
Seed = Annotated[int | None, typer.Option(help="Decides every random choice.", min=0, max=MOST_SEED)]
Backtest = Annotated[bool, typer.Option("--backtest", help="Only say whether the ranking would have worked.")]
Shard = Annotated[str | None, typer.Option(help="Score one part of the candidates: i/n.")]
Dask = Annotated[str | None, typer.Option(help="Score on dask: a number of workers, or a scheduler's address.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The folder to write.")]


def screen(
    record: Record = None,
    *,
    model: Model = None,
    controls: Controls = None,
    context: Context = None,
    mode: Mode = None,
    programme: ProgrammeText = None,
    target: Target = None,
    target_group: Group = None,
    target_against: Against = None,
    statistic: StatisticName = None,
    direction: Way = None,
    unwanted: Unwanted = None,
    singles: Singles = None,
    candidates: Genes = None,
    share: Share = None,
    members: Members = None,
    refit: Refit = None,
    folds: Folds = None,
    level: Level = None,
    fdr: Fdr = None,
    seed: Seed = None,
    backtest: Backtest = False,
    shard: Shard = None,
    dask: Dask = None,
    output: Output = None,
) -> None:
    """Rank perturbations by what they are predicted to do to a gene programme or towards a state of cells.

    An interrupted screen goes on with the same command, or with `pertura screen FOLDER/screen.toml`.
    """
    from pertura.recipes.screening_run.asking import question

    given = {
        "model": model,
        "controls": controls,
        "context": context,
        "mode": mode,
        "programme": programme,
        "target": target,
        "target_group": target_group,
        "target_against": target_against,
        "statistic": statistic,
        "direction": direction,
        "unwanted": unwanted,
        "kind": None if singles is None else ("singles" if singles else "pairs"),
        "candidates": candidates,
        "share": share,
        "members": members,
        "refit": refit,
        "folds": folds,
        "level": level,
        "fdr": fdr,
        "seed": seed,
    }
    asked = question({name: one for name, one in given.items() if one is not None}, record)
    if backtest:
        _backtest(asked, output)
        return
    _screen(asked, _folder(record, output), shard, dask)


def _folder(record: Path | None, output: Path | None) -> Path:
    from pertura.core.errors import UsageError

    folder = output or (record.parent if record is not None else None)
    if folder is None:
        raise UsageError("where to? name a folder with -o")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder}: this is a file; name a folder")
    return folder


def _screen(asked: "Asked", folder: Path, shard: str | None, dask: str | None) -> None:
    from pertura.cli.interruption import Interrupted
    from pertura.cli.progress import narrated
    from pertura.core.errors import UsageError
    from pertura.recipes.screening_run.blocks import shard_of
    from pertura.recipes.screening_run.running import Workers
    from pertura.recipes.screening_run.running import screen as run_screen

    if shard is not None and dask is not None:
        raise UsageError("--shard and --dask both share out the work: give one of them")
    workers = Workers(None if shard is None else shard_of(shard), dask or "")
    try:
        with narrated() as narrator:
            found = run_screen(asked, folder, workers=workers, narrator=narrator)
    except Interrupted as stop:
        again = f"pertura screen {folder}/screen.toml"
        raise Interrupted(f"interrupted; scored blocks are kept. Go on with:\n  {again}") from stop
    if found is not None:
        _tell(found)
        typer.echo(f"\nreport: {folder / 'report.html'}")


def _tell(found: "Ranking") -> None:
    from pertura.recipes.screening_run.page import backtest_sentence, interactions_told
    from pertura.recipes.screening_run.summary import first_table
    from pertura.report.tables import to_text

    typer.echo(to_text(first_table(found, FIRST), _width()))
    lines: list[str] = [found.verdict, backtest_sentence(found.trust, found.setting.asked.kind)]
    if found.search is not None:
        lines += [found.search.told + ".", interactions_told(found)]
    for line in (*lines, *(f"note: {text}" for text in found.notes)):
        typer.echo(line)


def _backtest(asked: "Asked", output: Path | None) -> None:
    from pertura.cli.progress import narrated
    from pertura.core.atomic import write_text
    from pertura.recipes.screening_run.page import backtest_sentence, verdict_table
    from pertura.recipes.screening_run.setting import open_setting
    from pertura.recipes.screening_run.trust import trust_of
    from pertura.recipes.screening_run.writing import BACKTEST, backtest_table
    from pertura.report.tables import to_text

    with narrated() as narrator:
        narrator.stage("hiding observed conditions", 0, 1)
        trust = trust_of(open_setting(asked))
    for kind in dict.fromkeys(one.kind for one in trust.verdicts):
        table = verdict_table([one for one in trust.verdicts if one.kind == kind], kind)
        typer.echo(to_text(table, _width()))
    for line in (backtest_sentence(trust, asked.kind), *(f"note: {text}" for text in trust.notes)):
        typer.echo(line)
    if output is not None:
        write_text(output / BACKTEST, backtest_table(trust).to_csv(index=False))
        typer.echo(f"wrote {output / BACKTEST}")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((160, 24)).columns
