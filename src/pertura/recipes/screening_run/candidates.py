"""Which perturbations a screen ranks: all singles, those of a list, or the pairs of a list after pruning."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pertura.core.errors import BadDataError, MissingError, UnknownGeneError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.scope import Scope
from pertura.recipes.screening_run.answers import answers
from pertura.recipes.screening_run.setting import Setting
from pertura.screening import pruning
from pertura.screening.deltas import blocks_of

MOST_NAMED = 12


@dataclass(frozen=True, eq=False)
class Chosen:
    """The candidates of a screen. `asked` is the pruned search of pairs, None for singles.

    The pairs of the search come first, in its order; measured pairs beside them follow.
    """

    conditions: tuple[Condition, ...]
    notes: tuple[str, ...]
    asked: pruning.Candidates | None = None


def genes_named(text: str) -> tuple[str, ...]:
    """Return the genes that a file lists, one a line, or that a text names, separated by commas."""
    path = Path(text)
    if path.is_file():
        try:
            words = path.read_text(encoding="utf-8-sig").replace(",", "\n").split("\n")
        except UnicodeDecodeError as error:
            raise BadDataError("not a text file", file=path, remedy="one gene a line") from error
    elif path.suffix in (".txt", ".csv", ".tsv") or "/" in text:
        raise MissingError(f"no file {text}; candidates are a file or genes such as KLF1,SPI1")
    else:
        words = text.split(",")
    names = [one.strip() for one in words]
    genes = dict.fromkeys(one for one in names if one and not one.startswith("#"))
    if not genes:
        raise UsageError(f"{text!r} names no candidate gene")
    return tuple(genes)


def chosen(setting: Setting) -> Chosen:
    """Return the candidates of a screen, sorted by name.

    Genes of a list that no panel, vocabulary or prior has raise `UnknownGeneError` where the list has no other; else
    they are named in the notes. Genes that the models know by name but cannot represent are dropped once it shows.
    """
    genes, notes = _genes(setting)
    if setting.asked.kind == "singles":
        return Chosen(tuple(sorted(setting.condition(gene) for gene in genes)), notes)
    return _pairs(setting, genes, notes)


def _genes(setting: Setting) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not setting.asked.genes:
        measured = {gene for one in setting.means.conditions if one.context == setting.context for gene in one.genes}
        return tuple(sorted(measured.union(setting.representable))), ()
    known = frozenset[str]().union(*(_scope(one.model) for one in setting.members))
    unknown = [gene for gene in setting.asked.genes if known and gene not in known]
    kept = tuple(sorted(set(setting.asked.genes) - set(unknown)))
    if not kept:
        raise UnknownGeneError(unknown, setting.representable)
    return kept, (listed(unknown, "genes unknown to panel, vocabulary and prior"),) if unknown else ()


def _scope(model: object) -> frozenset[str]:
    scope = getattr(model, "scope", None)
    return frozenset(scope.known) | frozenset(scope.panel) if isinstance(scope, Scope) else frozenset()


def _pairs(setting: Setting, genes: Sequence[str], notes: tuple[str, ...]) -> Chosen:
    singles = [setting.condition(gene) for gene in genes]
    deltas, kept, absent = [], [], []
    for block in blocks_of(singles):
        found = answers(setting.members, (), setting.controls, block, setting.goal)
        rows = [i for i, one in enumerate(block) if one not in found.fallbacks]
        deltas.append(found.deltas[rows])
        kept += [block[i].genes[0] for i in rows]
        absent += [one.genes[0] for one in block if one in found.fallbacks]
    told = (*notes, listed(absent, "genes that the models cannot represent")) if absent else notes
    if len(kept) < 2:
        raise UsageError(f"pairs need two genes that the models can represent; there are {len(kept)}. {' '.join(told)}")
    asked = pruning.candidates(np.concatenate(deltas), setting.goal, share=setting.asked.share, seed=setting.asked.seed)
    if asked.left_out:
        told = (*told, f"{asked.left_out:,} genes that are too weak alone were not paired")
    pairs = [setting.condition(*names) for names in pruning.pair_names(kept, asked.pairs)]
    there = {*pairs}
    measured = [one for one in setting.means.conditions if one.perturbation.is_pair and one.context == setting.context]
    also = sorted(one for one in measured if one not in there and set(genes).issuperset(one.genes))
    if also:
        told = (*told, f"{len(also)} measured pairs of these genes are ranked too")
    return Chosen((*pairs, *also), told, asked)


def listed(names: Sequence[str], what: str) -> str:
    """Return how many things are what, and the first of them by name."""
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return f"{what} ({len(names):,}): {', '.join(names[:MOST_NAMED])}{more}"
