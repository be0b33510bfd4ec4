"""Text and bytes that were tampered with: words, pieces and values that do not belong, bytes changed or cut."""

import datetime
import json
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import tomli_w

One = TypeVar("One")
WORDS = (
    *("-1", "0", "1e400", "nan", "", "x" * 5000, "99999999999999999999", "A|B", '"', "a\tb", "é", "1.5", "%", "+", "@"),
    *("\0", "../../x", "A+B", "ctrl", "-0", "1_000", "inf", "=1+1", "\u202eA", "None"),
)
PIECES = (
    *('"', "[", "]", "{", "}", "=", ",", "\n", "null", "3", "1e999", '"B"', "test", "val", "fewshot", "r.x", "ctrl"),
    *("+", "@", ".", "\0", "'", "[" * 3000, '{"a":' * 3000, "\ufeff", "9" * 5000, "0x" + "f" * 5000),
)
STRINGS = (
    *("", " ", "A", "B", "A+ctrl", "ctrl+A", "ctrl", "A+B+C+D", "A+A", "+", "@", "A@", "@x", "A@x", "A@x@y", "nan"),
    *("None", "-1", "\0", "a\0b", "\n", "é", "\u202eA", "..", "../../x", "/etc/passwd", "~", "C:\\x", "x" * 9999, "::"),
    *("1979-05-27", "control", "non-targeting", "%s", "{0}", "<b>", "+" * 500),
)
NUMBERS = (
    0,
    1,
    -1,
    3,
    2,
    7,
    255,
    2**31,
    2**63,
    -(2**63) - 1,
    10**30,
    0.0,
    -0.0,
    1.5,
    1e308,
    float("inf"),
    float("nan"),
)


def pick(rng: np.random.Generator, among: Sequence[One]) -> One:
    """One of several, each as likely."""
    return among[int(rng.integers(len(among)))]


# ---- text


def words_changed(text: str, rng: np.random.Generator) -> str:
    """Put another word in the place of one, or double, drop or swap lines."""
    lines = text.split("\n")
    at, other = (int(i) for i in rng.integers(len(lines), size=2))
    kind = int(rng.integers(5))
    if kind == 0:
        lines.insert(at, lines[other])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        mark = next((one for one in (",", "\t", " ") if one in lines[at]), " ")
        words = lines[at].split(mark)
        words[int(rng.integers(len(words)))] = pick(rng, WORDS)
        lines[at] = mark.join(words)
    return "\n".join(lines)


def pieces_changed(text: str, rng: np.random.Generator) -> str:
    """Write pieces of syntax over some places of a text, or cut a little out there."""
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(text) + 1))
        piece = pick(rng, PIECES)
        length = int(rng.integers(6))
        text = text[:at] + (piece if rng.random() < 0.7 else "") + text[at + length :]
    return text


def bytes_changed(raw: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut or repeat some bytes."""
    at = int(rng.integers(max(len(raw), 1)))
    kind = int(rng.integers(3))
    if kind == 0:
        return raw[:at]
    if kind == 1:
        return raw[:at] + bytes(rng.integers(256, size=3, dtype=np.uint8)) + raw[at + 3 :]
    return raw[:at] + raw[at : at + 40] * 2 + raw[at:]


# ---- values of JSON and TOML


def json_changed(text: str, rng: np.random.Generator) -> str:
    """Change one to three values or keys of a JSON text; it stays JSON, as Python's own writer has it."""
    return json.dumps(tree_changed(json.loads(text), rng, nothing=True))


def toml_changed(text: str, rng: np.random.Generator) -> str:
    """Change one to three values or keys of a TOML text; it stays TOML."""
    return tomli_w.dumps(tree_changed(tomllib.loads(text), rng, nothing=False))


def tree_changed(tree: Any, rng: np.random.Generator, *, nothing: bool) -> Any:
    """Change one to three places of nested lists and tables; `nothing`: null may stand among them."""
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(tree))
        if places:
            holder, key = pick(rng, places)
            pick(rng, CHANGES)(holder, key, rng, nothing)
    return tree


def _places(tree: Any) -> Any:
    """Every holder with a key of it: the longer the list, the fewer of its members, so that keys are met too."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield tree, key
            yield from _places(value)
    elif isinstance(tree, list):
        for i in range(min(len(tree), 3)):
            yield tree, i
            yield from _places(tree[i])


def _word(rng: np.random.Generator, nothing: bool) -> str:
    """JSON can also write half a character, which no file in UTF-8 can hold."""
    return pick(rng, (*STRINGS, "\ud800") if nothing else STRINGS)


def _value(rng: np.random.Generator, nothing: bool) -> Any:
    strings = [_word(rng, nothing) for _ in range(int(rng.integers(4)))]
    values: list[Any] = [_word(rng, nothing), pick(rng, NUMBERS), strings, {}, True, False, [strings], {"x": strings}]
    values += [{_word(rng, nothing): 1}, [pick(rng, NUMBERS)], [1, "A", [], {}], [None if nothing else 0]]
    return pick(rng, [*values, None if nothing else datetime.date(1979, 5, 27)])


def _replace(holder: Any, key: Any, rng: np.random.Generator, nothing: bool) -> None:
    holder[key] = _value(rng, nothing)


def _drop(holder: Any, key: Any, rng: np.random.Generator, nothing: bool) -> None:
    del holder[key]


def _rename(holder: Any, key: Any, rng: np.random.Generator, nothing: bool) -> None:
    if isinstance(holder, dict):
        holder[pick(rng, (_word(rng, nothing), f"{key}s", str(key).upper()))] = holder.pop(key)
    else:
        holder.append(holder[key])


def _wrap(holder: Any, key: Any, rng: np.random.Generator, nothing: bool) -> None:
    holder[key] = pick(rng, ([holder[key]], {"x": holder[key]}, [holder[key]] * 2))


def _spoil(holder: Any, key: Any, rng: np.random.Generator, nothing: bool) -> None:
    """Keep the type where it is a word or a number."""
    if isinstance(holder[key], str):
        old = holder[key]
        at = int(rng.integers(len(old) + 1))
        holder[key] = pick(rng, (_word(rng, nothing), old[:at] + _word(rng, nothing) + old[at:], old[:at]))
    elif isinstance(holder[key], int | float):
        holder[key] = pick(rng, NUMBERS)
    elif isinstance(holder[key], list):
        holder[key].append(_value(rng, nothing))
    else:
        _replace(holder, key, rng, nothing)


CHANGES: tuple[Callable[[Any, Any, np.random.Generator, bool], None], ...]
CHANGES = (_replace, _drop, _rename, _wrap, _spoil, _spoil, _spoil)
