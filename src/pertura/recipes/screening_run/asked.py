"""What a screen was asked, and its record as TOML."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import pydantic
import tomli_w
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pertura.core.atomic import write_text
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.recipes.recipe import refusal
from pertura.screening.design import TradeOff
from pertura.screening.goal import Direction, Statistic

FORMAT = "pertura-screen"
FORMAT_VERSION = 1
FILE = "screen.toml"
LARGEST_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Asked:
    """Everything that decides what a screen computes; two screens of one record give the same files."""

    models: tuple[str, ...] = Field(min_length=1)
    """Runs, as `FOLDER` or `FOLDER:MODEL`; all of them together are the ensemble."""
    controls: str = ""
    """A file with control cells; by default those of the first run."""
    context: str = ""
    mode: str = ""
    """How genes would be perturbed; by default as the model learnt it."""
    programme: dict[str, float] = Field(default_factory=dict)
    programme_name: str = ""
    target: str = ""
    """An .h5ad whose cells are the state to reach."""
    target_group: str = ""
    target_against: str = ""
    statistic: Statistic = "weighted-mean"
    direction: Direction = "up"
    reading: tuple[str, ...] = ()
    """What was left out when the files of genes were read."""
    unwanted: dict[str, float] = Field(default_factory=dict)
    """Genes that should stay as they are."""
    kind: Literal["singles", "pairs"] = "singles"
    genes: tuple[str, ...] = ()
    """The genes to choose from; by default all that the models can represent."""
    share: float = Field(default=0.05, gt=0, le=1)
    """Of all pairs, the share that the models are asked for."""
    members: int = Field(default=5, ge=0, le=100)
    """Refits of each model on parts of the training, for the spread of the ensemble."""
    folds: int = Field(default=5, ge=2, le=100)
    refit: bool = True
    """Whether models that are fitted in a moment learn from everything measured before they rank."""
    level: float = Field(default=0.9, gt=0, lt=1)
    fdr: float = Field(default=0.1, gt=0, lt=1)
    seed: int = Field(default=1, ge=0, lt=1 << 32)

    def check(self) -> None:
        """Raise `UsageError` where the goal is missing or said twice."""
        if bool(self.programme) == bool(self.target):
            what = "a programme and a target state" if self.programme else "neither a programme nor a target state"
            raise UsageError(f"the goal is unclear: {what} was given; name one with --programme or --target")
        if (self.statistic == "distance") != bool(self.target):
            raise UsageError(f"the statistic {self.statistic} goes with {'--programme' if self.target else '--target'}")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Designed:
    """What a batch was asked."""

    budget: int = Field(default=48, ge=1)
    explore: float = Field(default=0.5, ge=0)
    diversity: float = Field(default=0.5, ge=0)
    rounds: int = Field(default=4, ge=1, le=50)
    batch: int = Field(default=0, ge=0)
    """Conditions of each simulated round; by default a twelfth of those measured."""

    @property
    def trade(self) -> TradeOff:
        """The trade-off."""
        return TradeOff(self.explore, self.diversity)


def write_asked(asked: Asked, path: Path) -> None:
    """Write the record of a screen; equal records are equal files."""
    write_text(path, tomli_w.dumps({"format": FORMAT, "version": FORMAT_VERSION, **asdict(asked)}))


def read_asked(path: Path) -> Asked:
    """Return the record in a `screen.toml`; anything else raises `BadDataError`."""
    if not path.is_file():
        raise MissingError(f"no record of a screen at {path}")
    if path.stat().st_size > LARGEST_BYTES:
        raise BadDataError(f"not a {FORMAT}", file=path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        tomli_w.dumps(content)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"not TOML: {error}", file=path) from error
    if content.pop("format", None) != FORMAT or content.pop("version", None) != FORMAT_VERSION:
        raise BadDataError(f"not a {FORMAT} of version {FORMAT_VERSION}", file=path)
    return asked_of(content, path)


def asked_of(content: Mapping[str, object], path: Path | None = None) -> Asked:
    """Return the record with this content; unknown or ill-typed keys raise `BadDataError`."""
    known = [one.name for one in fields(Asked)]
    for key in content:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise BadDataError(f"unknown key {key!r}", file=path, remedy=meant)
    listed = {name: tuple(one) if isinstance(one, list) else one for name, one in content.items()}
    weights = {name: listed[name] for name in ("programme", "unwanted") if name in listed}
    for name, one in weights.items():
        if isinstance(one, Mapping):
            listed[name] = {gene: float(size) if isinstance(size, int) else size for gene, size in one.items()}
    try:
        return Asked(**listed)  # type: ignore[arg-type]
    except pydantic.ValidationError as error:
        raise BadDataError(refusal(error), file=path) from error
