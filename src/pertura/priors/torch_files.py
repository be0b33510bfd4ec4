"""Opens the archives that `torch.save` writes, as raw bytes beside a pickle; torch itself takes no part."""

import errno
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pertura.core.errors import BadDataError
from pertura.priors.array_records import ArrayNames, StorageRecord, TensorRecord, storage_of, tensor_values
from pertura.priors.pickles import plain, read_pickle, refuse

MOST_MEMBERS = 1_000_000
LARGEST_PICKLE = 2**30
PICKLE = "data.pkl"
BYTE_ORDERS = {b"little": "<", b"big": ">"}
KEPT_STORAGES = 4
"""A file has one storage for each gene, or one for all."""


class TorchArchive:
    """A checked archive: its pickle, and the storages that it refers to."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive = archive
        self.members = _checked_members(archive, size)
        self.root = _root(self.members)
        order = self.members.get(f"{self.root}/byteorder")
        self.order = "<" if order is None else BYTE_ORDERS.get(self._content(order, 16), "")
        if not self.order:
            refuse("a byte order that is none")
        self.raw = lru_cache(maxsize=KEPT_STORAGES)(self._raw)

    def value(self) -> Any:
        """Return what the pickle holds, with `TensorRecord`s where tensors are."""
        content = self._content(self.members[f"{self.root}/{PICKLE}"], LARGEST_PICKLE)
        return plain(read_pickle(BytesIO(content), ArrayNames(self)))

    def storage(self, identity: Any) -> StorageRecord:
        """Return the storage a pickle refers to; it has to be a member of exactly the size that it claims."""
        record = storage_of(identity)
        if not re.fullmatch(r"[0-9A-Za-z_]{1,64}", record.key):
            refuse("a storage whose name is a path")
        member = self.members.get(f"{self.root}/data/{record.key}")
        width = 2 if record.kind == "bfloat16" else np.dtype(record.kind).itemsize
        if member is None or member.file_size != record.count * width:
            found = "nothing" if member is None else f"{member.file_size} bytes"
            refuse(f"storage {record.key} of {record.count} numbers of {width} bytes: {found} is there")
        return record

    def values(self, record: TensorRecord) -> np.ndarray:
        """Return the numbers of a tensor."""
        return tensor_values(record, self.raw(record.storage.key), self.order)

    def _raw(self, key: str) -> bytes:
        member = self.members[f"{self.root}/data/{key}"]
        return self._content(member, member.file_size)

    def _content(self, member: zipfile.ZipInfo, most: int) -> bytes:
        """Return the bytes of a member, whose checksum is compared on the way."""
        if member.file_size > most:
            refuse(f"member {member.filename[:80]!r} has {member.file_size} bytes, more than {most}")
        content = self.archive.read(member)
        if len(content) != member.file_size:
            refuse(f"member {member.filename[:80]!r} is cut short")
        return content


@contextmanager
def torch_archive(path: Path) -> Iterator[TorchArchive]:
    """Yield the archive in a file; damage and everything that torch would not write raise `BadDataError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield TorchArchive(archive, path.stat().st_size)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadDataError(f"the archive is damaged ({error})", file=path, remedy="fetch the file again") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # zipfile seeks wherever a damaged archive sends it
            raise
        raise BadDataError("the archive is damaged", file=path, remedy="fetch the file again") from error
    except (UnicodeError, OverflowError, ValueError) as error:
        raise BadDataError(f"the archive is malformed ({type(error).__name__})", file=path) from error


def _checked_members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name: stored as they are, of plain names, none twice, together no larger than the file."""
    listed = archive.infolist()
    if len(listed) > MOST_MEMBERS:
        refuse(f"{len(listed)} members, more than {MOST_MEMBERS}")
    members: dict[str, zipfile.ZipInfo] = {}
    for one in listed:
        name = one.orig_filename
        if name in members or one.filename in members:
            refuse(f"member {name[:80]!r} is there twice")
        if not _is_plain(name) or name != one.filename:
            refuse(f"member {name[:80]!r} is a path that leads elsewhere")
        if one.compress_type != zipfile.ZIP_STORED or one.flag_bits & 1 or one.compress_size != one.file_size:
            refuse(f"member {name[:80]!r} is packed or encrypted, which torch never does")
        members[name] = one
    if sum(one.file_size for one in listed) > size:
        refuse("the members are together larger than the file")
    return members


def _is_plain(name: str) -> bool:
    """Return whether a name is one that stays inside the archive, printable and without tricks."""
    parts = PurePosixPath(name).parts
    inside = bool(parts) and parts[0] != "/" and ".." not in name.split("/")
    return inside and name.isprintable() and not re.search(r"[\\:]|//", name)


def _root(members: dict[str, zipfile.ZipInfo]) -> str:
    """Return the one folder in which everything lies."""
    pickles = [name for name in members if PurePosixPath(name).name == PICKLE]
    if len(pickles) != 1 or pickles[0].count("/") != 1:
        refuse(f"{len(pickles)} members are a {PICKLE}, and one in one folder was expected")
    root = pickles[0].split("/")[0]
    if any(not name.startswith(f"{root}/") for name in members):
        refuse("members lie in several folders")
    return root
