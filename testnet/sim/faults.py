"""The faults of a simulated world: their names, how many were injected, and which of them really had an effect.

An injection is something that a scenario does; a scenario that is replayed with fewer of them does the first ones only,
which is how the shortest failing prefix is found. A fault has *fired* when a node met it: a cut that no packet ran into
has not. A scenario names the kinds that it is about, and fails when one of them never fired.
"""

from __future__ import annotations

import enum
from collections import Counter

from testnet.sim.trace import Trace


class FaultKind(enum.StrEnum):
    """What can go wrong, one word per thing; the text is what the terminal shows."""

    KILL = "kill"
    """The process ends at once; what it wrote stays."""
    POWER_LOSS = "power-loss"
    LOST_WRITE = "lost-write"
    """A power loss took something that was not synced."""
    TORN_WRITE = "torn-write"
    PAUSE = "pause"
    """A process stands still, as with SIGSTOP, and goes on later."""
    SLEEP = "sleep"
    """A machine stands still, and its monotonic clock with it, as a laptop whose lid was closed."""
    CUT = "cut"
    """Both ways between two nodes."""
    ONE_WAY_CUT = "one-way-cut"
    RESET = "reset"
    """A connection breaks while both sides live."""
    LOSS = "loss"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    SLOW_LINK = "slow-link"
    STALL = "stall"
    """A disk call takes seconds."""
    READ_ERROR = "read-error"
    WRITE_ERROR = "write-error"
    DISK_FULL = "disk-full"
    BIT_ROT = "bit-rot"
    OLD_DISK = "old-disk"
    """All of a disk is put back from an earlier image of it."""
    CLOCK_SKEW = "clock-skew"
    """A wall clock is wrong by a constant."""
    CLOCK_JUMP = "clock-jump"
    LEFT_FOR_EVER = "left-for-ever"
    BYZANTINE = "byzantine"
    """A peer with a bad habit did what it is known for."""


class FaultLog:
    """Counts faults, and says whether one more may be injected."""

    def __init__(self, trace: Trace, *, injections_max: int | None = None) -> None:
        """Allow at most so many injections; all of them without a bound."""
        self._trace = trace
        self._injections_max = injections_max
        self.injected = 0
        self.fired: Counter[FaultKind] = Counter()

    def may_inject(self, kind: FaultKind, *facts: str | int) -> bool:
        """Count an injection and tell whether it is to be done; past the bound nothing is done any more."""
        if self._injections_max is not None and self.injected >= self._injections_max:
            return False
        self.injected += 1
        self._trace.record("inject", kind, *facts)
        return True

    def fire(self, kind: FaultKind) -> None:
        """Count a fault that a node has met."""
        self.fired[kind] += 1
