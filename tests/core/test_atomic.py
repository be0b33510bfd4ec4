import os
import stat

import pytest

from pertura.core.atomic import replacing, write_bytes, write_text


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(path)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_the_temporary_file_is_a_sibling_with_the_same_suffix(tmp_path):
    with replacing(tmp_path / "deep" / "a.h5ad") as temporary:
        assert temporary.parent == tmp_path / "deep"
        assert temporary.suffix == ".h5ad"


def test_bytes_are_written_as_given(tmp_path):
    write_bytes(tmp_path / "a", b"\r\n\x00")
    write_text(tmp_path / "b", "\u00b5\r\n")
    assert (tmp_path / "a").read_bytes() == b"\r\n\x00"
    assert (tmp_path / "b").read_bytes() == "\u00b5\r\n".encode()


def test_the_file_has_the_permissions_of_a_plain_new_file(tmp_path):
    write_text(tmp_path / "a", "")
    (tmp_path / "b").write_text("")
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in "ab"}
    assert len(modes) == 1


def _write_half(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
