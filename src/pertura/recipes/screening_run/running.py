"""From what was asked to a finished screen: in one go, interrupted and gone on with, in shards, or on dask."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from pertura.core.cells import Cells
from pertura.core.errors import MissingError, UsageError
from pertura.recipes.narration import Narrator, Silent
from pertura.recipes.record import alone, fingerprint
from pertura.recipes.screening_run.asked import FILE, Asked, read_asked, write_asked
from pertura.recipes.screening_run.blocks import Block, Blocks, fill, scored
from pertura.recipes.screening_run.candidates import Chosen, chosen
from pertura.recipes.screening_run.ranking import Ranking, ranking_of
from pertura.recipes.screening_run.setting import Setting, open_setting
from pertura.recipes.screening_run.trust import trust_of
from pertura.recipes.screening_run.writing import write_ranking
from pertura.recipes.sources import data_fingerprint

STEPS = 4


@dataclass(frozen=True)
class Workers:
    """How blocks are shared out: one shard of several, or so many dask workers, or a dask scheduler elsewhere."""

    shard: tuple[int, int] | None = None
    dask: str = ""
    """A number of workers of this machine, or the address of a scheduler."""


def screen(
    asked: Asked, folder: Path, *, workers: Workers | None = None, narrator: Narrator | None = None
) -> Ranking | None:
    """Return the ranking that was asked, with everything written under `folder`; None where only a shard was done.

    A folder that holds a screen of the same record is finished; one with another raises `UsageError`. Nothing is
    written before models, goal, controls and candidates were found good. Blocks that are there already are kept,
    whoever scored them.
    """
    path, share, teller = folder / FILE, workers or Workers(), narrator or Silent()
    if path.exists() and read_asked(path) != asked:
        raise UsageError(f"{folder} holds a screen of another question; choose another folder with -o, or delete it")
    teller.stage("opening models, goal and controls", 0, STEPS)
    setting = open_setting(asked)
    candidates = chosen(setting)
    blocks = Blocks(folder, _inputs(asked, setting, candidates), candidates.conditions)
    if share.shard is None:
        with alone(folder):
            write_asked(asked, path)
            _fill(blocks, blocks.missing(), setting, share, teller)
            return _finished(setting, candidates, blocks, folder, teller)
    first, of = share.shard
    write_asked(asked, path)
    wanted = [number for number in range(first - 1, len(blocks), of) if blocks.read(number) is None]
    _fill(blocks, wanted, setting, share, teller)
    left = len(blocks.missing())
    teller.note(
        f"shard {first} of {of} is done; {left} of {len(blocks)} blocks are left to the others"
        if left
        else f"all {len(blocks)} blocks are scored; the same command without --shard makes the ranking"
    )
    return None


def ranked(asked: Asked, controls: Cells | None = None) -> Ranking:
    """Return the ranking that was asked without writing anything; `controls` take the place of the named file."""
    return rank(open_setting(asked, controls))


def rank(setting: Setting) -> Ranking:
    """Return the ranking of a setting, in memory."""
    candidates = chosen(setting)
    conditions = candidates.conditions
    sizes = Blocks(Path(), "", conditions)
    parts = [scored(setting, sizes.part(number)) for number in range(len(sizes))]
    return ranking_of(setting, candidates, _joined(parts), trust_of(setting))


def _joined(parts: Sequence[Block]) -> Block:
    import numpy as np

    if not parts:
        raise UsageError("there is no candidate to rank: the models represent no gene; name some with --candidates")
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}


def _finished(setting: Setting, candidates: Chosen, blocks: Blocks, folder: Path, teller: Narrator) -> Ranking:
    if not candidates.conditions:
        _joined(())
    teller.stage("hiding observed conditions: calibration and back-test", 2, STEPS)
    trust = trust_of(setting)
    made = ranking_of(setting, candidates, blocks.gathered(), trust)
    teller.stage("writing tables and the report", 3, STEPS)
    write_ranking(made, folder)
    return made


def _fill(blocks: Blocks, numbers: Sequence[int], setting: Setting, share: Workers, teller: Narrator) -> None:
    def told(done: int, total: int) -> None:
        if done % max(total // 10, 1) == 0:
            teller.stage(f"scoring candidates: block {done + 1} of {total}", 1, STEPS)

    if share.dask and numbers:
        _fill_on_dask(blocks, numbers, setting.asked, share.dask, told)
    else:
        fill(blocks, numbers, setting, told)


def _fill_on_dask(
    blocks: Blocks, numbers: Sequence[int], asked: Asked, where: str, told: Callable[[int, int], None]
) -> None:
    """Let dask workers score blocks; each opens the question itself, once, and only numbers travel."""
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError as error:
        raise MissingError("dask is not installed: pip install 'pertura[dask]'") from error
    from contextlib import ExitStack

    with ExitStack() as stack:
        if where.isdigit():
            cluster = stack.enter_context(
                LocalCluster(n_workers=int(where), threads_per_worker=1, processes=True, dashboard_address=None)
            )
            client = stack.enter_context(Client(cluster))
        else:
            client = stack.enter_context(Client(where))
        placed = _absolute(asked)
        futures = {client.submit(_scored_elsewhere, placed, number, pure=False): number for number in numbers}
        for done, future in enumerate(as_completed(futures)):
            told(done, len(futures))
            blocks.write(futures[future], future.result())


def _absolute(asked: Asked) -> Asked:
    """Paths as other processes of this machine find them, whatever folder they work in."""
    from pertura.data.datasets.named import is_name

    def found(text: str) -> str:
        return str(Path(text).resolve()) if text and not is_name(text) and Path(text).exists() else text

    runs = tuple(_run_place(one) for one in asked.models)
    return replace(asked, models=runs, controls=found(asked.controls), target=found(asked.target))


def _run_place(text: str) -> str:
    if Path(text).is_dir():
        return str(Path(text).resolve())
    folder, mark, name = text.rpartition(":")
    return f"{Path(folder).resolve()}:{name}" if mark else text


def _scored_elsewhere(asked: Asked, number: int) -> Block:
    setting, blocks = _opened(asked)
    return dict(scored(setting, blocks.part(number)))


@lru_cache(maxsize=1)
def _opened_again(record: str) -> tuple[Setting, Blocks]:
    import json

    from pertura.recipes.screening_run.asked import asked_of

    setting = open_setting(asked_of(json.loads(record)))
    return setting, Blocks(Path(), "", chosen(setting).conditions)


def _opened(asked: Asked) -> tuple[Setting, Blocks]:
    import json

    return _opened_again(json.dumps(asdict(asked)))


def _inputs(asked: Asked, setting: Setting, candidates: Chosen) -> str:
    """What the blocks were made from."""
    data = [data_fingerprint(asked.controls)] if asked.controls else []
    named = [f"{one.name} {getattr(one.model, 'checkpoint', '')}" for one in setting.members]
    listed = fingerprint(*(one.label for one in candidates.conditions))
    weights = setting.goal.weights.tobytes().hex()
    return fingerprint(str(asked), *data, *named, listed, weights, setting.split.fingerprint, version("pertura"))
