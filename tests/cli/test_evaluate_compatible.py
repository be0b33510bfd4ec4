"""`pertura evaluate` under another evaluator's rules, templates, and `pertura compare` on prediction files."""

from pathlib import Path

import anndata
import pytest

from foreign_screens import prediction, screen
from pertura.cli.evaluate import byte_count
from pertura.core.errors import UsageError

PRESET = ("--preset", "cell-eval-0.8/pds", "--effort", "less", "--threads", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    observed = screen()
    observed.write_h5ad(folder / "observed.h5ad")
    prediction(observed).write_h5ad(folder / "mine.h5ad")
    prediction(observed, right=0.1, seed=9).write_h5ad(folder / "theirs.h5ad")
    return {name: folder / f"{name}.h5ad" for name in ("observed", "mine", "theirs")}


def given(files, name="mine"):
    return "--predicted", files[name], "--observed", files["observed"]


def test_it_prints_what_the_number_is_worth_and_writes_all_files(command, files, tmp_path):
    columns = ("--perturbation-column", "target_gene", "--control", "non-targeting")
    done = command("evaluate", *given(files), *PRESET, *columns, "-o", tmp_path / "out", "--name", "mine")
    assert done.code == 0
    assert done.out.startswith("mine has discrimination_score_l1 ")
    assert "leave-one-out mean" in done.out
    assert "warning: 100% of the predicted control cells are observed control cells" in done.out
    assert done.out.rstrip().endswith(f"wrote {tmp_path / 'out'}")
    assert {"results.csv", "worth.csv", "report.html"} <= {one.name for one in (tmp_path / "out").iterdir()}
    assert "what the pairs metrics are worth" in done.err


def test_a_template_is_written_and_refused_until_it_is_filled_in(command, files, tmp_path):
    done = command("evaluate", "--observed", files["observed"], "--template", tmp_path / "t.h5ad", *PRESET[:2])
    assert done.code == 0
    assert "60 cells of 5 labels to fill in, 30 control cells, 40 genes" in done.out
    assert anndata.read_h5ad(tmp_path / "t.h5ad").n_obs == 90
    done = command("evaluate", "--predicted", tmp_path / "t.h5ad", "--observed", files["observed"], *PRESET)
    assert done.code == 3
    assert "this template is not filled in" in done.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "give --predicted FILE, or --template OUT.h5ad"),
        (("--template", "t.h5ad"), "--template: give --observed FILE"),
        (("--predicted", "p.h5ad", "--memory", "lots"), "--memory lots: a size of at least 64MiB"),
        (("--predicted", "p.h5ad", "--device", "tpu"), "--device tpu: cpu or cuda"),
        (("--predicted", "p.h5ad", "--preset", "magic"), "no preset 'magic'; there are pertura, cell-eval-0.8"),
        (("--predicted", "p.h5ad", *PRESET, "--skip", "x,y"), "--skip x: preset cell-eval-0.8/pds has"),
    ],
    ids=["nothing", "template", "memory", "device", "preset", "skip"],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(flags, words, command):
    done = command("evaluate", *flags)
    assert done.code == 2
    assert words in done.err


def test_sizes_are_read_as_they_are_written():
    assert byte_count("4GiB") == byte_count("4g") == 4 << 30
    assert byte_count("512MB") == 512 << 20
    assert byte_count("1e9") == 1_000_000_000
    for text in ("", "4 gigs", "-1G", "1K", "1.2.3G"):
        with pytest.raises(UsageError, match="at least 64MiB"):
            byte_count(text)


@pytest.mark.slow
def test_prediction_files_are_compared_with_references_added(command, files, tmp_path):
    both = (files["mine"], files["theirs"], "--observed", files["observed"], "--effort", "less")
    done = command("compare", *both, "-o", tmp_path / "out")
    assert done.code == 0
    assert done.out.startswith("mine ")
    for name in ("mine", "theirs", "no-change", "leave-one-out-mean"):
        assert f"\n{name} " in done.out
        assert (tmp_path / "out" / "models" / name / "scores" / "scores.json").exists()
    assert (tmp_path / "out" / "report.html").exists()
    again = command("compare", tmp_path / "out", "--subject", "theirs", "--metric", "mse")
    assert again.code == 0
    assert again.out.startswith("theirs ")


def test_files_and_folders_are_not_mixed(command, files, tmp_path):
    for words, arguments in (
        ("is a prediction file and", (files["mine"], tmp_path)),
        ("go with prediction files, not with runs", (tmp_path, "--observed", files["observed"])),
        ("--priors: prediction files do not say", (files["mine"], "--observed", files["observed"], "--priors")),
    ):
        done = command("compare", *arguments)
        assert done.code == 2
        assert words in done.err
