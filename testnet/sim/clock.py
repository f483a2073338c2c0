"""Virtual time for trio: no real waiting, one seed for the order of tasks, and an error instead of a hang.

Trio asks its clock how long it may sleep exactly when no task can run. That is where due events are carried out and
where time jumps; so there is no task that pumps events and nothing depends on how fast this machine is.

This is the only file that touches trio's private names; `TRIO_VERSION` says for which version they were checked, and a
test fails when another one is installed.
"""

from __future__ import annotations

import gc
import heapq
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Protocol, TypeVar

import trio
from trio._core import _run as trio_run

T = TypeVar("T")

TRIO_VERSION = "0.35.0"

WALL_EPOCH_S = 1_800_000_000.0
"""What every simulated wall clock shows at virtual second 0, before its own offset."""

_IDLE_TURNS_MAX = 3
"""Trio's own wake-up socket may need a turn or two; a run that is idle for longer than this is stuck for ever."""

_SHIELDED_TURNS_MAX = 100
"""Turns after which a stuck run that does not even end when cancelled is torn down."""


class DeadlockError(Exception):
    """Every task waits and no event is due: the run would hang for ever."""


_POLL_EVERY_TURNS = 256
"""Nothing in a simulation waits for a file descriptor but trio's own wake-up; to ask the kernel in every turn of trio's
loop would be a tenth of what a world costs."""


IsHeld = Callable[[Context], bool]
"""Tells by its context whether a task is to wait, though it could run."""


class _TaskQueue(deque[trio.lowlevel.Task]):
    """Trio's queue of the tasks that can run, which puts some of them aside."""

    def __init__(self, is_held: IsHeld, held: list[trio.lowlevel.Task]) -> None:
        super().__init__()
        self._is_held = is_held
        self._held = held

    def append(self, task: trio.lowlevel.Task) -> None:
        """Take a task that can run; trio adds tasks in no other way."""
        if self._is_held(task.context):
            self._held.append(task)
        else:
            super().append(task)


class _Watcher(Protocol):
    """What is used of trio's own."""

    def get_events(self, timeout: float) -> Sequence[object]: ...


class _SeldomPolled:
    """Trio's watcher of file descriptors, which looks at them in few turns, and in those in which it has to."""

    def __init__(self, watcher: _Watcher, has_to: Callable[[], bool]) -> None:
        self._watcher = watcher
        self._has_to = has_to
        self._turns = 0

    def get_events(self, timeout: float) -> Sequence[object]:
        """Return what trio is to handle in this turn; the clock never lets it wait."""
        self._turns += 1
        if self._turns % _POLL_EVERY_TURNS and not self._has_to():
            return ()
        return self._watcher.get_events(timeout)

    def __getattr__(self, name: str) -> object:
        """Return everything else as it was."""
        return getattr(self._watcher, name)


