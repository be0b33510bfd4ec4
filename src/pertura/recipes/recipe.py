"""A full named configuration of a run, and its record as TOML."""

import tomllib
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path

import pydantic
import tomli_w
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from pertura.core.errors import BadDataError, MissingError
from pertura.data.atomic import write_text

FORMAT = "pertura-recipe"
FORMAT_VERSION = 1
OptionValue = str | int | float | bool


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class Recipe:
    """Everything that decides what a run computes; two runs of one recipe give the same results."""

    name: str
    data: str
    """A bundled data set, an `.h5ad`, or a `dataset.toml` written by `pertura inspect`."""
    models: tuple[str, ...]
    """Names from `MODELS`, or `package.module:Class` for a model of the user's."""
    rule: str = "gears-simulation"
    options: dict[str, OptionValue] = pydantic.Field(default_factory=dict)
    """Further options of the split rule."""
    split: str = ""
    """A `split.json` to use instead of the rule."""
    seed: int = 1
    emitter: str = "control-shift"
    preset: str = "pertura"
    bootstrap: int = 200
    permutations: int = 100
    companions: tuple["Recipe", ...] = ()
    """Further screens run beside this one, each in a folder of its own name."""

    @property
    def own_models(self) -> tuple[str, ...]:
        """The models that are code of the user's."""
        return tuple(one for one in self.models if ":" in one)


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the record of a run; equal recipes give equal files."""
    write_text(path, tomli_w.dumps({"format": FORMAT, "version": FORMAT_VERSION, **asdict(recipe)}))


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a `recipe.toml`; a misspelt key raises `BadDataError` with what was perhaps meant."""
    if not path.exists():
        raise MissingError(f"no recipe at {path}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadDataError(f"not TOML: {error}", file=path) from error
    if content.pop("format", None) != FORMAT or content.pop("version", None) != FORMAT_VERSION:
        raise BadDataError(f"not a {FORMAT} of version {FORMAT_VERSION}", file=path)
    return _recipe(content, path)


def _recipe(content: dict[str, object], path: Path) -> Recipe:
    known = [one.name for one in fields(Recipe)]
    for key in content:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise BadDataError(f"unknown key {key!r}", file=path, remedy=meant)
    companions = content.pop("companions", [])
    models = content.pop("models", [])
    if not isinstance(companions, list) or not isinstance(models, list):
        raise BadDataError("models and companions must be lists", file=path)
    try:
        nested = tuple(_recipe(dict(one), path) for one in companions)
        return Recipe(**content, models=tuple(models), companions=nested)  # type: ignore[arg-type]
    except (pydantic.ValidationError, TypeError, ValueError) as error:
        raise BadDataError(f"not a recipe: {error}", file=path) from error
