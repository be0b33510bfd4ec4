"""Runs whose models have priors: named, refused, controlled, kept, asked and reported."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pertura.comparison.priors import QUESTIONS
from pertura.comparison.roles import role_of
from pertura.core.errors import MissingError, UsageError
from pertura.data.predictions import read_predictions
from pertura.genes.identifiers import human_identifiers
from pertura.models.table import load_model
from pertura.prediction.predict import predict
from pertura.priors.controls import permuted_prior, random_prior
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.priors.sources import SOURCES
from pertura.priors.store import load_prior, save_prior
from pertura.recipes.cards import card_of
from pertura.recipes.plan import plan
from pertura.recipes.recipe import read_recipe, write_recipe
from pertura.recipes.report import summary_text, write_report
from pertura.recipes.run import run
from pertura.recipes.sources import cells_of, model_of, models_of, split_of
from pertura.recipes.table import RECIPES, TEXTS, asking, with_priors
from pertura.recipes.with_prior import PriorShelf, WithPrior
from pertura.report.card import render_card
from small_runs import differing

pytestmark = pytest.mark.slow  # whole runs

FACTS = PriorFacts("what is known", "by-hand", "BSD-3-Clause", "1" * 64)
SPECS = (
    "ridge+made",
    "ridge+made~random1",
    "ridge+made~permuted1",
    "ridge+made~permuted2",
    "ridge+made+expression",
    "nearest-neighbours+made",
)


@pytest.fixture(scope="module")
def genes(recipe) -> list[str]:
    """All perturbed genes, one of a test condition first."""
    cells = cells_of(recipe.data)
    first = min(split_of(recipe, cells).test).genes[0]
    return [first, *sorted({gene for one in cells.perturbed for gene in one.genes} - {first})]


@pytest.fixture(scope="module")
def made(genes, tmp_path_factory):
    """A prior of all perturbed genes but one, and of a gene that the screen does not know."""
    table = np.random.default_rng(0).normal(size=(len(genes), 5)).astype(np.float32)
    path = tmp_path_factory.mktemp("priors") / "made.safetensors"
    save_prior(GenePrior("made/by-hand", (*genes[1:], "TP53"), table, FACTS), path)
    return path


@pytest.fixture(scope="module")
def knowing(recipe, made):
    return replace(recipe, models=("no-change", "train-mean", "ridge", *SPECS), priors=(str(made),))


@pytest.fixture(scope="module")
def known(knowing, tmp_path_factory):
    """A finished run with priors and its report."""
    made = run(knowing, tmp_path_factory.mktemp("known") / "run")
    write_report(made)
    return made[0]


# ---- names


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("magic+go-c", "magic takes no prior; ridge, nearest-neighbours, scgpt"),
        ("train-mean+go-c", "train-mean takes no prior"),
        ("ridge+magic", "no prior 'magic'; there are ncbi, uniprot, "),
        ("ridge+go-c~magic1", "a control is written ~randomSEED or ~permutedSEED"),
        ("ridge+go-c~random", "a control is written"),
        ("ridge+go-c~random01", "a control is written"),
        ("ridge+go-c+expression~random1", "a control is written"),
        ("../ridge+go-c", "takes no prior"),
        ("ridge+", "no model 'ridge\\+'; there are no-change"),
        ("go-c", "no model 'go-c'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(spec, words):
    with pytest.raises(UsageError, match=words):
        model_of(spec, ())


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_can_be_named_and_nothing_is_built_for_it(source):
    for spec in (*asking("ridge", source), f"nearest-neighbours+{source}~random9+expression"):
        model = model_of(spec, ())
        assert isinstance(model, WithPrior)
        assert model.role == role_of(spec)


@pytest.mark.parametrize("name", ["a b", "a~random1", "x+expression", "-a", "a.", "ü", "a" * 65, "con:1"])
def test_a_file_whose_name_is_no_name_for_a_prior_is_refused(name, tmp_path):
    path = tmp_path / f"{name}.safetensors"
    path.touch()
    with pytest.raises(UsageError, match="is no name for one"):
        PriorShelf([str(path)])


def test_a_file_called_like_another_prior_is_refused(made, tmp_path):
    with pytest.raises(UsageError, match="made is what another prior is called"):
        PriorShelf([str(made), str(made)])
    with pytest.raises(MissingError, match="no prior at nowhere"):
        PriorShelf(["nowhere"])


def test_a_file_takes_the_place_of_the_source_of_its_name(made, tmp_path):
    shutil.copy(made, tmp_path / "go-c.safetensors")
    given, built = PriorShelf([str(tmp_path / "go-c.safetensors")]), PriorShelf([])
    assert given.digest("go-c") != built.digest("go-c")
    genes = load_prior(made).genes
    assert (
        given.prior(role_of("ridge+go-c"), genes).genes
        == PriorShelf([str(made)]).prior(role_of("ridge+made"), genes).genes
    )


def test_two_names_that_some_file_systems_do_not_tell_apart_are_refused(knowing, made, tmp_path):
    shutil.copy(made, tmp_path / "Made.safetensors")
    both = replace(knowing, priors=(*knowing.priors, str(tmp_path / "Made.safetensors")))
    with pytest.raises(UsageError, match=r"share the folder ridge\+Made, ridge\+made"):
        models_of(replace(both, models=(*knowing.models, "ridge+Made")), ())


def test_a_plan_names_the_models_and_refuses_what_the_run_would(knowing, tmp_path):
    assert ", ".join(SPECS) in plan(knowing, tmp_path / "run")
    with pytest.raises(UsageError, match="no prior 'other'"):
        plan(replace(knowing, models=("no-change", "ridge+other")), tmp_path / "run")


def test_a_recipe_keeps_its_priors(knowing, tmp_path):
    write_recipe(knowing, tmp_path / "recipe.toml")
    assert read_recipe(tmp_path / "recipe.toml") == knowing


def test_priors_are_asked_of_every_model_that_takes_one(recipe, made):
    wanted = with_priors(recipe, (str(made), "go-c"))
    assert wanted.priors == (str(made),)
    for base in ("ridge", "nearest-neighbours"):
        for name in ("made", "go-c"):
            assert {*asking(base, name), f"{base}+{name}+expression"} <= set(wanted.models)
    assert with_priors(wanted, (str(made),)) == wanted
    models_of(wanted, ())


def test_the_demo_asks_it_of_six_text_sources_with_a_control_of_each_kind():
    demo = RECIPES["demo"]()
    roles = [role for one in demo.models if (role := role_of(one)) is not None and not role.with_expression]
    assert len(TEXTS) == 6
    for source in TEXTS:
        assert {one.control for one in roles if one.prior == source} == {"", "random", "permuted"}
    assert not any(role_of(one) for one in demo.companions[0].models)


# ---- the prior a model is given


def test_a_prior_is_cut_to_the_genes_that_are_asked_for_and_brought_to_length_one(made, genes):
    cut = PriorShelf([str(made)]).prior(role_of("ridge+made"), [*genes, "GATA1"])
    assert cut.genes == tuple(sorted(genes[1:]))
    assert cut.name == "made/by-hand"
    assert cut.facts == FACTS
    np.testing.assert_allclose(np.linalg.norm(cut.table, axis=1), 1.0)


@pytest.mark.parametrize(("kind", "control"), [("random", random_prior), ("permuted", permuted_prior)])
def test_a_control_is_that_of_the_whole_prior(kind, control, made, genes):
    shelf = PriorShelf([str(made)])
    whole = shelf.prior(role_of("ridge+made"), [*genes, "TP53"])
    found = shelf.prior(role_of(f"ridge+made~{kind}3"), genes)
    assert found.facts.kind == kind
    assert found.facts.made_from == ("made/by-hand",)
    if kind == "permuted":  # of unit rows as of all others
        expected, _ = control(whole, 3).aligned_to(found.genes)
        np.testing.assert_allclose(found.table, expected, atol=1e-6)
    other = shelf.prior(role_of(f"ridge+made~{kind}4"), genes)
    assert not np.allclose(found.table, other.table)


def test_a_gene_is_found_under_an_older_name_and_a_row_of_zeros_says_nothing(tmp_path):
    older = next(name for name in ("MLL", "C11orf30", "WDR5B-DT") if human_identifiers().approved(name).symbol)
    table = np.array([[1.0, 2.0], [0.0, 0.0]], dtype=np.float32)
    save_prior(GenePrior("x", (human_identifiers().approved(older).symbol, "TP53"), table), tmp_path / "x.safetensors")
    found = PriorShelf([str(tmp_path / "x.safetensors")]).prior(role_of("ridge+x"), [older, "TP53"])
    assert found.genes == (older,)


# ---- a run


def test_each_model_has_its_folder_and_says_what_it_had(known):
    for spec in SPECS:
        home = known.folder / "models" / spec
        kept = json.loads((home / "model" / "model.json").read_text())
        role = role_of(spec)
        assert kept["model"] == role.base
        assert kept["prior"]["name"].startswith("made/by-hand")
        assert kept["prior"]["kind"] == (role.control or "knowledge")
        assert kept["prior"]["text_sha256"] == "1" * 64
        provenance = read_predictions(home / "predictions.h5ad").prediction.provenance
        assert provenance.model == spec
        assert "made/by-hand" in provenance.versions["prior"]
        card = render_card(card_of(known, spec))
        assert "# " + spec.replace("~", "\\~") in card
        assert (f"a {role.control} control" if role.control else "here the prior") in card


def test_a_gene_the_prior_lacks_is_answered_with_the_train_mean_and_named(known, genes):
    prediction = known.predictions["ridge+made"]
    lacking = {one for one in prediction.conditions if genes[0] in one.genes}
    assert lacking
    assert lacking == set(prediction.fallbacks)
    assert all(f"{genes[0]} is not in prior made/by-hand" in why for why in prediction.fallbacks.values())


def test_a_loaded_model_answers_without_the_prior(known):
    for spec in SPECS:
        model = load_model(known.folder / "models" / spec / "model")
        asked = known.predictions[spec].conditions
        again = predict(model, known.cells, known.split, asked, seed=known.recipe.seed, emitter=known.recipe.emitter)
        for one in asked:
            np.testing.assert_allclose(np.maximum(again.cells[one], 0), known.predictions[spec].cells[one], atol=1e-5)


def test_the_question_is_answered_in_the_folder_the_report_and_the_terminal(known):
    with (known.folder / "priors.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["model"], row["prior"]) for row in rows} == {("ridge", "made"), ("nearest-neighbours", "made")}
    ridge = {row["against"]: row for row in rows if row["model"] == "ridge" and row["subset"] == "all"}
    assert set(ridge) == set(QUESTIONS)
    assert ridge["permuted"]["control_seeds"] == "1 2"
    page = (known.folder / "report.html").read_text()
    assert "Do priors help?" in page
    assert "Expression and text on" in page
    told = summary_text((known,))
    assert "Do priors help on" in told
    assert "made: " in told


def test_controls_are_judged_but_stand_aside(known):
    compared = (known.folder / "comparison.csv").read_text()
    told = summary_text((known,))
    for spec in SPECS:
        assert f"{spec}," in compared
        assert (f"\n{spec} " in told) == ("~" not in spec)
    assert "3 models with controls of priors are left out here" in told
    assert "~" not in known.comparison.first + known.comparison.second


def test_a_run_without_priors_says_nothing_of_them(screens, finished):
    assert not (finished / "priors.csv").exists()
    assert "prior" not in summary_text(screens).replace("prior file", "")
    assert "Do priors help?" not in (finished / "report.html").read_text()


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_files_and_a_finished_run_is_not_done_again(
    known, knowing, tmp_path, monkeypatch
):
    write_report(run(knowing, tmp_path / "again"))
    assert differing(known.folder, tmp_path / "again") == []
    monkeypatch.setattr(PriorShelf, "prior", None)  # whatever is built or read now fails
    write_report(run(knowing, tmp_path / "again"))
    assert differing(known.folder, tmp_path / "again") == []


@pytest.mark.slow
def test_another_prior_of_the_same_name_makes_other_models_and_leaves_the_rest(knowing, made, genes, tmp_path):
    own = tmp_path / "made.safetensors"
    shutil.copy(made, own)
    mine = replace(knowing, models=("no-change", "train-mean", "ridge+made"), priors=(str(own),))
    (before,) = run(mine, tmp_path / "run")
    stamp = (tmp_path / "run/models/train-mean/predictions.h5ad").stat().st_mtime_ns
    table = np.random.default_rng(1).normal(size=(len(genes), 3)).astype(np.float32)
    save_prior(GenePrior("other", tuple(genes), table), own)
    (after,) = run(mine, tmp_path / "run")
    assert (tmp_path / "run/models/train-mean/predictions.h5ad").stat().st_mtime_ns == stamp
    assert before.predictions["ridge+made"].fallbacks
    assert not after.predictions["ridge+made"].fallbacks
    assert after.predictions["ridge+made"].provenance.versions["prior"].startswith("other: ")


# ---- the command line


def test_compare_shows_the_question_and_asks_it_alone_where_wanted(known, finished):
    from typer.testing import CliRunner

    from pertura.cli.app import application

    def command(*arguments):
        return CliRunner().invoke(application(), [str(one) for one in arguments])

    both = command("compare", known.folder)
    assert known.comparison.sentence in both.output
    assert "Do priors help on" in both.output
    alone = command("compare", known.folder, "--priors", "-o", known.folder.parent / "asked.csv")
    assert known.comparison.sentence not in alone.output
    for stratum in (name for name, members in known.split.strata.items() if members):
        assert f"perturbations of stratum {stratum}" in alone.output
    assert (known.folder.parent / "asked.csv").read_text() == (known.folder / "priors.csv").read_text()
    refused = command("compare", finished, "--priors")
    assert isinstance(refused.exception, UsageError)
    assert "no model of these runs has a prior" in str(refused.exception)


def test_run_adds_priors_to_the_baselines(pairs, made, tmp_path):
    from typer.testing import CliRunner

    from pertura.cli.app import application

    given = ["run", str(pairs), "--prior", str(made), "--prior", "go-c", "-o", str(tmp_path / "run"), "--dry-run"]
    done = CliRunner().invoke(application(), given)
    assert done.exit_code == 0, done.output
    for spec in (*asking("ridge", "made"), *asking("nearest-neighbours", "go-c")):
        assert spec in done.output
    refused = CliRunner().invoke(application(), ["run", str(pairs), "--prior", "magic"])
    assert isinstance(refused.exception, MissingError)
    assert "magic" in str(refused.exception)
