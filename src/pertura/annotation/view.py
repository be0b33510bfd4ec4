"""The same cells as each strategy reads them: genes of a panel, or tokens of a vocabulary."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, Shaped

from pertura.core.expression import Expression, Rows, dense
from pertura.genes.identified import found_among
from pertura.genes.vocab import Vocab

Ids = Shaped[np.ndarray, " cells"]
Columns = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class View:
    """Cells on the common scale, the column of each gene of the panel (-1: not measured), and tokens if there are any.

    `token_columns` are the columns that have a token, in the order of the tokens' ids: a cell's tokens do not depend
    on the order of the genes in a file.
    """

    expression: Expression
    ids: Ids
    columns: Columns
    token_columns: Columns
    token_ids: Columns

    def __len__(self) -> int:
        return len(self.ids)

    def panel(self, rows: Rows) -> Float32[np.ndarray, "cells panel"]:
        """Return the values of the panel; NaN where a gene was not measured."""
        block = dense(self.expression.rows(rows)).astype(np.float32)
        values = block[:, self.columns]
        values[:, self.columns < 0] = np.nan
        return values

    def token_values(self, rows: Rows) -> Float32[np.ndarray, "cells tokens"]:
        """Return the values of the genes that have a token, in the order of token ids."""
        return dense(self.expression.rows(rows))[:, self.token_columns].astype(np.float32)


def view_of(
    expression: Expression, genes: tuple[str, ...], ids: Ids, panel: Sequence[str], vocab: Vocab | None = None
) -> View:
    """Return cells for strategies that learnt on `panel` and, where there is a checkpoint, on the tokens of `vocab`."""
    columns = panel_columns(genes, panel)
    tokens = np.zeros((0, 2), dtype=np.int64) if vocab is None else token_columns(genes, vocab)
    return View(expression, ids, columns, tokens[:, 0], tokens[:, 1])


def panel_columns(genes: tuple[str, ...], panel: Sequence[str]) -> Columns:
    """Return where each gene of a panel stands among `genes`, whatever either calls it; -1 where it is not."""
    place = {gene: column for column, gene in enumerate(genes)}
    if all(gene in place for gene in panel):
        return np.asarray([place[gene] for gene in panel], dtype=np.int64)
    found = found_among(panel, genes)
    return np.asarray([place[found[gene]] if gene in found else -1 for gene in panel], dtype=np.int64)


def token_columns(genes: tuple[str, ...], vocab: Vocab) -> Int[np.ndarray, "known 2"]:
    """Return column and token id of each gene that has a token, sorted by id; of several columns of a token the first.

    A column that is spelled as the token comes before one that is another name of the same gene.
    """
    found = found_among(genes, sorted(vocab.genes))
    chosen: dict[int, int] = {}
    exact: set[int] = set()
    for column, gene in enumerate(genes):
        if gene not in found:
            continue
        token = vocab.ids[found[gene]]
        if token not in chosen or (found[gene] == gene and token not in exact):
            chosen[token] = column
        if found[gene] == gene:
            exact.add(token)
    pairs = sorted((token, column) for token, column in chosen.items())
    return np.asarray([(column, token) for token, column in pairs], dtype=np.int64).reshape(-1, 2)


def digest_of(parts: Sequence[bytes]) -> str:
    """Return the sha256 of some bytes."""
    told = hashlib.sha256()
    for one in parts:
        told.update(len(one).to_bytes(8, "little"))
        told.update(one)
    return told.hexdigest()
