"""Prior files: pertura's own, and tables with one row per token of a scGPT vocabulary."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Float

from pertura.core.errors import BadDataError
from pertura.genes.vocab import SPECIALS, Vocab
from pertura.priors.prior import GenePrior, PriorFacts, PriorKind
from pertura.priors.table_file import REMEDY, Block, Shape, TableFile, open_table, write_table

FORMAT = "pertura-prior"
FORMAT_VERSION = "1"
STORED = {2: "F16", 4: "F32", 8: "F64"}
LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a prior that was written by token id: rows with a vector, and genes that have none there.

    `outside`: genes that the vocabulary lacks; `empty`: genes whose row is zeros, which here says "no vector".
    """

    rows: int
    outside: tuple[str, ...]
    empty: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TokenTable:
    """A table with one row per token, as a prior of the genes that have a vector.

    `empty`: genes of the vocabulary whose row is zeros; `specials`: special tokens that carry a vector, which no gene
    prior can hold (tables of random numbers have them).
    """

    prior: GenePrior
    empty: tuple[str, ...]
    specials: tuple[str, ...]


def save_prior(prior: GenePrior, path: Path) -> None:
    """Write a prior with all its facts as one safetensors file, whole or absent; equal priors give equal bytes.

    The header holds the genes, the facts, the width and two digests: of the table, and of everything else.
    """
    shape = Shape(len(prior.genes), prior.table.shape[1], STORED[prior.table.dtype.itemsize])
    write_table(path, shape, _row_blocks(prior.table, shape), lambda digest: _described(prior, shape, digest))


def load_prior(path: Path, *, width: int | None = None) -> GenePrior:
    """Return the prior in a file that `save_prior` wrote; `width` is the one that is needed, if any.

    `BadDataError` where the file is of another kind or version, was altered or cut, or has another width.
    """
    stored = open_table(path)
    described = stored.metadata
    if described.get("format") != FORMAT:
        remedy = "a table by token id needs its vocabulary, pickles and .pt files their own reader"
        raise BadDataError(f"not a {FORMAT} file", file=path, remedy=remedy)
    if described.get("version") != FORMAT_VERSION:
        problem = f"version {described.get('version')!r} of the prior format, this release reads {FORMAT_VERSION}"
        raise BadDataError(problem, file=path, remedy="use the release that wrote it, or build it again")
    _check_digests(stored)
    try:
        name, genes, facts = described["name"], _words(described["genes"]), _facts(described, path)
    except (KeyError, ValueError, RecursionError) as error:
        problem = f"the header lacks facts or misstates them ({type(error).__name__}: {error})"
        raise BadDataError(problem, file=path, remedy=REMEDY) from error
    if len(genes) != stored.shape.rows:
        raise BadDataError(f"{len(genes)} genes for {stored.shape.rows} rows", file=path, remedy=REMEDY)
    check_width(stored.shape.width, width, path)
    return GenePrior(name, genes, _whole(stored), facts)


def read_scgpt_table(path: Path, vocab: Vocab, *, width: int | None = None) -> TokenTable:
    """Return the vectors of a table with one row per token of `vocab`, as published beside scGPT checkpoints.

    A row of zeros is no vector. Only rows that have one are held, and the file is mapped a block at a time: the memory
    taken is the result and one block. Half-precision numbers come as float32. `BadDataError` where the rows do not fit
    the vocabulary, the width is another, or a number is not finite.
    """
    stored = open_table(path)
    tokens = _tokens_by_id(vocab)
    if stored.shape.rows != len(tokens):
        problem = f"{stored.shape.rows} rows, and the vocabulary has {len(tokens)} token ids"
        raise BadDataError(problem, file=path, remedy="give the vocab.json that belongs to the table")
    check_width(stored.shape.width, width, path)
    filled = np.concatenate([np.zeros(0, dtype=bool), *(block.any(axis=1) for _, block in stored.blocks())])
    nameless = [row for row in np.flatnonzero(filled) if tokens[row] is None]
    if nameless:
        raise BadDataError(f"row {nameless[0]} has a vector, and no token of the vocabulary that id", file=path)
    wanted = filled & np.asarray([one is not None and one not in SPECIALS for one in tokens], dtype=bool)
    prior = GenePrior(
        path.stem,
        tuple(str(tokens[row]) for row in np.flatnonzero(wanted)),
        _gathered(stored, wanted),
        PriorFacts(source=path.name, kind="file"),
    )
    empty = tuple(one for one, full in zip(tokens, filled) if one is not None and not full and one not in SPECIALS)
    specials = tuple(one for one, full in zip(tokens, filled) if full and one in SPECIALS and one is not None)
    return TokenTable(prior, empty, specials)


