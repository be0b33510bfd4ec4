"""Reads the structure of a pickle that holds objects of any classes, without importing or calling any of them.

Every object becomes an inert record: the name of what would have made it, the arguments, and the state that would have
been put into it. Attributes are looked up in the records by name; arrays are put together from their raw bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pertura.core.errors import BadDataError
from pertura.priors.array_records import DTYPE, LATIN, ArrayNames, ArrayRecord, TypeRecord
from pertura.priors.pickles import Items, Named, Reading, read_with, refuse


@dataclass(eq=False, slots=True)
class Inert:
    """An object that was not made: what would have made it, from what, and what would have been put into it."""

    made_by: Any
    arguments: Any
    state: Any = None
    items: list[Any] = field(default_factory=list)
    """What would have been appended or added."""
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    """What would have been set by key."""

    @property
    def kind(self) -> str:
        """The last part of the name of what would have made it."""
        return self.made_by.name if isinstance(self.made_by, Named) else ""


class Table(dict[str, Any]):
    """A dict whose keys are words; `others` has the values under keys of other kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[tuple[Any, Any]] = []


class AnyNames:
    """Every name may be mentioned, since none is followed."""

    def known(self, named: Named) -> bool:
        """Return True."""
        return True

    def called(self, named: Named, arguments: tuple[Any, ...]) -> Any:
        """Return the record of a call."""
        return Inert(named, arguments)

    def built(self, record: Any, state: Any) -> None:
        """Keep a state with its record."""
        if not isinstance(record, Inert):
            refuse("opcode BUILD on something that is no object")
        record.state = state

    def persistent(self, identity: Any) -> Any:
        """Refuse what lies outside the pickle."""
        refuse("opcode BINPERSID, which asks for something outside the file")


class ObjectReading(Reading):
    """A reading that makes inert records of objects and sets."""

    def action(self, opcode: str) -> Callable[[Any, Any], None] | None:
        """Return what an opcode does to the stack."""
        return OBJECT_ACTIONS.get(opcode) or super().action(opcode)

    def call(self, _: Any) -> None:
        """Replace something callable and its arguments by the record of the call."""
        arguments, made_by = self.pop(), self.pop()
        self.stack.append(Inert(made_by, arguments))

    def called_with_keywords(self, _: Any) -> None:
        """Replace a class, its arguments and keywords by the record of the object."""
        keywords, arguments, made_by = self.pop(), self.pop(), self.pop()
        self.stack.append(Inert(made_by, (arguments, keywords)))

    def append(self, values: list[Any]) -> None:
        """Lengthen a list, or keep what an object would have been given."""
        if isinstance(self.top(), Inert):
            self.top().items.extend(values)
        else:
            super().append(values)

    def set_items(self, pairs: list[Any]) -> None:
        """Put keys and values into a dict or the record of an object; only words are keys of a dict."""
        target = self.top()
        both = list(zip(pairs[::2], pairs[1::2]))
        if isinstance(target, Inert):
            target.pairs.extend(both)
            return
        if not isinstance(target, Table):
            refuse("the pickle fills something that is no dict")
        super().set_items([one for key, value in both if type(key) is str for one in (key, value)])
        target.others.extend((key, value) for key, value in both if type(key) is not str)

    def group(self, values: Iterable[Any]) -> None:
        """Push the record of a set."""
        self.stack.append(Inert(Named("builtins", "set"), (), items=list(values)))


def _dict_of(reading: Any, _: Any) -> None:
    group = reading.since_mark()
    reading.stack.append(Table())
    reading.set_items(group)


OBJECT_ACTIONS: Mapping[str, Callable[[Any, Any], None]] = {
    "EMPTY_DICT": lambda reading, _: reading.stack.append(Table()),
    "DICT": _dict_of,
    "REDUCE": ObjectReading.call,
    "NEWOBJ": ObjectReading.call,
    "NEWOBJ_EX": ObjectReading.called_with_keywords,
    "APPEND": lambda reading, _: reading.append([reading.pop()]),
    "APPENDS": lambda reading, _: reading.append(reading.since_mark()),
    "EMPTY_SET": lambda reading, _: reading.group(()),
    "FROZENSET": lambda reading, _: reading.group(reading.since_mark()),
    "ADDITEMS": lambda reading, _: reading.append(reading.since_mark()),
    "DUP": lambda reading, _: reading.stack.append(reading.top()),
}


