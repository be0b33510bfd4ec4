"""`pertura prior build` and `inspect`, through files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from pertura.cli.prior import prior_application
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.prior import GenePrior
from pertura.priors.store import load_prior, save_prior


def run(*words):
    done = CliRunner().invoke(prior_application(), list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(error, *words):
    done = CliRunner().invoke(prior_application(), list(map(str, words)))
    assert isinstance(done.exception, error), done.output
    return str(done.exception)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("priors") / "go-c.safetensors"
    return path, run("build", "--source", "go-c", "--encoder", "tfidf-svd", "--dim", "32", "-o", path)


def test_build_writes_the_prior_and_says_what_was_left_out(built):
    path, said = built
    prior = load_prior(path)
    assert prior.name == "go-c/tfidf-svd-32"
    assert f"{len(prior.genes):,} genes x 32" in said
    assert "CC BY 4.0 (Gene Ontology)" in said
    assert "x term of more than 500 genes" in said
    assert str(path) in said


def test_building_again_replaces_the_file_with_equal_bytes(built, tmp_path):
    path, _ = built
    again = tmp_path / "again.safetensors"
    for _ in range(2):
        run("build", "--source", "go-c", "--dim", 32, "-o", again)
        assert again.read_bytes() == path.read_bytes()


def test_own_texts_are_built_into_a_prior(tmp_path):
    (tmp_path / "own.tsv").write_text("A\tbinds DNA\nB\tcuts DNA\nC\tchannel of sodium\n")
    run("build", "--source", f"file:{tmp_path / 'own.tsv'}", "--dim", 2, "-o", tmp_path / "own.safetensors")
    assert load_prior(tmp_path / "own.safetensors").genes == ("A", "B", "C")


def test_inspect_says_what_a_prior_is_and_what_it_knows_of_a_screen(built):
    path, _ = built
    said = run("inspect", path, "--data", "norman-500")
    assert "encoder: tfidf-svd-32" in said
    assert "panel:" in said
    assert "perturbed genes:" in said
    assert "missing, no row" in said


def test_inspect_gives_the_same_facts_as_json(built):
    path, _ = built
    found = json.loads(run("inspect", path, "--data", "norman-500", "--json"))
    assert (found["name"], found["width"], found["kind"]) == ("go-c/tfidf-svd-32", 32, "knowledge")
    targets = found["coverage"]["targets"]
    assert targets["covered"] + len(targets["missing"]) == targets["genes"] > 20
    assert all(one["why"] for one in targets["missing"])


def test_inspect_of_a_prior_without_facts_says_they_are_not_recorded(tmp_path):
    save_prior(GenePrior("bare", ("A", "B"), np.eye(2, dtype=np.float32)), tmp_path / "bare.safetensors")
    assert run("inspect", tmp_path / "bare.safetensors").count("not recorded") == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "error", "culprit"),
    [
        (("--source", "gocc"), UsageError, "gocc"),
        (("--source", "go-c", "--encoder", "word2vec"), UsageError, "word2vec"),
        (("--source", "go-c", "--dim", 99_999), UsageError, "99999 were asked for"),
        (("--source", "file:none.tsv"), MissingError, "none.tsv"),
        (("--source", "protein", "--encoder", "endpoint:ada"), UsageError, "protein sequences"),
        (("--source", "ncbi", "--how", "mean"), UsageError, "use concat"),
    ],
)
def test_what_cannot_be_built_is_refused_and_nothing_is_written(tmp_path, words, error, culprit):
    assert culprit in refused(error, "build", *words, "-o", tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_output_is_refused_before_any_work(tmp_path):
    assert "name a file" in refused(UsageError, "build", "--source", "ncbi", "-o", tmp_path)


def test_inspect_refuses_what_is_no_prior(tmp_path):
    refused(MissingError, "inspect", tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no table")
    refused(BadDataError, "inspect", tmp_path / "text.safetensors")


@pytest.mark.slow
def test_building_and_inspecting_load_no_torch(built):
    path, _ = built
    code = (
        "import sys; from pertura.cli.prior import prior_application as a; "
        "a()(['inspect', sys.argv[1], '--data', 'norman-500'], standalone_mode=False); "
        "assert not {'torch', 'scanpy', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True)


def test_a_table_by_token_says_what_of_it_is_no_prior(tmp_path):
    """Genes without a row, and vectors of special tokens, are counted when such a table is opened."""
    from pertura.genes.vocab import human_vocab
    from pertura.priors.opening import open_prior
    from pertura.priors.store import write_scgpt_table

    rng = np.random.default_rng(0)
    prior = GenePrior("two", ("KLF1", "MAPK1"), rng.normal(size=(2, 3)).astype(np.float32))
    write_scgpt_table(prior, human_vocab(), tmp_path / "table.safetensors")
    opened = open_prior(tmp_path / "table.safetensors")
    assert set(opened.genes) == {"KLF1", "MAPK1"}
    assert "genes of the vocabulary have no row" in opened.facts.source
    assert "genes of the vocabulary have no row" in run("inspect", tmp_path / "table.safetensors")


def test_the_published_truncation_has_a_name_of_its_own():
    from pertura.priors.encoders import encoder_named

    assert encoder_named("esm2-cellflow:esm2_t6_8M_UR50D").name.endswith("as cellflow-0.0.9")
    assert "cellflow" not in encoder_named("esm2:esm2_t6_8M_UR50D").name


def test_texts_cut_by_the_encoder_are_counted(tmp_path, monkeypatch):
    from pertura.priors import build as building

    class Short:
        name, truncated = "short", 2

        def encode(self, texts):
            return np.eye(len(texts), 3, dtype=np.float32)

    monkeypatch.setattr(building, "encoder_for", lambda *_, **__: Short())
    (tmp_path / "own.tsv").write_text("A\tbinds DNA\nB\tcuts DNA\nC\tchannel of sodium\n")
    said = run("build", "--source", f"file:{tmp_path / 'own.tsv'}", "-o", tmp_path / "own.safetensors")
    assert "cut short: 2 x text longer than the encoder reads" in said
