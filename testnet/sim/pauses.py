"""Machines that stand still: as a process that got SIGSTOP, or a laptop that sleeps, and that goes on later.

Nothing of a paused node runs: no task, no call in its worker threads, no handler. Time passes for it all the same, so
that all its timers are late at once when it goes on; they come before what waited in its sockets.
"""

from __future__ import annotations

from contextvars import Context

from testnet.sim.clock import SimClock
from testnet.sim.fabric import Fabric
from testnet.sim.faults import FaultKind, FaultLog
from testnet.sim.machine import Life, current_life


class Pauses:
    """The paused nodes of a world."""

    def __init__(self, clock: SimClock, fabric: Fabric, log: FaultLog) -> None:
        """Start with none; `log` is told of each that really had something to do."""
        self._clock = clock
        self._fabric = fabric
        self._log = log
        self._lives: dict[str, Life] = {}
        self._late: set[str] = set()
        """Those that had something to do meanwhile; only asked for, never gone through."""

    def pause(self, life: Life) -> None:
        """Let a node stand still from now on; nothing happens to one that does already."""
        if life.name in self._lives:
            return
        self._lives[life.name] = life
        life.offload.pause()
        self._fabric.pause(life.name)
        self._clock.hold_tasks(self._is_held)

    def resume(self, name: str) -> None:
        """Let a node go on, if it stands still; also one that was killed meanwhile, so that its tasks can end."""
        life = self._lives.pop(name, None)
        if life is None:
            return
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
            self._log.fire(FaultKind.PAUSE)
        return True
