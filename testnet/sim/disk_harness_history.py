"""Random histories of one store: what it is asked to do, step after step.

A step is work on an open store, or an opening: also of an index that is lost, damaged, or of an earlier program, which
is the migration that there is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from crypto.peer_id import peer_id_of
from p2pnode.errors import CorruptSliverError
from p2pnode.membership.contact import Contact
from p2pnode.storage.database import DATABASE_NAME
from p2pnode.storage.schema import META, SCHEMA_ROW, SCHEMA_VERSION
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_harness_goods import PROVISIONAL_ENDS, TIME, N, Pair, make_member, make_pairs
from testnet.sim.disk_harness_told import Standing, Step, Told, Work
from testnet.sim.files import SimFiles
from wire.ids import Axis, PeerId
from wire.records import Lease
from wire.signed import Signed

PURPOSE = "harness"
"""What the sequence numbers of a history are for."""

PAIRS_MAX = 7
"""Pairs of one history: more cost time at every image and show nothing new."""

_CEILING_STEP = 5_000
"""Far enough to raise the ceiling of a sequence, which writes a file."""


class Historian:
    """Draws the steps of one history."""

    def __init__(self, rng: random.Random) -> None:
        """Begin with an empty disk."""
        self._rng = rng
        self._waiting: list[Pair] = []
        self._members = 0
        self.pairs: list[Pair] = []
        """Every pair that was made, stored or not."""
        (self.fresh,) = make_pairs(rng)
        """A pair that no step stores: with it a disk is written to after a power loss."""
        self.told = Told()

    def opening(self) -> Step:
        """Return the first step."""
        return self._step("open")

    def draw(self) -> Step:
        """Return the next step; it has been done when the next one is drawn."""
        drawers = self._drawers()
        weights = [weight for _, weight in drawers]
        while True:
            ((draw, _),) = self._rng.choices(drawers, weights)
            step = draw()
            if step is not None:
                return step

    def _drawers(self) -> list[tuple[Callable[[], Step | None], int]]:
        """Return what draws a step of each kind, and how often it shall; it returns None when it cannot now."""
        return [
            (self._store, 5),
            (self._store_again, 1),
            (self._replace, 3),
            (self._commit, 3),
            (self._certify, 4),
            (self._read, 1),
            (self._rot, 1),
            (self._collect, 3),
            (self._count, 1),
            (self._save_members, 1),
            (self._open_again, 1),
            (self._open_earlier_index, 1),
            (self._open_without_index, 1),
            (self._open_damaged_index, 1),
        ]

    def new_pair(self) -> Pair | None:
        """Return a pair that was not stored yet; None when there are enough."""
        if not self._waiting:
            if len(self.pairs) >= PAIRS_MAX:
                return None
            shards = self._rng.choice([(1,), (1,), (0, 3)])
            self._waiting = make_pairs(self._rng, shards)
            self.pairs += self._waiting
        return self._waiting.pop(0)

    def _step(
        self,
        name: str,
        work: Work | None = None,
        *,
        after: Told | None = None,
        before: Told | None = None,
        change: Callable[[SimFiles], None] | None = None,
    ) -> Step:
        before = before or self.told
        return Step(name=name, before=before, after=after or before, work=work, change=change)

    def _pick(self, standing: Standing) -> Pair | None:
        found = [pair for pair in self.told.pairs if self.told.has(pair, standing)]
        return self._rng.choice(found) if found else None

    # ------------------------------------------------------------------ put

    def _store(self) -> Step | None:
        pair = self.new_pair()
        if pair is None:
            return None
        leases = self._rng.choice([(pair.provisional,), (pair.provisional,), (pair.provisional, pair.final)])
        after = self.told.with_file(pair, *leases)
        if pair.blob_id in self.told.certificates:  # It came earlier, and takes effect at once.
            after = after.with_leases(pair, pair.final)
        return self._step("store", store_work(pair, *leases), after=after)

    def _store_again(self) -> Step | None:
        pair = self._pick(Standing.HELD)
        if pair is None:
            return None
        after = self.told.with_lease_record(pair, pair.another)
        return self._step("store again", store_work(pair, pair.another), after=after)

    def _replace(self) -> Step | None:
        pair = self._pick(Standing.BROKEN)
        if pair is None:
            return None
        return self._step("replace", store_work(pair, pair.brief), after=self.told.with_file(pair, pair.brief))

    def _commit(self) -> Step | None:
        pair = self._pick(Standing.HELD)
        if pair is None:
            return None

        async def work(store: SliverStore) -> None:
            await store.commit_lease(pair.final, pair.page, pair.shard_sets)

        return self._step("commit a lease", work, after=self.told.with_lease_record(pair, pair.final))

    def _certify(self) -> Step | None:
        if not self.pairs:
            return None
        pair = self._rng.choice(self.pairs)  # Also one that is not here yet, or not any more.
        certificate = self._rng.choice(pair.certificates)
        known = self.told.certificates.get(pair.blob_id)
        is_better = known is None or len(certificate.record.holders) > len(known.record.holders)

        async def work(store: SliverStore) -> None:
            await store.certify(certificate, pair.final)

        after = self.told.with_certificate(pair, certificate) if is_better else self.told
        return self._step("certify", work, after=after)

    # ------------------------------------------------------------------ get

    def _read(self) -> Step | None:
        pair = self._pick(Standing.HELD)
        if pair is None:
            return None

        async def work(store: SliverStore) -> None:
            assert await store.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary

        return self._step("read", work)

    def _rot(self) -> Step | None:
        """Damage a sliver and read it, which the store writes down."""
        pair = self._pick(Standing.HELD)
        if pair is None:
            return None
        from_end = 1 + self._rng.randrange(len(pair.primary) + len(pair.secondary))
        bit = self._rng.randrange(8)

        async def work(store: SliverStore) -> None:
            for axis, index in sliver_places(pair):
                try:
                    await store.read_sliver(pair.blob_id, axis, index)
                except CorruptSliverError:
                    continue

        def rot(disk: SimFiles) -> None:
            disk.injure(pair.name, disk.size(pair.name) - from_end, bit=bit)

        told = replace(self.told, pairs={**self.told.pairs, pair: Standing.BROKEN})
        return self._step("read a rotten file", work, before=told, change=rot)

    # ------------------------------------------------------------------ the rest

    def _collect(self) -> Step | None:
        now = self._rng.choice(PROVISIONAL_ENDS) + 1

        async def work(store: SliverStore) -> None:
            while (await store.collect(now)).has_more:
                pass

        return self._step("collect", work, after=self.told.after_collection(now))

    def _count(self) -> Step | None:
        at_least = self.told.sequence + self._rng.choice([0, 0, _CEILING_STEP])

        async def work(store: SliverStore) -> int:
            return await store.next_sequence(PURPOSE, at_least=at_least)

        return self._step("count", work)

    def _save_members(self) -> Step | None:
        self._members += 1
        member = make_member(self._members)
        peer_id = PeerId(peer_id_of(member.signer))
        contact = Contact(peer_id=peer_id, met_at=TIME, seen_at=TIME, is_anchor=False, addresses=())

        async def work(store: SliverStore) -> None:
            await store.save_members([member], [contact])

        after = replace(self.told, members=self.told.members | {member}, contacts=self.told.contacts + 1)
        return self._step("save members", work, after=after)

    def _open_again(self) -> Step | None:
        return self._step("open again")

    def _open_earlier_index(self) -> Step | None:
        told = replace(self.told, members=frozenset(), contacts=0)
        return self._step("open the index of an earlier program", before=told, change=make_earlier)

    def _open_without_index(self) -> Step | None:
        told = replace(self.told, members=frozenset(), contacts=0)
        return self._step("open without an index", before=told, change=lose_index)

    def _open_damaged_index(self) -> Step | None:
        told = replace(self.told, members=frozenset(), contacts=0)
        rng = random.Random(self._rng.getrandbits(64))

        def rot(disk: SimFiles) -> None:
            disk.rot(rng, under=[DATABASE_NAME])

        return self._step("open a damaged index", before=told, change=rot)


def store_work(pair: Pair, *leases: Signed[Lease]) -> Work:
    """Return the work that stores a pair under leases."""

    async def work(store: SliverStore) -> None:
        await store.store_pair(pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, leases)

    return work


def sliver_places(pair: Pair) -> tuple[tuple[Axis, int], tuple[Axis, int]]:
    """Return the axis and the index of both slivers of a pair."""
    return (Axis.PRIMARY, pair.index), (Axis.SECONDARY, N - 1 - pair.index)


def make_earlier(disk: SimFiles) -> None:
    """Make the index one of an earlier program, which had other tables: it is made anew from the files."""
    connection = disk.database(DATABASE_NAME)
    META.put(connection, (SCHEMA_ROW, SCHEMA_VERSION - 1))
    connection.close()


def lose_index(disk: SimFiles) -> None:
    """Remove the index."""
    disk.remove(DATABASE_NAME)
    disk.sync_directory("")
