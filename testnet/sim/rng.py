"""Seeded chance: one independent generator for each purpose of a simulated world."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def generator(seed: int, purpose: str) -> random.Random:
    """Return the generator for one purpose; what one purpose draws never changes what another one gets."""
    return random.Random(f"{seed}/{purpose}")


class SimRng:
    """The `Rng` of one simulated node."""

    def __init__(self, source: random.Random) -> None:
        """Draw from `source` only."""
        self._source = source

    def random_bytes(self, count: int) -> bytes:
        """Return bytes that look random."""
        return self._source.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a number from low to high."""
        return self._source.uniform(low, high)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in another order."""
        shuffled = list(items)
        self._source.shuffle(shuffled)
        return shuffled
