"""The errors pertura raises: each names the culprit and the way out, and carries the exit code of the CLI."""

import difflib
from collections.abc import Iterable


class PerturaError(Exception):
    """Anything pertura refuses or cannot do; `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(PerturaError):
    """The request itself is unclear or contradicts itself."""

    exit_code = 2


class BadDataError(PerturaError):
    """A file or array that cannot be used as it is: names file, place and remedy."""

    exit_code = 3

    def __init__(self, problem: str, *, file: object = None, place: str = "", remedy: str = "") -> None:
        self.problem, self.file, self.place, self.remedy = problem, file, place, remedy
        where = ": ".join(str(part) for part in (file, place) if part)
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}. {remedy}" if remedy else text)


class MissingError(PerturaError):
    """Something that is needed is not there, or cannot be reached offline."""

    exit_code = 4


class DivergedError(PerturaError):
    """A loss or a parameter stopped being finite."""

    exit_code = 5


class OutOfMemoryError(PerturaError):
    """The work does not fit in the memory that is there."""

    exit_code = 6


class NotFittedError(PerturaError):
    """A model was asked to predict or save before it was fitted."""


class LeakError(PerturaError):
    """A split whose parts overlap, or a step that would see what it must not see."""

    exit_code = 3


class ModeError(UsageError):
    """A perturbation of one mode was asked of a model that learnt another."""


class ContextError(BadDataError):
    """Controls and perturbed cells are not of the same context."""


class UnknownGeneError(UsageError):
    """Genes that neither the panel, nor the vocabulary, nor the prior has."""

    def __init__(self, genes: Iterable[str], known: Iterable[str] = ()) -> None:
        self.genes = frozenset(genes)
        pool = sorted(known)
        named = []
        for gene in sorted(self.genes):
            close = difflib.get_close_matches(gene, pool, n=1, cutoff=0.75) if len(pool) < 200_000 else []
            named.append(f"{gene} (did you mean {close[0]}?)" if close else gene)
        super().__init__(
            f"unknown to panel, vocabulary and prior: {', '.join(named)}; "
            "`pertura inspect` lists the perturbed genes of a screen and which of them are known"
        )
