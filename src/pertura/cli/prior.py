"""`pertura prior`: make gene priors, and see what they know."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pertura.priors.coverage import Coverage, GenesCovered, Missing
    from pertura.priors.prior import GenePrior

SHOWN = 10

Source = Annotated[
    str,
    typer.Option(
        help="ncbi, uniprot, ncbi+uniprot, go-f, go-c, go-p, go-all, protein, or file:PATH (symbol and text)."
    ),
]
EncoderSpec = Annotated[
    str, typer.Option("--encoder", help="tfidf-svd, sentence-transformers:NAME, endpoint:MODEL or esm2:NAME.")
]
Dim = Annotated[int | None, typer.Option(help="Width of the vectors, for tfidf-svd. Default: 512.", min=1)]
HowJoined = Annotated[
    Literal["concat", "mean"], typer.Option("--how", help="Encode all terms of a gene as one text, or average them.")
]
TermLimit = Annotated[int, typer.Option(help="Gene Ontology terms of more genes than this are left out.", min=1)]
Output = Annotated[Path, typer.Option("--output", "-o", help="The safetensors file to write.")]
File = Annotated[Path, typer.Argument(help="A prior of pertura, a table by scGPT token, a pickle or a .pt file.")]
Data = Annotated[
    str | None, typer.Option(help="A screen (.h5ad, dataset.toml, bundled name): which of its genes are known?")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of text.")]


def prior_application() -> typer.Typer:
    """Return the application with all commands about priors."""
    from pertura.cli.prior_tables import combine, control

    app = typer.Typer(no_args_is_help=True, add_completion=False, help="Make gene priors, and see what they know.")
    for command in (build, inspect, control, combine):
        app.command()(command)
    return app


def build(
    *,
    source: Source,
    encoder: EncoderSpec = "tfidf-svd",
    dim: Dim = None,
    how: HowJoined = "concat",
    term_limit: TermLimit = 500,
    output: Output,
) -> None:
    """Make a prior: a vector for each gene from what a source says about it."""
    from pertura.core.errors import UsageError
    from pertura.priors.build import encoder_for, prior_of
    from pertura.priors.sources import knowledge_of
    from pertura.priors.store import save_prior

    if output.is_dir():
        raise UsageError(f"-o {output}: this is a folder; name a file")
    knowledge = knowledge_of(source, term_limit=term_limit)
    encoding = encoder_for(knowledge, encoder, dim=dim)
    prior = prior_of(knowledge, encoding, how)
    save_prior(prior, output)
    typer.echo(f"{prior.name}: {len(prior.genes):,} genes x {prior.table.shape[1]}")
    typer.echo(f"licence: {prior.facts.licence}")
    for note in knowledge.notes:
        typer.echo(f"note: {note}")
    for why, count in knowledge.dropped.items():
        typer.echo(f"left out: {count:,} x {why}")
    cut = getattr(encoding, "truncated", 0)
    if cut:
        typer.echo(f"cut short: {cut:,} x text longer than the encoder reads; the end had no influence")
    if len(prior.genes) < len(knowledge.genes):
        typer.echo(f"left out: {len(knowledge.genes) - len(prior.genes):,} x gene whose vector is zero")
    typer.echo(f"wrote {output}")


def inspect(file: File, *, data: Data = None, as_json: AsJson = False) -> None:
    """Say what a prior holds and where it is from; with a screen, which of its genes it knows, and why not the rest."""
    from pertura.priors.coverage import coverage
    from pertura.priors.opening import open_prior

    prior = open_prior(file)
    found = None
    if data is not None:
        from pertura.recipes.sources import cells_of

        found = coverage(prior, cells_of(data))
    if as_json:
        typer.echo(_json(prior, found))
        return
    for line in _described(prior):
        typer.echo(line)
    for line in _coverage_lines(found) if found else ():
        typer.echo(line)


def _json(prior: "GenePrior", found: "Coverage | None") -> str:
    import dataclasses
    import json

    content: dict[str, object] = {
        "name": prior.name,
        "genes": len(prior.genes),
        "width": prior.table.shape[1],
        "dtype": str(prior.table.dtype),
        **dataclasses.asdict(prior.facts),
    }
    if found is not None:
        content["coverage"] = {
            "screen": found.screen,
            **{
                name: {"covered": one.covered, **dataclasses.asdict(one)}
                for name, one in (("panel", found.panel), ("targets", found.targets))
            },
        }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _described(prior: "GenePrior") -> Iterable[str]:
    import numpy as np

    facts = prior.facts
    lengths = np.sqrt(np.einsum("ij,ij->i", prior.table, prior.table, dtype=np.float64))
    yield f"{prior.name}: {len(prior.genes):,} genes x {prior.table.shape[1]}, {prior.table.dtype}"
    yield f"  kind: {facts.kind}" + (f", made from {', '.join(facts.made_from)}" if facts.made_from else "")
    for word, said in (("source", facts.source), ("encoder", facts.encoder), ("licence", facts.licence)):
        yield f"  {word}: {said or 'not recorded'}"
    yield f"  sha256 of its texts: {facts.text_sha256 or 'not recorded'}"
    if len(lengths):
        spread = " / ".join(f"{one:.3g}" for one in np.quantile(lengths, (0, 0.5, 1)))
        yield f"  length of a vector: {spread} (smallest / median / largest)"


def _coverage_lines(found: "Coverage") -> Iterable[str]:
    for word, genes in (("panel", found.panel), ("perturbed genes", found.targets)):
        yield f"\n{found.screen}, {word}: {genes.covered:,} of {genes.genes:,} have a vector"
        yield from _genes_lines(genes)


def _genes_lines(genes: "GenesCovered") -> Iterable[str]:
    if genes.renamed:
        renamed = _listed([f"{own} as {other}" for own, other in genes.renamed.items()])
        yield f"  {len(genes.renamed):,} of them under another name: {renamed}"
    for why, count in genes.reasons.items():
        named = [_missing_name(one) for one in genes.missing if one.why == why]
        yield f"  missing, {why}: {count:,}: {_listed(named)}"


def _missing_name(missing: "Missing") -> str:
    return missing.gene + (f" (near {', '.join(missing.near)})" if missing.near else "")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
