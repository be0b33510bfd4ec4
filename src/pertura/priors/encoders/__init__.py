"""What turns texts or protein sequences into vectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from pertura.core.errors import UsageError

Content = Literal["text", "protein"]
"""What is encoded: words, or the residues of a protein."""


@runtime_checkable
class Encoder(Protocol):
    """Makes one vector of each text."""

    @property
    def name(self) -> str:
        """Say how, exactly enough to tell two tables apart."""
        ...

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Return a row for each text; only rows that were encoded together are comparable with one another."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """One kind of encoder: what it reads and how it is made from what follows the colon and a dimension, if any."""

    reads: frozenset[Content]
    make: Callable[[str, int | None], Encoder]
    description: str


def _tfidf(argument: str, dim: int | None) -> Encoder:
    from pertura.priors.encoders.tfidf import DIM, TfidfEncoder, residues_of

    return TfidfEncoder(DIM if dim is None else dim, residues=residues_of(argument))


def _sentence(argument: str, dim: int | None) -> Encoder:
    name = _model("sentence-transformers", argument, dim)
    from pertura.priors.encoders.sentence import SentenceEncoder

    return SentenceEncoder(name)


def _endpoint(argument: str, dim: int | None) -> Encoder:
    name = _model("endpoint", argument, dim)
    from pertura.priors.encoders.endpoint import EndpointEncoder

    return EndpointEncoder(name)


def _esm2(argument: str, dim: int | None) -> Encoder:
    name = _model("esm2", argument, dim)
    from pertura.priors.encoders.esm import EsmEncoder

    return EsmEncoder(name)


def _esm2_as_cellflow(argument: str, dim: int | None) -> Encoder:
    name = _model("esm2-cellflow", argument, dim)
    from pertura.priors.encoders.esm import CELLFLOW, EsmEncoder

    return EsmEncoder(name, compat=CELLFLOW)


def _model(prefix: str, argument: str, dim: int | None) -> str:
    if not argument:
        raise UsageError(f"encoder {prefix} needs a model: {prefix}:NAME")
    if dim is not None:
        raise UsageError(f"{prefix}:{argument} has a width of its own; leave out --dim {dim}")
    return argument


ENCODERS: Mapping[str, EncoderEntry] = {
    "tfidf-svd": EncoderEntry(
        frozenset({"text", "protein"}), _tfidf, "words (or residue k-mers) by TF-IDF and truncated SVD; offline"
    ),
    "sentence-transformers": EncoderEntry(frozenset({"text"}), _sentence, "a sentence-transformers model, by name"),
    "endpoint": EncoderEntry(frozenset({"text"}), _endpoint, "a model behind an OpenAI-compatible /v1/embeddings"),
    "esm2": EncoderEntry(frozenset({"protein"}), _esm2, "an ESM2 protein language model, by name"),
    "esm2-cellflow": EncoderEntry(
        frozenset({"protein"}), _esm2_as_cellflow, "ESM2 averaged over the shortest protein's length, as CellFlow 0.0.9"
    ),
}
"""Prefix -> encoder. To add one: write its class and name it here."""


def encoder_named(spec: str, *, dim: int | None = None) -> Encoder:
    """Return the encoder of `PREFIX` or `PREFIX:ARGUMENT`; `dim` is for encoders whose width can be chosen."""
    return entry_of(spec).make(spec.partition(":")[2], dim)


def entry_of(spec: str) -> EncoderEntry:
    """Return the row of `ENCODERS` that an encoder's spec begins with."""
    prefix = spec.partition(":")[0]
    if prefix not in ENCODERS:
        raise UsageError(f"no encoder {prefix!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[prefix]
