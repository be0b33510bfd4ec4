"""From a recipe to a run folder; what is finished is kept, what is not is done."""

import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from pertura.comparison.compare import Comparison, compare, comparison_table
from pertura.comparison.priors import PriorQuestion, prior_question, prior_table
from pertura.comparison.roles import is_control
from pertura.core.atomic import write_text
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction
from pertura.core.scope import Scope
from pertura.core.split import Split
from pertura.data.predictions import read_predictions, write_predictions
from pertura.data.preparation.account import chosen_elsewhere
from pertura.data.splits.files import write_split
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import Scores, evaluate
from pertura.evaluation.files import read_scores, write_scores
from pertura.evaluation.observed import Observed, observe
from pertura.models.table import NETWORKS
from pertura.prediction.predict import predict
from pertura.recipes.attempt import Attempt, fit, repeats_of, taught_of
from pertura.recipes.narration import Narrator, Silent
from pertura.recipes.own import OwnModel
from pertura.recipes.recipe import FILE, Recipe, read_recipe, write_recipe
from pertura.recipes.record import Progress, alone, fingerprint, sweep
from pertura.recipes.sources import cells_of, check_networks, data_fingerprint, model_name, models_of, split_of
from pertura.recipes.taught import Taught, forget_training, is_timed
from pertura.recipes.with_prior import WithPrior
from pertura.training.record import LINES

NAMED = 6
PACKAGES = ("pertura", "numpy", "scipy", "pandas", "anndata", "h5py", "scikit-learn", "safetensors", "matplotlib")


@dataclass(frozen=True, eq=False)
class Screen:
    """One screen of a run, finished: all that its report is made from."""

    recipe: Recipe
    folder: Path
    cells: Cells
    split: Split
    observed: Observed
    comparison: Comparison
    predictions: dict[str, Prediction]
    taught: dict[str, Taught]
    """What each model learnt from."""
    warnings: tuple[str, ...]
    question: PriorQuestion | None = None
    """Whether priors help, where models were run with some."""
    repeats: dict[str, tuple[Scores, ...]] = field(default_factory=dict)
    """The scores of each network with every seed it was trained with, where these are several."""


def run(
    recipe: Recipe, folder: Path, *, trusted: Collection[str] = (), narrator: Narrator | None = None
) -> tuple[Screen, ...]:
    """Return the finished screens of a run, the main one first, with everything written under `folder`.

    A folder that holds an interrupted run of the same recipe is finished; one that holds another recipe raises
    `UsageError`. The files are the same, byte for byte, however often the run was interrupted; wall-clock times apart.
    Nothing is written before recipe, models, data and split of every screen were found good.
    """
    path = folder / FILE
    if path.exists() and read_recipe(path) != recipe:
        raise UsageError(f"{folder} holds a run of another recipe; choose another folder with -o, or delete it")
    work = [
        _Work(one, folder / one.name if i else folder, trusted) for i, one in enumerate((recipe, *recipe.companions))
    ]
    teller = _Counted(narrator or Silent(), sum(one.steps for one in work))
    for one in work:
        one.open(teller)
    with alone(folder):
        write_recipe(recipe, path)
        return tuple(one.finish(teller) for one in work)


class _Counted:
    """Counts finished steps for a narrator."""

    def __init__(self, narrator: Narrator, total: int) -> None:
        self.narrator, self.total, self.done = narrator, total, 0

    def begin(self, text: str) -> None:
        self.narrator.stage(text, self.done, self.total)
        self.done += 1


