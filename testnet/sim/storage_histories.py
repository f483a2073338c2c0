"""Random histories of one store against a model: nothing leased goes, nothing expired stays, accounted is used.

`python -m testnet.sim.storage_histories --histories 10000 --seed S` plays so many; it ends with 1 at the first finding,
with the history that repeats it: `--history NAME`. The model knows leases, tombstones and time, and nothing of files: a
pair must be there while a lease runs that the store has told in effect, and must not be held once a collection has run
after the end of every lease that the store was ever given. Between the two the store is free.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from p2pnode.config import PUBLIC
from p2pnode.errors import LeaseError, NotFoundError, QuotaError
from p2pnode.membership.collecting import CollectionGate
from p2pnode.storage.database import DATABASE_NAME
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_events import DiskEvent, NodeKilledError
from testnet.sim.disk_harness_goods import (
    DAY_S,
    TIME,
    InlineOffload,
    Pair,
    key_of,
)
from testnet.sim.disk_harness_history import sliver_places
from testnet.sim.files import SimFiles
from testnet.sim.storage_goods import PAIRS_MADE, pair_of, stored_certificate, stored_record
from testnet.spread import spread
from wire import limits
from wire.ids import LeaseTarget
from wire.records import Lease, LeaseKind, Tombstone
from wire.signed import Signed

STEPS = 40
PAIRS = 3
OWNERS = 2
SHARE = 25
"""Histories of one piece of work for a process: few, so that no core waits for the last piece."""

QUOTA_BYTES = 64 * limits.MIB
FOUND, ALL_WELL = 1, 0


class HistoryError(AssertionError):
    """The store does not do what the model demands."""


@dataclass(slots=True)
class _Clock:
    """A wall clock that may be wrong."""

    now: float = TIME
    error_s: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.error_s

    def asleep(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        del seconds
        await trio.lowlevel.checkpoint()


@dataclass(slots=True)
class _Held:
    """A lease that the store was given."""

    lease: Signed[Lease]
    in_effect: bool
    """Whether the store has told it in effect for the pair as it is here now."""
    ended_at: int | None = None
    """When its owner has ended it; `in_effect` is False while nobody knows whether the store has heard."""

    @property
    def end(self) -> int:
        end = self.lease.record.end
        return end if self.ended_at is None else min(end, self.ended_at)


@dataclass(slots=True)
class _History:
    """One history while it is lived through."""

    rng: random.Random
    disk: SimFiles = field(default_factory=SimFiles)
    clock: _Clock = field(default_factory=_Clock)
    sequence: int = 0
    pairs: list[Pair] = field(default_factory=list)
    leases: dict[Pair, list[_Held]] = field(default_factory=dict)
    store: SliverStore | None = None
    gate: CollectionGate = field(default_factory=lambda: CollectionGate(PUBLIC))

    # ------------------------------------------------------------------ lives

    async def open(self) -> None:
        self.gate = CollectionGate(PUBLIC)
        self.store = await SliverStore.open(self.disk, InlineOffload(), self.clock, quota_bytes=QUOTA_BYTES)

    async def crash(self) -> None:
        """Lose power between two steps, and perhaps the index too."""
        self.disk = self.disk.crash(self.rng)
        if self.rng.random() < 0.3 and self.disk.peek(DATABASE_NAME) is not None:  # noqa: PLR2004 - now and then
            self.disk.remove(DATABASE_NAME)
            self.disk.sync_directory("")
        await self.open()

    async def interrupted(self, work: Callable[[SliverStore], Awaitable[object]]) -> bool:
        """Do some work, and perhaps lose power in the middle of it. Returns whether it was told done."""
        assert self.store is not None
        moments = self.rng.choice([0, 0, 0, self.rng.randint(1, 12)])
        count = 0

        def follow(event: DiskEvent) -> None:
            nonlocal count
            del event
            count += 1
            if count == moments:
                raise NodeKilledError

        self.disk.hook = follow if moments else None
        try:
            await work(self.store)
        except (LeaseError, NotFoundError, QuotaError):
            return False
        except NodeKilledError:
            await self.crash()
            return False
        finally:
            self.disk.hook = None
        return True

    # ------------------------------------------------------------------ steps

    def lease(self, pair: Pair, owner: int, kind: LeaseKind) -> Signed[Lease]:
        """Return an owner's next lease."""
        self.sequence += 1
        start = int(self.clock.now)
        longest = 1 if kind == LeaseKind.PROVISIONAL else self.rng.choice([2, 8, 31])
        end = start + self.rng.randint(60, longest * DAY_S)
        record = replace(pair.final.record, kind=kind, sequence=self.sequence, start=start, end=end)
        return stored_record(record, owner)

    async def put(self) -> None:
        pair, owner = self.rng.choice(self.pairs), self.rng.randrange(OWNERS)
        lease = self.lease(pair, owner, LeaseKind.PROVISIONAL)

        async def work(store: SliverStore) -> None:
            await store.store_pair(pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, [lease])

        done = await self.interrupted(work)
        self.leases[pair].append(_Held(lease, in_effect=done))
        if done and self.rng.random() < 0.7:  # noqa: PLR2004 - most are finished
            await self.certify(pair, owner)

    async def certify(self, pair: Pair, owner: int) -> None:
        lease = self.lease(pair, owner, LeaseKind.FINAL)

        async def work(store: SliverStore) -> None:
            await store.commit_lease(lease, pair.page, pair.shard_sets)
            await store.certify(stored_certificate(pair, lease, owner), lease)

        done = await self.interrupted(work)
        self.leases[pair].append(_Held(lease, in_effect=done))

    async def renew(self) -> None:
        pair, owner = self.rng.choice(self.pairs), self.rng.randrange(OWNERS)
        signer = key_of(owner).public
        renewed = any(
            each.in_effect and each.lease.signer == signer and each.lease.record.kind == LeaseKind.FINAL
            for each in self.leases[pair]
        )
        lease = self.lease(pair, owner, LeaseKind.FINAL)
        done = await self.interrupted(lambda store: store.commit_lease(lease, pair.page, pair.shard_sets))
        self.leases[pair].append(_Held(lease, in_effect=done and renewed))

    async def bury(self) -> None:
        pair, owner = self.rng.choice(self.pairs), self.rng.randrange(OWNERS)
        now = int(self.clock.now)
        record = Tombstone(target=LeaseTarget(pair.blob_id), sequence=self.sequence, time=now)
        tombstone = stored_record(record, owner)
        kept: list[bool] = []

        async def work(store: SliverStore) -> None:
            kept.append(await store.bury(tombstone))

        done = await self.interrupted(work)
        for each in self.leases[pair]:
            if each.lease.signer == tombstone.signer:
                if done and kept == [True]:
                    each.ended_at = now if each.ended_at is None else min(each.ended_at, now)
                    await self.demand_refused(pair, each.lease)
                else:
                    each.in_effect = False

    async def demand_refused(self, pair: Pair, lease: Signed[Lease]) -> None:
        assert self.store is not None
        try:
            await self.store.commit_lease(lease, pair.page, pair.shard_sets)
        except LeaseError:
            return
        raise HistoryError(f"a lease that its owner has ended comes back: {_name(pair)}")

    async def wait(self) -> None:
        self.clock.now += self.rng.choice([60.0, 3600.0, DAY_S / 2, 3 * DAY_S, 9 * DAY_S])

    async def jump(self) -> None:
        self.clock.error_s = self.rng.choice([0.0, 0.0, -DAY_S, 7 * DAY_S, 1200.0])

    async def collect(self) -> None:
        """Collect as the service does, if the gate lets it."""
        lead_s = self.clock.error_s
        self.gate.may_collect(lead_s, now=self.clock.now, asleep=self.clock.asleep())
        self.clock.now += PUBLIC.collection_after_uptime_s
        if not self.gate.may_collect(lead_s, now=self.clock.now, asleep=self.clock.asleep()):
            return
        now = self.clock.wall()

        async def work(store: SliverStore) -> None:
            while (await store.collect(now)).has_more:
                pass

        if await self.interrupted(work):
            await self.demand_gone(now)
        await self.forget_gone()

    async def empty_trash(self) -> None:
        await self.interrupted(lambda store: store.empty_trash())
        await self.forget_gone()

    async def restore(self) -> None:
        pair = self.rng.choice(self.pairs)
        await self.interrupted(lambda store: store.restore(pair.blob_id))

    async def resize(self) -> None:
        assert self.store is not None
        self.store.set_quota(self.rng.choice([1, QUOTA_BYTES]))

    # ------------------------------------------------------------------ what must hold

    async def forget_gone(self) -> None:
        """What was in effect for a pair that is gone is in effect for no later copy of it."""
        assert self.store is not None
        trash = {(each.blob_id, each.shard) for each in await self.store.trash()}
        for key in await self.store.missing([pair.key for pair in self.pairs]):
            if key not in trash:
                for pair in self.pairs:
                    for each in self.leases[pair] if pair.key == key and not self.is_leased(pair) else ():
                        each.in_effect = False

    def is_leased(self, pair: Pair) -> bool:
        """Tell whether some lease in effect runs, by every clock within the skew that is tolerated."""
        late = self.clock.now + limits.CLOCK_SKEW_SECONDS
        return any(each.in_effect and each.end > late for each in self.leases[pair])

    async def demand_gone(self, now: float) -> None:
        """Demand that nothing is held whose leases had all ended when a collection ran, and no old trash is left."""
        assert self.store is not None
        missing = set(await self.store.missing([pair.key for pair in self.pairs]))
        for pair in self.pairs:
            if all(each.end < now for each in self.leases[pair]) and pair.key not in missing:
                raise HistoryError(f"{_name(pair)} is held though all of its leases have ended")
        for trashed in await self.store.trash():
            if trashed.removed_at < now:
                raise HistoryError(f"shard {trashed.shard} of {trashed.blob_id.text()} stays in the trash")

    async def check(self) -> None:
        """Check what must hold after every step."""
        assert self.store is not None
        used, told = self.disk.peek_space_bytes(), self.store.usage()
        if told.used_bytes != used or told.reserved_bytes:
            raise HistoryError(f"{told.used_bytes} bytes are accounted, {told.reserved_bytes} reserved, {used} used")
        leased = [pair for pair in self.pairs if self.is_leased(pair)]
        for pair in leased:
            for (axis, index), data in zip(sliver_places(pair), (pair.primary, pair.secondary), strict=True):
                try:
                    found = await self.store.read_sliver(pair.blob_id, axis, index)
                except NotFoundError as error:
                    raise HistoryError(f"{_name(pair)} is gone though it is leased") from error
                if found != data:
                    raise HistoryError(f"{_name(pair)} comes back changed")
        missing = await self.store.missing([pair.key for pair in leased])
        if missing and not self.clock.error_s:
            raise HistoryError(f"{len(missing)} leased pairs are not held")

    async def live(self) -> None:
        """Live through all steps. Raises `HistoryError`. What has not called the store cannot have changed it."""
        steps = [
            self.put,
            self.put,
            self.renew,
            self.renew,
            self.bury,
            self.wait,
            self.wait,
            self.collect,
            self.collect,
        ]
        steps += [self.jump, self.crash, self.restore, self.empty_trash, self.resize]
        untouched = {self.wait, self.jump}
        self.pairs = [pair_of(number) for number in self.rng.sample(range(PAIRS_MADE), PAIRS)]
        self.leases = {pair: [] for pair in self.pairs}
        await self.open()
        for _ in range(STEPS):
            step = self.rng.choice(steps)
            try:
                await step()
                if step not in untouched:
                    await self.check()
            except HistoryError as error:
                raise HistoryError(f"{step.__name__}: {error}") from error


