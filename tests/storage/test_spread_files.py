"""A store on several data directories: pairs are spread, and a directory that is away takes nothing with it."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from p2pnode.errors import DiskFullError, LocalStorageError, NotFoundError
from p2pnode.storage.names import PAIRS_DIRECTORY, RECORDS_DIRECTORY
from p2pnode.storage.spread_files import INDEX_RESERVE_BYTES, DirectoryAwayError, SpreadFiles
from p2pnode.storage.store import SliverStore
from testnet.sim.disk_events import DiskEvent, NodeKilledError
from testnet.sim.files import SimFiles
from tests import factories
from tests.storage.below import Below, as_directory, make_below
from tests.storage.helpers import (
    FINAL_END,
    PROVISIONAL_END,
    Pair,
    StillClock,
    check_readable,
    make_pair,
    open_store,
    store,
)
from wire.ids import Axis

NAMES = ("first", "second", "third")


class Disks:
    """Three data directories on one simulated disk, as one life of the machine has them."""

    def __init__(self, disk: SimFiles | None = None) -> None:
        """Make them unless an earlier life did."""
        self.disk = disk or SimFiles()
        self.each = {
            name: Below(self.disk, name) if disk is not None else make_below(self.disk, name) for name in NAMES
        }

    @property
    def first(self) -> Below:
        """The one with the index."""
        return self.each["first"]

    @property
    def second(self) -> Below:
        """The one that goes away."""
        return self.each["second"]

    def files(self, *names: str) -> SpreadFiles:
        """Return these as one tree, or all of them."""
        return SpreadFiles([as_directory(self.each[name], name) for name in names or NAMES])

    def prefer(self, name: str) -> None:
        """Let most room be there."""
        for each, files in self.each.items():
            files.room = (1 << 40) if each == name else (1 << 30)

    def pairs_in(self, name: str) -> list[str]:
        """Return the names of the files of pairs in a directory."""
        files = self.each[name]
        return [each for prefix in files.names(PAIRS_DIRECTORY) for each in files.names(f"{PAIRS_DIRECTORY}/{prefix}")]

    def used_bytes(self) -> int:
        """Return what everything in the data directories takes."""
        return sum(_space(files, "") for files in self.each.values())


def _space(files: Below, name: str) -> int:
    """Return what something takes with all that is in it."""
    inside = (f"{name}/{each}" if name else each for each in files.names(name))
    return files.space_bytes(name) + sum(_space(files, each) for each in inside)


@pytest.fixture
def disks() -> Disks:
    """Three data directories."""
    return Disks()


async def _spread(disks: Disks, target: SliverStore, rng: random.Random, count: int = 3) -> dict[str, list[Pair]]:
    """Store so many pairs in each directory, certified."""
    stored: dict[str, list[Pair]] = {}
    for name in NAMES:
        disks.prefer(name)
        for _ in range(count):
            pair = make_pair(rng)
            await store(target, pair)
            await target.certify(pair.certificate, pair.final)
            stored.setdefault(name, []).append(pair)
    return stored


async def test_each_pair_goes_where_the_most_room_is_and_all_else_to_the_first_directory(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    stored = await _spread(disks, target, rng)
    for name, pairs in stored.items():
        assert sorted(disks.pairs_in(name)) == sorted(pair.path.rpartition("/")[2] for pair in pairs)
        for pair in pairs:
            await check_readable(target, pair)
    assert RECORDS_DIRECTORY not in disks.second.names("")
    assert target.usage().used_bytes == disks.used_bytes()
    await target.close()


async def test_a_directory_that_went_away_is_neither_served_nor_lost_nor_collected_and_comes_back_whole(
    disks: Disks, rng: random.Random
) -> None:
    clock = StillClock()
    target = await open_store(disks.files(), clock=clock)
    stored = await _spread(disks, target, rng)
    away, here = stored["second"], stored["first"] + stored["third"]
    disks.second.is_mounted = False
    with pytest.raises(LocalStorageError, match="not here"):
        await target.read_sliver(away[0].blob_id, Axis.PRIMARY, away[0].index)
    await target.next_sequence("anything")  # Any change looks at the disks.
    assert list(target.away) == ["second"]
    with pytest.raises(LocalStorageError, match="mount its disk"):
        await target.read_sliver(away[0].blob_id, Axis.PRIMARY, away[0].index)
    assert set(await target.missing([pair.key for pair in away + here])) == {pair.key for pair in away}
    assert await target.lost_pairs() == []
    assert await target.receipts.untold_losses() == []
    assert target.usage().pairs == len(here)
    with pytest.raises(NotFoundError, match="not held here"):
        await target.commit_lease(away[0].final, away[0].page, away[0].shard_sets)
    for _ in range(2):
        await target.collect(PROVISIONAL_END + 1)
    disks.prefer("third")
    new = make_pair(rng)
    await store(target, new)
    for pair in [*here, new]:
        await check_readable(target, pair)
    disks.second.is_mounted = True
    await target.next_sequence("anything")
    assert list(target.away) == []
    for pair in away + here:
        await check_readable(target, pair)
    assert target.usage().used_bytes == disks.used_bytes()
    await target.close()


@pytest.mark.parametrize("leased", [True, False])
async def test_what_is_away_waits_for_its_collection_until_it_is_back(
    disks: Disks, rng: random.Random, *, leased: bool
) -> None:
    target = await open_store(disks.files())
    disks.prefer("second")
    pair = make_pair(rng)
    await store(target, pair)
    if leased:
        await target.certify(pair.certificate, pair.final)
    disks.second.is_mounted = False
    assert (await target.collect(FINAL_END + 1)).pairs == ()
    disks.second.is_mounted = True
    collected = await target.collect(FINAL_END + 1)
    assert (collected.trashed if leased else collected.pairs) == (pair.key,)
    assert await target.lost_pairs() == []
    await target.close()


async def test_a_store_that_opens_without_a_directory_knows_its_pairs_when_it_is_back(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    stored = await _spread(disks, target, rng, count=1)
    (trashed,) = stored["third"]
    await target.close()
    disks.second.is_mounted = disks.each["third"].is_mounted = False
    target = await open_store(disks.files())
    assert list(target.away) == ["second", "third"]
    assert await target.lost_pairs() == []
    disks.second.is_mounted = True
    await check_readable_soon(target, stored["second"][0])
    assert set(await target.missing([trashed.key])) == {trashed.key}
    await target.close()


async def check_readable_soon(target: SliverStore, pair: Pair) -> None:
    """Check that a pair is read once the store has looked at its disks."""
    await target.next_sequence("anything")
    await check_readable(target, pair)


async def test_a_directory_that_is_forgotten_is_lost_once_and_its_pairs_are_told(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    stored = await _spread(disks, target, rng)
    await target.close()
    target = await open_store(disks.files("first", "third"))
    assert set(await target.receipts.untold_losses()) == {pair.key for pair in stored["second"]}
    await target.close()


async def test_a_file_that_is_gone_while_another_directory_is_away_counts_as_lost_only_when_all_are_here(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    stored = await _spread(disks, target, rng, count=1)
    (gone,) = stored["third"]
    disks.second.is_mounted = False
    disks.each["third"].remove(gone.path)
    with pytest.raises(LocalStorageError):
        await target.read_sliver(gone.blob_id, Axis.PRIMARY, gone.index)
    await target.next_sequence("anything")
    assert await target.lost_pairs() == []
    disks.second.is_mounted = True
    await target.next_sequence("anything")
    assert await target.lost_pairs() == [gone.key]
    await target.close()


async def test_a_pair_stored_anew_while_its_directory_is_away_is_removed_from_both(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    disks.prefer("second")
    pair = make_pair(rng)
    await store(target, pair)
    disks.second.is_mounted = False
    disks.prefer("third")
    await store(target, pair)
    await check_readable(target, pair)
    disks.second.is_mounted = True
    await check_readable_soon(target, pair)
    assert (await target.collect(PROVISIONAL_END + 1)).pairs == (pair.key,)
    assert disks.pairs_in("second") == disks.pairs_in("third") == []
    assert target.usage().used_bytes == disks.used_bytes()
    await target.close()


async def test_an_index_lost_while_a_directory_is_away_retracts_nothing_that_may_be_there(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    disks.prefer("second")
    pair = make_pair(rng)
    await store(target, pair)
    await target.close()
    disks.first.remove("index.db")
    disks.second.is_mounted = False
    target = await open_store(disks.files())
    retraction = factories.signed(factories.retraction(pair.blob_id, shard=pair.shard), factories.owner_key())
    assert await target.receipts.retract([retraction]) == []
    disks.second.is_mounted = True
    await check_readable_soon(target, pair)
    await target.close()


async def test_a_disk_that_vanishes_in_the_middle_of_a_write_stops_nothing_else(
    disks: Disks, rng: random.Random
) -> None:
    """At each operation of storing a pair its directory goes; the pair is stored in another one, or told as failed."""
    target = await open_store(disks.files())
    vanished = 0
    for step in range(30):
        disks.prefer("second")
        disks.second.is_mounted = True
        await target.next_sequence("anything")
        pair = make_pair(rng)
        left = [step]

        def vanish(event: DiskEvent, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0 and event.name.startswith("second/"):
                disks.second.is_mounted = False
                raise OSError(errno.EIO, "the disk is gone", event.name)

        disks.disk.hook = vanish
        try:
            await store(target, pair)
        except LocalStorageError:
            stored = False
        else:
            stored = True
        disks.disk.hook = None
        vanished += not disks.second.is_mounted
        other = make_pair(rng)
        await store(target, other)
        await check_readable(target, other)
        if stored:
            disks.second.is_mounted = True
            await check_readable_soon(target, pair)
    assert vanished > 4
    await target.close()


async def test_a_disk_that_vanishes_while_the_store_opens_takes_no_pair_with_it(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    stored = await _spread(disks, target, rng, count=1)
    await target.close()
    refused = 0
    for step in range(1, 40):
        left = [step]

        def vanish(_: DiskEvent, left: list[int] = left) -> None:
            left[0] -= 1
            disks.second.is_mounted &= left[0] != 0

        files = disks.files()
        disks.disk.hook = vanish
        try:
            target = await open_store(files)
        except LocalStorageError:
            refused += 1
        else:
            assert await target.lost_pairs() == []
            await target.close()
        disks.disk.hook = None
        disks.second.is_mounted = True
        target = await open_store(disks.files())
        await check_readable(target, stored["second"][0])
        assert await target.receipts.untold_losses() == []
        await target.close()
    assert 0 < refused < 39


async def test_with_too_little_room_for_the_index_nothing_is_stored_on_other_disks(
    disks: Disks, rng: random.Random
) -> None:
    target = await open_store(disks.files())
    disks.prefer("second")
    disks.first.room = INDEX_RESERVE_BYTES - 1
    with pytest.raises(DiskFullError):
        await store(target, make_pair(rng))
    await target.close()


def test_without_the_first_directory_nothing_works(disks: Disks) -> None:
    files = disks.files()
    disks.first.is_mounted = False
    calls: list[Callable[[], object]] = [files.away, disks.files, lambda: files.read("sequences.rec")]
    for call in calls:
        with pytest.raises(DirectoryAwayError):
            call()


async def test_a_power_loss_at_any_moment_leaves_every_stored_pair_in_one_of_the_directories(
    rng: random.Random,
) -> None:
    """Two stored pairs in two directories, then a third one: power is lost at each operation of that."""
    for step in range(1, 200):
        disks = Disks()
        target = await open_store(disks.files())
        stored = await _spread(disks, target, rng, count=1)
        disks.prefer("second")
        left = [step]

        def kill(_: DiskEvent, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise NodeKilledError

        disks.disk.hook = kill
        is_done = False
        try:
            await store(target, make_pair(rng))
            is_done = True
        except NodeKilledError:
            pass
        after = Disks(disks.disk.crash(rng))
        target = await open_store(after.files())
        for pairs in stored.values():
            await check_readable(target, pairs[0])
        assert target.usage().used_bytes == after.used_bytes()
        await target.close()
        if is_done:
            return
    pytest.fail("the work has no end")
