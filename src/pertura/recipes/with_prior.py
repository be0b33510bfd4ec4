"""Models that a recipe gives a prior, and the shelf that the priors of a run stand on."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

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
from pertura.models.networks import Learnt, TrainedModel
from pertura.models.table import MODELS, ModelEntry
from pertura.priors.build import build_prior
from pertura.priors.controls import permuted_prior, random_prior
from pertura.priors.opening import open_prior
from pertura.priors.prior import GenePrior
from pertura.priors.sources import SOURCES

DIM = 64
"""Width of the priors that a run builds itself: a screen has tens to hundreds of perturbed genes to learn from."""
PUBLISHED_PRIORS = {
    "esm2": "give --prior esm2=FILE, with ESM2 vectors of genes (scgpt_esm_prior.safetensors of the published model, "
    "or what `pertura prior` made)",
    **{
        f"esm2-{size}": f"give --prior esm2-{size}=FILE, with vectors of proteins by facebook/esm2_{weights}_UR50D "
        f"(`pertura prior build` with --encoder esm2:facebook/esm2_{weights}_UR50D)"
        for size, weights in (("8m", "t6_8M"), ("3b", "t36_3B"))
    },
}
SEVERAL = ","
"""What stands between the priors of a network that takes several; no prior's name has it."""
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9_])?")
"""What a prior may be called: a folder on every file system, no quotes in a shell."""


def prior_path(given: str) -> Path:
    """Return the file of `FILE` or `NAME=FILE`."""
    name, mark, path = given.partition("=")
    return Path(path if mark and NAME.fullmatch(name) else given)


def prior_name(given: str) -> str:
    """Return what a prior given as `FILE` or `NAME=FILE` is called: its name, else that of the file without suffix."""
    path = prior_path(given)
    return path.stem if str(path) == given else given.partition("=")[0]


