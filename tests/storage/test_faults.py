"""Every change of the disk fails once, in every way, under every operation of the store.

Whatever happens: what was told done is there, nothing wrong is served, the space accounted is the space used, and the
operation can be done again, at once when the disk was only full, else after opening the store anew.
"""

from __future__ import annotations

import copy
import errno
import itertools
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from p2pnode.errors import DiskFullError, LocalStorageError
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_events import DiskEvent, DiskOperation, NodeKilledError
from testnet.sim.files import SimFiles
from tests.storage.fault_operations import (
    AFTER_PROVISIONAL,
    IMAGES,
    OPERATIONS,
    Before,
    Operation,
    bury,
    check_both_slivers,
    collect,
    count_on,
    empty_trash,
    prepare,
    put_away,
    remember_members,
    renew,
    replace_lost,
)
from tests.storage.helpers import (
    Fault,
    FaultyFiles,
    check_accounting,
    check_readable,
    make_pair,
    open_store,
    store,
)

pytestmark = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


# ----------------------------------------------------------------------------------------------- faults


@dataclass
class Hook:
    """Fails the `at`-th change, or read: with an errno before it takes effect, or by cutting the power (no errno)."""

    files: SimFiles
    at: int
    code: int | None
    is_lasting: bool = False
    is_for_reads: bool = False
    rng: random.Random = field(default_factory=random.Random)
    count: int = 0
    next_life: SimFiles | None = None

    def __call__(self, event: DiskEvent) -> None:
        """Follow one event."""
        is_read = event.operation is DiskOperation.READ
        if is_read is not self.is_for_reads or (self.code is not None and event.is_done):
            return
        self.count += 1
        if self.count < self.at or (self.count > self.at and not self.is_lasting):
            return
        if self.code is None:
            self.next_life = self.files.crash(self.rng)
            raise NodeKilledError
        if event.operation is not DiskOperation.REMOVE or not self.is_lasting:  # A full disk still removes.
            raise OSError(self.code, os.strerror(self.code), event.name)

    @property
    def has_fired(self) -> bool:
        """Whether there were enough events."""
        return self.count >= self.at


async def attempt(operation: Operation, target: SliverStore, before: Before) -> Exception | None:
    """Do it; return the storage error that it ended with."""
    try:
        await operation.act(target, before)
    except LocalStorageError as error:
        return error
    return None


async def check_kept(target: SliverStore, files: SimFiles, before: Before, operation: Operation) -> None:
    """Check what was told done before the operation; what the operation itself may remove is left out."""
    for pair in operation.kept(before):
        await check_readable(target, pair)
    if "certified" not in operation.may_remove:
        assert len(await target.certificates(before.certified.blob_id)) == 1
    if "trashed" not in operation.may_remove:
        await check_both_slivers(target, before.trashed)
    held = [*before.kept, before.new, before.trashed]
    if "lost" not in operation.may_remove:  # Else its file may be left over without a row, and be found out when read.
        held.append(before.lost)
    for pair in held:  # Held means readable, now and for every pair.
        if await target.missing([pair.key]) == []:
            await check_readable(target, pair)
    check_accounting(target, files)


async def check_done_anew(files: SimFiles, before: Before, operation: Operation, *, is_done: bool) -> None:
    """Open the store in its next life, check it, and do the operation once more when it was not told done."""
    target = await open_store(files)
    await check_kept(target, files, before, operation)
    if not is_done:
        assert await attempt(operation, target, before) is None
    await operation.check(target, before)
    check_accounting(target, files)
    await target.close()


