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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from p2pnode.errors import DiskFullError, LocalStorageError
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_events import DiskEvent, DiskOperation, NodeKilledError
from testnet.sim.files import SimFiles
from tests import factories
from tests.storage.helpers import (
    FINAL_END,
    PROVISIONAL_END,
    Fault,
    FaultyFiles,
    Pair,
    certificate,
    check_accounting,
    check_readable,
    make_pair,
    open_store,
    store,
)
from wire.ids import Axis, BlobId, ShardIndex

AFTER_PROVISIONAL = PROVISIONAL_END + 1
AFTER_FINAL = FINAL_END + 1
SHORT_END = factories.TIME + 10
EVERYTHING = ("plain", "pending", "certified", "lost", "trashed")
IMAGES = 3
"""Disks tried after each power loss: what was not synced is lost, kept, torn or zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What stands before each operation: all of it was told done."""

    plain: Pair
    pending: Pair
    certified: Pair
    lost: Pair
    new: Pair
    trashed: Pair

    @property
    def kept(self) -> tuple[Pair, ...]:
        """Pairs that must be readable whatever happens."""
        return self.plain, self.pending, self.certified


def make_short_lived(rng: random.Random) -> Pair:
    """Return a pair whose lease ends before all others."""
    pair = make_pair(rng)
    final = factories.signed(factories.lease(pair.blob_id, end=SHORT_END), factories.owner_key())
    return replace(pair, final=final, certificate=certificate(final, pair.page))


