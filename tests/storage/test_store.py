"""The store's everyday promises: what is stored is read back, twice is once, and damage is never served."""

from __future__ import annotations

import dataclasses
import errno
import random
from pathlib import Path

import pytest
import trio

from p2pnode.errors import CallerError, CorruptSliverError, DiskFullError, LocalStorageError, NotFoundError
from p2pnode.storage import engine as engine_module
from p2pnode.storage import reader
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.pairfile import MAGIC
from p2pnode.storage.sealed import seal
from p2pnode.storage.store import SliverStore
from p2pnode.system import ThreadOffload
from tests import factories
from tests.storage import helpers
from tests.storage.helpers import (
    FINAL_END,
    PROVISIONAL_END,
    Fault,
    FaultyFiles,
    StillClock,
    check_accounting,
    check_readable,
    flip,
    make_pair,
    open_store,
    store,
    tree,
)
from wire.ids import Axis, ShardIndex
from wire.records import LeaseKind


async def test_a_stored_pair_is_read_back_and_survives_reopening(tmp_path: Path, rng: random.Random) -> None:
    pairs = [make_pair(rng, shard=shard) for shard in (0, 1, 2, 3)]
    target = await open_store(DiskFiles(tmp_path))
    for pair in pairs:
        await store(target, pair)
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    for pair in pairs:
        await check_readable(target, pair)
    check_accounting(target, tmp_path)
    assert target.usage().pairs == len(pairs)
    await target.close()


