"""Models that a recipe gives a prior, and the shelf that the priors of a run stand on."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from pertura.comparison.roles import CONTROLS, EXPRESSION, Role, role_of
from pertura.core.cells import Cells
from pertura.core.errors import MissingError, NotFittedError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction
from pertura.core.scope import Scope
from pertura.core.split import Split
from pertura.genes.identifiers import human_identifiers
from pertura.models.table import MODELS
from pertura.priors.build import build_prior
from pertura.priors.controls import permuted_prior, random_prior
from pertura.priors.opening import open_prior
from pertura.priors.prior import GenePrior
from pertura.priors.sources import SOURCES

DIM = 64
"""Width of the priors that a run builds itself: a screen has tens to hundreds of perturbed genes to learn from."""
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9_])?")
"""What a prior may be called: a folder on every file system, no quotes in a shell."""


class PriorShelf:
    """The priors a run can name: those of `SOURCES`, and files by their name without suffix.

    Each is built or read once, when first asked for. A file takes the place of a source of its name. A file that is
    not there, that shares its name with another file, or whose name is none, raises.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.files: dict[str, Path] = {}
        for one in files:
            path = Path(one)
            if not path.is_file():
                raise MissingError(f"no prior at {one}; a prior is one of {', '.join(SOURCES)}, or a file")
            _check_name(path)
            if path.stem in self.files:
                raise UsageError(f"{one}: {path.stem} is what another prior is called; rename the file")
            self.files[path.stem] = path
        self._read: dict[str, GenePrior] = {}

    def check(self, name: str) -> None:
        """Raise `UsageError` where there is no prior of this name."""
        if name not in SOURCES and name not in self.files:
            raise UsageError(f"no prior {name!r}; there are {', '.join([*SOURCES, *self.files])}; --prior adds a file")

    def digest(self, name: str) -> str:
        """Return what tells a prior from others of its name."""
        if name not in self.files:
            return f"{name} {DIM}"
        with self.files[name].open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def prior(self, role: Role, genes: Iterable[str]) -> GenePrior:
        """Return the prior of a role, or a control of it, for those of `genes` that have a row.

        Controls are made of the whole prior, like those of `pertura prior control`. Genes are also found under other
        names of theirs. Rows are brought to length one: how much is written about a gene should not decide how
        strongly its perturbation is predicted to act.
        """
        whole = self._whole(role.prior)
        if role.control:
            whole = {"random": random_prior, "permuted": permuted_prior}[role.control](whole, role.seed)
        wanted = sorted(set(genes))
        table, _ = whole.aligned_to(wanted, identifiers=human_identifiers())
        lengths = np.linalg.norm(table.astype(np.float64), axis=1)
        there = np.flatnonzero(lengths)  # a row of zeros says nothing
        return GenePrior(
            whole.name, tuple(wanted[row] for row in there), table[there] / lengths[there, None], whole.facts
        )

    def _whole(self, name: str) -> GenePrior:
        if name not in self.files:
            return _built(name)
        if name not in self._read:
            self._read[name] = open_prior(self.files[name])
        return self._read[name]


class WithPrior:
    """A row of `MODELS` with a prior, which is built when it is needed: a run that is gone on with may never be.

    The prior is cut to the genes that the screen measures or perturbs, and is saved with the model.
    """

    def __init__(self, role: Role, shelf: PriorShelf) -> None:
        self.role, self.shelf = role, shelf
        self._model: PerturbationModel | None = None

    @cached_property
    def code(self) -> str:
        """What tells its prior from others of the same name."""
        return self.shelf.digest(self.role.prior)

    @property
    def scope(self) -> Scope | None:
        """What the fitted model may be asked."""
        found = getattr(self._model, "scope", None)
        return found if isinstance(found, Scope) else None

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Fit the model with its prior."""
        named = {gene for one in split.train | split.valid | split.test for gene in one.genes}
        prior = self.shelf.prior(self.role, {*cells.genes, *named})
        entry = MODELS[self.role.base]
        joined = entry.build_with_expression if self.role.with_expression else None
        model = joined(prior) if joined is not None else entry.build(prior)
        model.fit(cells, split, seed=seed)
        self._model = model

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return the fitted model's answer."""
        return self._fitted.predict(controls, conditions, seed=seed)

    def save(self, folder: Path) -> None:
        """Write the fitted model; what is read back needs no prior."""
        self._fitted.save(folder)

    @classmethod
    def load(cls, folder: Path) -> PerturbationModel:
        """Refuse: a saved model is loaded by its own row of `MODELS`."""
        raise UsageError(f"{folder} holds a model of `MODELS`: load it with pertura.load_model")

    @property
    def _fitted(self) -> PerturbationModel:
        if self._model is None:
            raise NotFittedError(f"{self.role.name} is not fitted: call fit")
        return self._model


def with_prior(spec: str, shelf: PriorShelf) -> WithPrior | None:
    """Return the unfitted model of a spec that names a prior, `BASE+PRIOR[~CONTROL][+expression]`; None of another.

    A base that is none or takes no prior, or an unknown prior, raises `UsageError` with what there is.
    """
    role = role_of(spec)
    if role is None:
        return None
    takes = [name for name, entry in MODELS.items() if entry.takes_prior]
    if role.base not in takes or role.run:
        raise UsageError(f"{spec}: {role.run}{role.base} takes no prior; {' and '.join(takes)} do")
    if "~" in role.prior or role.prior.endswith(EXPRESSION):
        kinds = " or ".join(f"~{kind}SEED" for kind in CONTROLS)
        raise UsageError(f"{spec}: a control is written {kinds}, with {EXPRESSION} after it where wanted")
    if role.with_expression and MODELS[role.base].build_with_expression is None:
        raise UsageError(f"{spec}: {role.base} does not join a prior with expression")
    shelf.check(role.prior)
    return WithPrior(role, shelf)


def summary_of(name: str, versions: Mapping[str, str]) -> str:
    """Return in a line what a model of a run is; `versions` are those of its prediction."""
    if name in MODELS:
        return MODELS[name].summary
    role = role_of(name)
    if role is None or role.base not in MODELS:
        return "a model of the user's"
    kind = f"a {role.control} control (seed {role.seed}) of the prior" if role.control else "the prior"
    beside = ", joined with training PCA" if role.with_expression else ""
    return f"{MODELS[role.base].summary}; here {kind} {versions.get('prior', role.prior)}{beside}"


def _check_name(path: Path) -> None:
    if not NAME.fullmatch(path.stem) or path.stem.endswith(EXPRESSION):
        raise UsageError(
            f"{path}: a prior is called after its file, and {path.stem!r} is no name for one; use up to 64 letters, "
            f"digits, '.', '_', '+' and '-', and not {EXPRESSION} at the end"
        )


@cache
def _built(source: str) -> GenePrior:
    return build_prior(source, dim=DIM)
