"""How things end on a disk that fails: deletion, trash, collection, migration; power loss and errors at every call.

The model is small: each pair is held, in the trash, or gone. In the middle of a step each pair is as it was before or
as it shall be after; what is held or in the trash is served whole; the account is right; the step can be done again;
and a lease that its owner has ended does not come back. Each step is taken once for each of its disk operations.
"""

from __future__ import annotations

import enum
import errno
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from p2pnode.errors import DiskFullError, LeaseError, LocalStorageError, NotFoundError
from p2pnode.protocols.successions import make_succession
from p2pnode.storage.names import PAIRS_DIRECTORY, parse_trash_name
from p2pnode.storage.store import TRASH_S_DEFAULT, SliverStore
from testnet.sim.disk_events import DiskEvent, DiskOperation, NodeKilledError
from testnet.sim.disk_harness_checks import DiskHarnessError, files_below, is_served, space_of
from testnet.sim.disk_harness_failures import FAILURES, NthCall
from testnet.sim.disk_harness_goods import DAY_S, NETWORK, QUOTA_BYTES, TIME, InlineOffload, Pair, key_of
from testnet.sim.disk_harness_history import lose_index, make_earlier
from testnet.sim.files import SimFiles
from testnet.sim.storage_goods import PAIRS_MADE, pair_of, stored_certificate, stored_record
from wire.ids import LeaseTarget
from wire.records import Certificate, Lease, Tombstone
from wire.signed import Signed

STEPS = 9
PAIRS = 2
_OWNER, _HEIR = 0, 1


class Place(enum.StrEnum):
    """Where a pair is."""

    HELD = "held"
    TRASHED = "in the trash"
    GONE = "gone"


T = TypeVar("T")

