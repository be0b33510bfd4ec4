"""Splits that another tool made: what they claim, matched to the conditions of a screen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pertura.core.errors import BadDataError, LeakError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.split import Outline, Split
from pertura.data.splits.conditions_file import CONTROL_WORDS
from pertura.data.splits.controls import partitioned
from pertura.data.splits.options import named, recorded
from pertura.data.splits.random_folds import strata_by_genes
from pertura.genes.identifiers import human_identifiers

REFUSE, TEST_WINS = "refuse", "test-wins"
NAMED_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """A label that stands in a part; an empty label is every condition of `context`, no context is every context."""

    label: str
    context: str | None = None


@dataclass(frozen=True, eq=False)
class Claims:
    """What a split file says: its parts, and whether what it does not list trains (in the contexts of `rest_in`).

    `rest_in` None: nothing trains that is not listed. `options` and `notes` go into the record and to the user.
    """

    kind: str
    train: tuple[Claim, ...] = ()
    valid: tuple[Claim, ...] = ()
    test: tuple[Claim, ...] = ()
    rest_in: frozenset[str] | None = None
    strata: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """How claims become a split: what to do where parts overlap, and the seed that cuts the controls in two."""

    overlap: str = REFUSE
    seed: int = 1
    shared_controls: bool = False

    def __post_init__(self) -> None:
        if self.overlap not in (REFUSE, TEST_WINS):
            raise UsageError(f"--overlap {self.overlap}: {REFUSE} or {TEST_WINS}")


@dataclass(frozen=True, eq=False)
class ForeignSplit:
    """A split made from another tool's, and what had to be done for it, one fact a line."""

    split: Split
    lines: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Names:
    """The conditions of a screen by the names that other tools may give them."""

    outline: Outline

    @cached_property
    def _spelled(self) -> dict[str, list[Condition]]:
        found: dict[str, list[Condition]] = {}
        for condition, spelling in self.outline.spellings.items():
            found.setdefault(spelling, []).append(condition)
        return found

    @cached_property
    def _by_genes(self) -> dict[frozenset[str], list[Condition]]:
        found: dict[frozenset[str], list[Condition]] = {}
        for condition in self.outline.conditions:
            found.setdefault(frozenset(condition.genes), []).append(condition)
        return found

    @cached_property
    def _by_symbols(self) -> dict[frozenset[str], list[Condition]]:
        found: dict[frozenset[str], list[Condition]] = {}
        for genes, conditions in self._by_genes.items():
            found.setdefault(frozenset(map(_symbol, genes)), []).extend(conditions)
        return found

    def context(self, name: str) -> str | None:
        """Return the screen's context of a name, which may differ in capitals; None where there is none."""
        if name in self.outline.contexts:
            return name
        alike = [one for one in self.outline.contexts if one.casefold() == name.casefold()]
        return alike[0] if len(alike) == 1 else None

    def is_control(self, claim: Claim) -> bool:
        """Return whether a claim stands for unperturbed cells."""
        spelled = self._spelled.get(claim.label, ())
        return bool(claim.label) and (not genes_in(claim.label) or any(one.is_control for one in spelled))

    def is_renamed(self, claim: Claim) -> bool:
        """Return whether the genes of a claim are found by their current symbols, if at all."""
        return bool(claim.label) and not (
            self._spelled.get(claim.label) or self._by_genes.get(frozenset(genes_in(claim.label)))
        )

    def matching(self, claim: Claim) -> frozenset[Condition]:
        """Return the conditions that a claim stands for; none where it is unknown."""
        if not claim.label:
            every: Sequence[Condition] = self.outline.conditions
        elif self.is_renamed(claim):
            every = self._by_symbols.get(frozenset(map(_symbol, genes_in(claim.label))), [])
        else:
            every = self._spelled.get(claim.label) or self._by_genes[frozenset(genes_in(claim.label))]
        return frozenset(
            one for one in every if not one.is_control and (claim.context is None or one.context == claim.context)
        )


def genes_in(label: str) -> tuple[str, ...]:
    """Return the genes that a label such as `A`, `A+B`, `A+ctrl` names; none for control."""
    return tuple(part for part in (one.strip() for one in label.split("+")) if part and part not in CONTROL_WORDS)


def _symbol(gene: str) -> str:
    return human_identifiers().approved(gene).symbol or gene


# ---- from claims to a split


