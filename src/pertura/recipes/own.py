"""A model of the user's: found by name, checked before anything is computed, and named in all that goes wrong."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, MissingError, PerturaError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.scope import Scope
from pertura.core.split import Split

CONTRACT = {"fit": "fit(cells, split, *, seed)", "predict": "predict(controls, conditions, *, seed)"}


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model of the user's behind the contract of every model. Only `fit` and `predict` must be there."""

    spec: str
    model: Any
    code: str
    """A sha256 over the files of its package that were loaded: edited code makes another model."""

    @property
    def name(self) -> str:
        """The name under which its results are kept."""
        return self.spec.rpartition(":")[2]

    @property
    def scope(self) -> Scope | None:
        """What the model says it may be asked, if it says so."""
        found = getattr(self.model, "scope", None)
        return found if isinstance(found, Scope) else None

    @property
    def can_be_kept(self) -> bool:
        """Whether it has both `save` and a classmethod `load`; what cannot be kept is fitted again."""
        return callable(getattr(self.model, "save", None)) and inspect.ismethod(getattr(type(self.model), "load", None))

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Let the model learn."""
        with self._named("fitting"):
            self.model.fit(cells, split, seed=seed)

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return its answer under the name of its class, whatever its provenance says."""
        with self._named("predicting"):
            answer = self.model.predict(controls, conditions, seed=seed)
        if not isinstance(answer, Prediction) or not isinstance(answer.provenance, Provenance):
            raise BadDataError(
                f"model {self.name} answered with a {type(answer).__name__}",
                remedy="answer with pertura.Prediction(genes, cells, pertura.Provenance(name))",
            )
        return replace(answer, provenance=replace(answer.provenance, model=self.name))

    def save(self, folder: Path) -> None:
        """Let the model write itself."""
        with self._named("saving"):
            folder.mkdir(parents=True, exist_ok=True)
            self.model.save(folder)

    def revived(self, folder: Path) -> "OwnModel":
        """Return the model that `save` wrote, read by its own class."""
        with self._named("loading"):
            return replace(self, model=type(self.model).load(folder))

    @classmethod
    def load(cls, folder: Path) -> "OwnModel":
        """Refuse: a folder does not say whose code would read it."""
        raise UsageError(f"{folder} holds a model of the user's: name its class with --model")

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        try:
            yield
        except PerturaError:
            raise
        except Exception as error:
            error.add_note(f"raised by {self.spec} in {doing}; the steps that were finished before are kept")
            raise


def own_model(spec: str) -> OwnModel:
    """Return the user's model named `package.module:Class`, unfitted.

    Looked for in the working folder first. A module or class that is not there, or does not keep the contract, raises.
    """
    path, _, name = spec.partition(":")
    module = _imported(path, spec)
    made_by = getattr(module, name, None) if name.isidentifier() else None
    if not callable(made_by):
        where = getattr(module, "__file__", None) or "built in"
        raise UsageError(f"--model {spec}: module {path!r} ({where}) has no class {name!r}")
    problem = _misfit(made_by)
    if problem:
        raise UsageError(f"--model {spec}: {name}() must need no arguments ({problem}); give each a default")
    model = made_by()
    _check_contract(spec, model)
    return OwnModel(spec, model, _code(spec))


def _imported(path: str, spec: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    if not all(part.isidentifier() for part in path.split(".")):
        raise UsageError(f"--model {spec}: write it as package.module:Class")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise MissingError(f"cannot import {path!r} for --model {spec}: {error}; looked for in {here} first") from error


def _check_contract(spec: str, model: object) -> None:
    lacking = [wanted for verb, wanted in CONTRACT.items() if not callable(getattr(model, verb, None))]
    if lacking:
        raise UsageError(f"--model {spec}: it has no {' and no '.join(lacking)}")
    for verb, wanted in CONTRACT.items():
        problem = _misfit(getattr(model, verb), None, None, seed=0)
        if problem:
            raise UsageError(f"--model {spec}: {verb} does not take what it is given ({problem}); write {wanted}")


def _misfit(function: Callable[..., object], *arguments: object, **named: object) -> str:
    """Return why a call would fail before it begins; nothing where it would begin."""
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        return str(error)
    except ValueError:  # built in, without a signature: the call itself will tell
        return ""
    return ""


def _code(spec: str) -> str:
    top = spec.partition(":")[0].partition(".")[0]
    files = {_file_of(one) for name, one in list(sys.modules.items()) if name.partition(".")[0] == top}
    found = hashlib.sha256(spec.encode())
    for path in sorted(one for one in files if one is not None):
        found.update(path.read_bytes())
    return found.hexdigest()


def _file_of(module: ModuleType | None) -> Path | None:
    path = getattr(module, "__file__", None)
    return Path(path) if path and Path(path).is_file() else None
