"""What a disk must hold, checked through the production store: all that was told done, whole, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from p2pnode.errors import CorruptSliverError, NotFoundError
from p2pnode.seams import Files
from p2pnode.storage.names import PAIRS_DIRECTORY, RECORDS_DIRECTORY, record_name
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_harness_goods import PROVISIONAL_ENDS, Pair
from testnet.sim.disk_harness_history import sliver_places
from testnet.sim.disk_harness_told import Standing, Told
from wire.ids import BlobId
from wire.records import Certificate
from wire.signed import Signed


class DiskHarnessError(AssertionError):
    """A disk does not hold what the store has told done, or holds something else."""


@dataclass(frozen=True, slots=True)
class Between:
    """A disk that is somewhere on the way from one state to another; often both are the same."""

    before: Told
    after: Told
    pairs: tuple[Pair, ...]
    """Every pair there is, stored or not."""

    async def check(self, store: SliverStore, disk: Files) -> None:
        """Check all that can be checked without changing anything. Raises `DiskHarnessError`."""
        standings = await self._check_pairs(store)
        for blob_id in dict.fromkeys(pair.blob_id for pair in self.pairs):
            await self._check_blob(store, blob_id, standings)
        await self._check_members(store)
        self._check_files(disk, standings)
        self.check_accounting(store, disk)
        held = sum(standing is Standing.HELD for standing in standings.values())
        _demand(store.usage().pairs == held, f"{store.usage().pairs} pairs are counted as held, {held} are")

    async def check_collection(self, store: SliverStore, disk: Files, rng: random.Random) -> None:
        """Collect at some moment: what has expired goes, and nothing that is leased. Raises `DiskHarnessError`."""
        now = rng.choice(PROVISIONAL_ENDS) + 1
        here = {pair.key: pair for pair in self._present()}
        collected = await store.collect(now)
        for key in collected.pairs:
            pair = here.get(key)
            _demand(pair is not None, f"a pair was collected that was never stored: shard {key[1]} of {key[0]}")
            assert pair is not None
            states = [told for told in (self.before, self.after) if pair in told.pairs]
            may_go = any(told.is_expired(pair, now) for told in states)
            _demand(may_go, f"{_name(pair)} was collected though it is leased")
        for pair in here.values():
            states = [self.before, self.after]
            must_go = all(pair in told.pairs and told.is_expired(pair, now) for told in states)
            _demand(not must_go or pair.key in collected.pairs, f"{_name(pair)} has expired and was not collected")
        self.check_accounting(store, disk)

    def check_accounting(self, store: SliverStore, disk: Files) -> None:
        """Check that the space accounted is the space used. Raises `DiskHarnessError`."""
        used = space_of(disk)
        usage = store.usage()
        _demand(usage.used_bytes == used, f"{usage.used_bytes} bytes are accounted, {used} are used")
        _demand(usage.reserved_bytes == 0, f"{usage.reserved_bytes} bytes stay reserved")

    def _present(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair in self.before.pairs or pair in self.after.pairs]

    async def _check_pairs(self, store: SliverStore) -> dict[Pair, Standing]:
        missing = set(await store.missing([pair.key for pair in self.pairs]))
        lost = set(await store.lost_pairs())
        standings = {}
        for pair in self.pairs:
            standing: Standing | None
            if pair.key in missing:
                standing = Standing.BROKEN if pair.key in lost else None
            else:
                standing = Standing.HELD if await is_served(store, pair) else Standing.BROKEN
            allowed = {self.before.pairs.get(pair), self.after.pairs.get(pair)}
            _demand(standing in allowed, f"{_name(pair)} is {standing or 'absent'}, not one of {_words(allowed)}")
            if standing is not None:
                standings[pair] = standing
        return standings

    async def _check_blob(self, store: SliverStore, blob_id: BlobId, standings: dict[Pair, Standing]) -> None:
        """Check what is told of a blob: its shards, its metadata, its certificate."""
        pairs = [pair for pair in self.pairs if pair.blob_id == blob_id]
        held = await store.held(blob_id)
        shards = [pair.shard for pair in pairs if standings.get(pair) is Standing.HELD]
        found_shards = [] if held is None else list(held.shards)
        _demand(found_shards == shards, f"shards {found_shards} of {blob_id.text()} are told, {shards} are held")
        _demand(held is None or held.metadata == pairs[0].metadata, f"the metadata of {blob_id.text()} has changed")
        known = [told.certificates.get(blob_id) for told in (self.before, self.after)]
        allowed = [[each.envelope] if each else [] for each in known]
        found = await store.certificates(blob_id)
        _demand(found in allowed, f"{len(found)} certificates of {blob_id.text()} are kept, or another one")

    async def _check_members(self, store: SliverStore) -> None:
        found = set(await store.load_members())
        _demand(found >= self.before.members, "a member record that was saved is gone")
        known = {each.peer_id for each in await store.load_contacts()}
        _demand(len(known) >= self.before.contacts, "a contact that was saved is gone")

    def _check_files(self, disk: Files, standings: dict[Pair, Standing]) -> None:
        pairs = set(files_below(disk, PAIRS_DIRECTORY))
        strange = pairs - {pair.name for pair in standings}
        _demand(not strange, f"files of pairs that are not here: {sorted(strange)}")
        records = set(files_below(disk, RECORDS_DIRECTORY))
        for name, pair in self.before.records.items():
            is_due = name in self.after.records and pair in standings
            _demand(not is_due or name in records, f"the lease record of {_name(pair)} is gone")
        strange = records - self._record_names(standings)
        _demand(not strange, f"records that nobody needs: {sorted(strange)}")

    def _record_names(self, standings: Iterable[Pair]) -> set[str]:
        """Return the names that record files may have, now that these pairs are here."""
        blobs = {pair.blob_id for pair in standings}
        leases = {name for pair in self.pairs if pair.blob_id in blobs for name in pair.record_names.values()}
        kept: list[Signed[Certificate]] = [*self.before.certificates.values(), *self.after.certificates.values()]
        return leases | {record_name(certificate.digest) for certificate in kept}


async def is_served(store: SliverStore, pair: Pair) -> bool:
    """Read both slivers of a pair; tell whether both came. Raises `DiskHarnessError` when one comes back changed."""
    for (axis, index), data in zip(sliver_places(pair), (pair.primary, pair.secondary), strict=True):
        try:
            found = await store.read_sliver(pair.blob_id, axis, index)
        except (CorruptSliverError, NotFoundError):
            return False
        _demand(found == data, f"other bytes than were stored are served of {_name(pair)}")
    return True


def space_of(disk: Files) -> int:
    """Return what everything on a disk takes."""
    parents = (PAIRS_DIRECTORY, RECORDS_DIRECTORY)
    directories = [f"{parent}/{name}" for parent in parents for name in disk.names(parent)]
    below = [name for parent in parents for name in files_below(disk, parent)]
    return sum(map(disk.space_bytes, ["", *disk.names(""), *directories, *below]))


def files_below(disk: Files, parent: str) -> list[str]:
    """Return the names of all files in the directories of a directory."""
    return [
        f"{parent}/{directory}/{name}"
        for directory in disk.names(parent)
        for name in disk.names(f"{parent}/{directory}")
    ]


def _demand(is_so: bool, complaint: str) -> None:  # noqa: FBT001 - reads as a sentence: demand this, or complain
    if not is_so:
        raise DiskHarnessError(complaint)


def _name(pair: Pair) -> str:
    return f"shard {pair.shard} of {pair.blob_id.text()}"


def _words(allowed: Iterable[Standing | None]) -> str:
    return ", ".join(sorted(each or "absent" for each in allowed))
