"""A full named configuration of a run, and its record as TOML."""

import tomllib
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import pydantic
import tomli_w
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from pertura.core.atomic import write_text
from pertura.core.errors import BadDataError, MissingError
from pertura.models.changed import joined

FORMAT = "pertura-recipe"
FORMAT_VERSION = 1
FILE = "recipe.toml"
LARGEST_BYTES = 1 << 20
TAKEN = {
    FILE,
    "models",
    "split.json",
    "training_facts.json",
    "environment.json",
    "progress.json",
    "comparison.csv",
    "priors.csv",
    "report.html",
}
"""What a run folder holds: no companion's folder may be called so."""
OptionValue = str | int | float | bool


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Recipe:
    """Everything that decides what a run computes; two runs of one recipe give the same results."""

    name: str
    data: str
    """A bundled data set, an `.h5ad`, or a `dataset.toml` written by `pertura inspect`."""
    models: tuple[str, ...]
    """Names from `MODELS`; `BASE+PRIOR[~CONTROL][+expression]` for one of them with a prior; or `package.module:Class`
    for a model of the user's.

    `ridge+go-c` has the prior of the source go-c, `ridge+go-c~permuted1` and `ridge+go-c~random2` controls of it (kind
    and seed), `ridge+go-c+expression` the prior joined with training PCA, which `ridge` uses alone. Networks take
    several priors, with a comma between: `scgenept+ncbi+uniprot,go-c`.
    """
    size: Literal["full", "debug"] = "full"
    """Of the networks among the models."""
    seeds: int = Field(default=1, ge=1, le=100)
    """How often each network is trained, with `seed` and the numbers after it; the first is compared with others."""
    model_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of networks by model name: `[model_options.scgpt.training]` with `epochs = 3` in a recipe.toml. Those
    of `scgpt` hold for `scgpt+go-c` too, unless this has its own."""
    priors: tuple[str, ...] = ()
    """Files with further priors, each called after its file: `esm.safetensors` makes `ridge+esm` possible."""
    rule: str = "gears-simulation"
    options: dict[str, OptionValue] = Field(default_factory=dict)
    """Further options of the split rule."""
    split: str = ""
    """A `split.json` to use instead of the rule."""
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    emitter: str = "control-shift"
    preset: str = "pertura"
    bootstrap: int = Field(default=200, ge=2)
    permutations: int = Field(default=100, ge=1)
    companions: tuple["Recipe", ...] = ()
    """Further screens run beside this one, each in a folder of its own name."""

    def changes_of(self, model: str) -> dict[str, Any]:
        """Return the options that are set for a model: those of its base, and over them its own."""
        base = model.partition("+")[0]
        return joined(self.model_options.get(base, {}), self.model_options.get(model, {}) if model != base else {})

    @property
    def own_models(self) -> tuple[str, ...]:
        """The models that are code of the user's."""
        return tuple(one for one in self.models if ":" in one)

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not names_a_folder(name):
            raise ValueError(f"{name!r} cannot be the name of a folder")
        return name

    @field_validator("companions")
    @classmethod
    def _have_folders_of_their_own(cls, companions: tuple["Recipe", ...]) -> tuple["Recipe", ...]:
        names = [one.name for one in companions]
        wrong = sorted({name for name in names if name in TAKEN or names.count(name) > 1})
        if wrong:
            raise ValueError(f"no folder is left for {', '.join(wrong)}")
        if any(one.companions for one in companions):
            raise ValueError("a companion has no companions of its own")
        return companions


def names_a_folder(name: str) -> bool:
    """Whether a name stays one step below the folder it is put in: what a file says must not be written elsewhere."""
    return bool(name.strip(". ")) and name.isprintable() and not {"/", "\\"}.intersection(name)


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the record of a run; equal recipes give equal files."""
    write_text(path, tomli_w.dumps({"format": FORMAT, "version": FORMAT_VERSION, **asdict(recipe)}))


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a `recipe.toml`; a misspelt key raises `BadDataError` with what was perhaps meant."""
    if not path.exists():
        raise MissingError(f"no recipe at {path}")
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        raise BadDataError(f"not a {FORMAT}", file=path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        tomli_w.dumps(content)  # a number of too many digits (0xfff...) could be taken, and neither kept nor told
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"not TOML: {error}", file=path) from error
    if content.pop("format", None) != FORMAT or content.pop("version", None) != FORMAT_VERSION:
        raise BadDataError(f"not a {FORMAT} of version {FORMAT_VERSION}", file=path)
    return _recipe(content, path)


def refusal(error: pydantic.ValidationError) -> str:
    """Return in words what is wrong with the first value that a recipe does not take."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    problem = first["msg"].removeprefix("Value error, ")
    return f"{place}: {problem[0].lower()}{problem[1:]}"


def _recipe(content: dict[str, object], path: Path) -> Recipe:
    known = [one.name for one in fields(Recipe)]
    for key in content:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise BadDataError(f"unknown key {key!r}", file=path, remedy=meant)
    models, companions, priors = (content.pop(name, []) for name in ("models", "companions", "priors"))
    if not isinstance(models, list) or not isinstance(companions, list):
        raise BadDataError("models and companions must be lists", file=path)
    if not isinstance(priors, list):
        raise BadDataError("priors must be a list", file=path)
    if not all(isinstance(one, dict) for one in companions):
        raise BadDataError("companions: each must be a table", file=path)
    nested = tuple(_recipe(dict(one), path) for one in companions)
    try:
        return Recipe(**content, models=tuple(models), priors=tuple(priors), companions=nested)  # type: ignore[arg-type]
    except pydantic.ValidationError as error:
        raise BadDataError(refusal(error), file=path) from error
