"""`pertura run` of networks: what flags become, and what is said where something is not there. Nothing is trained."""

import pytest

from pertura.cli import run as run_module
from pertura.models.table import BASELINES
from small_runs import pairs_file


@pytest.fixture
def made(monkeypatch):
    """The recipes that the command would run."""
    found = []
    monkeypatch.setattr(run_module, "_run", lambda recipe, folder, own: found.append(recipe))
    return found


def test_size_seeds_and_settings_reach_the_recipe_and_its_companions(command, made):
    flags = ("--size", "debug", "--seeds", "3", "--set", "scgenept.training.epochs=2", "--set", "scgenept.max_genes=9")
    assert command("run", "norman-scgenept-go-c", *flags).code == 0
    (recipe,) = made
    assert (recipe.data, recipe.size, recipe.seeds) == ("norman-500", "debug", 3)
    assert recipe.changes_of("scgenept+go-c") == {"training": {"epochs": 2}, "max_genes": 9}
    assert recipe.models[len(BASELINES) :] == ("scgenept+go-c", "scgenept", "scgenept+go-c~permuted1")
    assert recipe.companions[0].size == "debug"


def test_pretrained_weights_reach_every_network_of_a_published_recipe(command, made, tmp_path):
    assert command("run", "adamson-scgenept-ncbi+uniprot", "--pretrained", tmp_path).code == 0
    (recipe,) = made
    assert (recipe.data, recipe.size) == ("adamson", "full")
    options = recipe.changes_of("scgenept+ncbi+uniprot")
    assert options["pretrained"] == str(tmp_path)
    assert options["training"]["epochs"] == 20


def test_a_network_is_named_like_a_model_of_ones_own(command, made):
    assert command("run", "norman-500", "--model", "scgpt+go-c", "--size", "debug").code == 0
    (recipe,) = made
    assert recipe.models == (*BASELINES, "scgpt+go-c")


def test_a_prior_can_be_given_a_name(command, made, tmp_path):
    (tmp_path / "scgpt_esm_prior.safetensors").write_bytes(b"")
    given = f"esm2={tmp_path / 'scgpt_esm_prior.safetensors'}"
    assert command("run", "replogle-to-rpe1-esm2", "--prior", given).code == 0
    (recipe,) = made
    assert recipe.priors == (given,)
    assert "ridge+esm2" in recipe.models


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("norman-scgpt",), 4, "--pretrained FOLDER, or --size debug"),
        (("norman-scgpt", "--pretrained", "/no/such/folder"), 4, "/no/such/folder"),
        (("norman-scgpt", "--size", "huge"), 2, "full and debug"),
        (("norman-scgpt", "--size", "debug", "--set", "scgpt.trainin.epochs=2"), 2, "did you mean training?"),
        (("norman-scgpt", "--size", "debug", "--set", "scgptt.max_genes=2"), 2, "did you mean scgpt?"),
        (("norman-scgpt", "--size", "debug", "--set", "scgpt.max_genes"), 2, "MODEL.OPTION=VALUE"),
        (("norman-scgpt", "--size", "debug", "--set", "scgpt.max_genes=0"), 2, "scgpt.max_genes"),
        (("demo", "--seeds", "2"), 2, "none among the models"),
        (("norman-500", "--size", "debug"), 2, "none among the models"),
        (("norman-500", "--model", "scgenept-language", "--size", "debug"), 2, "scgenept-language+PRIOR"),
        (("replogle-to-rpe1-esm2", "--pretrained", "."), 4, "--prior esm2=FILE"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(arguments, code, said, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("run", *arguments)
    assert (done.code, said in done.err) == (code, True), done.err
    assert not list(tmp_path.iterdir())


def test_a_plan_says_how_large_networks_are_and_what_is_lacking(command, tmp_path):
    file = pairs_file(tmp_path)
    done = command("run", file, "--model", "scgpt", "--dry-run")
    assert done.code == 0
    assert "network     scgpt: 51.3 million numbers, at most 15 epochs" in done.out
    assert "lacking     scgpt: a network of full size begins from a published folder" in done.out
    small = command("run", file, "--model", "scgpt", "--size", "debug", "--seeds", "2", "--dry-run")
    assert "x 2 seeds" in small.out
    assert "lacking" not in small.out
