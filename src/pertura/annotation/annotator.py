"""A fitted annotator: names new cells, is saved without anything executable, and repeats its labels when loaded."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pertura.annotation.embedding import FrozenEmbedding
from pertura.annotation.pretrained import Base, open_base
from pertura.annotation.scale import Logged, Trained, logged_like
from pertura.annotation.source import Source
from pertura.annotation.strategies import options_from_json, options_to_json, strategy_named
from pertura.annotation.strategy import Strategy
from pertura.annotation.trust import Calls, Trusted, UnknownRule
from pertura.annotation.tuning_options import TuningOptions
from pertura.annotation.view import View, token_columns, view_of
from pertura.core.errors import BadDataError, MissingError
from pertura.core.expression import Rows
from pertura.models.storage import interpreted, read_header, read_weights, write_model

MODEL = "annotator"
BLOCK_CELLS = 2048
WARN_SHARE = 0.95
LEAST_SHARE = 0.5
"""Share of the genes that were learnt from below which a query is refused."""


@dataclass(frozen=True)
class Measured:
    """How many of the genes that were learnt from a query has."""

    learnt: int
    found: int

    @property
    def share(self) -> float:
        """The share that was found."""
        return self.found / max(self.learnt, 1)


@dataclass(frozen=True, eq=False)
class Query:
    """New cells as an annotator reads them, and what had to be done or is missing."""

    source: Source
    view: View
    measured: Measured
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Annotator:
    """A strategy fitted to all labelled cells, with all it takes to label others.

    `panel` are the genes of the reference, `tokens` the ids of those with a token. `facts` go into the model card.
    """

    strategy: Strategy
    trusted: Trusted
    classes: tuple[str, ...]
    panel: tuple[str, ...]
    tokens: tuple[int, ...]
    trained: Trained
    options: TuningOptions
    base: Base | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads_tokens(self) -> bool:
        """Whether cells go through the pretrained network."""
        return self.strategy.name.startswith("scgpt")

    def query(self, source: Source, least: float = LEAST_SHARE) -> Query:
        """Return new cells on the scale and the genes that were learnt from.

        Raises `BadDataError` where fewer than `least` of those genes are there, or the scale cannot be matched.
        """
        made: Logged = logged_like(source, self.trained)
        vocab = self.base.vocab if self.base is not None and self.reads_tokens else None
        view = view_of(made.expression, source.genes, source.ids, self.panel, vocab)
        if vocab is None:
            measured = Measured(len(self.panel), int((view.columns >= 0).sum()))
        else:
            measured = Measured(len(self.tokens), int(np.isin(self.tokens, view.token_ids).sum()))
        missing = measured.learnt - measured.found
        said = f"{missing:,} of {measured.learnt:,} genes that were learnt from are not in the query"
        if measured.share < least:
            raise BadDataError(
                f"{said}: {measured.share:.0%} are left",
                file=source.name,
                remedy=f"give a query with at least {least:.0%} of them (--min-query-genes allows less), or name the "
                "column of var with symbols by --gene-column, or fit to the genes that both have",
            )
        warnings = made.warnings if measured.share >= WARN_SHARE else (*made.warnings, _stand_in(said, vocab is None))
        return Query(source, view, measured, (*source.notes, *made.notes), warnings)

    def calls(self, query: Query) -> Iterator[tuple[Rows, Calls]]:
        """Yield what is said of the cells of a query, block by block; memory does not grow with their number."""
        for start in range(0, len(query.view), BLOCK_CELLS):
            rows = np.arange(start, min(start + BLOCK_CELLS, len(query.view)))
            yield rows, self.trusted.calls(query.view, rows)

    # ---- folder

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.safetensors`: what was fitted, without the pretrained network.

        The digest of that network is kept, so that the annotator refuses any other.
        """
        facts, arrays = self.trusted.fitted.stored()
        content = {
            "model": MODEL,
            "strategy": self.strategy.name,
            "fit": facts,
            "classes": list(self.classes),
            "panel": list(self.panel),
            "tokens": list(self.tokens),
            "trained": asdict(self.trained),
            "options": options_to_json(self.options),
            "temperature": self.trusted.temperature,
            "farthest": _finite(self.trusted.farthest),
            "rule": asdict(self.trusted.rule),
            "base": None if self.base is None else {"place": self.base.place, "digest": self.base.digest},
            "facts": dict(self.facts),
        }
        kept = {f"fit.{name}": np.asarray(one) for name, one in arrays.items()}
        write_model(folder, json.loads(json.dumps(content)), kept | {"known": self.trusted.known})


def load_annotator(folder: Path, model: str | Path | None = None, device: str | None = None) -> Annotator:
    """Return the annotator of a folder; `model` says where its pretrained network lies now.

    Raises `MissingError` where the network is not there, `BadDataError` where it is another one or a file was altered.
    """
    header = read_header(folder)
    arrays = dict(read_weights(folder, header))
    if header.get("model") != MODEL:
        raise BadDataError(f"holds a model {header.get('model')!r}, no annotator", file=folder)
    return interpreted(folder, lambda: _restored(header, arrays, model, device))


def _restored(
    header: Mapping[str, Any], arrays: dict[str, Any], model: str | Path | None, device: str | None
) -> Annotator:
    options = options_from_json(header["options"])
    options = replace(options, device=device or "cpu", precision=options.precision if device else "fp32")
    base = _base(header["base"], model) if str(header["strategy"]).startswith("scgpt") else None
    embedding = None
    if base is not None:
        embedding = FrozenEmbedding(base, options.reading, options.training(options.head, selects=False))
    strategy = strategy_named(str(header["strategy"]), embedding, options)
    fit = {name.removeprefix("fit."): one for name, one in arrays.items() if name.startswith("fit.")}
    trusted = Trusted(
        strategy.restored(header["fit"], fit),
        float(header["temperature"]),
        arrays["known"],
        float("inf") if header["farthest"] is None else float(header["farthest"]),
        UnknownRule(**header["rule"]),
    )
    return Annotator(
        strategy,
        trusted,
        tuple(header["classes"]),
        tuple(header["panel"]),
        tuple(header["tokens"]),
        Trained(**header["trained"]),
        options,
        base,
        header["facts"],
    )


def _base(kept: Mapping[str, Any], model: str | Path | None) -> Base:
    place = str(model or kept["place"])
    try:
        base = open_base(place)
    except MissingError as error:
        raise MissingError(
            f"the pretrained network of this annotator is not at {place}: give --model ({error})"
        ) from error
    if base.digest != kept["digest"]:
        raise BadDataError(
            f"is another network (sha256 {base.digest[:12]}...) than the annotator was fitted on "
            f"({str(kept['digest'])[:12]}...)",
            file=place,
            remedy="give the folder of the network it was fitted on with --model",
        )
    return base


def tokens_of(genes: tuple[str, ...], base: Base | None) -> tuple[int, ...]:
    """Return the ids of the tokens that some genes have."""
    return () if base is None else tuple(token_columns(genes, base.vocab)[:, 1].tolist())


def _stand_in(said: str, linear: bool) -> str:
    return f"{said}: {'their train means stand in for them' if linear else 'cells are read without them'}"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
