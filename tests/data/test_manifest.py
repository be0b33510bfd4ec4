"""`dataset.toml` gives back what was written, names what is wrong in it, and notices another data file."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5ad_files import gears, state, written
from pertura.core import Mode, Scale
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.data.anndata_io import open_cells, open_screen
from pertura.data.conventions import Reading
from pertura.data.manifest import read_manifest, verified_data, write_manifest

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
READINGS = st.builds(
    Reading,
    convention=TEXT,
    perturbation_column=TEXT,
    controls=st.lists(TEXT, max_size=3).map(tuple),
    separator=TEXT,
    mode=st.sampled_from(Mode),
    context_columns=st.lists(TEXT, max_size=2).map(tuple),
    evidence=st.lists(TEXT, max_size=2).map(tuple),
    scale=st.builds(
        Scale,
        kind=st.sampled_from(["counts", "lognormalised"]),
        target_sum=st.none() | st.floats(1, 1e7),
        log_base=st.none() | st.sampled_from([2.0, 10.0]),
        whole_transcriptome=st.none() | st.booleans(),
        evidence=TEXT,
    ),
)


@given(reading=READINGS)
def test_what_is_written_is_read_again(tmp_path_factory, reading):
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "data.h5ad").write_bytes(b"some data")
    made = write_manifest(folder / "dataset.toml", folder / "data.h5ad", reading)
    assert read_manifest(folder / "dataset.toml") == made
    assert made.reading == reading


@pytest.fixture
def described(tmp_path):
    """A manifest in one folder and its file in another."""
    (tmp_path / "far").mkdir()
    path = written(gears(), tmp_path / "far")
    target = tmp_path / "dataset.toml"
    write_manifest(target, path, open_screen(path).reading)
    return target, path


def test_a_manifest_opens_the_same_cells_from_any_folder(described, monkeypatch):
    target, path = described
    monkeypatch.chdir("/")
    first, second = open_cells(path), open_cells(target)
    assert (first.conditions, first.scale, first.spellings) == (second.conditions, second.scale, second.spellings)
    assert (first.codes == second.codes).all()
    assert 'path = "far/screen.h5ad"' in target.read_text()


def test_it_moves_together_with_its_file(described):
    target, _ = described
    moved = target.parent.with_name(target.parent.name + "-moved")
    os.rename(target.parent, moved)
    assert len(open_cells(moved / "dataset.toml")) == 100


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text[:-1] + bytes([text[-1] ^ 1])])
def test_another_file_in_its_place_is_noticed(described, change):
    target, path = described
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BadDataError, match="pertura inspect"):
        verified_data(target, read_manifest(target))


def test_a_file_that_is_gone_is_missing(described):
    target, path = described
    path.unlink()
    with pytest.raises(MissingError, match=r"screen\.h5ad"):
        open_cells(target)
    with pytest.raises(MissingError, match="no such file"):
        open_cells(target.with_name("other.toml"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("controls =", "control =", "[reading]: unknown key 'control'; did you mean 'controls'?"),
        ("sha256 =", "sha265 =", "[file]: unknown key 'sha265'; did you mean 'sha256'?"),
        ("log_base =", "logbase =", "[reading.scale]: unknown key 'logbase'; did you mean 'log_base'?"),
        ("version = 1", 'version = 1\ncolour = "red"', "unknown key 'colour'"),
        ("version = 1", "version = 2", "version 2"),
        ('format = "pertura-dataset"', 'format = "other"', "'other'"),
        ('separator = "+"', "separator = 3", "reading.separator"),
        ('mode = "unspecified"', 'mode = "wish"', "reading.mode"),
        ('kind = "lognormalised"', 'kind = "scaled"', "reading.scale"),
        ("size =", "size = = 3", "not TOML"),
        ("size =", f"size = {'9' * 5000} #", "not TOML"),
        ("size =", f"size = 0x{'f' * 5000} #", "not TOML"),
    ],
)
def test_a_mistake_in_it_is_named(described, old, new, words):
    target, _ = described
    text = target.read_text()
    assert old in text
    target.write_text(text.replace(old, new))
    with pytest.raises(BadDataError) as caught:
        read_manifest(target)
    assert words in str(caught.value)
    assert str(target) in str(caught.value)


def test_it_replaces_itself_but_not_another_files_manifest(described, tmp_path):
    target, path = described
    reading = open_screen(path).reading
    write_manifest(target, path, replace(reading, mode=Mode.KNOCKOUT))
    assert read_manifest(target).reading.mode is Mode.KNOCKOUT
    other = written(state(), tmp_path, "other.h5ad")
    before = target.read_bytes()
    with pytest.raises(UsageError, match="--force"):
        write_manifest(target, other, reading)
    assert target.read_bytes() == before
    write_manifest(target, other, reading, force=True)
    assert read_manifest(target).file.path == "other.h5ad"


def test_what_is_no_manifest_is_not_replaced(described):
    target, path = described
    target.write_text("precious = true\n")
    with pytest.raises(UsageError, match=r"not a dataset\.toml; --force"):
        write_manifest(target, path, open_screen(path).reading)
    assert target.read_text() == "precious = true\n"


def test_flags_beside_a_manifest_are_refused(described):
    with pytest.raises(UsageError, match="already says"):
        open_cells(described[0], control="x")
