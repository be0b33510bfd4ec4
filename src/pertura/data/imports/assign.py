"""From the guides of a cell to what was done to it, or why the cell cannot be used."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Int

from pertura.core.errors import BadDataError
from pertura.data.imports.calls import SEVERAL, Calls
from pertura.data.imports.guides import Guides

CONTROL = "control"
HIGH_MOI = 3
"""From so many guides on a cell took up more than any design of singles or pairs intends."""


class Fate(StrEnum):
    """What becomes of a cell; the first three are kept."""

    CONTROL = "control"
    SINGLE = "single"
    PAIR = "pair"
    NO_CALL = "no guide called"
    MULTIPLET = "guides of more genes than designed"
    UNKNOWN = "a guide that the guide table does not list"
    LEFT_OUT = "a guide that is to be left out"


KEPT = (Fate.CONTROL, Fate.SINGLE, Fate.PAIR)


@dataclass(frozen=True, eq=False)
class Assigned:
    """The cells of a lane that are kept (`rows`), their condition and guides, and what became of all.

    `numbers`: guides in a cell -> cells. `strangers`: called guides that the table does not list. `not_measured`
    counts calls whose cell is not in the matrix; `matched` says in words where barcodes had to be trimmed to match.
    """

    rows: Int[np.ndarray, " kept"]
    conditions: tuple[str, ...]
    guides: tuple[tuple[str, ...], ...]
    umis: tuple[str, ...]
    fates: Mapping[Fate, int]
    numbers: Mapping[int, int]
    same_gene: int
    strangers: Mapping[str, int]
    not_measured: int
    matched: str


def fate_of(names: tuple[str, ...], guides: Guides, pairs: bool) -> tuple[Fate, tuple[str, ...]]:
    """Return what becomes of a cell with these guides, and the genes perturbed in it.

    Several guides of one gene are one perturbation. Two guides of two genes are a pair where pairs are designed; a
    guide beside a control guide is a single there, and elsewhere a multiplet: two lentiviruses entered.
    """
    if not names:
        return Fate.NO_CALL, ()
    if names == SEVERAL:
        return Fate.MULTIPLET, ()
    known = [guides.known(name) for name in names]
    if None in known:
        return Fate.UNKNOWN, ()
    if guides.left_out.intersection(name for name in known if name):
        return Fate.LEFT_OUT, ()
    targets = [guides.targets[name] for name in known if name]
    genes = tuple(sorted({gene for one in targets for gene in one}))
    if not genes:
        return Fate.CONTROL, ()
    if len(genes) == 1:
        return (Fate.SINGLE if pairs or all(targets) else Fate.MULTIPLET), genes
    return (Fate.PAIR if pairs and len(genes) == 2 and len(targets) <= 2 else Fate.MULTIPLET), genes


def assigned(barcodes: Sequence[str], calls: Calls, guides: Guides, pairs: bool) -> Assigned:
    """Return what was done to each cell of a lane; where no call fits any barcode `BadDataError` shows both."""
    key, matched = _matching(barcodes, calls)
    found = [calls.guides.get(key(barcode), ()) for barcode in barcodes]
    verdicts = [fate_of(names, guides, pairs) for names in found]
    kept = [row for row, (fate, _) in enumerate(verdicts) if fate in KEPT]
    here = {key(barcode) for barcode in barcodes}
    return Assigned(
        rows=np.asarray(kept, dtype=np.int64),
        conditions=tuple("+".join(verdicts[row][1]) or CONTROL for row in kept),
        guides=tuple(tuple(guides.known(name) or name for name in found[row]) for row in kept),
        umis=tuple(calls.umis.get(key(barcodes[row]), "") for row in kept),
        fates=Counter(fate for fate, _ in verdicts),
        numbers=Counter(0 if not names else (2 if names == SEVERAL else len(names)) for names in found),
        same_gene=sum(len(found[row]) > 1 and verdicts[row][0] is not Fate.PAIR for row in kept),
        strangers=Counter(name for names in found if names != SEVERAL for name in names if guides.known(name) is None),
        not_measured=sum(1 for barcode, names in calls.guides.items() if names and barcode not in here),
        matched=matched,
    )


def _matching(barcodes: Sequence[str], calls: Calls) -> tuple[Callable[[str], str], str]:
    """Return how a barcode of the matrix is spelled among the calls, and a remark where the two differ."""
    if not calls.guides or any(barcode in calls.guides for barcode in barcodes):
        return str, ""
    spelled = {without_suffix(one): one for one in calls.guides}
    bare = {without_suffix(one) for one in barcodes}
    unequivocal = len(spelled) == len(calls.guides) and len(bare) == len(barcodes)
    if not unequivocal or bare.isdisjoint(spelled):
        raise BadDataError(
            f"no barcode is one of the matrix: {next(iter(calls.guides))} here, {barcodes[0]} there",
            file=calls.path,
            remedy="give the calls of this very library, with its barcodes",
        )
    remark = f"barcodes match but for the lane number ({next(iter(calls.guides))} is {barcodes[0]}-like in the matrix)"
    return lambda barcode: spelled.get(without_suffix(barcode), ""), remark


def without_suffix(barcode: str) -> str:
    """Return a barcode without the number of its lane, as the -1 of AAAC-1."""
    head, mark, tail = barcode.rpartition("-")
    return head if mark and tail.isdigit() else barcode
