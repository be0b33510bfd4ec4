"""From a published `CellFlow.pkl` to a model folder of ours, read back before it counts as done."""

from pathlib import Path

from pertura.core.errors import BadDataError
from pertura.models.cellflow.foreign import ForeignCellFlow
from pertura.models.cellflow.model import CellFlow


def facts(foreign: ForeignCellFlow) -> tuple[str, ...]:
    """Return what a published model is, in words."""
    config, space = foreign.network.config, foreign.space
    covariates = ", ".join(f"{one.name or foreign.group} ({one.width} wide)" for one in config.covariates)
    parameters = sum(one.numel() for one in foreign.network.parameters())
    known = sum(bool(one.any()) for one in foreign.vectors.values())
    return (
        f"CellFlow: {parameters:,} parameters, {config.pooling.kind} pooling, behaves as {config.compat or 'pertura'}",
        f"conditions: {covariates}; at most {config.elements} genes at once",
        f"gene vectors: {known:,}; trained on {len(foreign.trained):,} conditions",
        "components: none in the file" if space is None else f"components: {space.dims} of {len(space.genes):,} genes",
        *(f"note: {one}" for one in foreign.remarks),
    )


def convert(model: CellFlow, output: Path) -> str:
    """Write a model as a folder and return its digest; `BadDataError` where another one is read back."""
    model.save(output)
    if CellFlow.load(output).checkpoint != model.checkpoint:
        raise BadDataError(
            "the model is not the one that was written", file=output, remedy="do not use it; the source is unchanged"
        )
    return model.checkpoint
