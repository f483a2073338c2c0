"""Every disk call of a history fails once: the Nth of each step, for every N, with an I/O error and with a full disk.

Whatever the store then says: what was told done is there, at once and after the next start, nothing wrong is served,
the step can be done again (at once when the disk was only full), and a failed write is the last one of this life.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from dataclasses import dataclass, field

from p2pnode.errors import DiskFullError, LocalStorageError
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.disk_faults import READS
from testnet.sim.disk_harness_checks import Between, DiskHarnessError, is_served
from testnet.sim.disk_harness_crashes import check_last_life
from testnet.sim.disk_harness_goods import Pair, open_store
from testnet.sim.disk_harness_lives import Turn
from testnet.sim.disk_harness_told import Step, Told
from testnet.sim.files import SimFiles

ALL = frozenset(DiskOperation)
FAILURES = ((errno.EIO, ALL), (errno.ENOSPC, ALL - READS - {DiskOperation.REMOVE}))
"""What fails how: a full disk still reads and removes."""


@dataclass(slots=True)
class NthCall:
    """Fails the Nth call of some kinds, before it takes effect."""

    number: int
    code: int
    operations: frozenset[DiskOperation]
    count: int = 0
    failed: str = ""

    def __call__(self, event: DiskEvent) -> None:
        """Follow one event of the disk."""
        if event.is_done or event.operation not in self.operations:
            return
        self.count += 1
        if self.count == self.number:
            self.failed = f"{event.operation} {event.name}"
            raise OSError(self.code, os.strerror(self.code), event.name)


@dataclass(slots=True)
class FailingCalls:
    """Looks on at a history and takes each step again on copies of the disk, on which one call fails."""

    rng: random.Random
    calls: int = 0
    """How many calls have failed."""
    _start: SimFiles = field(default_factory=SimFiles)

    async def before(self, turn: Turn) -> None:
        """Take a copy of the disk."""
        self._start = turn.disk.image(self.rng)

    def begin(self, turn: Turn) -> None:
        """Do nothing: the disk of the history works."""
        del turn

    async def after(self, turn: Turn, told: Told) -> None:
        """Take the step once for each of its calls. Raises `DiskHarnessError` with the step and the call."""
        for code, operations in FAILURES:
            for number in itertools.count(1):
                call = NthCall(number, code, operations)
                try:
                    await self._take(turn, call)
                except Exception as error:
                    what = f"{errno.errorcode[code]} at call {number} ({call.failed or 'never reached'})"
                    raise DiskHarnessError(f"{turn.where}, {what}: {type(error).__name__}: {error}") from error
                if not call.failed:
                    break
                self.calls += 1
        del told

    async def _take(self, turn: Turn, call: NthCall) -> None:
        step, pairs = turn.step, tuple(turn.historian.pairs)
        disk = self._start.image(self.rng)
        if step.work is None:
            is_done = await _open_once(disk, step, call)
        else:
            is_done = await _work_once(disk, step, call, pairs)
        disk = disk.stop()
        store = await open_store(disk)
        before = step.after if is_done else step.before
        await Between(before, step.after, pairs).check(store, disk)
        if step.work is not None and not is_done:
            await step.work(store)
        await store.close()
        await check_last_life(disk.stop(), Between(step.after, step.after, pairs), self.rng)


async def _open_once(disk: SimFiles, step: Step, call: NthCall) -> bool:
    """Open the store while a call fails; it may say so, or cope. What is told of a block it cannot read may be lost."""
    if step.change is not None:
        step.change(disk)
    disk.hook = call
    try:
        store = await open_store(disk)
    except LocalStorageError:
        return False
    finally:
        disk.hook = None
    await _serve_nothing_wrong(store, step)
    await store.close()
    return True


async def _work_once(disk: SimFiles, step: Step, call: NthCall, pairs: tuple[Pair, ...]) -> bool:
    """Do the step's work while a call fails. Returns whether it was told done."""
    assert step.work is not None
    store = await open_store(disk)
    if step.change is not None:
        step.change(disk)
    disk.hook = call
    error = await _error_of(step, store)
    disk.hook = None
    if error is not None and (call.code == errno.ENOSPC) != isinstance(error, DiskFullError):
        raise DiskHarnessError(f"{errno.errorcode[call.code]} became {type(error).__name__}")
    await _serve_nothing_wrong(store, step)
    if isinstance(error, DiskFullError):  # Nothing has changed, and it passes.
        again = await _error_of(step, store)
        if again is not None:
            raise DiskHarnessError(f"done again once there was room: {again}") from again
        error = None
        await Between(step.after, step.after, pairs).check(store, disk)
    await store.close()
    return error is None


async def _error_of(step: Step, store: SliverStore) -> LocalStorageError | None:
    assert step.work is not None
    try:
        await step.work(store)
    except LocalStorageError as error:
        return error
    return None


async def _serve_nothing_wrong(store: SliverStore, step: Step) -> None:
    """Read what is here: each sliver comes back as it was stored, or not at all."""
    for pair in step.before.pairs:
        await is_served(store, pair)
