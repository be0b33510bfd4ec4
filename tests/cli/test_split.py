import inspect
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pertura.cli.split import RULES, split
from pertura.core.errors import MissingError, UsageError
from pertura.data.splits import SPLITS
from pertura.data.splits.files import read_split

REFERENCE = Path(__file__).parents[1] / "reference" / "splits"


def run(*arguments):
    """Run the command as the shell would, letting its errors through."""
    app = typer.Typer()
    app.command()(split)
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False).output


def test_norman_from_a_list_of_conditions_gives_the_published_strata(tmp_path):
    output = tmp_path / "split.json"
    listed = REFERENCE / "norman_conditions.txt"
    text = run(
        "--rule", "gears-simulation", "--seed", 1, "--train-gene-fraction", 0.75, "--conditions", listed, "-o", output
    )
    published = json.loads((REFERENCE / "gears_simulation_seed1_subgroups.json").read_text())["norman"]["test_subgroup"]
    strata = json.loads(output.read_text())["strata"]
    for name, members in published.items():
        wanted = {frozenset(one.split("+")) - {"ctrl"} for one in members}
        assert {frozenset(one.split("+")) for one in strata[name]} == wanted
        assert f"{name}: {len(wanted)}" in text
    assert "no control cells" in text


def test_a_bundled_screen_is_cut_with_its_controls(tmp_path):
    text = run("mcfaline-500", "--rule", "held-out-context", "--context", "A172", "-o", tmp_path / "split.json")
    made = read_split(tmp_path / "split.json")
    assert {one.context for one in made.test} == {"A172"}
    assert "controls of A172: 50 for models, 50 to judge by" in text
    assert made.fingerprint[:12] in text


def test_what_a_rule_removes_is_printed(tmp_path):
    rule = ("--rule", "held-out-context-and-gene", "--context", "A172", "--controls", "unseen")
    text = run("mcfaline-500", *rule, "-o", tmp_path / "split.json")
    assert "removed elsewhere: 6: MAP2K3@T98G" in text


def test_a_pair_spelled_twice_is_counted_once_and_said(tmp_path):
    (tmp_path / "list.txt").write_text("A+ctrl\nB+ctrl\nC+ctrl\nA+B\nB+A\n")
    text = run("--conditions", tmp_path / "list.txt", "-o", tmp_path / "split.json")
    assert "spelled twice, counted once: B+A" in text


def test_shared_controls_are_loud(tmp_path):
    assert "SHARED CONTROLS in K562" in run("norman-500", "--shared-controls", "-o", tmp_path / "split.json")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), UsageError, "give either DATA"),
        (("norman-500", "--conditions", "x"), UsageError, "give either DATA"),
        (("norman-500", "--rule", "magic"), UsageError, "gears-simulation"),
        (("norman-500", "--folds", 3), UsageError, "does not take --folds"),
        (("nothing.h5ad",), MissingError, "no data set of that name"),
        (("--conditions", "nothing.txt"), MissingError, "no such file"),
        (("--conditions", "nothing.txt", "--mode", "magic"), UsageError, "activation"),
    ],
    ids=str,
)
def test_an_unclear_request_is_refused_and_nothing_is_written(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        run(*arguments, "-o", tmp_path / "split.json")
    assert not (tmp_path / "split.json").exists()


def test_the_help_names_the_rules_and_takes_their_options():
    assert RULES.split(", ") == list(SPLITS)
    options = {name for rule in SPLITS.values() for name in inspect.signature(rule).parameters} - {"outline"}
    assert options <= set(inspect.signature(split).parameters)
