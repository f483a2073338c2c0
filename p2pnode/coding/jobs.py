"""Long work in parts, so that worker threads can share it and nothing here needs to know of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol, TypeAlias, TypeVar

Part: TypeAlias = Callable[[], None]

PARTS_MAX = 12
"""Parts of a stage: enough for the last one to be short, few enough that starting them costs nothing."""

PART_BYTES_MIN = 2 << 20
"""About as many bytes are read, written and hashed in a part at least: some milliseconds."""

_HASH_COST_BYTES = 256
"""A symbol costs as much as this many bytes more: its leaf and its nodes are hashed whatever its size is."""

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Job(Protocol[R_co]):
    """One piece of work. Call every part of a stage, in any order and at the same time, before the next stage."""

    @property
    def is_small(self) -> bool:
        """Whether no stage has more than one part: then `run` does it all in one go."""
        ...

    def stages(self) -> Iterator[Sequence[Part]]:
        """Yield the parts of each stage; go on only when all of them have returned. Part and step may raise."""
        ...

    def finish(self) -> R_co:
        """Return the result, after the last stage. It is a part of the work too, and may raise."""
        ...


def run(job: Job[R]) -> R:
    """Do all of a job, here and now."""
    for stage in job.stages():
        for part in stage:
            part()
    return job.finish()


def parts_of(*, symbols: int, symbol_bytes: int) -> int:
    """Return in how many parts to do work that touches so many symbols of this size."""
    return max(1, min(PARTS_MAX, symbols * (symbol_bytes + _HASH_COST_BYTES) // PART_BYTES_MIN))


def split(count: int, parts: int) -> list[range]:
    """Return at most so many ranges of nearly the same length that together are the first `count` numbers."""
    parts = min(parts, count)
    bounds = [count * part // parts for part in range(parts + 1)]
    return [range(start, end) for start, end in pairwise(bounds)]
