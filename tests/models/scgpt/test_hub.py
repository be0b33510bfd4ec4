"""Names with a pinned revision, against a stand-in of the hub's cache on disk; the network is never asked."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
import torch

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.hub import KNOWN, cache_folder, located

REFERENCE = Path(__file__).parents[2] / "reference/scgpt/generator_pad2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "somebody/scgpt-small"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


def blob_name(path: Path) -> str:
    """Large files are stored under their sha256, small ones as git names them."""
    content = path.read_bytes()
    if path.suffix == ".pt":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def stored(cache):
    """The layout the hub's own client leaves: blobs by hash, snapshots of links, names of commits."""
    home = cache / "models--somebody--scgpt-small"
    snapshot = home / "snapshots" / COMMIT
    for folder in (home / "blobs", home / "refs", snapshot):
        folder.mkdir(parents=True)
    for name in ("args.json", "vocab.json", "best_model.pt"):
        blob = home / "blobs" / blob_name(REFERENCE / name)
        shutil.copyfile(REFERENCE / name, blob)
        os.symlink(os.path.relpath(blob, snapshot), snapshot / name)
    (home / "refs/v1").write_text(COMMIT)
    return home


@pytest.mark.parametrize("revision", [COMMIT, "v1"])
def test_a_cached_name_is_the_published_network(stored, revision):
    mine, theirs = load_foreign(f"{NAME}@{revision}"), load_foreign(REFERENCE)
    assert mine.source == f"{NAME}@{COMMIT}"
    for name, one in theirs.network.state_dict().items():
        assert torch.equal(mine.network.state_dict()[name], one)


def test_our_reading_of_the_layout_is_that_of_the_hubs_own_client(stored, cache):
    from huggingface_hub import try_to_load_from_cache

    theirs = try_to_load_from_cache(NAME, "best_model.pt", cache_dir=cache, revision="v1")
    assert Path(str(theirs)) == located(f"{NAME}@v1").folder / "best_model.pt"


def test_a_name_that_is_not_at_hand_lists_what_to_fetch_and_where_to(cache):
    name = "u-cellm/scGPT-whole-human"
    with pytest.raises(MissingError) as refused:
        located(f"{name}@{COMMIT}")
    said = str(refused.value)
    assert refused.value.exit_code == 4
    assert str(cache / "models--u-cellm--scGPT-whole-human" / "snapshots" / COMMIT) in said
    assert "HF_HUB_OFFLINE" in said
    for one in KNOWN[name]:
        assert {one.name, one.sha256, *one.size.split()} <= set(said.split())


def test_only_what_is_absent_is_listed(stored):
    (stored / "snapshots" / COMMIT / "vocab.json").unlink()
    with pytest.raises(MissingError, match=r"vocab\.json") as refused:
        located(f"{NAME}@{COMMIT}")
    assert "best_model.pt" not in str(refused.value)


def test_files_that_were_put_there_by_hand_are_taken(cache):
    snapshot = cache / "models--somebody--by-hand" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("args.json", "vocab.json", "best_model.pt"):
        shutil.copyfile(REFERENCE / name, snapshot / name)
    assert load_foreign(f"somebody/by-hand@{COMMIT}").config.flags


@pytest.mark.parametrize("name", ["best_model.pt", "args.json"])
def test_a_cached_file_that_was_spoiled_is_refused(stored, name):
    blob = (stored / "snapshots" / COMMIT / name).resolve()
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(BadDataError, match="not the published file"):
        located(f"{NAME}@{COMMIT}")


def test_a_name_without_a_revision_is_refused_with_the_way_out(stored):
    with pytest.raises(UsageError, match="somebody/scgpt-small@COMMIT"):
        located(NAME)
    with pytest.raises(MissingError, match="no such folder"):
        located("nowhere")


def test_a_folder_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path(f"{NAME}@{COMMIT}")
    shutil.copytree(REFERENCE, folder)
    assert located(str(folder)).folder == folder


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"HF_HUB_CACHE": "", "HF_HOME": "/a/home"}, "/a/home/hub"),
        ({"HF_HUB_CACHE": "", "HF_HOME": "", "XDG_CACHE_HOME": "/b"}, "/b/huggingface/hub"),
        ({"HF_HUB_CACHE": "/c"}, "/c"),
    ],
)
def test_the_cache_is_where_the_hubs_settings_say(settings, expected, monkeypatch):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
