"""Published folders to pertura's format and back, the whole package with them, and nothing half understood."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError, PerturaError, UsageError
from pertura.genes.vocab import human_vocab
from pertura.models.scgpt.checkpoint import IncompleteError
from pertura.models.scgpt.convert import check_output, convert
from pertura.models.scgpt.foreign import load_foreign, save_foreign
from pertura.models.scgpt.package import read_vocab
from pertura.priors.prior import GenePrior
from pertura.priors.store import write_scgpt_table
from written_out_networks import TOKENS, WIDTH, Variant, WrittenOut, published

REFERENCE = Path(__file__).parents[1] / "reference/scgpt"
BESIDE = {
    "training_stats.json": b'{"wall_clock_s": 3}',
    "predictions/test.h5ad": b"cells",
    "eval/results.csv": b"pert,mae\n",
    "eval/agg_results.csv": b"metric,mean\n",
    "README.md": b"# card\n",
}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "published"
    shutil.copytree(REFERENCE / "scgenept_ncbi", folder)
    for place, content in BESIDE.items():
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_bytes(content)
    return folder


def digests(folder: Path) -> dict[str, str]:
    found = (one for one in sorted(folder.rglob("*")) if one.is_file())
    return {str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest() for one in found}


def with_frozen_prior(tmp_path) -> Path:
    network = WrittenOut(Variant())
    network.gene_prior = torch.nn.ModuleDict({"projection": torch.nn.Linear(6, WIDTH)})
    folder = published(network, tmp_path / "with a prior")
    rng = np.random.default_rng(0)
    known = tuple(f"GENE{i}" for i in range(0, 30))
    prior = GenePrior("esm", known, rng.normal(size=(len(known), 6)).astype(np.float32))
    write_scgpt_table(prior, read_vocab(folder / "vocab.json"), folder / "scgpt_esm_prior.safetensors")
    return folder


def test_the_whole_package_comes_back(package, command, tmp_path):
    own, back = tmp_path / "own", tmp_path / "back"
    there = command("convert", package, "-o", own)
    assert there.code == 0
    assert "69 tensors are identical" in there.out
    assert command("convert", own, "-o", back).code == 0
    before, after = digests(package), digests(back)
    assert set(before) == set(after)
    assert {name for name in before if before[name] != after[name]} <= {"best_model.pt"}
    first, second = (torch.load(one / "best_model.pt", weights_only=True) for one in (package, back))
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) and first[name].dtype == second[name].dtype for name in first)


def test_a_converted_folder_is_the_same_network(package, tmp_path):
    convert(load_foreign(package), tmp_path / "own")
    own, theirs = load_foreign(tmp_path / "own"), load_foreign(package)
    assert own.config == theirs.config
    assert own.vocab.ids == theirs.vocab.ids
    for name, one in theirs.network.state_dict().items():
        assert torch.equal(own.network.state_dict()[name], one)
    with pytest.raises(UsageError, match="says all of itself"):
        load_foreign(tmp_path / "own", pooling="cls")


def test_a_dry_run_tells_all_and_writes_nothing(package, command, tmp_path):
    before = digests(tmp_path)
    done = command("convert", package, "--dry-run")
    assert done.code == 0
    for said in ("scGenePT", "loaded: 69", "69 tensors", "training_stats.json", "nothing was written"):
        assert said in done.out
    assert digests(tmp_path) == before


@pytest.mark.parametrize("place", ["weights.safetensors", "package/vocab.json", "package/eval/results.csv"])
def test_a_converted_folder_that_was_changed_is_refused(package, place, tmp_path):
    convert(load_foreign(package), tmp_path / "own")
    (tmp_path / "own" / place).write_bytes((tmp_path / "own" / place).read_bytes() + b" ")
    with pytest.raises(BadDataError):
        load_foreign(tmp_path / "own")


def test_a_report_names_every_kind_of_key(package, command):
    weights = torch.load(package / "best_model.pt", weights_only=True)
    weights["decoder.fc.2.weight"] = weights["decoder.fc.2.weight"][:, :5].clone()
    del weights["transformer_encoder.layers.1.self_attn.Wqkv.bias"]
    weights["transformer_encoder.layers.0.norm9.weight"] = torch.ones(3)
    weights["some.thing"] = torch.ones(1)
    torch.save(weights, package / "best_model.pt")
    with pytest.raises(IncompleteError) as refused:
        load_foreign(package)
    report = refused.value.report
    assert report.missing == ("transformer_encoder.layers.1.self_attn.Wqkv.bias",)
    assert report.mismatched == ("decoder.fc.2.weight",)
    assert report.refused == ("transformer_encoder.layers.0.norm9.weight",)
    assert report.unexpected == ("some.thing",)
    assert len(report.loaded) == len(weights) - 3
    done = command("convert", package, "--dry-run")
    assert done.code == 3
    assert "of another shape: 1 (decoder.fc.2.weight)" in done.err
    assert "nothing is filled with random numbers" in done.err


def test_a_published_prior_beside_the_weights_is_taken(tmp_path):
    folder = with_frozen_prior(tmp_path)
    table = load_foreign(folder).network.prior_tables[0]
    assert table.has_row.sum() == 30
    assert table.table.shape == (TOKENS, 6)
    convert(load_foreign(folder), tmp_path / "own")
    again = load_foreign(tmp_path / "own").network.prior_tables[0]
    assert torch.equal(again.table, table.table)
    save_foreign(load_foreign(tmp_path / "own"), tmp_path / "back")
    assert digests(folder)["scgpt_esm_prior.safetensors"] == digests(tmp_path / "back")["scgpt_esm_prior.safetensors"]


def test_a_changed_vocabulary_is_written_not_carried(package, tmp_path):
    """The special tokens that the loader adds are no change; another id is."""
    from dataclasses import replace

    checkpoint = load_foreign(package)
    ids = dict(checkpoint.vocab.ids)
    ids["GENE0"], ids["GENE1"] = ids["GENE1"], ids["GENE0"]
    save_foreign(replace(checkpoint, vocab=type(checkpoint.vocab)(ids)), tmp_path / "other")
    assert json.loads((tmp_path / "other/vocab.json").read_text()) == ids


def test_nothing_is_written_over(package, tmp_path):
    with pytest.raises(UsageError, match="something is there"):
        check_output(package, tmp_path)
    with pytest.raises(UsageError, match="lies in the folder"):
        check_output(package / "own", package)


def test_a_place_outside_the_folder_is_refused(package, tmp_path):
    from pertura.models import storage

    convert(load_foreign(package), tmp_path / "own")
    header = storage.read_header(tmp_path / "own")
    weights = storage.read_weights(tmp_path / "own", header)
    told = {name: one for name, one in header.items() if name not in ("format", "version", "weights_sha256", "digest")}
    told["package"] = {**told["package"], "../outside": "0" * 64}
    storage.write_model(tmp_path / "own", told, weights)
    with pytest.raises(BadDataError, match="outside the folder"):
        load_foreign(tmp_path / "own")


def test_the_whole_human_vocabulary_is_read_in_milliseconds(tmp_path):
    """A list comprehension over its tokens takes about 1 ms here: reading may take 100 of them."""
    from time import process_time

    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(dict(human_vocab().ids)))
    spent = []
    for _ in range(5):
        before = process_time()
        vocab = read_vocab(path)
        spent.append(process_time() - before)
    assert len(vocab) == 60697
    assert vocab.ids["<pad>"] == 60694
    assert min(spent) < 0.1


@pytest.mark.parametrize("place", ["best_model.pt", "vocab.json", "args.json"])
def test_a_damaged_file_is_refused_in_words_or_harmless(package, place):
    """Whatever is done to a file, nothing but an error of ours comes out of reading it."""
    rng = np.random.default_rng(7)
    good = (package / place).read_bytes()
    refused = 0
    for _ in range(12):
        content = bytearray(good)
        start = int(rng.integers(len(content)))
        content[start : start + int(rng.integers(1, 9))] = bytes(rng.integers(0, 256, 4, dtype=np.uint8))
        (package / place).write_bytes(bytes(content[: int(rng.integers(start + 1, len(content) + 1))]))
        try:
            load_foreign(package)
        except PerturaError:
            refused += 1
    assert refused >= 10