class PriorShelf:
    """The priors a run can name: those of `SOURCES`, and files by the name they are given, or their own without suffix.

    Each is built or read once, when first asked for. A file takes the place of a source of its name. A file that is
    not there, that shares its name with another file, or whose name is none, raises.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.files: dict[str, Path] = {}
        for one in files:
            path, name = prior_path(one), prior_name(one)
            if not path.is_file():
                raise MissingError(f"no prior at {path}; a prior is one of {', '.join(SOURCES)}, or a file")
            _check_name(path, name)
            if name in self.files:
                raise UsageError(f"{one}: {name} is what another prior is called; rename the file, or say NAME=FILE")
            self.files[name] = path
        self._read: dict[str, GenePrior] = {}

    def check(self, name: str) -> None:
        """Raise `UsageError` where there is no prior of this name, `MissingError` for one that is only published."""
        if name in PUBLISHED_PRIORS and name not in self.files:
            raise MissingError(f"the prior {name} is not bundled: {PUBLISHED_PRIORS[name]}")
        if name not in SOURCES and name not in self.files:
            raise UsageError(f"no prior {name!r}; there are {', '.join([*SOURCES, *self.files])}; --prior adds a file")

    def digest(self, name: str) -> str:
        """Return what tells a prior from others of its name."""
        if name not in self.files:
            return f"{name} {DIM}"
        with self.files[name].open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def whole(self, role: Role, genes: Iterable[str]) -> GenePrior:
        """Return the prior of a role, or a control of it, with all its rows as they are stored.

        Controls are made of the whole prior, like those of `pertura prior control`. Those of `genes` that it knows
        under other names of theirs have a row under this name too.
        """
        found = self._whole(role.prior)
        if role.control:
            found = {"random": random_prior, "permuted": permuted_prior}[role.control](found, role.seed)
        wanted = sorted(set(genes) - set(found.genes))
        table, known = found.aligned_to(wanted, identifiers=human_identifiers())
        more = tuple(gene for gene, there in zip(wanted, known) if there)
        if not more:
            return found
        return GenePrior(found.name, (*found.genes, *more), np.concatenate([found.table, table[known]]), found.facts)

    def prior(self, role: Role, genes: Iterable[str]) -> GenePrior:
        """Return the prior of a role, or a control of it, for those of `genes` that have a row.

        Rows are brought to length one: how much is written about a gene should not decide how strongly its
        perturbation is predicted to act.
        """
        wanted = sorted(set(genes))
        whole = self.whole(role, wanted)
        table, _ = whole.aligned_to(wanted)
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


@dataclass(frozen=True, slots=True)
class Configured:
    """The size of a network, and its options that are changed."""

    size: str = "full"
    changes: Mapping[str, Any] = field(default_factory=dict)


class WithPrior:
    """A row of `MODELS` with a prior, which is built when it is needed: a run that is gone on with may never be.

    The prior of a baseline is cut to the genes that the screen measures or perturbs; networks keep the whole of each
    of theirs, so that any gene can be asked later. What is needed of it is saved with the model.
    """

    def __init__(self, role: Role, shelf: PriorShelf, how: Configured | None = None) -> None:
        self.role, self.shelf, self.how = role, shelf, how or Configured()
        self.workspace: Path | None = None
        self.watch: Callable[[Any], None] | None = None
        self._model: PerturbationModel | None = None

    @property
    def entry(self) -> ModelEntry:
        """The row of the model that has the prior."""
        return MODELS[self.role.base]

    @property
    def names(self) -> tuple[str, ...]:
        """The priors, of which networks take several."""
        return tuple(self.role.prior.split(SEVERAL))

    @cached_property
    def code(self) -> str:
        """What tells its priors from others of the same names."""
        return " ".join(self.shelf.digest(name) for name in self.names)

    @property
    def scope(self) -> Scope | None:
        """What the fitted model may be asked."""
        found = getattr(self._model, "scope", None)
        return found if isinstance(found, Scope) else None

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Fit the model with its priors."""
        named = {gene for one in split.train | split.valid | split.test for gene in one.genes}
        genes = {*cells.genes, *named}
        roles = [replace(self.role, prior=name) for name in self.names]
        if self.entry.network is not None:
            priors = tuple(self.shelf.whole(role, genes) for role in roles)
            model = self.entry.configured(priors, size=self.how.size, changes=self.how.changes)
            if isinstance(model, TrainedModel):
                model.workspace, model.watch = self.workspace, self.watch
        else:
            model = self._baseline(self.shelf.prior(roles[0], genes))
        model.fit(cells, split, seed=seed)
        self._model = model

    def _baseline(self, prior: GenePrior) -> PerturbationModel:
        joined = self.entry.build_with_expression if self.role.with_expression else None
        return joined(prior) if joined is not None else self.entry.build(prior)

    def learnt(self) -> Learnt:
        """Return what the fitted network was taught."""
        if not isinstance(self._fitted, TrainedModel):
            raise UsageError(f"{self.role.name} is not trained step by step")
        return self._fitted.learnt()

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


def with_prior(spec: str, shelf: PriorShelf, how: Configured | None = None) -> WithPrior | None:
    """Return the unfitted model of a spec that names a prior, `BASE+PRIOR[~CONTROL][+expression]`; None of another.

    A base that is none or takes no prior, or an unknown prior, raises `UsageError` with what there is.
    """
    role = role_of(spec)
    if role is None:
        return None
    takes = [name for name, entry in MODELS.items() if entry.takes_prior]
    if role.base not in takes or role.run:
        raise UsageError(f"{spec}: {role.run}{role.base} takes no prior; {', '.join(takes)} do")
    if "~" in role.prior or role.prior.endswith(EXPRESSION):
        kinds = " or ".join(f"~{kind}SEED" for kind in CONTROLS)
        raise UsageError(f"{spec}: a control is written {kinds}, with {EXPRESSION} after it where wanted")
    if role.with_expression and MODELS[role.base].build_with_expression is None:
        raise UsageError(f"{spec}: {role.base} does not join a prior with expression")
    several = role.prior.split(SEVERAL)
    if len(several) > 1 and MODELS[role.base].network is None:
        raise UsageError(f"{spec}: {role.base} takes one prior; networks take several")
    for name in several:
        shelf.check(name)
    return WithPrior(role, shelf, how)


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


def _check_name(path: Path, name: str) -> None:
    if not NAME.fullmatch(name) or name.endswith(EXPRESSION):
        raise UsageError(
            f"{path}: a prior is called after its file, and {name!r} is no name for one; use up to 64 letters, "
            f"digits, '.', '_', '+' and '-', and not {EXPRESSION} at the end"
        )


@cache
def _built(source: str) -> GenePrior:
    return build_prior(source, dim=DIM)
