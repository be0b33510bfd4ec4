"""Where to write names beside points so that no two of them overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Pixels = float | int
GAP = 6.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; y grows downwards or upwards alike."""

    left: Pixels
    low: Pixels
    width: Pixels
    height: Pixels

    def overlaps(self, other: "Box") -> bool:
        """Whether two boxes share an area."""
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.low < other.low + other.height
            and other.low < self.low + self.height
        )

    def within(self, outer: "Box") -> "Box":
        """Return this box moved as little as needed to lie inside another."""
        left = min(max(self.left, outer.left), outer.left + outer.width - self.width)
        low = min(max(self.low, outer.low), outer.low + outer.height - self.height)
        return Box(left, low, self.width, self.height)


def place_labels(
    points: Sequence[tuple[Pixels, Pixels]],
    sizes: Sequence[tuple[Pixels, Pixels]],
    bounds: Box,
    others: Sequence[tuple[Pixels, Pixels]] = (),
) -> list[Box | None]:
    """Return a box of each size near its point, inside `bounds`, none over another nor over a point.

    The nearest free place is taken, in the order of the points; None where there is none.
    """
    taken = [Box(x - GAP / 2, y - GAP / 2, GAP, GAP) for x, y in (*points, *others)]
    placed: list[Box | None] = []
    for point, size in zip(points, sizes, strict=True):
        free = (
            box
            for box in (one.within(bounds) for one in _candidates(point, size, bounds.height))
            if not any(box.overlaps(other) for other in taken)
        )
        chosen = next(free, None)
        placed.append(chosen)
        if chosen is not None:
            taken.append(chosen)
    return placed


def _candidates(point: tuple[Pixels, Pixels], size: tuple[Pixels, Pixels], reach: float) -> Iterator[Box]:
    """Boxes right, left, above and below a point, then ever farther up and down."""
    (x, y), (width, height) = point, size
    for step in range(int(reach / height) + 2):
        for way in (1, -1) if step else (1,):
            low = y - height / 2 + way * step * height
            yield Box(x + GAP, low, width, height)
            yield Box(x - GAP - width, low, width, height)
            yield Box(x - width / 2, low + way * GAP, width, height)