class _Work:
    """The steps of one screen."""

    def __init__(self, recipe: Recipe, folder: Path, trusted: Collection[str]) -> None:
        self.recipe, self.folder = recipe, folder
        made = models_of(recipe, trusted)
        check_networks(recipe)
        self.attempts = [Attempt(name, recipe.seed, folder / "models" / name, model) for name, model in made.items()]
        self.repeats = repeats_of(recipe, trusted, folder)
        self.steps = 2 + 3 * (len(self.attempts) + len(self.repeats))
        self.warnings: list[str] = []

    def open(self, teller: _Counted) -> None:
        """Read the cells and split them; write nothing."""
        teller.begin(f"{self.recipe.name}: reading {self.recipe.data} and splitting")
        self.cells = cells_of(self.recipe.data, self.recipe.seed)
        self.split = split_of(self.recipe, self.cells)
        self.warnings.extend(filter(None, [chosen_elsewhere(self.cells.notes, self.split)]))
        self.inputs = fingerprint(
            data_fingerprint(self.recipe.data),
            self.split.fingerprint,
            str(replace(self.recipe, models=(), companions=())),
            version("pertura"),
        )

    def finish(self, teller: _Counted) -> Screen:
        """Do what is left of the steps."""
        recipe = self.recipe
        sweep(self.folder)
        write_split(self.split, self.folder / "split.json")
        write_text(self.folder / "environment.json", json.dumps(environment(), indent=1, sort_keys=True) + "\n")
        self.progress = Progress(self.folder)
        fitted = {one: self._fit(one, teller) for one in (*self.attempts, *self.repeats)}
        conditions = self._judged({one.name: fitted[one] for one in self.attempts})
        # a model's scope decides what is judged, so every prediction depends on it
        self.inputs = fingerprint(self.inputs, *(f"{one} {sorted(one.perturbation.modes)}" for one in conditions))
        made = {one: self._predict(one, model, conditions, teller) for one, model in fitted.items()}
        teller.begin(f"{recipe.name}: resampling the observed cells")
        effort = Effort(bootstrap=recipe.bootstrap, permutations=recipe.permutations)
        observed = observe(self.cells, self.split, conditions, seed=recipe.seed, effort=effort)
        scored = {one: self._score(one, prediction, observed, teller) for one, prediction in made.items()}
        scores = [scored[one] for one in self.attempts]
        comparison = compare(scores, subject=self._subject())
        write_text(self.folder / "comparison.csv", comparison_table(comparison).to_csv(index=False))
        question = prior_question(scores, comparison.metric, networks=NETWORKS)
        if question is not None:
            write_text(self.folder / "priors.csv", prior_table(question).to_csv(index=False))
        predictions = {one.name: made[one] for one in self.attempts}
        return Screen(
            recipe=recipe,
            folder=self.folder,
            cells=self.cells,
            split=self.split,
            observed=observed.without_draws(),
            comparison=comparison,
            predictions=predictions,
            taught={one.name: taught_of(one, fitted[one]) for one in self.attempts},
            warnings=(*self.warnings, *_notes(predictions), *observed.warnings),
            question=question,
            repeats=_by_name(scored) if self.repeats else {},
        )

    def _fit(self, attempt: Attempt, teller: _Counted) -> PerturbationModel:
        teller.begin(f"{self.recipe.name}: fitting {attempt.title}")
        inputs, load = self._inputs(attempt), attempt.loader
        step = f"fit {attempt.title}"
        if load is not None and is_timed(attempt.home) and self.progress.finished(step, inputs):
            return load(attempt.home / "model")
        begun = f"begin {attempt.title}"
        if attempt.is_network and not self.progress.finished(begun, inputs):
            forget_training(attempt.home)
            self.progress.finish(begun, inputs, [])
        fit(attempt, self.split.visible(self.cells), self.split, teller.narrator)
        if load is not None:
            attempt.model.save(attempt.home / "model")
            self.progress.finish(step, inputs, [attempt.home / LINES, *_files(attempt.home / "model")])
        return attempt.model

    def _predict(
        self, attempt: Attempt, model: PerturbationModel, conditions: Sequence[Condition], teller: _Counted
    ) -> Prediction:
        teller.begin(f"{self.recipe.name}: predicting with {attempt.title}")
        path, inputs, recipe = attempt.home / "predictions.h5ad", self._inputs(attempt), self.recipe
        if not self.progress.finished(f"predict {attempt.title}", inputs):
            made = predict(model, self.cells, self.split, conditions, seed=recipe.seed, emitter=recipe.emitter)
            write_predictions(path, made, self.cells, self.split, model_name=attempt.name)
            self.progress.finish(f"predict {attempt.title}", inputs, [path])
        found = read_predictions(path, walked=True)  # its digest was just taken or compared
        if found.negative:
            self.warnings.append(f"{attempt.title}: {found.negative:,} predicted values below zero were set to zero")
        return found.prediction

    def _score(self, attempt: Attempt, prediction: Prediction, observed: Observed, teller: _Counted) -> Scores:
        teller.begin(f"{self.recipe.name}: scoring {attempt.title}")
        folder, inputs = attempt.home / "scores", self._inputs(attempt)
        if not self.progress.finished(f"score {attempt.title}", inputs):
            write_scores(evaluate(prediction, observed, preset=self.recipe.preset), folder)
            self.progress.finish(f"score {attempt.title}", inputs, _files(folder))
        return read_scores(folder)

    def _judged(self, fitted: dict[str, PerturbationModel]) -> tuple[Condition, ...]:
        """The test conditions with cells that every model knows the genes of; the others are named, not judged."""
        present = tuple(one for one in sorted(self.split.test) if len(self.cells.rows_of(one)))
        genes = {gene for one in present for gene in one.genes}
        scopes = [scope for one in fitted.values() if isinstance(scope := getattr(one, "scope", None), Scope)]
        unknown = frozenset().union(*(scope.unknown(genes) for scope in scopes))
        kept = tuple(one for one in present if not unknown.intersection(one.genes))
        left_out = sorted(set(present) - set(kept))
        if left_out:
            named = ", ".join(one.label for one in left_out[:NAMED]) + (" and more" if len(left_out) > NAMED else "")
            self.warnings.append(
                f"{len(left_out)} of {len(present)} test conditions are not judged ({named}): they perturb genes "
                f"unknown to panel, vocabulary and prior: {', '.join(sorted(unknown))}"
            )
        if not kept:
            why = self.warnings[-1] if left_out else f"none of the {len(self.split.test)} has cells"
            raise BadDataError(
                f"no test condition is left to judge: {why}", remedy="check the split and the gene names"
            )
        return kept

    def _subject(self) -> str | None:
        """The model that heads the report: the user's own, else the first network."""
        own = self.recipe.own_models
        if own:
            return model_name(own[-1])
        return next((one.name for one in self.attempts if one.is_network and not is_control(one.name)), None)

    def _inputs(self, attempt: Attempt) -> str:
        """What a model's steps were made from; of a model of the user's its code too, of one with a prior the prior."""
        model = attempt.model
        return fingerprint(self.inputs, model.code) if isinstance(model, OwnModel | WithPrior) else self.inputs


def _by_name(scored: Mapping[Attempt, Scores]) -> dict[str, tuple[Scores, ...]]:
    """Return the scores of each network with all its seeds."""
    names = dict.fromkeys(one.name for one in scored if one.is_network)
    return {name: tuple(scores for one, scores in scored.items() if one.name == name) for name in names}


def _notes(predictions: Mapping[str, Prediction]) -> list[str]:
    """What had to be put up with in predicting, each note once with the models it is true of."""
    models: dict[str, list[str]] = {}
    for name, one in predictions.items():
        if "notes" in one.provenance.versions:
            models.setdefault(one.provenance.versions["notes"], []).append(name)
    return [f"{_who(names, len(predictions))}: {note}" for note, names in models.items()]


def _who(names: Sequence[str], of: int) -> str:
    if len(names) == of:
        return "all models"
    return ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def environment() -> dict[str, str]:
    """Return the versions a run depends on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{one: version(one) for one in PACKAGES},
    }


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file())
