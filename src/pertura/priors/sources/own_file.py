"""Texts from a file of the user's: symbol and text, as a table or as JSON."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pertura.core.errors import BadDataError, MissingError
from pertura.priors.sources.cleaning import cleaned
from pertura.priors.sources.knowledge import Knowledge

HEADERS = frozenset({"symbol", "gene", "gene_symbol", "gene symbol", "name"})
WANTED = 'give two tab-separated columns, symbol and text, or a JSON object {"SYMBOL": "text"}'


def own_file(path: Path) -> Knowledge:
    """Return the texts of a file: tab-separated symbol and text, or a JSON object of them; either may be gzipped.

    A JSON text may be a list of texts, such as terms. Genes keep the names the file has. A gene that is there twice
    has both texts, in their order.
    """
    text = _read(path)
    rows = _of_json(text, path) if path.name.removesuffix(".gz").endswith(".json") else _of_table(text, path)
    dropped: Counter[str] = Counter()
    parts: dict[str, tuple[str, ...]] = {}
    for gene, said in rows:
        kept = tuple(filter(None, (cleaned(one) for one in said)))
        dropped["says nothing"] += len(said) - len(kept)
        if kept:
            parts[gene] = (*parts.get(gene, ()), *kept)
    if not parts:
        raise BadDataError("no gene has a text", file=path, remedy=WANTED)
    genes = tuple(sorted(parts))
    counted = {why: count for why, count in dropped.items() if count}
    return Knowledge(f"file:{path.name}", genes, tuple(parts[one] for one in genes), "not stated", dropped=counted)


def _read(path: Path) -> str:
    if not path.is_file():
        raise MissingError(f"no file {path}")
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadDataError(f"not readable as text ({error})", file=path, remedy=WANTED) from error


def _of_json(text: str, path: Path) -> Iterable[tuple[str, tuple[str, ...]]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"not JSON ({error})", file=path, remedy=WANTED) from error
    if not isinstance(content, dict):
        raise BadDataError(f"a JSON {type(content).__name__}", file=path, remedy=WANTED)
    for gene, said in content.items():
        texts = said if isinstance(said, list) else [said]
        if not all(isinstance(one, str) for one in texts):
            raise BadDataError("this is neither a text nor a list of texts", file=path, place=gene, remedy=WANTED)
        yield gene, tuple(texts)


def _of_table(text: str, path: Path) -> Iterable[tuple[str, tuple[str, ...]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and fields[0].strip().lower() in HEADERS):
            continue
        if len(fields) != 2 or not fields[0].strip():
            raise BadDataError(f"{len(fields)} columns", file=path, place=f"line {number}", remedy=WANTED)
        yield fields[0].strip(), (fields[1],)
