"""Arrays and tensors in pickles as inert records: recognised by words that describe them, filled from raw bytes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pertura.priors.pickles import Items, Named, refuse

MOST_AXES = 8
NUMPY_MODULES = frozenset({"numpy.core.multiarray", "numpy._core.multiarray"})
BUFFER_MODULES = frozenset({"numpy.core.numeric", "numpy._core.numeric"})
ARRAY = Named("numpy", "ndarray")
DTYPE = Named("numpy", "dtype")
LATIN = Named("_codecs", "encode")
ORDERED = Named("collections", "OrderedDict")
TENSOR = Named("torch._utils", "_rebuild_tensor_v2")
PARAMETER = Named("torch._utils", "_rebuild_parameter")
NUMBERS = "fiub"
WORDS = "U"

STORAGES: Mapping[str, str] = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
}
"""torch's name for a kind of storage -> the numbers in it."""


@dataclass(eq=False, slots=True)
class TypeRecord:
    """The description of a number type; its byte order may come after the rest."""

    text: str
    order: str = "<"

    def dtype(self, kinds: str = NUMBERS) -> np.dtype[Any]:
        """Return the type, if it is one of plain numbers (or of another of the given kinds)."""
        kind, size = self.text[:1], self.text[1:]
        if not kind or kind not in kinds or not size.isascii() or not size.isdigit() or not 1 <= int(size[:6]) <= 4096:
            refuse(f"an array of {self.text[:20]!r}, which is no kind of number")
        if kind in NUMBERS and int(size) not in (1, 2, 4, 8):
            refuse(f"an array of {self.text[:20]!r}, which is no kind of number")
        return np.dtype(("" if self.order == "|" else self.order) + self.text)


@dataclass(eq=False, slots=True)
class ArrayRecord:
    """An array that a pickle describes; `values` once it was filled."""

    values: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class StorageRecord:
    """The name of raw numbers that lie beside the pickle: their type, member of the archive, and count."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True, eq=False, slots=True)
class TensorRecord:
    """A tensor as a view of a storage: where it begins, its size and steps along each axis, in numbers."""

    storage: StorageRecord
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@runtime_checkable
class Outside(Protocol):
    """What a kind of file keeps beside its pickle."""

    def storage(self, identity: Any) -> StorageRecord:
        """Return the record of raw numbers that a pickle refers to."""
        ...


class ArrayNames:
    """The names that plain numpy arrays need; `outside` adds those of torch tensors."""

    def __init__(self, outside: Outside | None = None) -> None:
        self.outside = outside

    def known(self, named: Named) -> bool:
        """Return whether the name is one that stands for an array, its type, its bytes, or an ordered dict."""
        if self.outside is not None and (named in (TENSOR, PARAMETER) or _is_storage(named)):
            return True
        if named.module in NUMPY_MODULES:
            return named.name in ("_reconstruct", "scalar")
        if named.module in BUFFER_MODULES:
            return named.name == "_frombuffer"
        return named in (ARRAY, DTYPE, LATIN, ORDERED)

    def called(self, named: Named, arguments: tuple[Any, ...]) -> Any:
        """Return the record or value for one of the recognised calls."""
        if named == DTYPE:
            return _type(arguments)
        if named == LATIN:
            return _latin_bytes(arguments)
        if named == ORDERED:
            return {} if not arguments else refuse("an ordered dict that is made of something")
        if named == TENSOR:
            return _tensor(arguments)
        if named == PARAMETER:
            return arguments[0] if isinstance(arguments[0], TensorRecord) else refuse("a parameter without a tensor")
        if named.name == "_reconstruct":
            return ArrayRecord() if arguments[:1] == (ARRAY,) else refuse("an array of a class of its own")
        if named.name == "scalar":
            return _scalar(arguments)
        if named.name == "_frombuffer":
            return _from_buffer(arguments)
        return refuse(f"opcode REDUCE on {named}, which is not to be called")

    def built(self, record: Any, state: Any) -> None:
        """Fill an array or type record; the version marks that torch hangs on a dict of weights are passed over."""
        if type(record) is dict and type(state) is dict and set(state) == {"_metadata"}:
            return
        if not isinstance(state, tuple):
            refuse(f"opcode BUILD with a state that is {type(state).__name__}")
        if isinstance(record, ArrayRecord) and len(state) == 5:
            _, shape, kind, columns_first, content = state
            record.values = _filled(content, kind, shape, "F" if columns_first is True else "C")
        elif isinstance(record, TypeRecord) and len(state) >= 2 and state[1] in ("<", ">", "|", "="):
            if any(one is not None for one in state[2:5]):
                refuse("an array of records")
            record.order = "<" if state[1] == "=" else state[1]
        else:
            refuse("opcode BUILD on something that is no array")

    def persistent(self, identity: Any) -> Any:
        """Return the record of a torch storage; other pickles have nothing outside."""
        if self.outside is None:
            refuse("opcode BINPERSID, which asks for something outside the file")
        return self.outside.storage(identity)


def tensor_values(record: TensorRecord, content: bytes, order: str) -> np.ndarray:
    """Return the numbers of a tensor out of the raw bytes of its storage; reaching beyond them is refused."""
    bfloat = record.storage.kind == "bfloat16"
    stored = np.frombuffer(content, dtype=order + ("u2" if bfloat else record.storage.kind))
    if bfloat:
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    count = math.prod(record.size)
    last = record.offset + sum((size - 1) * step for size, step in zip(record.size, record.stride))
    if count > len(stored) or (count and last >= len(stored)):
        refuse(f"a tensor reaches to number {last} of a storage of {len(stored)}")
    if not count:
        return np.zeros(record.size, dtype=stored.dtype)
    steps = tuple(step * stored.itemsize for step in record.stride)
    view = np.lib.stride_tricks.as_strided(stored[record.offset :], record.size, steps, writeable=False)
    return np.array(view)


def storage_of(identity: Any) -> StorageRecord:
    """Return the record that torch's `("storage", kind, key, place, count)` describes."""
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        refuse("opcode BINPERSID with something that is no storage")
    _, kind, key, _, count = identity
    if not isinstance(kind, Named) or not _is_storage(kind) or type(key) is not str or not _natural(count):
        refuse("a storage that is not described as one")
    return StorageRecord(STORAGES[kind.name], key, count)


