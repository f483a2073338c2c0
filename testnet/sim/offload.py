"""The `Offload` of one simulated node: the work is done at a seeded virtual moment later, outside the caller's task.

The arguments are passed by reference and used only at that moment, so a caller that changes them meanwhile is caught. A
cancelled caller either waits until the work is done (as with a thread that cannot be stopped) or leaves at once while
the work is still done later; the seam allows both, and the seed decides. Who leaves has his buffers back: whatever of
them can be written to is filled with `POISON`, as if it held the next thing already, so that a late call which still
reads them, or a result that somebody else reads too, shows.

Where the disk stalls, a call that works with it begins late, or ends long after its work was done, or both.

Bound of the model: one call is done in one moment, so races inside two calls are not found here. What a power loss in
the middle of a call leaves is found by killing the node from a disk's hook.
"""

from __future__ import annotations

import contextvars
import dataclasses
import heapq
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import outcome
import trio

from testnet.sim.clock import SimClock
from testnet.sim.disk_events import NodeKilledError
from testnet.sim.disk_faults import DiskFaults

T = TypeVar("T")

THREADS_MAX = 4
"""Calls that are done at a time, unless told otherwise."""

POISON = 0xA5
"""What a buffer is filled with that its owner has back."""

_SHORTEST_S, _LONGEST_S = 0.000_1, 0.005
"""The virtual time of a call: file calls and coding of small blobs."""

_DISK_PACKAGES = ("p2pnode.storage.", "testnet.sim.files")
"""Where the functions are that work with a disk."""


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    """A call that waits for its moment; no closure over itself, for a world collects no cycles."""

    work: Callable[[], T]
    begin: float
    end: float
    """When its caller learns of it."""
    done: trio.Event = field(default_factory=trio.Event)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    result: outcome.Outcome[T] | None = None
    is_left: bool = False


class SimOffload:
    """Worker threads in virtual time, for one life of a node."""

    def __init__(
        self,
        clock: SimClock,
        rng: random.Random,
        *,
        threads_max: int = THREADS_MAX,
        disk: DiskFaults | None = None,
    ) -> None:
        """Do at most `threads_max` calls at a time; the others wait their turn. `disk` says when its calls stall."""
        self._clock = clock
        self._rng = rng
        self._disk = disk
        self._free_at = [0.0] * threads_max
        self._waiting: dict[trio.Event, None] = {}
        self._is_dead = False
        self._late: list[Callable[[], None]] | None = None
        """The calls that are due while the node is paused; None when it is not."""

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run the call at its moment, return its result or raise its error. Raises `NodeKilledError` once dead."""
        await trio.lowlevel.checkpoint_if_cancelled()  # It waits in any case.
        self._check()
        begin, end = self._next_moments(self._stall_of(function))
        call = _Call(partial(function, *args), begin, end)
        self._clock.call_at(begin, partial(self._do, call))
        is_patient = self._rng.random() < 0.5  # noqa: PLR2004 - a fair coin
        self._waiting[call.done] = None
        try:
            if is_patient:
                with trio.CancelScope(shield=True):
                    await call.done.wait()
            else:
                await call.done.wait()
        finally:
            del self._waiting[call.done]
            if not call.done.is_set():
                call.is_left = True
                _poison(args)
                _poison_result(call.result)
        self._check()
        assert call.result is not None, "it is done"
        return call.result.unwrap()

    def _do(self, call: _Call[T]) -> None:
        if self._late is not None:
            self._late.append(partial(self._do, call))
        elif not self._is_dead:
            call.result = call.context.run(outcome.capture, call.work)
            if call.is_left:
                _poison_result(call.result)
            if call.end > call.begin:
                self._clock.call_at(call.end, call.done.set)
            else:
                call.done.set()

    def pause(self) -> None:
        """Do no call from now on."""
        self._late = []

    def resume(self) -> None:
        """Do what was due meanwhile, and go on."""
        late, self._late = self._late or [], None
        for work in late:
            self._clock.call_at(self._clock.current_time(), work)

    def die(self) -> None:
        """Let no call be done any more; those who wait learn that their node is dead."""
        self._is_dead = True
        for done in self._waiting:
            done.set()

    def _stall_of(self, function: Callable[..., object]) -> float:
        """Return how much longer this call lasts; a partial or another object without a module is not of the disk."""
        module = getattr(function, "__module__", None) or ""
        return self._disk.stall_of_call() if self._disk and module.startswith(_DISK_PACKAGES) else 0.0

    def _next_moments(self, stall_s: float) -> tuple[float, float]:
        """Return when the work is done and when the caller learns of it; the thread is busy until then."""
        start = max(self._clock.current_time(), heapq.heappop(self._free_at))
        begin = end = start + self._rng.uniform(_SHORTEST_S, _LONGEST_S)
        if stall_s:
            begin += stall_s * self._rng.random()
            end += stall_s
        heapq.heappush(self._free_at, end)
        return begin, end

    def _check(self) -> None:
        if self._is_dead:
            raise NodeKilledError


def _poison_result(result: outcome.Outcome[T] | None) -> None:
    """Fill the result of a call that nobody waits for: whoever reads it as well has a buffer that is not his."""
    if isinstance(result, outcome.Value):
        _poison([result.value])


def _poison(values: Iterable[object]) -> None:
    for view in _writable(values):
        view[:] = bytes([POISON]) * len(view)


def _writable(values: Iterable[object]) -> Iterator[memoryview]:
    """Yield the buffers among some values that can be written to, also those inside sequences and dataclasses."""
    for value in values:
        if isinstance(value, bytearray | memoryview):
            view = memoryview(value)
            if not view.readonly and view.contiguous and view.nbytes:
                yield view.cast("B")
        elif isinstance(value, list | tuple):
            yield from _writable(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _writable(getattr(value, field.name) for field in dataclasses.fields(value))
