"""Networks of the published package, from their configuration and parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from pertura.core.errors import BadDataError, UsageError
from pertura.models.cellflow.config import COMPATS
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.official_config import read_config
from pertura.models.cellflow.official_weights import fill


def load_official(
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    compat: str | None = "0.0.9",
    *,
    widths: Mapping[str, int] | None = None,
) -> CellFlowNetwork:
    """Return a published network in evaluation mode; its `remarks` say what of the configuration it leaves out.

    `config` holds the fields of the published velocity field (`output_dim`, `pooling`, `layers_before_pool`, ...);
    `params` its arrays by path (`decoder/Dense_0/kernel`), flat or nested. `compat` says which version to repeat:
    `"0.0.9"`, `"paper"`, or None for masks that are right, and a refusal of layers that the package drops. `widths`
    tells the width of each group of a condition, where neither of the two does. `UsageError` for a configuration that
    is none, `BadDataError` where parameters are missing, superfluous or of another shape.
    """
    version = next((one for one in COMPATS if one == compat), None)
    if version != compat:
        raise UsageError(f"compat={compat!r}: there are {', '.join(map(repr, COMPATS))} and None")
    arrays = flat_arrays(params)
    read = read_config(config, {name: one.shape for name, one in arrays.items()}, version, widths or {})
    network = CellFlowNetwork(read.config)
    fill(network, arrays)
    network.remarks = read.remarks
    return network.eval()


def flat_arrays(params: Mapping[str, Any], before: str = "") -> dict[str, Float[np.ndarray, "..."]]:
    """Return float32 arrays by path, out of nested dicts or of paths; a leading `params/` is dropped."""
    found: dict[str, Float[np.ndarray, ...]] = {}
    for name, value in params.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            found |= flat_arrays(value, f"{path}/")
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise BadDataError(f"{path} holds no numbers but {array.dtype}", remedy="give the parameters as arrays")
        found[path.removeprefix("params/")] = array.astype(np.float32)
    return found
