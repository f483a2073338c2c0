"""What is wrong with one machine's disk: stalls, errors and missing room. It outlives the node's processes.

Reads, writes and commits of the database fail apart from each other, each with `EIO`: for the next calls, or by chance
until the disk is healed. A database that is open answers its reads from memory, so those do not fail.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass

from testnet.sim.disk_events import DiskOperation
from testnet.sim.faults import FaultKind

READS = frozenset({DiskOperation.READ})
COMMITS = frozenset({DiskOperation.COMMIT})
WRITES = frozenset(DiskOperation) - READS - COMMITS
"""Whatever else changes the disk, removals and renames included."""

_STALL_S_MAX = 600.0
"""A call of the disk that takes longer is no stall: that disk is gone."""


@dataclass(slots=True)
class _Failure:
    operations: frozenset[DiskOperation]
    probability: float
    calls_left: int | None


def _tell_nobody(kind: FaultKind) -> None:
    del kind


class DiskFaults:
    """What is wrong with one disk now. Every fault that a node meets is told to `fire`."""

    def __init__(self, rng: random.Random | None = None, fire: Callable[[FaultKind], None] = _tell_nobody) -> None:
        """Begin with a good disk."""
        self._rng = rng or random.Random(0)
        self.fire = fire
        self._failures: list[_Failure] = []
        self._stall_s: tuple[float, float] | None = None
        self.has_failed_to_write = False
        """Whether the running node was told that a write failed: it may write no more until it is started anew."""
        self.gone_names: set[str] = set()
        """Files that went when the disk was put back from an earlier image of it."""

    def stall(self, *, low_s: float, high_s: float) -> None:
        """Let each call that works with the disk take so many seconds longer."""
        assert 0 <= low_s <= high_s <= _STALL_S_MAX, f"a stall of {low_s} to {high_s} s"
        self._stall_s = low_s, high_s

    def stall_of_call(self) -> float:
        """Return how many seconds longer a call lasts that works with the disk."""
        if self._stall_s is None:
            return 0.0
        self.fire(FaultKind.STALL)
        return self._rng.uniform(*self._stall_s)

    def fail(self, operations: frozenset[DiskOperation], *, calls: int | None = None, probability: float = 1.0) -> None:
        """Fail the next operations of these kinds, or each with a probability; without `calls` until healed."""
        self._failures.append(_Failure(operations, probability, calls))

    def meet(self, operation: DiskOperation, name: str) -> None:
        """Raise `OSError` (EIO) when this operation shall fail."""
        for failure in self._failures:
            if operation not in failure.operations or failure.calls_left == 0:
                continue
            if failure.probability < 1 and self._rng.random() >= failure.probability:
                continue
            if failure.calls_left is not None:
                failure.calls_left -= 1
            self._tell(operation)
            raise OSError(errno.EIO, "the simulated disk fails", name)

    def heal(self) -> None:
        """End all of it."""
        self._failures.clear()
        self._stall_s = None

    def _tell(self, operation: DiskOperation) -> None:
        if operation in READS:
            self.fire(FaultKind.READ_ERROR)
        else:
            self.has_failed_to_write = True
            self.fire(FaultKind.WRITE_ERROR)