class _Sleeper:
    """A task that waits for a moment, unless it is cancelled before."""

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def wake(self) -> None:
        """Let the task go on."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    def give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Let the moment pass: trio wakes the task itself."""
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class SimClock(trio.abc.Clock):
    """Trio's clock for one simulated run, and the queue of the events that are due at a virtual moment."""

    def __init__(self) -> None:
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._event_count = 0
        self._is_over = False
        self._idle_turns = 0
        self._held: list[trio.lowlevel.Task] = []
        self._root: trio.CancelScope | None = None
        self._error: BaseException | None = None

    def start_clock(self) -> None:
        """Begin at 0: trio calls this once its loop exists."""
        runner: Any = trio_run.GLOBAL_RUN_CONTEXT.runner
        calls = runner.entry_queue  # What `run_sync_soon` was asked for: trio wakes itself for it.
        runner.io_manager = _SeldomPolled(
            runner.io_manager, lambda: bool(self._idle_turns or calls.queue or calls.idempotent_queue)
        )

    def current_time(self) -> float:
        """Return the virtual second."""
        return self._now

    def call_at(self, moment: float, function: Callable[[], None]) -> None:
        """Call `function` at a virtual moment, outside any task; those of one moment in the order of these calls.

        Nothing happens any more once the main function has ended.
        """
        if self._is_over:
            return
        self._event_count += 1
        heapq.heappush(self._events, (max(moment, self._now), self._event_count, function))

    async def sleep(self, seconds: float) -> None:
        """Wait, as `trio.sleep` does, at a fifth of its cost: that one sets a deadline, and cancels itself.

        Most of what happens in a world in which nothing happens is that somebody has slept.
        """
        if self._is_over or not 0 < seconds < math.inf:
            await trio.sleep(seconds)
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        sleeper = _Sleeper()
        self.call_at(self._now + seconds, sleeper.wake)
        await trio.lowlevel.wait_task_rescheduled(sleeper.give_up)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Carry out what is due before trio's next deadline, until a task can run; else jump to that deadline."""
        while self._events and self._events[0][0] <= deadline:
            moment, _, function = heapq.heappop(self._events)
            self._now = max(self._now, moment)
            self._idle_turns = 0
            self._call(function)
            if trio_run.GLOBAL_RUN_CONTEXT.runner.runq or deadline == math.inf:
                return 0  # Events may follow each other for ever, while trio's own wake-up waits for a turn.
            deadline = trio_run.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        if deadline == math.inf:
            self._count_idle_turn()
            return 0
        self._idle_turns = 0
        self._now = max(self._now, deadline)
        return 0

    def hold_tasks(self, is_held: IsHeld | None) -> None:
        """From now on put aside every task that can run and whose context is held; nothing is held with None.

        Those that were put aside and are not held any more can run again, in the order in which they might have run.
        Call it within the run. A task that is in the batch which trio runs at this very moment ends its step.
        """
        runner = trio_run.GLOBAL_RUN_CONTEXT.runner
        tasks, self._held = [*self._held, *runner.runq], []
        # While nothing is held trio has its own kind of queue, which costs nothing.
        runner.runq = deque() if is_held is None else _TaskQueue(is_held, self._held)
        for task in tasks:
            runner.runq.append(task)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - outside any task: it would tear trio itself down
            self._stop(error)

    def _count_idle_turn(self) -> None:
        self._idle_turns += 1
        if self._idle_turns > _SHIELDED_TURNS_MAX:
            raise DeadlockError("a task waits for ever and is shielded against being cancelled")
        if self._idle_turns > _IDLE_TURNS_MAX:
            self._stop(DeadlockError(f"every task waits and no event is due at virtual second {self._now:.3f}"))

    def _stop(self, error: BaseException) -> None:
        self._error = self._error or error
        if self._root is not None:
            self.hold_tasks(None)  # A task that is put aside could not end.
            self._root.cancel()

    async def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run the simulation's main function. Raises what an event raised, and `DeadlockError`."""
        results: list[T] = []
        try:
            with trio.CancelScope() as self._root:
                results.append(await main())
        finally:
            self._is_over = True
            self._events.clear()
        if self._error is not None:
            raise self._error
        return results[0]


def run_in_virtual_time(main: Callable[[SimClock], Awaitable[T]], *, seed: int) -> T:
    """Run `main` under a new virtual clock, with the order of runnable tasks drawn from the seed.

    The cyclic garbage collector is off meanwhile: where it strikes depends on what the process did before.
    """
    clock = SimClock()
    with _deterministic_scheduling(seed), _collector_off():
        return _run(clock, lambda: main(clock))


def _run(clock: SimClock, main: Callable[[], Awaitable[T]]) -> T:
    results: list[T] = []

    async def run() -> None:
        results.append(await clock.run(main))

    trio.run(run, clock=clock)
    return results[0]