Places = Mapping[Pair, Place]
Work = Callable[[SliverStore], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One step."""

    name: str
    before: Places
    after: Places
    work: Work | None = None
    """None for an opening."""
    change: Callable[[SimFiles], None] | None = None
    """What happens to the disk before an opening."""
    ended: tuple[tuple[Pair, Signed[Lease]], ...] = ()
    """Leases that their owner has ended once the step is done, and that could come back by a replay."""


@dataclass(slots=True)
class _Clock:
    """A clock that the history moves."""

    now: int = TIME

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def asleep(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Never called: the store does not wait."""
        raise NotImplementedError(seconds)


@dataclass(slots=True)
class Endings:
    """One history: what is where, and until when."""

    rng: random.Random
    clock: _Clock = field(default_factory=_Clock)
    places: dict[Pair, Place] = field(default_factory=dict)
    leases: dict[Pair, Signed[Lease]] = field(default_factory=dict)
    ends: dict[Pair, int] = field(default_factory=dict)
    trashed_at: dict[Pair, int] = field(default_factory=dict)
    ended: list[tuple[Pair, Signed[Lease], int]] = field(default_factory=list)
    """The leases that were ended, and when."""
    sequence: int = 0
    is_succeeded: bool = False
    tries: int = 0
    """How often a step was cut short."""

    async def open(self, disk: SimFiles) -> SliverStore:
        """Open the store at the time of the history."""
        return await SliverStore.open(disk, InlineOffload(), self.clock, quota_bytes=QUOTA_BYTES)

    def draw(self) -> Ending:
        """Return the next step, and take it for done."""
        pair = self.rng.choice(list(self.places))
        at = self.places[pair]
        if not self.sequence:  # There must be an index before it can be that of an earlier program.
            return self._store(pair)
        choices: list[Callable[[Pair], Ending]] = [self._collect, self._open_earlier, self._open_without]
        if at is Place.GONE:
            choices += [self._store] * 6
        if at is Place.HELD and self.ends[pair] > self.clock.now:
            choices += [self._bury] * 5
        if at is not Place.GONE:
            choices += [self._renew] * 2
        if any(self.ends.get(each, 0) <= self.clock.now for each in self.places if self.places[each] is Place.HELD):
            choices += [self._collect] * 5
        if Place.TRASHED in self.places.values():
            choices += [self._restore, self._empty, self._collect, self._collect_late]
        return self.rng.choice(choices)(pair)

    # ------------------------------------------------------------------ steps

    def _store(self, pair: Pair) -> Ending:
        lease, certificate = self._lease(pair)

        async def work(store: SliverStore) -> None:
            # Provisional leases of before have ended by now: a pair that is stored again would not be kept by them.
            await store.store_pair(pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, [lease])
            await store.certify(certificate, lease)

        return self._done("store", {pair: Place.HELD}, work)

    def _renew(self, pair: Pair) -> Ending:
        lease, certificate = self._lease(pair)

        async def work(store: SliverStore) -> None:
            await store.commit_lease(lease, pair.page, pair.shard_sets)
            await store.certify(certificate, lease)

        return self._done("renew", {pair: Place.HELD}, work)

    def _bury(self, pair: Pair) -> Ending:
        """End a lease: by its owner, or by the key that has succeeded it."""
        lease = self.leases[pair]
        rotates = self.is_succeeded or self.rng.random() < 0.3  # noqa: PLR2004 - now and then
        signer = _HEIR if rotates else _OWNER
        record = Tombstone(target=LeaseTarget(pair.blob_id), sequence=self.sequence, time=self.clock.now)
        tombstone = stored_record(record, signer)
        succession = make_succession(key_of(_OWNER), key_of(_HEIR), time=TIME + 10**6 * DAY_S, network=NETWORK)

        async def work(store: SliverStore) -> None:
            if rotates:
                await store.succeed(succession)
            await store.bury(tombstone)

        self.is_succeeded = rotates
        self.ends[pair] = self.clock.now
        self.ended.append((pair, lease, self.clock.now))
        return self._done("bury", {}, work)

    def _collect(self, pair: Pair) -> Ending:
        del pair
        self.clock.now += self.rng.choice([3600, DAY_S, 3 * DAY_S])
        return self._collection("collect")

    def _collect_late(self, pair: Pair) -> Ending:
        del pair
        self.clock.now += TRASH_S_DEFAULT + 2
        return self._collection("collect what was long in the trash")

    def _collection(self, name: str) -> Ending:
        now = self.clock.now
        after: dict[Pair, Place] = {}
        for pair, place in self.places.items():
            if place is Place.TRASHED and self.trashed_at[pair] < now - TRASH_S_DEFAULT:
                after[pair] = Place.GONE
            elif place is Place.HELD and self.ends[pair] < now:
                after[pair] = Place.TRASHED
                self.trashed_at[pair] = now

        async def work(store: SliverStore) -> None:
            while (await store.collect(now)).has_more:
                pass

        return self._done(name, after, work)

    def _restore(self, pair: Pair) -> Ending:
        pair = next(each for each, place in self.places.items() if place is Place.TRASHED)
        self.trashed_at[pair] = max(self.clock.now, self.trashed_at[pair])
        return self._done("restore", {}, lambda store: store.restore(pair.blob_id))

    def _empty(self, pair: Pair) -> Ending:
        del pair
        gone = {each: Place.GONE for each, place in self.places.items() if place is Place.TRASHED}
        return self._done("empty the trash", gone, lambda store: store.empty_trash())

    def _open_earlier(self, pair: Pair) -> Ending:
        del pair
        return self._done("open the index of an earlier program", {}, change=make_earlier)

    def _open_without(self, pair: Pair) -> Ending:
        del pair
        return self._done("open without an index", {}, change=lose_index)

    def _done(
        self,
        name: str,
        after: Places,
        work: Work | None = None,
        change: Callable[[SimFiles], None] | None = None,
    ) -> Ending:
        before = dict(self.places)
        self.places.update(after)
        ended = tuple((pair, lease) for pair, lease, at in self.ended if self.clock.now < at + 31 * DAY_S)
        return Ending(name=name, before=before, after=dict(self.places), work=work, change=change, ended=ended)

    def _lease(self, pair: Pair) -> tuple[Signed[Lease], Signed[Certificate]]:
        """Return the owner's next lease on a pair, by the key that speaks for it now."""
        owner = _HEIR if self.is_succeeded else _OWNER
        self.sequence += 1
        now = self.clock.now
        lease = stored_record(
            replace(pair.final.record, sequence=self.sequence, start=now, end=now + 20 * DAY_S), owner
        )
        self.leases[pair], self.ends[pair] = lease, lease.record.end
        return lease, stored_certificate(pair, lease, owner)


async def live_through_endings(name: str, *, steps: int = STEPS) -> int:
    """Live through one history, each step cut short at each of its operations; return how often that was.

    Raises `DiskHarnessError`.
    """
    rng = random.Random(name)
    history = Endings(rng)
    history.places = {pair_of(number): Place.GONE for number in rng.sample(range(PAIRS_MADE), PAIRS)}
    disk = SimFiles()
    for number in range(steps):
        step = history.draw()
        where = f"endings {name}, step {number} ({step.name})"
        disk = await _Step(history, step, disk.stop(), where).take()
    return history.tries


@dataclass(slots=True)
class _Step:
    """One step, taken again and again on copies of the disk as it was before."""

    history: Endings
    step: Ending
    start: SimFiles
    where: str

    async def take(self) -> SimFiles:
        """Take it in all ways, at last on a disk that works; return what that leaves."""
        for number in itertools.count(1):
            if not await self._guarded(f"power lost at operation {number}", self._lose_power, number):
                break
        for code, operations in FAILURES:
            for number in itertools.count(1):
                call = NthCall(number, code, operations)
                await self._guarded(f"{errno.errorcode[code]} at call {number}", self._fail, call)
                if not call.failed:
                    break
        disk = self.start.image(self.history.rng)
        await self._guarded("nothing fails", self._finish, disk)
        return disk

    async def _guarded(self, what: str, way: Callable[[T], Awaitable[bool]], argument: T) -> bool:
        self.history.tries += 1
        try:
            return await way(argument)
        except Exception as error:
            raise DiskHarnessError(f"{self.where}, {what}: {type(error).__name__}: {error}") from error

    async def _lose_power(self, number: int) -> bool:
        """Lose the power at one operation; returns whether there are so many."""
        disk = self.start.image(self.history.rng)
        count = 0

        def follow(event: DiskEvent) -> None:
            nonlocal count
            count += event.operation is not DiskOperation.READ
            if count == number and event.operation is not DiskOperation.READ:
                raise NodeKilledError

        try:
            await self._work(disk, follow)
        except NodeKilledError:
            await self._finish(disk.crash(self.history.rng))
            return True
        return False

    async def _fail(self, call: NthCall) -> bool:
        """Let one call fail; the store says so, or copes."""
        disk = self.start.image(self.history.rng)
        try:
            await self._work(disk, call)
        except LocalStorageError as error:
            if self.step.work is not None and (call.code == errno.ENOSPC) != isinstance(error, DiskFullError):
                raise DiskHarnessError(f"{errno.errorcode[call.code]} became {type(error).__name__}") from error
        except NotFoundError as error:
            if not _is_unreadable(call):  # What cannot be read is not promised anew, and counts as not here.
                raise DiskHarnessError(f"{call.failed}: {error}") from error
        # A file in the trash that could not be read while the index was built anew is let go: nobody counts on it.
        is_lax = self.step.work is None and _is_unreadable(call)
        await self._finish(disk.stop(), is_lax=is_lax)
        return True

    async def _work(self, disk: SimFiles, hook: Callable[[DiskEvent], None]) -> None:
        """Do the step while somebody follows each operation."""
        store = None
        if self.step.work is not None:
            store = await self.history.open(disk)
        elif self.step.change is not None:
            self.step.change(disk)
        disk.hook = hook
        try:
            if self.step.work is None:
                await self.history.open(disk)
            elif store is not None:
                await self.step.work(store)
        finally:
            disk.hook = None

    async def _finish(self, disk: SimFiles, *, is_lax: bool = False) -> bool:
        """Open a disk that works from now on, check it, do the step to its end, and check what is left after a stop."""
        step = self.step
        store = await self.history.open(disk)
        after = _lax(step.after) if is_lax else step.after
        await _check(store, disk, step.before, after)
        if step.work is not None:
            await step.work(store)
        await _check(store, disk, step.after, after)
        await store.close()
        store = await self.history.open(disk)
        await _check(store, disk, step.after, after)
        for pair, lease in step.ended:
            await _demand_refused(store, pair, lease)
        await store.close()
        return True


def _is_unreadable(call: NthCall) -> bool:
    return call.code == errno.EIO and call.failed.startswith(DiskOperation.READ)


def _lax(places: Places) -> Places:
    """Return the places where what is in the trash may be gone."""
    return {pair: Place.GONE if place is Place.TRASHED else place for pair, place in places.items()}


async def _check(store: SliverStore, disk: SimFiles, before: Places, after: Places) -> None:
    missing = set(await store.missing([pair.key for pair in before]))
    trash = {(each.blob_id, each.shard) for each in await store.trash()}
    for pair in before:
        place = Place.HELD if pair.key not in missing else Place.TRASHED if pair.key in trash else Place.GONE
        if place not in (before[pair], after[pair]):
            raise DiskHarnessError(f"a pair is {place}, not {before[pair]} or {after[pair]}")
        if place is not Place.GONE and not await is_served(store, pair):
            raise DiskHarnessError(f"a pair that is {place} is not served")
    usage = store.usage()
    names = files_below(disk, PAIRS_DIRECTORY)
    in_trash = sum(disk.space_bytes(name) for name in names if parse_trash_name(name.rpartition("/")[2]))
    if (usage.used_bytes, usage.trash_bytes, usage.reserved_bytes) != (space_of(disk), in_trash, 0):
        raise DiskHarnessError(f"{usage} is accounted, {space_of(disk)} bytes are used, {in_trash} by the trash")


async def _demand_refused(store: SliverStore, pair: Pair, lease: Signed[Lease]) -> None:
    try:
        await store.commit_lease(lease, pair.page, pair.shard_sets)
    except LeaseError:
        return
    raise DiskHarnessError("a lease that its owner has ended comes back")