@dataclass(frozen=True, eq=False)
class Resolved:
    """The conditions of a screen in each part as a file has them, parts perhaps overlapping."""

    kind: str
    parts: Mapping[str, frozenset[Condition]]
    strata: Mapping[str, frozenset[Condition]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


def split_from(claims: Claims, outline: Outline, rules: Rules) -> ForeignSplit:
    """Return the split that a file claims, of the conditions of this screen.

    Unknown conditions are counted and named. Where parts overlap `LeakError` is raised, unless test is to win. Control
    labels are left out: the controls of each context are cut in two here.
    """
    names = Names(outline)
    claimed = {"train": claims.train, "valid": claims.valid, "test": claims.test}
    controls = sum(names.is_control(one) for members in claimed.values() for one in members)
    found = {part: {one: names.matching(one) for one in members} for part, members in claimed.items()}
    unknown = {
        part: [one for one, matched in pairs.items() if not matched and not names.is_control(one)]
        for part, pairs in found.items()
    }
    parts = {part: union(pairs.values()) for part, pairs in found.items()}
    if claims.rest_in is not None:
        rest = frozenset(one for one in outline.conditions if one.context in claims.rest_in)
        parts["train"] |= rest - parts["valid"] - parts["test"]
    _refuse_stranger(claims.kind, unknown, parts)
    resolved = Resolved(
        kind=claims.kind,
        parts=parts,
        strata={name: union(map(names.matching, members)) for name, members in claims.strata.items()},
        options={**claims.options, **recorded(unknown=sum(map(len, unknown.values())))},
        lines=(*claims.notes, *_renamed_lines(names, found.values()), *_lines(unknown, controls)),
    )
    return assembled(resolved, outline, rules)


def union(parts: Iterable[frozenset[Condition]]) -> frozenset[Condition]:
    """Return all conditions of several sets."""
    return frozenset(one for part in parts for one in part)


def assembled(resolved: Resolved, outline: Outline, rules: Rules) -> ForeignSplit:
    """Return the split of resolved parts: overlaps refused or settled, strata kept within test, controls cut in two."""
    parts, moved = _without_overlap(resolved, rules)
    strata = {name: members & parts["test"] for name, members in resolved.strata.items()}
    strata = {name: members for name, members in strata.items() if members}
    left = frozenset(outline.conditions) - union(parts.values())
    split = Split(
        name=resolved.kind,
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        strata=strata or strata_by_genes(parts["test"], parts["train"]),
        controls=partitioned(outline, rules.seed, rules.shared_controls),
        seed=rules.seed,
        options={
            **resolved.options,
            **recorded(overlap=rules.overlap, shared_controls=rules.shared_controls, in_no_part=named(left)),
        },
    )
    return ForeignSplit(split, (*resolved.lines, *_moved_lines(moved)))


def _refuse_stranger(kind: str, unknown: Mapping[str, list[Claim]], parts: Mapping[str, frozenset[Condition]]) -> None:
    strangers = [one for members in unknown.values() for one in members]
    if strangers and not parts["valid"] and not parts["test"]:
        raise BadDataError(
            f"{kind}: none of its conditions to choose or judge by is in this screen ({_listed(strangers)})",
            remedy="give the screen that the split was made for",
        )


def _without_overlap(
    resolved: Resolved, rules: Rules
) -> tuple[dict[str, frozenset[Condition]], dict[str, frozenset[Condition]]]:
    """Return disjoint parts, and what was taken from train and from valid for it."""
    given = resolved.parts
    test = given["test"]
    valid = given["valid"] - test
    train = given["train"] - test - valid
    moved = {"train": given["train"] - train, "valid": given["valid"] - valid}
    both = moved["train"] | moved["valid"]
    if both and rules.overlap != TEST_WINS:
        raise LeakError(
            f"{resolved.kind}: {len(both)} conditions are in two parts ({_named(both)}); --overlap {TEST_WINS} keeps "
            "them in test alone (in valid, where train and valid overlap)"
        )
    return {"train": train, "valid": valid, "test": test}, moved


def _renamed_lines(names: Names, found: Iterable[Mapping[Claim, frozenset[Condition]]]) -> tuple[str, ...]:
    """Say which labels hold a symbol that is not the one of this screen."""
    renamed = {one: min(to) for pairs in found for one, to in pairs.items() if to and names.is_renamed(one)}
    listed = _some(f"{one.label} is {to.perturbation.label}" for one, to in renamed.items())
    return (f"{len(renamed)} labels name a gene by another symbol: {listed}",) if renamed else ()


def _lines(unknown: Mapping[str, list[Claim]], controls: int) -> tuple[str, ...]:
    found = [
        f"warning: {len(members)} of its {part} conditions are not in this screen: {_listed(members)}"
        for part, members in unknown.items()
        if members
    ]
    if controls:
        found.append(f"{controls} entries are control: its cells are cut in two here, for models and to judge by")
    return tuple(found)


def _moved_lines(moved: Mapping[str, frozenset[Condition]]) -> tuple[str, ...]:
    return tuple(
        f"kept in a later part alone, though {part} has them too: {len(members)}: {_named(members)}"
        for part, members in moved.items()
        if members
    )


def _listed(claims: Sequence[Claim]) -> str:
    return _some(f"{one.label or 'all'}@{one.context}" if one.context else one.label for one in claims)


def _named(conditions: Iterable[Condition]) -> str:
    return _some(one.label for one in sorted(conditions))


def _some(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = len(listed) - NAMED_AT_MOST
    return ", ".join(listed[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