def write_scgpt_table(prior: GenePrior, vocab: Vocab, path: Path, *, half: bool = False) -> Placed:
    """Write a table with one row per token of `vocab`, zeros where the prior has no vector; whole or absent.

    Genes are matched by exact name, as the published tables are. float32, or float16 with `half`. Beside the prior
    only one block of rows is in memory. Numbers too large for the type raise `BadDataError`.
    """
    tokens = _tokens_by_id(vocab)
    row_of = {gene: row for row, gene in enumerate(prior.genes)}
    rows = np.asarray([-1 if one is None or one in SPECIALS else row_of.get(one, -1) for one in tokens], dtype=np.int64)
    shape = Shape(len(tokens), prior.table.shape[1], "F16" if half else "F32")
    empty: list[str] = []
    write_table(path, shape, _token_blocks(prior, rows, shape, empty))
    outside = tuple(gene for gene in prior.genes if gene not in vocab.genes)
    return Placed(len(prior.genes) - len(outside) - len(empty), outside, tuple(empty))


def check_width(found: int, wanted: int | None, file: object) -> None:
    """Raise `BadDataError` with both numbers where a table has another width than the one that is needed."""
    if wanted is not None and found != wanted:
        raise BadDataError(f"vectors of {found} numbers where {wanted} are needed", file=file)


def _described(prior: GenePrior, shape: Shape, table_digest: str) -> dict[str, str]:
    """Return what the header says of a prior, in words, sealed by a digest of its own."""
    facts = {one.name: getattr(prior.facts, one.name) for one in fields(PriorFacts)}
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": prior.name,
        "genes": json.dumps(prior.genes, ensure_ascii=False),
        "dimension": str(shape.width),
        "dtype": shape.dtype,
        "table_sha256": table_digest,
        **{name: json.dumps(one, ensure_ascii=False) if name == "made_from" else one for name, one in facts.items()},
    }
    return {**content, "digest": _digest(content)}


def _digest(content: Mapping[str, str]) -> str:
    text = json.dumps(dict(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_digests(stored: TableFile) -> None:
    described = dict(stored.metadata)
    sealed = described.pop("digest", "")
    shape = (described.get("dimension"), described.get("dtype"))
    if sealed != _digest(described) or shape != (str(stored.shape.width), stored.shape.dtype):
        raise BadDataError("the header does not match its own digest", file=stored.path, remedy=REMEDY)
    if described.get("table_sha256") != stored.sha256():
        raise BadDataError(
            "the sha256 of the table differs from the one in the header", file=stored.path, remedy=REMEDY
        )


def _facts(described: Mapping[str, str], path: Path) -> PriorFacts:
    words = {one.name: described[one.name] for one in fields(PriorFacts) if one.name not in ("kind", "made_from")}
    kind = next((one for one in get_args(PriorKind) if one == described["kind"]), None)
    if kind is None:
        raise BadDataError(f"a prior of kind {described['kind']!r}: none that is known", file=path)
    return PriorFacts(**words, kind=kind, made_from=_words(described["made_from"]))


def _words(text: str) -> tuple[str, ...]:
    """Return a list of words from JSON; anything else raises `ValueError`."""
    listed = json.loads(text)
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ValueError("not a list of words")
    return tuple(listed)


def _whole(stored: TableFile) -> Float[np.ndarray, "genes width"]:
    return _gathered(stored, np.ones(stored.shape.rows, dtype=bool), exact=True)


def _gathered(stored: TableFile, wanted: np.ndarray, *, exact: bool = False) -> Float[np.ndarray, "genes width"]:
    """Return the wanted rows, block by block; float16 as float32 unless `exact`."""
    kinds = {"F64": np.float64, "F16": np.float16 if exact else np.float32}
    table = np.empty((int(wanted.sum()), stored.shape.width), dtype=kinds.get(stored.shape.dtype, np.float32))
    done = 0
    for first, block in stored.blocks():
        rows = wanted[first : first + len(block)]
        table[done : done + int(rows.sum())] = block[rows]
        done += int(rows.sum())
    return table


def _row_blocks(table: Float[np.ndarray, "genes width"], shape: Shape) -> Iterator[Block]:
    for first in range(0, len(table), shape.block_rows):
        yield table[first : first + shape.block_rows]


def _token_blocks(prior: GenePrior, rows: np.ndarray, shape: Shape, empty: list[str]) -> Iterator[Block]:
    """Yield the rows in the order of token ids; genes whose row is zeros in the type that is written go to `empty`."""
    kind = np.float16 if shape.dtype == "F16" else np.float32
    for first in range(0, shape.rows, shape.block_rows):
        wanted = rows[first : first + shape.block_rows]
        placed = np.flatnonzero(wanted >= 0)
        block = np.zeros((len(wanted), shape.width), dtype=kind)
        with np.errstate(over="ignore"):  # said by name below
            block[placed] = prior.table[wanted[placed]]
        for place in placed:
            if not np.isfinite(block[place]).all():
                problem = f"{prior.genes[wanted[place]]} has numbers beyond {np.finfo(kind).max:g}"
                raise BadDataError(problem, place=prior.name, remedy="write it in full precision")
        empty.extend(prior.genes[wanted[place]] for place in placed if not block[place].any())
        yield block


def _tokens_by_id(vocab: Vocab) -> list[str | None]:
    """Return the token of each id from 0 to the largest; None where no token has it."""
    if min(vocab.ids.values(), default=0) < 0:
        raise BadDataError("a token id of the vocabulary is below 0")
    tokens: list[str | None] = [None] * (max(vocab.ids.values(), default=-1) + 1)
    for token, place in vocab.ids.items():
        tokens[place] = token
    return tokens