def _is_storage(named: Named) -> bool:
    return named.module == "torch" and named.name in STORAGES


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _axes(value: Any) -> tuple[int, ...]:
    """Return a shape or strides, each a natural number."""
    if not isinstance(value, tuple) or len(value) > MOST_AXES or not all(_natural(one) for one in value):
        refuse("a shape that is none")
    return value


def _type(arguments: tuple[Any, ...]) -> TypeRecord:
    if not arguments or type(arguments[0]) is not str:
        refuse("a number type that is no word")
    return TypeRecord(arguments[0])


def _latin_bytes(arguments: tuple[Any, ...]) -> bytes:
    """Return the bytes that old protocols spell as text."""
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] not in ("latin1", "latin-1"):
        refuse("an encoding that arrays do not use")
    return arguments[0].encode("latin-1")


def _filled(content: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    """Return the array of some raw bytes; their number has to be exact."""
    if type(content) is str:  # protocols before 3 had no bytes
        content = content.encode("latin-1")
    if not isinstance(content, bytes | bytearray) or not isinstance(kind, TypeRecord):
        refuse(f"an array whose content is {'a list' if isinstance(content, Items) else type(content).__name__}")
    dtype, axes = kind.dtype(), _axes(shape)
    if math.prod(axes) * dtype.itemsize != len(content):
        refuse(f"{len(content)} bytes for an array of {math.prod(axes)} numbers of {dtype.itemsize}")
    values = np.frombuffer(bytes(content), dtype=dtype)
    return values.reshape(axes, order="F" if order == "F" else "C")


def _from_buffer(arguments: tuple[Any, ...]) -> ArrayRecord:
    if len(arguments) != 4 or arguments[3] not in ("C", "F", "A", "K"):
        refuse("an array that is not described as one")
    content, kind, shape, order = arguments
    return ArrayRecord(_filled(content, kind, shape, order))


def _scalar(arguments: tuple[Any, ...]) -> int | float | str:
    """Return one number or word of numpy's as Python's."""
    if len(arguments) != 2 or not isinstance(arguments[0], TypeRecord):
        refuse("a number that is not described as one")
    kind, content = arguments
    dtype = kind.dtype(NUMBERS + WORDS)
    if type(content) is str:
        content = content.encode("latin-1")
    if not isinstance(content, bytes) or len(content) != dtype.itemsize:
        refuse("a number whose bytes are not those of its type")
    return np.frombuffer(content, dtype=dtype)[0].item()


def _tensor(arguments: tuple[Any, ...]) -> TensorRecord:
    if not 6 <= len(arguments) <= 7 or not isinstance(arguments[0], StorageRecord) or not _natural(arguments[1]):
        refuse("a tensor that is not described as one")
    size, stride = _axes(arguments[2]), _axes(arguments[3])
    if len(size) != len(stride) or arguments[5] != {}:
        refuse("a tensor that is not described as one")
    return TensorRecord(arguments[0], arguments[1], size, stride)
