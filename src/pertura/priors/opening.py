"""A prior from a file of any kind that is known."""

from dataclasses import replace
from pathlib import Path

from pertura.core.errors import MissingError
from pertura.genes.vocab import human_vocab
from pertura.priors.foreign import read_foreign
from pertura.priors.prior import GenePrior
from pertura.priors.store import FORMAT, load_prior, read_scgpt_table
from pertura.priors.table_file import open_table


def open_prior(path: Path) -> GenePrior:
    """Return the prior in a file: pertura's own, a table by token of the whole-human vocabulary, a pickle or `.pt`.

    Only the suffix `.safetensors` is gone by; everything else is looked for in the file. Nothing is executed.
    """
    if not path.is_file():
        raise MissingError(f"no file {path}")
    if path.suffix != ".safetensors":
        return read_foreign(path)
    if open_table(path).metadata.get("format") == FORMAT:
        return load_prior(path)
    found = read_scgpt_table(path, human_vocab())
    told = f"{len(found.empty):,} genes of the vocabulary have no row"
    if found.specials:
        told += f"; vectors of {len(found.specials)} special tokens left out"
    source = "; ".join(part for part in (found.prior.facts.source, told) if part)
    return replace(found.prior, facts=replace(found.prior.facts, source=source))
