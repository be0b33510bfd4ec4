"""`pertura prior control` and `combine` write what they say, and say what is missing."""

import pickle

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pertura.cli.prior_tables import combine, control
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.priors.store import load_prior, save_prior


@pytest.fixture
def files(tmp_path):
    table = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    genes = tuple(f"G{one}" for one in range(20))
    save_prior(GenePrior("first", genes, table, PriorFacts("go-c")), tmp_path / "a.safetensors")
    save_prior(GenePrior("second", genes[5:], table[5:], PriorFacts("ncbi")), tmp_path / "b.safetensors")
    (tmp_path / "c.pickle").write_bytes(pickle.dumps({"G1": [1.0, 2.0]}))
    return tmp_path


def said(*words):
    app = typer.Typer()
    for command in (control, combine):
        app.command()(command)
    found = CliRunner().invoke(app, list(map(str, words)))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


@pytest.mark.parametrize("kind", ["permuted", "random", "random-global", "ablated"])
def test_controls_are_written_and_equal_seeds_give_equal_bytes(files, kind):
    more = ["--share", "0.25"] if kind == "ablated" else []
    for name in ("one", "two"):
        found = said("control", files / "a.safetensors", "--kind", kind, "--seed", 3, *more, "-o", files / name)
        assert found.exit_code == 0
    assert (files / "one").read_bytes() == (files / "two").read_bytes()
    made = load_prior(files / "one")
    assert made.facts.kind == kind.split("-")[0]
    assert ("taken away: 5 of 20 genes" in found.output) == (kind == "ablated")
    assert f"{made.name}: {len(made.genes)} genes x 4" in found.output


def test_a_combination_says_what_each_part_lacked(files):
    found = said("combine", files / "a.safetensors", files / "b.safetensors", "-o", files / "out")
    assert "second: 15 genes x 4; 5 genes have zeros in its place" in found.output
    assert load_prior(files / "out").table.shape == (20, 8)
    found = said(
        "combine", files / "a.safetensors", files / "b.safetensors", "--genes", "intersection", "-o", files / "out"
    )
    assert "first: 20 genes x 4; 5 genes left out" in found.output
    assert load_prior(files / "out").table.shape == (15, 8)
    said("combine", files / "a.safetensors", files / "b.safetensors", "--how", "mean", "-o", files / "out")
    assert load_prior(files / "out").table.shape == (20, 4)


def test_foreign_files_are_taken_as_they_are(files):
    said("combine", files / "a.safetensors", files / "c.pickle", "-o", files / "out")
    assert load_prior(files / "out").facts.made_from == ("first", "c")


def test_requests_that_make_no_sense_are_refused(files):
    with pytest.raises(UsageError, match="which needs it"):
        said("control", files / "a.safetensors", "--kind", "ablated", "-o", files / "out")
    with pytest.raises(UsageError, match="ablated only"):
        said("control", files / "a.safetensors", "--kind", "random", "--share", 0.5, "-o", files / "out")
    with pytest.raises(UsageError, match="this is a folder"):
        said("control", files / "a.safetensors", "--kind", "random", "-o", files)
    with pytest.raises(MissingError):
        said("control", files / "absent", "--kind", "random", "-o", files / "out")
    with pytest.raises(BadDataError, match="different widths"):
        said("combine", files / "a.safetensors", files / "c.pickle", "--how", "mean", "-o", files / "out")
    assert said("control", files / "a.safetensors", "--kind", "other", "-o", files / "out").exit_code == 2
    assert not (files / "out").exists()
