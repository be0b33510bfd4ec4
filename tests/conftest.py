"""Every test runs with array shapes and types checked at each call."""

from jaxtyping import install_import_hook

install_import_hook("pertura", "beartype.beartype")