def read_objects(path: Path) -> Any:
    """Return the value in a pickle file, with `Inert` records where objects are; `BadDataError` where it is none."""
    try:
        with path.open("rb") as file:
            return read_with(ObjectReading(file, AnyNames()))
    except BadDataError as error:
        raise BadDataError(error.problem, file=path, remedy=error.remedy) from error


class LackingError(BadDataError):
    """Something that was looked for in a pickle is not there."""


def lacking(what: str) -> NoReturn:
    """Raise the error of a pickle without something that it needs."""
    raise LackingError(
        f"the pickle has no {what}", remedy="it is of another program, or of a version that is not known"
    )


def entry(value: Any, name: str) -> Any:
    """Return an attribute of a record, a value of a dict or of the record of one; `LackingError` where it is none."""
    for fields in _fields(value):
        if name in fields:
            return fields[name]
    return lacking(repr(name))


def _fields(value: Any) -> Iterable[Mapping[str, Any]]:
    """Yield the mappings in which a record keeps what it knows by name."""
    if isinstance(value, Mapping):
        yield value
    if isinstance(value, Inert):
        # a state is a dict, or a dict of what has a slot beside one of what has none
        yield from (one for one in (value.state, *_as_tuple(value.state)) if isinstance(one, Mapping))
        yield {key: one for key, one in value.pairs if type(key) is str}
        yield from (one for one in _as_tuple(value.arguments) if isinstance(one, Mapping))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def mapping(value: Any) -> dict[str, Any]:
    """Return a dict, or the record of an object that holds one, by its words."""
    if isinstance(value, Table):
        return dict(value)
    if isinstance(value, Inert):
        found = {key: one for key, one in value.pairs if type(key) is str}
        return found or next((mapping(one) for one in _as_tuple(value.arguments) if isinstance(one, Table)), {})
    return lacking(f"dict where {type(value).__name__} is")


def listed(value: Any) -> list[Any]:
    """Return the values of a list, tuple or set."""
    if isinstance(value, Items):
        return list(value.values)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Inert) and value.items:
        return list(value.items)
    return lacking(f"list where {type(value).__name__} is")


def array(value: Any) -> np.ndarray:
    """Return the numbers of a record that describes an array of numpy or of jax; `LackingError` for anything else."""
    if isinstance(value, Inert) and isinstance(value.made_by, Named):
        made_by, arguments = value.made_by, value.arguments
        if made_by.name == "_reconstruct_array" and isinstance(arguments, tuple) and len(arguments) >= 3:
            return _numbers(*arguments[:3])
        if made_by.name in ("_reconstruct", "_frombuffer", "scalar"):
            return _numbers(made_by, arguments, value.state)
    return lacking(f"array where {getattr(value, 'kind', '') or type(value).__name__} is")


def words(value: Any) -> list[str]:
    """Return the words of an array of words, or of a list of them."""
    if isinstance(value, Inert) and value.kind == "_reconstruct" and isinstance(value.state, tuple):
        value = value.state[-1]
    found = listed(value)
    if not all(type(one) is str for one in found):
        lacking("words where other values are")
    return found


def _numbers(made_by: Any, arguments: Any, state: Any) -> np.ndarray:
    names = ArrayNames()
    if not isinstance(made_by, Named) or not isinstance(arguments, tuple) or not names.known(made_by):
        return lacking(f"array that {made_by if isinstance(made_by, Named) else 'an object'} would make")
    found = names.called(made_by, tuple(_part(one) for one in arguments))
    if isinstance(found, ArrayRecord):
        if found.values is None:
            names.built(found, tuple(_part(one) for one in _as_tuple(state)))
        return found.values if found.values is not None else lacking("numbers in an array")
    return np.asarray(found)


def _part(value: Any) -> Any:
    """Return what an array is described by: a number type or old spelled bytes for their records, else as it is."""
    if not (isinstance(value, Inert) and value.made_by in (DTYPE, LATIN) and isinstance(value.arguments, tuple)):
        return value
    names = ArrayNames()
    if value.made_by == LATIN:
        return names.called(LATIN, value.arguments)
    record: TypeRecord = names.called(DTYPE, value.arguments)
    if isinstance(value.state, tuple):
        names.built(record, value.state)
    return record
