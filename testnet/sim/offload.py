"""The `Offload` of one simulated node: the work is done at a seeded virtual moment later, outside the caller's task.

The arguments are passed by reference and used only at that moment, so a caller that changes them meanwhile is caught. A
cancelled caller either waits until the work is done (as with a thread that cannot be stopped) or leaves at once while
the work is still done later; the seam allows both, and the seed decides.

Bound of the model: one call is done in one moment, so races inside two calls are not found here.
"""

from __future__ import annotations

import contextvars
import heapq
import random
from collections.abc import Callable
from typing import TypeVar

import outcome
import trio

from testnet.sim.clock import SimClock
from testnet.sim.disk_events import NodeKilledError

T = TypeVar("T")

THREADS_MAX = 4
"""Calls that are done at a time, unless told otherwise."""

_SHORTEST_S, _LONGEST_S = 0.000_1, 0.005
"""The virtual time of a call: file calls and coding of small blobs."""


class SimOffload:
    """Worker threads in virtual time, for one life of a node."""

    def __init__(self, clock: SimClock, rng: random.Random, *, threads_max: int = THREADS_MAX) -> None:
        """Do at most `threads_max` calls at a time; the others wait their turn."""
        self._clock = clock
        self._rng = rng
        self._free_at = [0.0] * threads_max
        self._waiting: dict[trio.Event, None] = {}
        self._is_dead = False

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run the call at its moment, return its result or raise its error. Raises `NodeKilledError` once dead."""
        await trio.lowlevel.checkpoint()
        self._check()
        results: list[outcome.Outcome[T]] = []
        done = trio.Event()
        context = contextvars.copy_context()

        def work() -> None:
            if not self._is_dead:
                results.append(context.run(outcome.capture, function, *args))
                done.set()

        self._clock.call_at(self._next_moment(), work)
        is_patient = self._rng.random() < 0.5  # noqa: PLR2004 - a fair coin
        self._waiting[done] = None
        try:
            with trio.CancelScope(shield=is_patient):
                await done.wait()
        finally:
            del self._waiting[done]
        self._check()
        return results[0].unwrap()

    def die(self) -> None:
        """Let no call be done any more; those who wait learn that their node is dead."""
        self._is_dead = True
        for done in self._waiting:
            done.set()

    def _next_moment(self) -> float:
        start = max(self._clock.current_time(), heapq.heappop(self._free_at))
        end = start + self._rng.uniform(_SHORTEST_S, _LONGEST_S)
        heapq.heappush(self._free_at, end)
        return end

    def _check(self) -> None:
        if self._is_dead:
            raise NodeKilledError
