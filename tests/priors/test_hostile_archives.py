"""No member, path, size or view in a torch archive leads anywhere but to the numbers of the file."""

import io
import zipfile

import numpy as np
import pytest

from hostile_files import EXEC, P2, TOUCH, doors, refused, text, trapped
from pertura.priors.foreign import read_foreign

__all__ = ["doors", "trapped"]


GADGET = P2 + EXEC + b"(" + text(TOUCH) + b"tR."


def archive(members, compressed=False):
    """A torch archive of the given members."""
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", kind) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return out.getvalue()


def tensor(storage=b"ctorch\nFloatStorage\n", key="0", count=2, offset=0, size=(2,), stride=(1,), hooks=b"}"):
    """The pickle of one tensor, said opcode by opcode."""

    def whole(number):
        raw = number.to_bytes(8, "little", signed=True)
        return b"\x8a\x08" + raw

    axes = b"(" + b"".join(map(whole, size)) + b"t"
    steps = b"(" + b"".join(map(whole, stride)) + b"t"
    identity = b"(" + text("storage") + storage + text(key) + text("cpu") + whole(count) + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + whole(offset) + axes + steps + b"\x89" + hooks + b"tR"
    return P2 + b"}" + text("A") + call + b"s."


STORAGE = np.arange(2, dtype="<f4").tobytes()


def with_pickle(content, *more, folder="x"):
    return archive([(f"{folder}/data.pkl", content), (f"{folder}/data/0", STORAGE), *more])


def test_the_tensor_said_by_hand_is_read(tmp_path):
    (tmp_path / "p.pt").write_bytes(with_pickle(tensor()))
    np.testing.assert_array_equal(read_foreign(tmp_path / "p.pt").table, [[0, 1]])


ARCHIVES = {
    "gadget in data.pkl": with_pickle(GADGET),
    "gadget as a persistent id": with_pickle(P2 + EXEC + b"(" + text(TOUCH) + b"tRQ."),
    "gadget as a storage kind": with_pickle(tensor(storage=EXEC)),
    "gadget as hooks": with_pickle(tensor(hooks=EXEC + b"(" + text(TOUCH) + b"tR")),
    "hooks that are not empty": with_pickle(tensor(hooks=b"}" + text("a") + b"Ns")),
    "a rebuild of another kind": with_pickle(b"ctorch._utils\n_rebuild_device_tensor_from_numpy\n)R."),
    "a script's class": with_pickle(b"c__torch__.Module\nModule\n)\x81."),
    "storage outside by ..": with_pickle(tensor(key="../data.pkl")),
    "storage outside by /": with_pickle(tensor(key="/etc/passwd")),
    "storage of no name": with_pickle(tensor(key="")),
    "storage that is absent": with_pickle(tensor(key="1")),
    "storage claimed larger": with_pickle(tensor(count=3)),
    "storage claimed smaller": with_pickle(tensor(count=1)),
    "storage of another type": with_pickle(tensor(storage=b"ctorch\nDoubleStorage\n")),
    "storage claimed endless": with_pickle(tensor(count=2**62)),
    "offset behind the end": with_pickle(tensor(offset=1)),
    "offset before the start": with_pickle(tensor(offset=-1)),
    "size behind the end": with_pickle(tensor(size=(3,))),
    "stride behind the end": with_pickle(tensor(stride=(2,))),
    "stride backwards": with_pickle(tensor(offset=1, stride=(-1,))),
    "stride zero, size endless": with_pickle(tensor(size=(2**40,), stride=(0,))),
    "size below zero": with_pickle(tensor(size=(-2,))),
    "more axes than strides": with_pickle(tensor(size=(1, 2))),
    "a hundred axes": with_pickle(tensor(size=(1,) * 100, stride=(1,) * 100)),
    "no pickle": archive([("x/data/0", STORAGE)]),
    "two pickles": with_pickle(tensor(), ("y/data.pkl", GADGET)),
    "pickle in a deeper folder": archive([("x/y/data.pkl", tensor()), ("x/y/data/0", STORAGE)]),
    "member above by ..": with_pickle(tensor(), ("x/../../evil", b"")),
    "member at the root": with_pickle(tensor(), ("/x/evil", b"")),
    "member beside the folder": with_pickle(tensor(), ("evil", b"")),
    "member by backslash": with_pickle(tensor(), ("x\\..\\evil", b"")),
    "member on a drive": with_pickle(tensor(), ("C:/evil", b"")),
    "a byte order of its own": with_pickle(tensor(), ("x/byteorder", b"middle")),
    "packed members": archive([("x/data.pkl", tensor()), ("x/data/0", STORAGE)], compressed=True),
    "a packed bomb": archive([("x/data.pkl", b"\x00" * 10**7), ("x/data/0", STORAGE)], compressed=True),
    "no archive but its start": b"PK\x03\x04" + b"\x00" * 100,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused(name, tmp_path, doors):
    refused(ARCHIVES[name], tmp_path, "vectors.pt")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["vectors.pt"]


def test_members_twice_are_refused(tmp_path, doors):
    with pytest.warns(UserWarning, match="Duplicate"):
        content = with_pickle(tensor(), ("x/data.pkl", GADGET))
    assert "twice" in refused(content, tmp_path)


def test_members_that_overlap_are_refused(tmp_path, doors):
    """Many names for the same bytes: the directory claims more than the file has."""
    content = bytearray(archive([("x/data.pkl", tensor()), *((f"x/data/{k}", b"\0" * 9000) for k in range(2))]))
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = content[content.index(b"PK\x01\x02") + 42 :][:4]
    refused(bytes(content), tmp_path)
