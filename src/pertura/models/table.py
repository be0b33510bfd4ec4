"""Every model by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pertura.core.errors import BadDataError, UsageError
from pertura.core.model import PerturbationModel
from pertura.models import storage
from pertura.models.baselines.baseline import Baseline
from pertura.models.baselines.rules import RULES
from pertura.models.cellflow import row as cellflow
from pertura.models.networks import NetworkEntry
from pertura.models.scgpt import row as scgpt
from pertura.priors.prior import GenePrior


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One row of `MODELS`.

    `build` returns an unfitted model in its default configuration; only where `takes_prior` has the prior an influence.
    `build_with_expression`, where there is one, returns a model that joins its prior with what training shows of the
    genes. `load` returns what the model's `save` wrote. `network` says more of a trained network: sizes and options.
    """

    name: str
    summary: str
    build: Callable[[GenePrior | None], PerturbationModel]
    load: Callable[[Path], PerturbationModel]
    family: Literal["baseline", "network"]
    takes_prior: bool = False
    build_with_expression: Callable[[GenePrior], PerturbationModel] | None = None
    network: NetworkEntry | None = None

    def configured(
        self, priors: tuple[GenePrior, ...] = (), *, size: str = "full", changes: Mapping[str, Any] | None = None
    ) -> PerturbationModel:
        """Return an unfitted model of a size, with options changed by name and any number of priors.

        A baseline has neither sizes nor options, and takes one prior at most.
        """
        if self.network is not None:
            return self.network.build(self.network.chosen(size, changes or {}, self.name), priors)
        if changes:
            raise UsageError(f"{self.name} has no options, so {', '.join(changes)} cannot be set")
        if len(priors) > 1:
            raise UsageError(f"{self.name} takes one prior; networks take several")
        return self.build(priors[0] if priors else None)


def _baseline(name: str, summary: str, *, takes_prior: bool = False) -> ModelEntry:
    def build(prior: GenePrior | None = None) -> PerturbationModel:
        return Baseline(RULES[name](), prior if takes_prior else None)

    def build_with_expression(prior: GenePrior) -> PerturbationModel:
        return Baseline(RULES[name](with_expression=True), prior)  # type: ignore[call-arg]

    both = build_with_expression if takes_prior else None
    return ModelEntry(name, summary, build, Baseline.load, "baseline", takes_prior, both)


def _network(name: str, summary: str, network: NetworkEntry, load: Callable[[Path], PerturbationModel]) -> ModelEntry:
    def build(prior: GenePrior | None = None) -> PerturbationModel:
        return network.build(network.options("full"), () if prior is None else (prior,))

    return ModelEntry(name, summary, build, load, "network", takes_prior=True, network=network)


def _scgpt(name: str, summary: str, **changes: Any) -> ModelEntry:
    return _network(name, summary, scgpt.entry(name, **changes), scgpt.load)


_ENTRIES = (
    _baseline("no-change", "perturbed cells look like control cells"),
    _baseline("train-mean", "the mean change over all train perturbations"),
    _baseline("context-mean", "the mean change over the train perturbations of the same context"),
    _baseline("perturbation-mean", "the mean change of the same perturbation over other contexts"),
    _baseline("additive", "the changes of the two genes of a pair, added"),
    _baseline("matching-mean", "the mean profile of the singles of a pair that were seen"),
    _baseline("target-only", "only the perturbed gene changes"),
    _baseline("depth", "control cells thinned to the mean depth of the train perturbations"),
    _baseline("linear", "G K P + b on the principal components of the training screen"),
    _baseline("ridge", "ridge regression on training PCA, or on a prior", takes_prior=True),
    _baseline("nearest-neighbours", "the mean change of the five most similar train perturbations", takes_prior=True),
    _scgpt("scgpt", "a transformer over genes: a control cell and flags in, the perturbed cell out"),
    _scgpt("scgpt-fresh", "scGPT whose transformer begins random", pretrained_attention=False),
    _scgpt("scgenept", "scGPT with what is known of each gene beside its token, normalised", scgenept=True),
    _scgpt("scgenept-language", "scGenePT that knows genes by language alone", scgenept=True, inputs="language"),
    _scgpt("scgenept-counts", "scGenePT that knows counts alone, no gene", scgenept=True, inputs="counts"),
    _scgpt("scgenept-fresh", "scGenePT whose transformer begins random", scgenept=True, pretrained_attention=False),
    _network(
        "cellflow",
        "flow matching: control cells flow to where the perturbation leads them",
        cellflow.entry(),
        cellflow.load,
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}
BASELINES: dict[str, ModelEntry] = {name: entry for name, entry in MODELS.items() if entry.family == "baseline"}
"""The rows that fit in seconds and any other model has to beat."""
NETWORKS: frozenset[str] = frozenset(name for name, entry in MODELS.items() if entry.family == "network")
"""The rows that are trained step by step."""


def model_named(name: str) -> ModelEntry:
    """Return the entry of a model; an unknown name raises `UsageError` with the names there are."""
    if name not in MODELS:
        raise UsageError(f"no model is called {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name]


def load_model(folder: Path) -> PerturbationModel:
    """Return the fitted model in a folder, of whatever family it is."""
    name = storage.read_header(folder).get("model")
    if name not in MODELS:
        raise BadDataError(f"a model of the unknown kind {name!r}", file=folder / storage.HEADER_FILE)
    return MODELS[str(name)].load(folder)
