"""Reads the values in a pickle without executing anything.

A pickle is a program: by design it can import and call whatever it names. Here its opcodes are listed by the standard
library's disassembler, which only decodes, and are followed by an interpreter of our own that knows how to put together
numbers, words, lists, tuples and dicts. The few names that stand for arrays are recognised as words and never imported;
every other name, and every opcode that would call something, ends the reading.
"""

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, cast, runtime_checkable

import numpy as np

from pertura.core.errors import BadDataError

MOST_MEMO = 20_000_000
MOST_OPEN = 10_000
"""Marks that may be open at one time; a real file has a handful."""
LONGEST_INTEGER = 16
"""Bytes: sizes and offsets need eight."""
BINFLOAT = ord("G")
FLOAT_BYTES = 9
FLOATS_AHEAD = 4096


class Mark:
    """Stands on the stack where a group of values begins."""


@dataclass(eq=False, slots=True)
class Items:
    """A list that is being put together; once it is whole and all numbers, it is packed into an array."""

    values: list[Any] | np.ndarray = field(default_factory=list)

    def pack(self) -> None:
        """Keep the numbers as an array, an eighth of the memory, if they are all floats."""
        if isinstance(self.values, list) and self.values and all(type(one) is float for one in self.values):
            self.values = np.asarray(self.values, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Named:
    """A name that a pickle mentions. It is a word, never what it names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:100]


@runtime_checkable
class Source(Protocol):
    """The bytes of a pickle: a memory-mapped file or bytes in memory. Neither gives more than there is."""

    def read(self, count: int, /) -> bytes:
        """Return the next bytes."""
        ...

    def readline(self) -> bytes:
        """Return the bytes to the end of a line."""
        ...

    def tell(self) -> int:
        """Return the place of the next byte."""
        ...

    def seek(self, place: int, /) -> Any:
        """Go to a place."""
        ...


@runtime_checkable
class Names(Protocol):
    """What to make of names, for one kind of file; each method refuses what it does not know."""

    def known(self, named: Named) -> bool:
        """Return whether the name may be mentioned."""
        ...

    def called(self, named: Named, arguments: tuple[Any, ...]) -> Any:
        """Return the record that stands for a recognised call."""
        ...

    def built(self, record: Any, state: Any) -> None:
        """Put a state into a record that `called` gave."""
        ...

    def persistent(self, identity: Any) -> Any:
        """Return the record that stands for something outside the pickle."""
        ...


def refuse(problem: str) -> NoReturn:
    """Raise the error of a pickle that is not plain data."""
    remedy = "only numbers, words, lists, dicts and arrays are read; nothing was executed"
    raise BadDataError(problem, remedy=remedy)


def read_pickle(source: Source, names: Names) -> Any:
    """Return the value in a pickle: dict, tuple, str, int, float, bytes, None, `Items`, or a record of `names`.

    `BadDataError` for everything else, and for a pickle that is cut, malformed or followed by something.
    """
    return read_with(Reading(source, names))


def read_with(reading: "Reading") -> Any:
    """Return the value that a reading comes to; `BadDataError` where the pickle is cut, malformed or goes on."""
    try:
        value = reading.run()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error, RecursionError) as error:
        refuse(f"the pickle is malformed or cut short ({type(error).__name__})")
    if reading.source.read(1):
        refuse("something follows the end of the pickle")
    return value


def plain(value: Any, deepest: int = 24) -> Any:
    """Return a value with every `Items` as a list or array; what contains itself or nests deeper is refused."""
    return _plain(value, {}, deepest)


UNFINISHED = object()


def _plain(value: Any, done: dict[int, Any], left: int) -> Any:
    """Resolve a value once, however often it is mentioned: a few bytes can mention one list a billion times."""
    if not isinstance(value, Items | dict | tuple):
        return value
    if id(value) in done:
        found = done[id(value)]
        return refuse("something in the pickle contains itself") if found is UNFINISHED else found
    if left == 0:
        refuse("the values nest too deep")
    done[id(value)] = UNFINISHED
    if isinstance(value, dict):
        made: Any = {key: _plain(one, done, left - 1) for key, one in value.items()}
    elif isinstance(value, tuple):
        made = tuple(_plain(one, done, left - 1) for one in value)
    else:
        inside = value.values
        made = inside if isinstance(inside, np.ndarray) else [_plain(one, done, left - 1) for one in inside]
    done[id(value)] = made
    return made


class Reading:
    """One pass over a pickle: the stack, the memo, and what each allowed opcode does to them."""

    def __init__(self, source: Source, names: Names) -> None:
        self.source, self.names = source, names
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.marks = 0

    def run(self) -> Any:
        """Follow the opcodes to the end and return what is then on the stack."""
        for opcode, argument, _ in pickletools.genops(cast(Any, self.source)):
            if opcode.name == "STOP":
                break
            if opcode.name == "BINFLOAT":
                self.stack.append(argument)
                self._floats_ahead()
            elif opcode.name in PUSHED:
                self.stack.append(_small(argument) if type(argument) is int else argument)
            else:
                action = self.action(opcode.name)
                if action is None:
                    refuse(f"opcode {opcode.name}, which {REFUSED.get(opcode.name, 'plain data never needs')}")
                action(self, argument)
        if len(self.stack) != 1 or isinstance(self.stack[0], Mark):
            refuse(f"{len(self.stack)} values are left at the end of the pickle")
        return self.stack[0]

    def action(self, opcode: str) -> Callable[["Reading", Any], None] | None:
        """Return what an opcode does to the stack; None where it has no business in plain data."""
        return ACTIONS.get(opcode)

    def _floats_ahead(self) -> None:
        """Take the floats that follow directly, many at a time: a table of vectors consists of little else.

        An opcode follows its predecessor's argument, so as long as every ninth byte is BINFLOAT it is one.
        """
        while True:
            start = self.source.tell()
            ahead = self.source.read(FLOAT_BYTES * FLOATS_AHEAD)
            whole = np.frombuffer(ahead, dtype=np.uint8)[: len(ahead) // FLOAT_BYTES * FLOAT_BYTES].reshape(-1, 9)
            others = np.flatnonzero(whole[:, 0] != BINFLOAT)
            count = int(others[0]) if len(others) else len(whole)
            self.stack.extend(np.ascontiguousarray(whole[:count, 1:]).view(">f8").ravel().tolist())
            self.source.seek(start + count * FLOAT_BYTES)
            if count < FLOATS_AHEAD:
                return

    def pop(self) -> Any:
        """Return the top of the stack, which has to be a value."""
        if not self.stack or isinstance(self.stack[-1], Mark):
            refuse("the pickle takes a value where there is none")
        return self.stack.pop()

    def top(self) -> Any:
        """Return the top of the stack and leave it there."""
        if not self.stack or isinstance(self.stack[-1], Mark):
            refuse("the pickle uses a value where there is none")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """Take every value down to the last mark, and the mark."""
        place = len(self.stack) - 1
        while place >= 0 and not isinstance(self.stack[place], Mark):
            place -= 1
        if place < 0:
            refuse("the pickle closes a group that it never opened")
        group = self.stack[place + 1 :]
        del self.stack[place:]
        self.marks -= 1
        return group

    def drop_group(self) -> None:
        """Take every value down to the last mark, and forget them."""
        self.since_mark()

    def mark(self, _: Any) -> None:
        """Open a group."""
        self.marks += 1
        if self.marks > MOST_OPEN:
            refuse(f"more than {MOST_OPEN} groups are open at one time")
        self.stack.append(Mark())

    def put(self, place: Any) -> None:
        """Remember the top of the stack."""
        number = len(self.memo) if place is None else place
        if not 0 <= number < MOST_MEMO:
            refuse(f"memo place {_brief(number)} is out of bounds")
        self.memo[number] = self.top()

    def recall(self, place: Any) -> None:
        """Push what was remembered."""
        if place not in self.memo:
            refuse(f"memo place {_brief(place)} was never filled")
        self.stack.append(self.memo[place])

    def append(self, values: list[Any]) -> None:
        """Lengthen the list on top of the stack."""
        items = self.top()
        if not isinstance(items, Items) or not isinstance(items.values, list):
            refuse("the pickle lengthens something that is no open list")
        items.values.extend(values)

    def set_items(self, pairs: list[Any]) -> None:
        """Put keys and values into the dict on top of the stack."""
        target = self.top()
        if not isinstance(target, dict) or len(pairs) % 2:
            refuse("the pickle fills something that is no dict")
        for key, value in zip(pairs[::2], pairs[1::2]):
            if type(key) is not str:  # other keys can be made to collide, or are no gene
                refuse(f"a dict has a key that is no word but {type(key).__name__}")
            if key in target:
                refuse(f"the key {_brief(key)} is there twice")
            if isinstance(value, Items):
                value.pack()
            target[key] = value

    def mention(self, module: Any, name: Any) -> None:
        """Push a name as a word, if it is one that is recognised."""
        if type(module) is not str or type(name) is not str:
            refuse("the pickle names something by what is no word")
        named = Named(module, name)
        if not self.names.known(named):
            refuse(f"the pickle names {named}, which is not plain data")
        self.stack.append(named)

    def named_global(self, argument: Any) -> None:
        """Mention `module name` of a text opcode."""
        module, _, name = argument.partition(" ")
        self.mention(module, name)

    def stacked_global(self, _: Any) -> None:
        """Mention the two words on top of the stack."""
        name, module = self.pop(), self.pop()
        self.mention(module, name)

    def call(self, _: Any) -> None:
        """Replace a recognised name and its arguments by the record that stands for the call."""
        arguments, named = self.pop(), self.pop()
        if not isinstance(named, Named) or not isinstance(arguments, tuple):
            refuse("opcode REDUCE on something that has no recognised name")
        self.stack.append(self.names.called(named, arguments))

    def build(self, _: Any) -> None:
        """Put a state into the record below it."""
        state = self.pop()
        self.names.built(self.top(), state)

    def persistent(self, _: Any) -> None:
        """Push the record of something outside the pickle."""
        self.stack.append(self.names.persistent(self.pop()))


def _small(number: int) -> int:
    if number.bit_length() > 8 * LONGEST_INTEGER:
        refuse(f"an integer of {number.bit_length()} bits")
    return number


def _brief(value: object) -> str:
    """Return a word or number for a message, cut; nested values are never spelled out."""
    return (
        repr(value[:60] if isinstance(value, str) else value) if isinstance(value, str | int) else type(value).__name__
    )


def _pairs(reading: Reading) -> None:
    group = reading.since_mark()
    reading.stack.append({})
    reading.set_items(group)


def _tuple(count: int) -> Callable[[Reading, Any], None]:
    def gather(reading: Reading, _: Any) -> None:
        values = [reading.pop() for _ in range(count)][::-1]
        reading.stack.append(tuple(values))

    return gather


def _pop(reading: Reading, _: Any) -> None:
    if reading.stack and isinstance(reading.stack[-1], Mark):
        reading.since_mark()
    else:
        reading.pop()


def _single(reading: Reading, _: Any) -> None:
    value, key = reading.pop(), reading.pop()
    reading.set_items([key, value])


PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "STRING", "BINSTRING"}
    | {"SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
"""Opcodes whose decoded argument is the value."""

ACTIONS: Mapping[str, Callable[[Reading, Any], None]] = {
    "PROTO": lambda reading, argument: None,
    "FRAME": lambda reading, argument: None,
    "NONE": lambda reading, argument: reading.stack.append(None),
    "NEWTRUE": lambda reading, argument: reading.stack.append(True),
    "NEWFALSE": lambda reading, argument: reading.stack.append(False),
    "MARK": Reading.mark,
    "POP": _pop,
    "POP_MARK": lambda reading, argument: reading.drop_group(),
    "EMPTY_LIST": lambda reading, argument: reading.stack.append(Items()),
    "LIST": lambda reading, argument: reading.stack.append(Items(reading.since_mark())),
    "APPEND": lambda reading, argument: reading.append([reading.pop()]),
    "APPENDS": lambda reading, argument: reading.append(reading.since_mark()),
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda reading, argument: reading.stack.append(tuple(reading.since_mark())),
    "EMPTY_DICT": lambda reading, argument: reading.stack.append({}),
    "DICT": lambda reading, argument: _pairs(reading),
    "SETITEM": _single,
    "SETITEMS": lambda reading, argument: reading.set_items(reading.since_mark()),
    "PUT": Reading.put,
    "BINPUT": Reading.put,
    "LONG_BINPUT": Reading.put,
    "MEMOIZE": Reading.put,
    "GET": Reading.recall,
    "BINGET": Reading.recall,
    "LONG_BINGET": Reading.recall,
    "GLOBAL": Reading.named_global,
    "STACK_GLOBAL": Reading.stacked_global,
    "REDUCE": Reading.call,
    "BUILD": Reading.build,
    "BINPERSID": Reading.persistent,
}
"""What every other allowed opcode does; an opcode that is in neither list ends the reading."""

REFUSED: Mapping[str, str] = {
    "INST": "makes an object of a class",
    "OBJ": "makes an object of a class",
    "NEWOBJ": "makes an object of a class",
    "NEWOBJ_EX": "makes an object of a class",
    "EXT1": "calls something by a registered number",
    "EXT2": "calls something by a registered number",
    "EXT4": "calls something by a registered number",
    "PERSID": "asks for something outside the file",
    "NEXT_BUFFER": "asks for a buffer outside the file",
    "READONLY_BUFFER": "asks for a buffer outside the file",
}
