"""A model of the user's: found, checked before anything is computed, named, judged; and nothing but --model runs it."""

import itertools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pertura.core.errors import BadDataError, DivergedError, MissingError, UnknownGeneError, UsageError
from pertura.data.predictions import read_predictions
from pertura.recipes.cards import card_of
from pertura.recipes.own import OwnModel, own_model
from pertura.recipes.recipe import read_recipe, write_recipe
from pertura.recipes.report import summary_text, write_report
from pertura.recipes.run import run
from pertura.recipes.sources import model_of
from pertura.report.card import render_card
from small_runs import contents, differing

pytestmark = pytest.mark.slow  # whole runs

HEAD = """
import numpy as np
import pertura
{top}

class MyModel:
    {extra}

    def fit(self, cells, split, *, seed):
        self.delta = pertura.training_pseudobulk(cells, split).deltas.mean(axis=0) * {share}

    def predict(self, controls, conditions, *, seed):
        means = {{}}
        for one in conditions:
            start = controls.dense(controls.control_rows(one.context)).mean(axis=0)
            means[one] = (start + self.delta)[None]
        {before_answer}
        return {answer}
"""
ANSWER = 'pertura.Prediction(controls.genes, means, pertura.Provenance("whatever"))'
KEPT = """
    def save(self, folder):
        np.save(folder / "delta.npy", self.delta)

    @classmethod
    def load(cls, folder):
        made = cls()
        made.delta = np.load(folder / "delta.npy")
        return made
"""
NUMBER = itertools.count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package into the working folder; returns the spec of its class."""
    monkeypatch.chdir(tmp_path)
    known, path = set(sys.modules), list(sys.path)
    name = f"mypackage{next(NUMBER)}"

    def write(*, top="", extra="", share=0.5, before_answer="pass", answer=ANSWER, cls="MyModel") -> str:
        text = HEAD.format(top=top, extra=extra, share=share, before_answer=before_answer, answer=answer)
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return f"{name}:{cls}"

    yield write
    for one in set(sys.modules) - known:
        if one.startswith("mypackage"):
            del sys.modules[one]
    sys.path[:] = path


def with_own(recipe, spec):
    return replace(recipe, models=("no-change", spec))


def done(recipe, spec, folder):
    return run(with_own(recipe, spec), folder, trusted=[spec])


def test_it_is_named_wherever_results_are(package, recipe, tmp_path):
    (screen,) = screens = done(recipe, package(), tmp_path / "run")
    assert screen.comparison.sentence.startswith("MyModel ")
    assert screen.comparison.sentence in summary_text(screens)
    assert "\nMyModel " in summary_text(screens)
    assert "MyModel," in (tmp_path / "run" / "comparison.csv").read_text()
    assert "# MyModel" in render_card(card_of(screen, "MyModel"))
    stored = read_predictions(tmp_path / "run" / "models" / "MyModel" / "predictions.h5ad").prediction
    assert stored.provenance.model == "MyModel"


@pytest.mark.slow
def test_it_heads_the_report(package, recipe, tmp_path):
    screens = done(recipe, package(), tmp_path / "run")
    assert screens[0].comparison.sentence in write_report(screens).read_text()


@pytest.mark.slow
def test_its_mean_is_judged_as_it_answered(package, recipe, tmp_path):
    """Half the train mean points where the train mean points."""
    spec = package()
    (screen,) = run(replace(recipe, models=("train-mean", spec)), tmp_path / "run", trusted=[spec])
    half, whole = (screen.comparison.of(name).summary("pearson_delta").value for name in ("MyModel", "train-mean"))
    assert half == pytest.approx(whole, abs=0.03)
    assert half != 0


@pytest.mark.slow
def test_without_save_and_load_it_works_and_is_fitted_again(package, recipe, tmp_path):
    spec = package()
    done(recipe, spec, tmp_path / "run")
    assert not (tmp_path / "run" / "models" / "MyModel" / "model").exists()
    before = contents(tmp_path / "run")
    done(recipe, spec, tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_with_save_and_load_it_is_kept_and_not_fitted_again(package, recipe, tmp_path):
    spec = package(extra=KEPT)
    done(recipe, spec, tmp_path / "run")
    assert (tmp_path / "run" / "models" / "MyModel" / "model" / "delta.npy").exists()
    clock = (tmp_path / "run" / "models" / "MyModel" / "training_stats.json").read_bytes()
    before = contents(tmp_path / "run")
    done(recipe, spec, tmp_path / "run")
    assert contents(tmp_path / "run") == before
    assert (tmp_path / "run" / "models" / "MyModel" / "training_stats.json").read_bytes() == clock


def test_edited_code_is_run_again_and_baselines_are_kept(package, recipe, tmp_path):
    done(recipe, package(share=0.5), tmp_path / "run")
    old = contents(tmp_path / "run")
    stamp = (tmp_path / "run/models/no-change/predictions.h5ad").stat().st_mtime_ns
    done(recipe, package(share=-1.0), tmp_path / "run")
    assert (tmp_path / "run/models/no-change/predictions.h5ad").stat().st_mtime_ns == stamp
    changed = {name for name, content in contents(tmp_path / "run").items() if old[name] != content}
    assert {"models/MyModel/predictions.h5ad", "models/MyModel/scores/results.csv", "comparison.csv"} <= changed
    assert not any(name.startswith("models/no-change") for name in changed)


WRONG = {
    "nan": (
        {"before_answer": "means[one] = means[one] * np.nan"},
        DivergedError,
        "MyModel: the answer for .* not finite",
    ),
    "missing": ({"before_answer": "del means[one]"}, BadDataError, "MyModel gave no answer for 1 conditions"),
    "no prediction": ({"answer": "means"}, BadDataError, "MyModel answered with a dict"),
    "width": ({"before_answer": "means[one] = means[one][:, :5]"}, BadDataError, r"MyModel: .* shape \(1, 5\)"),
    "one-dimensional": ({"before_answer": "means[one] = means[one][0]"}, BadDataError, r"MyModel: .* shape \(40,\)"),
    "genes": (
        {"answer": ANSWER.replace("controls.genes", "controls.genes[:-1]")},
        BadDataError,
        "MyModel answers on 39",
    ),
    "typed": ({"before_answer": "raise pertura.core.errors.UnknownGeneError({'ABC'})"}, UnknownGeneError, "ABC"),
}
SLOW = [
    pytest.param(*one, id=name, marks=pytest.mark.slow) for name, one in WRONG.items() if name not in ("nan", "typed")
]


@pytest.mark.parametrize(("edits", "error", "message"), [*map(WRONG.get, ("nan", "typed")), *SLOW])
def test_a_wrong_answer_names_the_model_and_keeps_what_was_finished(edits, error, message, package, recipe, tmp_path):
    spec = package(top="import pertura.core.errors", **edits)
    with pytest.raises(error, match=message):
        done(recipe, spec, tmp_path / "run")
    assert (tmp_path / "run" / "models" / "no-change" / "predictions.h5ad").exists()
    steps = json.loads((tmp_path / "run" / "progress.json").read_text())["steps"]
    assert set(steps) == {"fit no-change", "predict no-change"}


def test_an_error_of_its_own_keeps_its_traceback_and_is_told_apart(package, recipe, tmp_path):
    spec = package(before_answer="raise ValueError('my own bug')")
    with pytest.raises(ValueError, match="my own bug") as raised:
        done(recipe, spec, tmp_path / "run")
    assert raised.value.__notes__ == [f"raised by {spec} in predicting; the steps that were finished before are kept"]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("nosuchpackage:MyModel", MissingError, "cannot import 'nosuchpackage'.*looked for in"),
        ("json:MyModel", UsageError, "module 'json' .*json/__init__.py.* has no class 'MyModel'"),
        ("json:", UsageError, "has no class ''"),
        (":MyModel", UsageError, "package.module:Class"),
        ("my-package:MyModel", UsageError, "package.module:Class"),
        ("../up:MyModel", UsageError, "package.module:Class"),
        ("json:__name__", UsageError, "has no class"),
        ("collections:Counter", UsageError, r"it has no fit\(cells, split, \*, seed\) and no predict"),
        ("zipfile:ZipFile", UsageError, r"ZipFile\(\) must need no arguments .*'file'"),
    ],
)
def test_a_misspelt_model_is_refused_before_anything_is_computed(spec, error, message, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(error, match=message):
        done(recipe, spec, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"extra": "def __init__(self, width): pass"}, "must need no arguments.*'width'"),
        (
            {"top": "class Old:\n    def fit(self, cells, split): pass\n    predict = fit", "cls": "Old"},
            "fit does not take",
        ),
        ({"top": "class Half:\n    def fit(self, cells, split, *, seed): pass", "cls": "Half"}, "it has no predict"),
    ],
)
def test_a_class_that_cannot_be_called_is_refused_before(edits, message, package, recipe, tmp_path):
    with pytest.raises(UsageError, match=message):
        done(recipe, package(**edits), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_error_of_its_constructor_is_not_taken_for_a_missing_class(package):
    spec = package(extra="def __init__(self): self.nothing.there")
    with pytest.raises(AttributeError, match="nothing"):
        own_model(spec)


def test_a_model_without_arguments_may_be_made_by_a_function(package):
    spec = package(top="def make(): return MyModel()", cls="make")
    assert isinstance(own_model(spec), OwnModel)


def test_a_name_of_a_baseline_is_no_name_for_an_own_model(package, recipe, tmp_path):
    spec = package(top="def additive(): return MyModel()", cls="additive")
    with pytest.raises(UsageError, match="share the folder additive"):
        run(replace(recipe, models=("additive", spec)), tmp_path / "run", trusted=[spec])


def test_no_file_starts_code(package, recipe, tmp_path):
    """Importing the module would write the marker: reading, planning and resuming a recipe must not."""
    from pertura.recipes.plan import plan

    marker = tmp_path / "marker"
    spec = package(top=f"open({str(marker)!r}, 'w').close()")
    write_recipe(with_own(recipe, spec), tmp_path / "run" / "recipe.toml")
    found = read_recipe(tmp_path / "run" / "recipe.toml")
    assert found.own_models == (spec,)
    for start in (lambda: run(found, tmp_path / "run"), lambda: plan(found, tmp_path / "run")):
        with pytest.raises(UsageError, match=f"names code, {spec}.* --model {spec}"):
            start()
    with pytest.raises(UsageError, match="which no file may start"):
        model_of(spec, trusted=["other:MyModel"])
    beside = replace(found, models=recipe.models, companions=(replace(found, name="beside"),))
    with pytest.raises(UsageError, match="which no file may start"):
        run(beside, tmp_path / "other")
    assert not marker.exists()
    assert [one.name for one in (tmp_path / "run").iterdir()] == ["recipe.toml"]
    run(found, tmp_path / "run", trusted=[spec])
    assert marker.exists()


def test_a_folder_does_not_say_whose_code_reads_it(tmp_path):
    with pytest.raises(UsageError, match="--model"):
        OwnModel.load(tmp_path)


@pytest.mark.slow
def test_negative_values_of_an_own_model_are_counted_and_told(package, recipe, tmp_path):
    spec = package(before_answer="means[one] = np.tile(means[one] - 1.0, (7, 1))")
    (screen,) = done(recipe, spec, tmp_path / "run")
    assert any(text.startswith("MyModel: ") and "below zero were set to zero" in text for text in screen.warnings)


@pytest.mark.slow
def test_two_runs_of_an_own_model_share_every_byte(package, recipe, tmp_path):
    spec = package(extra=KEPT)
    done(recipe, spec, tmp_path / "one")
    done(recipe, spec, Path("two"))
    assert differing(tmp_path / "one", tmp_path / "two") == []
