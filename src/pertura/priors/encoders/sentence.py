"""Vectors of texts from a sentence-transformers model."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from pertura.core.errors import BadDataError, MissingError

BATCH = 32


class SentenceEncoder:
    """Encodes texts with a sentence-transformers model of the hub or in a folder.

    `truncated` counts the texts of the last call that were longer than the model reads, whose ends had no influence.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.name = f"sentence-transformers:{model}"
        self.truncated = 0

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Return a row for each text, as the model gives it: neither centred nor scaled.

        `MissingError` where the package or the model is not there.
        """
        network = self._network()
        self.truncated = _longer_than_read(network, texts)
        found = network.encode(list(texts), batch_size=BATCH, convert_to_numpy=True, show_progress_bar=False)
        table = np.asarray(found, dtype=np.float32).reshape(len(texts), -1)
        if not np.isfinite(table).all():
            raise BadDataError(f"{self.name} gave numbers that are not finite")
        return table

    def _network(self) -> Any:
        try:
            package = importlib.import_module("sentence_transformers")
        except ImportError as error:
            raise MissingError(
                f"{self.name} needs sentence-transformers: pip install 'pertura[text]', or use --encoder tfidf-svd"
            ) from error
        try:
            return package.SentenceTransformer(self.model)
        except (OSError, ValueError) as error:
            raise MissingError(f"{self.name} cannot be loaded: {str(error)[:300]}") from error


def _longer_than_read(network: Any, texts: Sequence[str]) -> int:
    """Return how many texts have more tokens than the model reads; 0 where it has no limit."""
    most = getattr(network, "max_seq_length", None)
    if most is None:
        return 0
    return sum(len(network.tokenizer(one)["input_ids"]) > most for one in texts)
