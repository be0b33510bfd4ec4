"""`pertura annotate`: what is written can be loaded, and what makes no sense is refused before anything is computed."""

import anndata
import pytest
from annotated_files import labelled
from typer.testing import CliRunner

from pertura.cli.app import application
from pertura.core.errors import PerturaError, UsageError

FAST = ["--strategy", "linear", "--folds", "2", "--repeats", "1", "--no-unseen", "--projection", "pca", "--no-cache"]


def run(*words):
    return CliRunner().invoke(application(), ["annotate", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    labelled(60).write_h5ad(place / "ref.h5ad")
    labelled(20, seed=4, name="new").write_h5ad(place / "new.h5ad")
    return place


def test_a_run_can_be_loaded_and_repeats_its_labels(folder, tmp_path):
    first = run("--reference", folder / "ref.h5ad", "--label", "cell_type", "--query", folder / "new.h5ad",
                "--clusters", "cell_type", "-o", tmp_path / "out", *FAST)  # fmt: skip
    assert first.exception is None, first.output
    assert "Strategies on test cells" in first.output
    assert "gives" in first.output.splitlines()[-1] or "wrote" in first.output
    again = run("--load", tmp_path / "out", "--query", folder / "new.h5ad", "--clusters", "cell_type", "-o",
                tmp_path / "again", *FAST)  # fmt: skip
    assert again.exception is None, again.output
    one, other = (anndata.read_h5ad(tmp_path / name / "annotated.h5ad").obs for name in ("out", "again"))
    for name in ("pertura_label", "pertura_raw_label", "pertura_probability", "pertura_majority_label"):
        assert one[name].tolist() == other[name].tolist()
    assert (tmp_path / "again/report.html").stat().st_size
    assert (tmp_path / "out/predictions.csv").read_text() == (tmp_path / "again/predictions.csv").read_text()
    full = run("--load", tmp_path / "out", "--query", folder / "new.h5ad", "-o", tmp_path / "again")
    assert isinstance(full.exception, UsageError)
    assert "--force" in str(full.exception)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "give labelled cells"),
        (["--reference", "ref.h5ad"], "give labelled cells"),
        (["--load", "out"], "--load goes with --query"),
        (["--reference", "gone.h5ad", "--label", "cell_type"], "no such file"),
        (["--reference", "ref.h5ad", "--label", "cell_typ"], "did you mean 'cell_type'"),
        (["--reference", "ref.h5ad", "--label", "cell_type", "--lora-target", "norm"], "there are linear, attention"),
        (["--reference", "ref.h5ad", "--label", "cell_type", "--export-merged", "m"], "changes no network"),
        (
            ["--reference", "ref.h5ad", "--label", "donor", "--profile", "full", "--strategy", "lora"],
            "pretrained network",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(folder, tmp_path, words, problem):
    placed = [folder / one if one.endswith(".h5ad") else one for one in words]
    options = [] if "--profile" in words else FAST
    done = run(*placed, "-o", tmp_path / "out", *options)
    assert isinstance(done.exception, PerturaError)
    assert problem in str(done.exception)


def test_a_hostile_file_is_refused_by_the_walk(folder, tmp_path):
    whole = (folder / "ref.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    done = run("--reference", tmp_path / "cut.h5ad", "--label", "cell_type", "-o", tmp_path / "out", *FAST)
    assert isinstance(done.exception, PerturaError)
    assert "truncated" in str(done.exception)
