"""The whole package runs with array shapes and types checked at each call; `make check` leaves that to `make test`."""

import os

from jaxtyping import install_import_hook

if os.environ.get("PERTURA_SHAPES", "1") != "0":
    install_import_hook("pertura", "beartype.beartype")
