"""Options of split rules: which a rule takes, and of what kind."""

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pertura.core.errors import UsageError
from pertura.data.splits import SPLITS
from pertura.recipes.recipe import OptionValue

OWN_FLAGS = ("seed",)
"""Keywords of a rule that a recipe sets in a field of their own."""
KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def option_defaults(rule: str) -> dict[str, OptionValue]:
    """Return the options a rule takes with their defaults; an unknown rule raises `UsageError`."""
    if rule not in SPLITS:
        raise UsageError(f"no split rule {rule!r}; there are {', '.join(SPLITS)}")
    found = inspect.signature(SPLITS[rule]).parameters.values()
    keywords = [one for one in found if one.kind is one.KEYWORD_ONLY and one.name not in OWN_FLAGS]
    return {one.name: one.default for one in keywords}


def check_options(rule: str, options: Mapping[str, OptionValue]) -> None:
    """Raise `UsageError` for an option the rule does not take, or a value of another kind than it takes."""
    defaults = option_defaults(rule)
    for name, value in options.items():
        if name not in defaults:
            raise UsageError(_unknown(rule, name, list(defaults)))
        kind = type(defaults[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UsageError(f"rule {rule}: option {name} is {value!r}; it takes {KINDS[kind]}")


def read_options(rule: str, texts: Sequence[str]) -> dict[str, OptionValue]:
    """Return options written as `name=value`; what the rule takes decides how a value is read."""
    defaults = option_defaults(rule)
    found: dict[str, OptionValue] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not mark:
            raise UsageError(f"--option {text}: write it as name=value")
        if name in found:
            raise UsageError(f"--option {name} is given twice")
        if name not in defaults:
            raise UsageError(_unknown(rule, name, list(defaults)))
        found[name] = _read(text, value, type(defaults[name]))
    return found


def _read(text: str, value: str, kind: type) -> OptionValue:
    # a context may be called 5637 or 1e5: only the rule knows that it is a text
    if kind is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        return value if kind is str else {int: int, float: float}[kind](value)
    except (KeyError, ValueError) as error:
        raise UsageError(f"--option {text}: it takes {KINDS[kind]}") from error


def _unknown(rule: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"it takes {', '.join(known)}"
    return f"rule {rule} has no option {name}; {meant}"
