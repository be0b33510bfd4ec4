"""TF-IDF and truncated SVD: vectors of texts without any model, offline and the same every time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32
from threadpoolctl import threadpool_limits

from pertura.core.errors import UsageError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DIM = 512
RESIDUES = 3
OVERSAMPLES, ITERATIONS, START = 32, 4, 0
WORD = r"(?u)\b\w[\w-]*\w\b"


@dataclass(frozen=True)
class TfidfEncoder:
    """Latent semantic analysis: words (or runs of `residues` amino acids) counted, weighted by rarity, reduced.

    Counts are damped by 1 + log, multiplied by log((1 + texts) / (1 + texts with the word)) + 1, and scaled to length
    1 per text; rows of the table are their projections on the leading right singular vectors (Deerwester 1990).
    Texts are fitted and encoded in one go: vectors of two calls are not comparable. A text without words is a row of
    zeros.
    """

    dim: int = DIM
    residues: int | None = None

    @property
    def name(self) -> str:
        """What the vectors are called."""
        return f"tfidf-svd-{self.dim}" + (f"-of-{self.residues}-mers" if self.residues else "")

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Return the vector of each text; `dim` must be smaller than the number of texts and of words."""
        weights = self._weights(texts)
        most = min(weights.shape) - 1
        if not 1 <= self.dim <= most:
            raise UsageError(
                f"{len(texts)} texts with {weights.shape[1]} different words have up to {max(most, 0)} "
                f"dimensions, {self.dim} were asked for; choose another --dim"
            )
        return _projected(weights, self.dim)

    def _weights(self, texts: Sequence[str]) -> "csr_matrix":
        from sklearn.feature_extraction.text import TfidfVectorizer

        units: dict[str, object] = {"stop_words": "english", "token_pattern": WORD}
        if self.residues:
            units = {"analyzer": _runs(self.residues)}
        try:
            return TfidfVectorizer(sublinear_tf=True, dtype=np.float64, **units).fit_transform(texts)
        except ValueError as error:
            raise UsageError(f"none of {len(texts)} texts has a word that says something") from error


def residues_of(argument: str) -> int | None:
    """Return the length of runs in what follows `tfidf-svd:`, as `3-mers`; None where nothing follows."""
    if not argument:
        return None
    length = re.fullmatch(r"([1-6])-mers", argument)
    if not length:
        raise UsageError(f"tfidf-svd:{argument} is not understood; for proteins it is tfidf-svd:1-mers to 6-mers")
    return int(length[1])


def _runs(length: int) -> Callable[[str], list[str]]:
    def runs(sequence: str) -> list[str]:
        return [sequence[i : i + length] for i in range(len(sequence) - length + 1)]

    return runs


def _projected(weights: "csr_matrix", dim: int) -> Float32[np.ndarray, "texts width"]:
    """Return texts x leading singular vectors; one thread, so that the sums do not depend on how many there are."""
    from sklearn.utils.extmath import randomized_svd

    with threadpool_limits(limits=1):
        left, values, _ = randomized_svd(
            weights,
            dim,
            n_oversamples=OVERSAMPLES,
            n_iter=ITERATIONS,
            power_iteration_normalizer="LU",
            random_state=START,
        )
        return _signed(left * values).astype(np.float32)


def _signed(table: Float[np.ndarray, "texts width"]) -> Float[np.ndarray, "texts width"]:
    """Return the table with the largest entry of every column positive: the sign of a singular vector is free."""
    largest = np.abs(table).argmax(axis=0)
    return table * np.where(table[largest, np.arange(table.shape[1])] < 0, -1.0, 1.0)
