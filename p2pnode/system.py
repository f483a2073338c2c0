"""Clock, chance and threads of this machine: the real implementations of three seams."""

from __future__ import annotations

import ctypes
import functools
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

T = TypeVar("T")

MALLOC_ARENAS_MAX = 2
_M_ARENA_MAX = -8
"""The parameter's number in glibc's <malloc.h>."""

_UNIFORM_BITS = 53
"""As many random bits as a float holds."""


class SystemClock:
    """The machine's clocks, with trio's monotonic time so that deadlines and timestamps agree."""

    def monotonic(self) -> float:
        """Return trio's time."""
        return trio.current_time()

    def wall(self) -> float:
        """Return the machine's idea of the time since 1970."""
        return time.time()

    def asleep(self) -> float:
        """Return for how long this machine was suspended since it was booted, as Linux counts it; 0 elsewhere."""
        if sys.platform != "linux":
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await trio.sleep(seconds)


class SystemRng:
    """The operating system's randomness."""

    def random_bytes(self, count: int) -> bytes:
        """Return random bytes fit for keys."""
        return secrets.token_bytes(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number from low to high."""
        return low + (high - low) * secrets.randbits(_UNIFORM_BITS) / (1 << _UNIFORM_BITS)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in a random order."""
        shuffled = list(items)
        secrets.SystemRandom().shuffle(shuffled)
        return shuffled


class ThreadOffload:
    """Worker threads behind one limiter, so that work waits instead of piling up threads."""

    def __init__(self, threads_max: int) -> None:
        """Allow at most `threads_max` calls at a time."""
        self._limiter = trio.CapacityLimiter(threads_max)

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run the call in a worker thread; a cancelled caller waits for its end, so that no write is left behind."""
        return await trio.to_thread.run_sync(functools.partial(function, *args), limiter=self._limiter)


def bound_memory_arenas() -> None:
    """Keep glibc from giving each worker thread a heap of its own; call it before threads start.

    Buffers of a megabyte that several threads allocate in turn leave each heap full of holes, and a long upload would
    slowly grow. Does nothing where the C library has no such setting.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, MALLOC_ARENAS_MAX)
