"""Machines that stand still and go on later: as a process that got SIGSTOP, or a laptop that sleeps.

Nothing of a paused node runs: no task, no call in its worker threads, no handler. Time passes for it all the same, so
that all its timers are late at once when it goes on; they come before what waited in its sockets. A machine that sleeps
stops its monotonic clock too: its timers have as long to go as before, and only the wall clock has moved on.
"""

from __future__ import annotations

import math
from contextvars import Context
from dataclasses import dataclass

import trio

from testnet.sim.clock import NodeClock, SimClock
from testnet.sim.fabric import Fabric
from testnet.sim.faults import FaultKind, FaultLog
from testnet.sim.machine import Life, current_life


@dataclass(frozen=True, slots=True)
class _Sleep:
    clock: NodeClock
    deadlines: dict[trio.CancelScope, float]
    """What the tasks waited for no longer than."""


class Pauses:
    """The paused nodes of a world."""

    def __init__(self, clock: SimClock, fabric: Fabric, log: FaultLog) -> None:
        """Start with none; `log` is told of each that really had something to do."""
        self._clock = clock
        self._fabric = fabric
        self._log = log
        self._lives: dict[str, Life] = {}
        self._asleep: dict[str, _Sleep] = {}
        self._late: set[str] = set()
        """Those that had something to do meanwhile; only asked for, never gone through."""

    def pause(self, life: Life) -> None:
        """Let a node stand still from now on; nothing happens to one that does already."""
        if life.name in self._lives:
            return
        self._lives[life.name] = life
        life.offload.pause()
        self._fabric.pause(life.name, kind=self._kind(life.name))
        self._clock.hold_tasks(self._is_held)

    def put_to_sleep(self, life: Life, clock: NodeClock) -> None:
        """Let a machine sleep from now on, with the clock that is its own; nothing happens to one that stands still."""
        if life.name in self._lives:
            return
        clock.fall_asleep()
        self._asleep[life.name] = sleep = _Sleep(clock, life.deadlines())
        for scope in sleep.deadlines:
            scope.deadline = math.inf
        self.pause(life)

    def resume(self, name: str) -> None:
        """Let a node go on, if it stands still; also one that was killed meanwhile, so that its tasks can end."""
        life = self._lives.pop(name, None)
        if life is None:
            return
        sleep = self._asleep.pop(name, None)
        if sleep is not None:
            slept_s = sleep.clock.wake()
            for scope, deadline in sleep.deadlines.items():
                scope.deadline = deadline + slept_s
        self._late.discard(name)
        self._clock.hold_tasks(self._is_held if self._lives else None)
        life.offload.resume()
        self._fabric.resume(name, is_dead=life.was_killed)

    def is_paused(self, name: str) -> bool:
        """Tell whether the node on this machine stands still."""
        return name in self._lives

    def end(self) -> None:
        """Let all go on: the world ends, and a task that is put aside could not."""
        for name in list(self._lives):
            self.resume(name)

    def _is_held(self, context: Context) -> bool:
        life = context.get(current_life)
        if life is None or self._lives.get(life.name) is not life:
            return False
        if life.name not in self._late:
            self._late.add(life.name)
            self._log.fire(self._kind(life.name))
        return True

    def _kind(self, name: str) -> FaultKind:
        return FaultKind.SLEEP if name in self._asleep else FaultKind.PAUSE
