"""Random streams that depend on a seed and on names, never on the order in which work is done."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Shaped


def stream(*names: object) -> int:
    """Return a 64-bit integer for a path of names; equal on every machine and in every run."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return the generator of one named purpose, independent of every other purpose of the same seed."""
    return np.random.default_rng([seed, stream(*names)])


def shuffled(ids: Sequence[str] | Shaped[np.ndarray, " cells"], seed: int, *names: object) -> Int[np.ndarray, " cells"]:
    """Return positions of `ids` in an order that depends on each id, the seed and the names alone.

    The order in which the ids come in has no influence on the order of the ids that come out.
    """
    key = stream(seed, *names).to_bytes(8, "little")
    digests = [hashlib.blake2b(str(one).encode(), digest_size=8, key=key).digest() for one in ids]
    return np.asarray(sorted(range(len(digests)), key=lambda i: (digests[i], str(ids[i]))), dtype=np.int64)
