"""Doors for splits, ours and those of others, lists of conditions, and recipes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from split_screens import CONTEXTS, STATE_SPLIT, WORKBENCH_SPLIT, cells_of

import small_runs
from mutations.command import command
from mutations.containers import is_json, is_json_or_toml, is_text, is_toml
from mutations.files import STRUCTURED_JSON, STRUCTURED_TOML, some_text_changed
from mutations.result_doors import write_prior
from mutations.text import json_changed, pick, pieces_changed, toml_changed, words_changed
from mutations.watch import Door
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit
from pertura.data.splits.files import read_split, write_split
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_files import split_from_file
from pertura.recipes.recipe import write_recipe

SPLIT_CELLS = cells_of([Condition(Perturbation.of(gene), context) for context in CONTEXTS for gene in "ABCD"])


def _write_splits(folder: Path) -> None:
    outline = Outline.of(SPLIT_CELLS)
    made = {
        "context": SPLITS["held-out-context"](outline, seed=1, context="x"),
        "folds": SPLITS["folds"](outline, seed=1, folds=3, fold=0),
    }
    for name, split in made.items():
        write_split(split, folder / name / "split.json")


def _open_split(given: Path, out: Path) -> None:
    split = read_split(given / "split.json")
    audit(split, SPLIT_CELLS)
    write_split(split, out / "split.json")
    split.visible(SPLIT_CELLS)


def _write_foreign_splits(folder: Path) -> None:
    for name, text in (("state", STATE_SPLIT), ("workbench", WORKBENCH_SPLIT)):
        (folder / name).mkdir()
        (folder / name / "split.txt").write_text(text)


def _change_foreign_split(folder: Path, rng: np.random.Generator) -> Path:
    path = folder / "split.txt"
    text = path.read_text()
    structured = json_changed if text.startswith("{") else toml_changed
    path.write_bytes(pick(rng, (structured, structured, pieces_changed))(text, rng).encode())
    return path


def _open_foreign_split(given: Path, out: Path) -> None:
    made = split_from_file(given / "split.txt", Outline.of(SPLIT_CELLS), Rules(TEST_WINS)).split
    audit(made, SPLIT_CELLS)
    write_split(made, out / "split.json")


def _write_lists(folder: Path) -> None:
    (folder / "list").mkdir()
    (folder / "list" / "conditions.txt").write_text("A+ctrl\nctrl+B\nA+B\nctrl\nC\n\nD+C\nE+ctrl\n")


def _split_list(given: Path, out: Path) -> None:
    command("split", "--conditions", given / "conditions.txt", "-o", out / "split.json")


def _write_recipes(folder: Path) -> None:
    recipe = small_runs.small_recipe("norman-500", bootstrap=2, permutations=1)
    companion = replace(
        recipe, name="beside", data="mcfaline-500", rule="held-out-context", options={"context": "A172"}
    )
    priors = replace(recipe, models=("ridge", "no-change", "ridge+go-c"), priors=("own.safetensors",))
    for name, one in (("one", recipe), ("two", replace(recipe, companions=(companion,))), ("priors", priors)):
        write_recipe(one, folder / name / "recipe.toml")
        write_prior(folder / name / "own.safetensors")


def _plan(given: Path, out: Path) -> None:
    command("run", given / "recipe.toml", "-o", out / "run", "--dry-run")


_OWN, _LIST = some_text_changed("*.json", *STRUCTURED_JSON), some_text_changed("*.txt", words_changed, pieces_changed)
SPLIT_DOORS = (
    Door("split.json", 8, _write_splits, _OWN, is_json, _open_split),
    Door("split of others", 7, _write_foreign_splits, _change_foreign_split, is_json_or_toml, _open_foreign_split),
    Door("list of conditions", 1, _write_lists, _LIST, is_text, _split_list),
    Door("recipe.toml", 7, _write_recipes, some_text_changed("*.toml", *STRUCTURED_TOML), is_toml, _plan),
)