async def prepare(rng: random.Random) -> tuple[SimFiles, Before]:
    """Return a disk with pairs in every state."""
    pairs = {name: make_pair(rng) for name in ("plain", "pending", "certified", "lost", "new")}
    before = Before(**pairs, trashed=make_short_lived(rng))
    files = SimFiles()
    target = await open_store(files)
    await store(target, before.trashed, before.trashed.final)
    await target.certify(before.trashed.certificate, before.trashed.final)
    assert (await target.collect(SHORT_END + 1)).trashed == (before.trashed.key,)
    for pair in (*before.kept, before.lost):
        await store(target, pair)
    for pair in (before.pending, before.certified):
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    for pair in (before.certified, before.lost):
        await target.certify(pair.certificate, pair.final)
    await target.next_sequence("member record")
    data = files.read(before.lost.path)
    files.damage(before.lost.path, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(LocalStorageError):
        await target.read_sliver(before.lost.blob_id, Axis.SECONDARY, before.lost.metadata.n - 1 - before.lost.index)
    await target.close()
    return files.stop(), before


# ------------------------------------------------------------------------------------------- operations

Act = Callable[[SliverStore, Before], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to do, and how to see that it was done."""

    act: Act
    check: Act
    may_remove: frozenset[str] = frozenset()
    """The names in `Before` of what it is to remove."""

    def kept(self, before: Before) -> list[Pair]:
        """Return the pairs that must be held in the middle of it, too."""
        return [getattr(before, name) for name in ("plain", "pending", "certified") if name not in self.may_remove]


async def store_new(target: SliverStore, before: Before) -> None:
    await store(target, before.new)


async def new_is_held(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.new)


async def replace_lost(target: SliverStore, before: Before) -> None:
    await store(target, before.lost)


async def lost_is_held(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.lost)
    assert await target.lost_pairs() == []
    assert (await target.collect(FINAL_END)).has_more is False
    await check_readable(target, before.lost)


async def store_again(target: SliverStore, before: Before) -> None:
    lease = factories.lease(before.plain.blob_id, sequence=5, end=FINAL_END)
    await store(target, before.plain, factories.signed(lease, factories.key(55)), before.plain.final)


async def plain_is_held(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.plain)


async def commit(target: SliverStore, before: Before) -> None:
    await target.commit_lease(before.plain.final, before.plain.page, before.plain.shard_sets)


async def certify(target: SliverStore, before: Before) -> None:
    await target.certify(before.pending.certificate, before.pending.final)


async def pending_is_certified(target: SliverStore, before: Before) -> None:
    assert await target.certificates(before.pending.blob_id) == [before.pending.certificate.envelope]
    assert before.pending.key not in (await target.collect(AFTER_PROVISIONAL)).pairs
    await check_readable(target, before.pending)


async def certify_better(target: SliverStore, before: Before) -> None:
    pair = before.certified
    await target.certify(certificate(pair.final, pair.page, holders=4), pair.final)


async def better_is_there(target: SliverStore, before: Before) -> None:
    better = certificate(before.certified.final, before.certified.page, holders=4)
    assert await target.certificates(before.certified.blob_id) == [better.envelope]


async def collect(target: SliverStore, before: Before) -> None:
    del before
    await target.collect(AFTER_PROVISIONAL)


async def expired_are_gone(target: SliverStore, before: Before) -> None:
    for pair in (before.plain, before.pending):
        assert await target.missing([pair.key]) == [pair.key]
    await check_readable(target, before.certified)


async def bury(target: SliverStore, before: Before) -> None:
    await target.bury(factories.signed(factories.tombstone(before.certified.blob_id), factories.owner_key()))


async def buried_goes_to_the_trash(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.certified)
    await target.collect(AFTER_PROVISIONAL)
    assert before.certified.key in await trashed_keys(target)


async def put_away(target: SliverStore, before: Before) -> None:
    del before
    await target.collect(AFTER_FINAL)


async def ended_is_in_the_trash(target: SliverStore, before: Before) -> None:
    assert {before.certified.key} <= await trashed_keys(target) <= {before.certified.key, before.lost.key}
    await check_both_slivers(target, before.certified)
    for pair in (before.plain, before.pending, before.trashed):
        assert await target.missing([pair.key]) == [pair.key]


async def renew(target: SliverStore, before: Before) -> None:
    pair = before.trashed
    lease = factories.signed(factories.lease(pair.blob_id, sequence=2, end=FINAL_END), factories.owner_key())
    await target.commit_lease(lease, pair.page, pair.shard_sets)


async def renewed_is_back(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.trashed)
    await target.collect(AFTER_PROVISIONAL)
    await check_readable(target, before.trashed)


async def empty_trash(target: SliverStore, before: Before) -> None:
    del before
    await target.empty_trash()


async def trash_is_empty(target: SliverStore, before: Before) -> None:
    del before
    assert await target.trash() == []


async def trashed_keys(target: SliverStore) -> set[tuple[BlobId, ShardIndex]]:
    return {(each.blob_id, each.shard) for each in await target.trash()}


async def check_both_slivers(target: SliverStore, pair: Pair) -> None:
    """Check that both slivers come back, promised or not."""
    assert await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary
    assert await target.read_sliver(pair.blob_id, Axis.SECONDARY, pair.metadata.n - 1 - pair.index) == pair.secondary


async def count_on(target: SliverStore, before: Before) -> None:
    del before
    assert await target.next_sequence("member record", at_least=5000) >= 5000


async def counting_goes_on(target: SliverStore, before: Before) -> None:
    del before
    assert await target.next_sequence("member record") > 5000


async def remember_members(target: SliverStore, before: Before) -> None:
    del before
    await target.save_members([factories.signed_member(number).envelope for number in (1, 2)])


async def members_are_known(target: SliverStore, before: Before) -> None:
    del before
    assert len(await target.load_members()) == 2


OPERATIONS = {
    "store": Operation(store_new, new_is_held),
    "replace a lost pair": Operation(replace_lost, lost_is_held),
    "store again under new leases": Operation(store_again, plain_is_held),
    "commit a lease": Operation(commit, plain_is_held),
    "certify": Operation(certify, pending_is_certified),
    "certify with more holders": Operation(certify_better, better_is_there),
    "collect": Operation(collect, expired_are_gone, frozenset({"plain", "pending"})),
    "bury": Operation(bury, buried_goes_to_the_trash),
    "put into the trash": Operation(put_away, ended_is_in_the_trash, frozenset(EVERYTHING)),
    "renew what is in the trash": Operation(renew, renewed_is_back),
    "empty the trash": Operation(empty_trash, trash_is_empty, frozenset({"trashed"})),
    "count": Operation(count_on, counting_goes_on),
    "save members": Operation(remember_members, members_are_known),
}

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