def deadlines_of(nursery: trio.Nursery, *, below: trio.CancelScope) -> dict[trio.CancelScope, float]:
    """Return the deadlines of all tasks of a nursery and of what they have started, of the scopes within `below`."""
    found: dict[trio.CancelScope, float] = {}
    tasks = list(nursery.child_tasks)
    while tasks:
        task = tasks.pop()
        status: Any = task._cancel_status  # noqa: SLF001 - see the module's docstring
        while status is not None and status._scope is not below:  # noqa: SLF001 - see the module's docstring
            scope = status._scope  # noqa: SLF001 - see the module's docstring
            if scope.deadline != math.inf:
                found[scope] = scope.deadline
            status = status._parent  # noqa: SLF001 - see the module's docstring
        tasks += [child for each in task.child_nurseries for child in each.child_tasks]
    return found


class NodeClock:
    """The `Clock` of one simulated machine: virtual monotonic time, and a wall clock that may be wrong."""

    def __init__(self, *, offset_s: float = 0.0) -> None:
        """Start with a wall clock that is `offset_s` ahead of the others."""
        self.offset_s = offset_s
        """How far it was ahead when its drift began, or all the time when it has none."""
        self._drift = 0.0
        self._drifts_since = 0.0
        self._on_read: Callable[[], None] | None = None
        self._slept_s = 0.0
        """In all the sleeps that are over."""
        self._fell_asleep_at: float | None = None

    def monotonic(self) -> float:
        """Return the virtual second; of a machine that has slept, those that it was awake."""
        return trio.current_time() - self.asleep()

    def wall(self) -> float:
        """Return the seconds since 1970 that this node believes in."""
        if self._on_read is not None:
            self._on_read()
        return WALL_EPOCH_S + trio.current_time() + self.error_s

    def asleep(self) -> float:
        """Return for how long this machine has slept."""
        since = self._fell_asleep_at
        return self._slept_s if since is None else self._slept_s + trio.current_time() - since

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time; a machine that sleeps meanwhile waits for what is left once it is awake."""
        until, slept_s = self.monotonic() + seconds, self._slept_s
        await self._wait(seconds)
        while slept_s != self._slept_s:
            slept_s = self._slept_s
            await self._wait(max(0.0, until - self.monotonic()))

    async def _wait(self, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        if isinstance(clock, SimClock):
            await clock.sleep(seconds)
        else:
            await trio.sleep(seconds)

    # What the world does to it.

    def fall_asleep(self) -> None:
        """Stop the monotonic clock."""
        assert self._fell_asleep_at is None
        self._fell_asleep_at = trio.current_time()

    def wake(self) -> float:
        """Let the monotonic clock go on; return for how long it stood still."""
        assert self._fell_asleep_at is not None
        slept_s, self._fell_asleep_at = trio.current_time() - self._fell_asleep_at, None
        self._slept_s += slept_s
        return slept_s

    @property
    def error_s(self) -> float:
        """How far it is ahead of a right one now."""
        return self.offset_s + self._drift * (trio.current_time() - self._drifts_since)

    def set_wrong(self, error_s: float, *, drift: float = 0.0, on_read: Callable[[], None] | None = None) -> None:
        """Be so far ahead from now on, and `drift` seconds more each second; `on_read` is called at each look at it."""
        self.offset_s, self._drift, self._drifts_since = error_s, drift, trio.current_time()
        self._on_read = on_read

    @property
    def drift(self) -> float:
        """How many seconds it gains each second."""
        return self._drift


@contextmanager
def _deterministic_scheduling(seed: int) -> Iterator[None]:
    """Make trio sort each batch of runnable tasks by age and shuffle it with its seeded generator."""
    names = vars(trio_run)
    flag, state = names["_ALLOW_DETERMINISTIC_SCHEDULING"], trio_run._r.getstate()  # noqa: SLF001 - see the docstring
    names["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio_run._r.setstate(random.Random(seed).getstate())  # noqa: SLF001 - see the module's docstring
    try:
        yield
    finally:
        names["_ALLOW_DETERMINISTIC_SCHEDULING"] = flag
        trio_run._r.setstate(state)  # noqa: SLF001 - see the module's docstring


@contextmanager
def _collector_off() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