async def test_each_io_error_stops_writing_and_loses_nothing(operation: Operation, rng: random.Random) -> None:
    full, before = await prepare(rng)
    for at in itertools.count(1):
        files = copy.deepcopy(full)
        target = await open_store(files)
        files.hook = hook = Hook(files, at, errno.EIO)
        error = await attempt(operation, target, before)
        files.hook = None
        if hook.has_fired:
            assert not isinstance(error, DiskFullError)
            if error is not None:
                refused = await attempt(operation, target, before)
                assert refused is not None
                assert "earlier failure" in str(refused)
            for pair in operation.kept(before):
                await check_readable(target, pair)
        await target.close()
        await check_done_anew(files.stop(), before, operation, is_done=error is None)
        if not hook.has_fired:
            assert error is None
            assert at > 1
            return


async def test_a_block_that_cannot_be_read_loses_nothing_else(operation: Operation, rng: random.Random) -> None:
    if operation.act is renew:
        return  # What cannot be read in the trash is promised to nobody, and dropped.
    full, before = await prepare(rng)
    for at in itertools.count(1):
        files = copy.deepcopy(full)
        target = await open_store(files)
        files.hook = hook = Hook(files, at, errno.EIO, is_for_reads=True)
        error = await attempt(operation, target, before)
        files.hook = None
        await check_kept(target, files, before, operation)
        assert await attempt(operation, target, before) is None
        await target.close()
        await check_done_anew(files.stop(), before, operation, is_done=True)
        if not hook.has_fired:
            assert error is None
            return


@pytest.mark.parametrize("is_lasting", [False, True], ids=["once", "for good"])
async def test_a_full_disk_leaves_nothing_behind_and_passes(
    operation: Operation, rng: random.Random, *, is_lasting: bool
) -> None:
    if is_lasting and operation.act in (put_away, renew):
        return  # Even undoing fails then: `test_trash.py` has that.
    full, before = await prepare(rng)
    for at in itertools.count(1):
        files = copy.deepcopy(full)
        target = await open_store(files)
        files.hook = hook = Hook(files, at, errno.ENOSPC, is_lasting)
        error = await attempt(operation, target, before)
        files.hook = None
        assert error is None or isinstance(error, DiskFullError)
        await check_kept(target, files, before, operation)
        if error is not None:
            assert await attempt(operation, target, before) is None
        await check_kept(target, files, before, operation)
        await target.close()
        await check_done_anew(files.stop(), before, operation, is_done=True)
        if not hook.has_fired:
            return


async def test_power_loss_at_each_moment_loses_nothing_that_was_told_done(
    operation: Operation, rng: random.Random
) -> None:
    full, before = await prepare(rng)
    is_done = False
    for at in itertools.count(1):
        for _ in range(IMAGES):
            files = copy.deepcopy(full)
            target = await open_store(files)
            files.hook = hook = Hook(files, at, None, rng=rng)
            is_done = True
            try:
                await operation.act(target, before)
            except NodeKilledError:
                is_done = False
            next_life = hook.next_life or files.crash(rng)
            await check_done_anew(next_life, before, operation, is_done=is_done)
        if is_done:
            return


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
async def test_errors_of_a_real_disk_lose_nothing(
    operation: Operation, rng: random.Random, tmp_path: Path, code: int
) -> None:
    """The same on real files and real SQLite, for the operations that write files."""
    if operation.act in (remember_members, count_on, replace_lost, bury, put_away, renew, empty_trash):
        return
    pair, other = make_pair(rng), make_pair(rng)
    before = Before(plain=pair, pending=pair, certified=pair, lost=pair, new=other, trashed=pair)
    files = FaultyFiles(tmp_path)
    for at in itertools.count(1):
        target = await open_store(files)
        await store(target, pair)
        files.fault = fault = Fault(at=at, code=code)
        error = await attempt(operation, target, before)
        files.fault = Fault()
        await target.close()
        target = await open_store(files)
        if operation.act is not collect:
            await check_readable(target, pair)
        check_accounting(target, tmp_path)
        if error is not None:
            await operation.act(target, before)
        await target.collect(AFTER_PROVISIONAL)
        check_accounting(target, tmp_path)
        await target.close()
        if fault.count < at:
            assert error is None
            return