def _name(pair: Pair) -> str:
    return f"shard {pair.shard} of {pair.blob_id.text()}"


async def try_histories(names: Sequence[str]) -> str:
    """Live through histories until something is found. Returns that, "" for nothing."""
    for name in names:
        try:
            await _History(random.Random(name)).live()
        except HistoryError as error:
            return f"history {name}, {error}"
    return ""


def work_off(names: Sequence[str]) -> str:
    """Do a piece of work; returns the first finding."""
    logging.disable(logging.CRITICAL)
    try:
        return trio.run(partial(try_histories, names))
    finally:
        logging.disable(logging.NOTSET)


def shares(seed: str, histories: int) -> Iterator[Sequence[str]]:
    """Yield the names of all histories in pieces of work."""
    for start in range(0, histories, SHARE):
        yield [f"{seed}/{number}" for number in range(start, min(histories, start + SHARE))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m testnet.sim.storage_histories", description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000, help="histories to play (default: 1000)")
    parser.add_argument("--seed", default="1", help="what everything is drawn from (default: 1)")
    parser.add_argument("--processes", type=int, default=None, help="processes (default: one for each core)")
    parser.add_argument("--history", default=None, metavar="NAME", help="play this one alone, as a finding names it")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    if chosen.history is not None:
        findings = [work_off([chosen.history])]
    else:
        findings = []
        for found in spread(work_off, shares(chosen.seed, chosen.histories), processes=chosen.processes):
            findings.append(found)
            if found:
                break
    print(f"seconds: {time.monotonic() - started:.0f}")
    if any(findings):
        print(f"FOUND: {findings[-1]}")
        return FOUND
    print("nothing found")
    return ALL_WELL


if __name__ == "__main__":
    sys.exit(main())
