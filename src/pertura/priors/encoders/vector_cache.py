"""Vectors that were computed or paid for once, kept on disk by the encoder and the text they belong to."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError

DIGEST_BYTES = 32
Vector = Float32[np.ndarray, " width"]


def cache_folder() -> Path:
    """Return where vectors are kept: `PERTURA_CACHE` if it is set, else the user's cache folder."""
    chosen = os.environ.get("PERTURA_CACHE", "")
    if chosen:
        return Path(chosen) / "vectors"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pertura" / "vectors"


@dataclass(frozen=True)
class VectorCache:
    """One file for each text of one encoder; whole or absent, and checked by a digest when it is read.

    A kill loses nothing that was put in. A damaged file counts as absent: the vector is made again.
    """

    folder: Path
    encoder: str

    def vector(self, text: str) -> Vector | None:
        """Return what was kept for a text, None where nothing sound is."""
        try:
            content = self._place(text).read_bytes()
        except FileNotFoundError:
            return None
        numbers = content[DIGEST_BYTES:]
        if content[:DIGEST_BYTES] != hashlib.sha256(numbers).digest() or not numbers or len(numbers) % 4:
            return None
        return np.frombuffer(numbers, dtype="<f4").astype(np.float32)

    def keep(self, text: str, vector: Vector) -> None:
        """Keep the vector of a text. It is not pushed to the disk at once: its digest tells a torn file."""
        numbers = vector.astype("<f4").tobytes()
        with replacing(self._place(text), synced=False) as temporary:
            temporary.write_bytes(hashlib.sha256(numbers).digest() + numbers)

    def vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        """Return text -> vector for those that are kept."""
        kept = {text: self.vector(text) for text in texts}
        return {text: one for text, one in kept.items() if one is not None}

    def _place(self, text: str) -> Path:
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / hashlib.sha256(self.encoder.encode()).hexdigest()[:32] / name[:2] / name[2:]


def stacked(texts: Iterable[str], vectors: dict[str, Vector]) -> Float32[np.ndarray, "texts width"]:
    """Return the vectors of texts as rows; widths that differ raise `BadDataError` with both numbers."""
    rows = [vectors[text] for text in texts]
    widths = sorted({len(one) for one in rows})
    if len(widths) > 1:
        raise BadDataError(f"vectors of {widths[0]} and of {widths[-1]} numbers", remedy="empty the cache of vectors")
    return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)
