"""What is asked about a prediction."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """Which preset, and how it is worked out; nothing here but `preset`, `skip` and `seed` changes a number.

    `effort` says how often the preset is asked again for what stands beside its numbers.
    """

    preset: str = "pertura"
    skip: frozenset[str] = frozenset()
    memory: int = 4 << 30
    threads: int | None = None
    device: str = "cpu"
    effort: str = "normal"
    seed: int = 1


DEFAULT = Asked()
