"""From a source of knowledge to a gene prior."""

from typing import Literal

import numpy as np
from jaxtyping import Float32

from pertura.core.errors import UsageError
from pertura.priors.encoders import Encoder, encoder_named, entry_of
from pertura.priors.encoders.tfidf import RESIDUES
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.priors.sources import TERM_LIMIT, Knowledge, knowledge_of

How = Literal["concat", "mean"]
"""One vector of a gene's whole text, or the mean of the vectors of its parts: its terms."""


def build_prior(
    source: str,
    encoder: str = "tfidf-svd",
    *,
    dim: int | None = None,
    how: How = "concat",
    term_limit: int = TERM_LIMIT,
) -> GenePrior:
    """Return the prior of a source, named after source and encoder, as `go-c/tfidf-svd-512`.

    `dim` is for `tfidf-svd`, 512 where it is not given.
    """
    knowledge = knowledge_of(source, term_limit=term_limit)
    return prior_of(knowledge, encoder_for(knowledge, encoder, dim=dim), how)


def encoder_for(knowledge: Knowledge, spec: str, *, dim: int | None = None) -> Encoder:
    """Return the encoder of a spec for what a source holds; `tfidf-svd` counts residues of proteins, words of texts."""
    if knowledge.content not in entry_of(spec).reads:
        raise UsageError(f"source {knowledge.name} holds {_named(knowledge)}, which encoder {spec} does not read")
    if spec == "tfidf-svd" and knowledge.content == "protein":
        spec = f"{spec}:{RESIDUES}-mers"
    return encoder_named(spec, dim=dim)


def prior_of(knowledge: Knowledge, encoder: Encoder, how: How = "concat") -> GenePrior:
    """Return a vector for each gene that a source says something about.

    With `mean` each distinct part is encoded once and a gene has the mean of its parts' vectors. Genes whose vector
    is zero, because they share no word with any other, have no row.
    """
    if how == "mean" and all(len(parts) == 1 for parts in knowledge.parts):
        raise UsageError(f"source {knowledge.name} has one text for each gene: there is no mean of parts; use concat")
    table = encoder.encode(knowledge.texts) if how == "concat" else _means(knowledge, encoder)
    told = np.flatnonzero(table.any(axis=1))
    return GenePrior(
        name=f"{knowledge.name}{'-mean' if how == 'mean' else ''}/{encoder.name}",
        genes=tuple(knowledge.genes[row] for row in told),
        table=table[told],
        facts=PriorFacts(
            source="; ".join((knowledge.name, *knowledge.notes)),
            encoder=encoder.name + (", mean of parts" if how == "mean" else ""),
            licence=knowledge.licence,
            text_sha256=knowledge.sha256,
        ),
    )


def _means(knowledge: Knowledge, encoder: Encoder) -> Float32[np.ndarray, "genes width"]:
    distinct = sorted({part for parts in knowledge.parts for part in parts})
    row = {part: place for place, part in enumerate(distinct)}
    vectors = encoder.encode(distinct)
    means = (vectors[[row[part] for part in parts]].mean(axis=0, dtype=np.float64) for parts in knowledge.parts)
    return np.asarray(list(means), dtype=np.float32)


def _named(knowledge: Knowledge) -> str:
    return "protein sequences" if knowledge.content == "protein" else "texts"