async def test_several_shards_of_one_blob_are_kept_side_by_side(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pairs = [make_pair(rng, shard=shard, number=7) for shard in (3, 0)]
    for pair in pairs:
        await store(target, pair)
    held = await target.held(pairs[0].blob_id)
    assert held is not None
    assert held.shards == (0, 3)
    for pair in pairs:
        assert await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary
    await target.close()


async def test_what_is_not_kept_is_not_found(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair, other = make_pair(rng), make_pair(rng)
    await store(target, pair)
    assert await target.held(other.blob_id) is None
    assert await target.missing([other.key, pair.key, (pair.blob_id, ShardIndex(2))]) == [
        other.key,
        (pair.blob_id, 2),
    ]
    with pytest.raises(NotFoundError, match="not kept here"):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, (pair.index + 1) % pair.metadata.n)
    with pytest.raises(NotFoundError):
        await target.read_sliver(other.blob_id, Axis.SECONDARY, 0)
    await target.close()


@pytest.mark.parametrize("axis", list(Axis))
async def test_a_long_header_is_read_whole(tmp_path: Path, rng: random.Random, axis: Axis) -> None:
    pair = dataclasses.replace(make_pair(rng), metadata=factories.metadata_record(n=1000))
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    index = pair.index if axis is Axis.PRIMARY else pair.metadata.n - 1 - pair.index
    expected = pair.primary if axis is Axis.PRIMARY else pair.secondary
    assert await target.read_sliver(pair.blob_id, axis, index) == expected
    await target.close()


async def test_storing_twice_keeps_one_file_and_both_leases(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    longer = dataclasses.replace(pair.provisional.record, sequence=2, end=pair.provisional.record.end + 3600)
    await store(target, pair)
    before = tree(tmp_path)
    await store(target, pair, factories.signed(longer, factories.owner_key()))
    assert tree(tmp_path) == before
    assert (await target.collect(pair.provisional.record.end + 1)).pairs == ()
    assert (await target.collect(longer.end)).pairs == ()  # It holds to the end of that second.
    assert (await target.collect(longer.end + 0.5)).pairs == (pair.key,)
    await target.close()


async def test_a_shard_outside_the_committee_is_the_callers_mistake(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    with pytest.raises(CallerError, match="shard 4"):
        await store(target, make_pair(rng, shard=4))
    pair = make_pair(rng)
    with pytest.raises(CallerError, match="0 leases"):
        await target.store_pair(pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, ())
    assert tree(tmp_path) == {}
    await target.close()


@pytest.mark.parametrize("axis", list(Axis))
async def test_a_damaged_sliver_is_never_served_and_counts_as_lost(
    tmp_path: Path, rng: random.Random, axis: Axis
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    position = -1 if axis is Axis.SECONDARY else -len(pair.secondary) - 1
    flip(tmp_path / pair.path, position)
    index = pair.index if axis is Axis.PRIMARY else pair.metadata.n - 1 - pair.index
    for _ in range(2):
        with pytest.raises(CorruptSliverError, match=f"of blob {pair.blob_id.text()} is damaged"):
            await target.read_sliver(pair.blob_id, axis, index)
    assert await target.lost_pairs() == [pair.key]
    assert await target.missing([pair.key]) == [pair.key]
    held = await target.held(pair.blob_id)
    assert held is not None
    assert held.shards == ()
    check_accounting(target, tmp_path)
    assert target.usage().pairs == 0
    await target.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "another pair's file"])
async def test_storing_a_damaged_pair_again_replaces_it(tmp_path: Path, rng: random.Random, damage: str) -> None:
    pair, other = make_pair(rng), make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await store(target, other)
    path = tmp_path / pair.path
    match damage:
        case "flipped":
            flip(path, 100)
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "gone":
            path.unlink()
        case _:
            path.write_bytes((tmp_path / other.path).read_bytes())
    await store(target, pair)
    await check_readable(target, pair)
    assert await target.lost_pairs() == []
    check_accounting(target, tmp_path)
    assert target.usage().pairs == 2
    await target.close()


async def test_a_lost_pair_that_was_certified_is_certified_again_with_its_new_copy(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.certify(pair.certificate, pair.final)
    (tmp_path / pair.path).unlink()
    await store(target, pair)
    assert (await target.collect(FINAL_END)).trashed == ()
    await check_readable(target, pair)
    await target.close()


async def test_a_full_disk_refuses_and_passes(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    files = FaultyFiles(tmp_path)
    target = await open_store(files)
    files.room = engine_module.DISK_RESERVE_BYTES + 100
    with pytest.raises(DiskFullError, match="free some space"):
        await store(target, pair)
    assert target.usage().free_bytes == 100
    assert tree(tmp_path) == {}
    files.room = None
    await store(target, pair)
    await check_readable(target, pair)
    await target.close()


async def test_after_a_failed_write_nothing_more_is_written_until_reopened(tmp_path: Path, rng: random.Random) -> None:
    first, second, third = (make_pair(rng) for _ in range(3))
    files = FaultyFiles(tmp_path)
    target = await open_store(files)
    await store(target, first)
    files.fault = Fault(at=1, code=errno.EIO)
    with pytest.raises(LocalStorageError, match="check the disk"):
        await store(target, second)
    for attempt in (
        store(target, third),
        target.certify(first.certificate, first.final),
        target.next_sequence("member record"),
        target.collect(FINAL_END),
    ):
        with pytest.raises(LocalStorageError, match="earlier failure"):
            await attempt
    await check_readable(target, first)
    await target.close()
    target = await open_store(files)
    await store(target, third)
    for pair in (first, third):
        await check_readable(target, pair)
    check_accounting(target, tmp_path)
    await target.close()


async def test_too_many_open_files_pass_without_stopping_the_store(tmp_path: Path, rng: random.Random) -> None:
    files = FaultyFiles(tmp_path)
    target = await open_store(files)
    files.fault = Fault(at=2, code=errno.EMFILE)
    with pytest.raises(LocalStorageError, match="ulimit"):
        await store(target, make_pair(rng))
    await store(target, make_pair(rng))
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_read_that_fails_for_another_reason_condemns_nothing(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(rng)
    files = DiskFiles(tmp_path)
    target = await open_store(files)
    await store(target, pair)

    def refuse(*_: object, **__: object) -> bytes:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(files, "read", refuse)
        with pytest.raises(LocalStorageError, match="too many open files"):
            await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    await check_readable(target, pair)
    await target.close()


async def test_a_block_that_is_read_at_the_second_try_is_no_loss(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(rng)
    files = DiskFiles(tmp_path)
    target = await open_store(files)
    await store(target, pair)
    real = files.read
    failures = [OSError(errno.EIO, "injected")]

    def read(name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        if failures:
            raise failures.pop()
        return real(name, offset=offset, count=count)

    monkeypatch.setattr(files, "read", read)
    assert await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary
    assert await target.lost_pairs() == []
    await target.close()


async def test_a_file_of_a_newer_version_is_neither_served_nor_lost(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    (tmp_path / pair.path).write_bytes(seal(MAGIC, 2, b"from the future"))
    with pytest.raises(LocalStorageError, match="newer version"):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    with pytest.raises(LocalStorageError, match="newer version"):
        await store(target, pair)
    assert await target.lost_pairs() == []
    await target.close()


async def test_a_closed_store_says_so(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    await target.close()
    await target.close()
    with pytest.raises(LocalStorageError, match="closed"):
        await store(target, make_pair(rng))
    with pytest.raises(LocalStorageError, match="closed"):
        await target.held(make_pair(rng).blob_id)


async def test_cancelled_callers_leave_no_reservation_and_no_half_file(tmp_path: Path, rng: random.Random) -> None:
    """Real threads: the work is done whole or not at all, whenever the caller goes away."""
    pairs = [make_pair(rng, sliver_bytes=20_000) for _ in range(20)]
    target = await SliverStore.open(DiskFiles(tmp_path), ThreadOffload(3), StillClock(), quota_bytes=10**7)
    async with trio.open_nursery() as nursery:
        for pair in pairs:
            nursery.start_soon(helpers.store, target, pair)
        for _ in range(rng.randrange(1, 40)):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    check_accounting(target, tmp_path)
    gone = set(await target.missing([pair.key for pair in pairs]))
    for pair in pairs:
        if pair.key not in gone:
            await check_readable(target, pair)
    assert len(tree(tmp_path)) == len(pairs) - len(gone)
    await target.close()


async def test_many_threads_store_read_and_collect_at_once(tmp_path: Path, rng: random.Random) -> None:
    pairs = [make_pair(rng) for _ in range(24)]
    target = await SliverStore.open(DiskFiles(tmp_path), ThreadOffload(8), StillClock(), quota_bytes=10**7)

    async def live(pair: helpers.Pair) -> None:
        await store(target, pair)
        await check_readable(target, pair)
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
        await target.certify(pair.certificate, pair.final)
        await target.collect(PROVISIONAL_END)
        await check_readable(target, pair)

    async def die(pair: helpers.Pair) -> None:
        over = factories.lease(pair.blob_id, kind=LeaseKind.PROVISIONAL, end=factories.TIME)
        await store(target, pair, factories.signed(over, factories.owner_key()))
        await target.collect(PROVISIONAL_END)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for pair in pairs:
                nursery.start_soon(live, pair)
                nursery.start_soon(helpers.store, target, pair)  # The same pair twice at once.
                nursery.start_soon(die, make_pair(rng))
    assert not (await target.collect(PROVISIONAL_END)).pairs
    check_accounting(target, tmp_path)
    assert target.usage().pairs == len(pairs)
    await target.close()


async def test_a_damaged_pair_whose_loss_cannot_be_noted_is_neither_replaced_nor_promised(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that has room for files, and none for the index."""
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    flip(tmp_path / pair.path, 100)
    with monkeypatch.context() as full:
        full.setattr(reader, "_mark_lost", lambda *_: None)
        with pytest.raises(DiskFullError, match="cannot be noted"):
            await store(target, pair)
    await store(target, pair)
    assert await target.missing([(pair.blob_id, pair.shard)]) == []
    await target.close()
