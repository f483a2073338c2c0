"""The quota: never passed by a byte, whoever writes at the same time, and nothing reserved is left over."""

from __future__ import annotations

import errno
import random
import subprocess
from pathlib import Path

import pytest
import trio

from p2pnode.errors import DiskFullError, QuotaError
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.quota import Quota, on_disk
from p2pnode.storage.store import SliverStore
from p2pnode.system import ThreadOffload
from tests.storage.helpers import (
    Fault,
    FaultyFiles,
    Pair,
    StillClock,
    check_accounting,
    check_readable,
    flip,
    make_pair,
    open_store,
    store,
    tree,
)


async def file_bytes(root: Path, pair: Pair) -> int:
    """Return what one pair's file takes on disk."""
    target = await open_store(DiskFiles(root))
    await store(target, pair)
    await target.close()
    return on_disk(sum(tree(root).values()))


async def leave_room(target: SliverStore, room_bytes: int) -> None:
    """Let the quota have so much room from now on."""
    target.set_quota(target.usage().used_bytes + room_bytes)


async def test_ten_writers_fill_the_quota_and_nothing_that_was_certified_fails(
    tmp_path: Path, rng: random.Random
) -> None:
    """With real threads: no writer passes the quota, and what was told stored is certified, read, and kept."""
    pairs = [make_pair(rng, sliver_bytes=300_000) for _ in range(10)]
    each = await file_bytes(tmp_path / "one", pairs[0])
    root = tmp_path / "store"
    target = await SliverStore.open(DiskFiles(root), ThreadOffload(8), StillClock(), quota_bytes=8 * each)
    refused: list[Pair] = []

    async def write(pair: Pair) -> None:
        try:
            await store(target, pair)
        except QuotaError:
            refused.append(pair)
            return
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
        await target.certify(pair.certificate, pair.final)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for pair in pairs:
                nursery.start_soon(write, pair)
    kept = [pair for pair in pairs if pair not in refused]
    assert 2 <= len(refused) <= 4, "the index takes a part of the quota too"
    assert len(tree(root)) == len(kept)
    for pair in kept:
        await check_readable(target, pair)
    usage = target.usage()
    assert (usage.pairs, usage.reserved_bytes) == (len(kept), 0)
    assert usage.free_bytes < each
    check_accounting(target, root)
    await target.close()


async def test_one_block_too_few_is_refused_with_the_figures(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    each = await file_bytes(tmp_path / "one", pair)
    target = await open_store(DiskFiles(tmp_path / "store"))
    await leave_room(target, each - 1)
    used = target.usage().used_bytes
    with pytest.raises(QuotaError, match=rf"no room for {each} bytes: {used} of {used + each - 1} are used.*raise"):
        await store(target, pair)
    assert tree(tmp_path / "store") == {}
    check_accounting(target, tmp_path / "store")
    await leave_room(target, each)
    await store(target, pair)
    await check_readable(target, pair)
    await leave_room(target, 0)
    await store(target, pair)  # It is held: nothing more is needed.
    await target.close()


async def test_a_damaged_pair_is_replaced_although_the_quota_is_full(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    root = tmp_path / "store"
    target = await open_store(DiskFiles(root))
    await store(target, pair)
    await leave_room(target, 0)
    flip(root / pair.path, -1)
    await store(target, pair)
    await check_readable(target, pair)
    check_accounting(target, root)
    await target.close()


async def test_a_quota_below_what_is_used_loses_nothing(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    await file_bytes(tmp_path, pair)
    target = await open_store(DiskFiles(tmp_path), quota_bytes=1)
    await check_readable(target, pair)
    assert target.usage().free_bytes == 0
    with pytest.raises(QuotaError):
        await store(target, make_pair(rng))
    await target.close()


async def test_collected_space_is_free_again(tmp_path: Path, rng: random.Random) -> None:
    first, second = make_pair(rng, sliver_bytes=300_000), make_pair(rng, sliver_bytes=300_000)
    each = await file_bytes(tmp_path / "one", first)
    root = tmp_path / "store"
    target = await open_store(DiskFiles(root))
    await store(target, first)
    await leave_room(target, each // 2)
    with pytest.raises(QuotaError):
        await store(target, second)
    assert (await target.collect(first.provisional.record.end + 1)).pairs == (first.key,)
    await store(target, second)
    check_accounting(target, root)
    await target.close()


async def test_a_quota_that_shrinks_refuses_what_is_new_and_drops_nothing(tmp_path: Path, rng: random.Random) -> None:
    held, new = make_pair(rng), make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, held)
    target.set_quota(1)
    with pytest.raises(QuotaError):
        await store(target, new)
    await target.commit_lease(held.final, held.page, held.shard_sets)
    await target.certify(held.certificate, held.final)
    await target.collect(held.provisional.record.end + 1)
    await check_readable(target, held)
    target.set_quota(1 << 30)
    await store(target, new)
    check_accounting(target, tmp_path)
    await target.close()


async def test_the_account_is_what_du_says(tmp_path: Path, rng: random.Random) -> None:
    """While it fills, after a crash, in the trash and after a collection; the file system says what a file takes."""
    root = tmp_path / "store"
    target = await open_store(DiskFiles(root))

    def check() -> None:
        told = int(subprocess.run(["du", "-sB1", str(root)], check=True, capture_output=True).stdout.split()[0])
        assert abs(target.usage().used_bytes - told) <= told // 100

    check()
    pairs = [make_pair(rng, sliver_bytes=rng.randint(1, 100_000)) for _ in range(40)]
    for number, pair in enumerate(pairs):
        await store(target, pair)
        if number % 2:
            await target.commit_lease(pair.final, pair.page, pair.shard_sets)
            await target.certify(pair.certificate, pair.final)
        check()
    left_behind = target
    target = await open_store(DiskFiles(root))  # The first one never closed, as after a crash.
    check()
    for now in (pairs[0].provisional.record.end + 1, pairs[1].final.record.end + 1):
        while (await target.collect(now)).has_more:
            check()
        check()
    assert target.usage().trash_bytes == sum(map(on_disk, tree(root).values()))
    await target.empty_trash()
    check()
    await target.close()
    await left_behind.close()


async def test_a_failed_write_gives_its_reservation_back(tmp_path: Path, rng: random.Random) -> None:
    files = FaultyFiles(tmp_path)
    target = await open_store(files)
    files.fault = Fault(at=2, code=errno.ENOSPC)
    with pytest.raises(DiskFullError, match="disk is full"):
        await store(target, make_pair(rng))
    check_accounting(target, tmp_path)
    await target.close()


def test_a_reservation_counts_until_it_is_released() -> None:
    quota = Quota(100)
    quota.note_disk(1000, kept_free_bytes=0)
    first = quota.reserve(60)
    with pytest.raises(QuotaError, match="60 reserved by writes under way"):
        quota.reserve(41)
    second = quota.reserve(40)
    assert quota.usage().free_bytes == 0
    quota.change(used_bytes=50)
    for each in (first, first, second, second):
        each.release()
    usage = quota.usage()
    assert (usage.used_bytes, usage.reserved_bytes, usage.free_bytes) == (50, 0, 50)
    quota.note_disk(10, kept_free_bytes=3)
    assert (quota.usage().free_bytes, quota.usage().disk_free_bytes) == (7, 10)
    quota.note_disk(2, kept_free_bytes=3)
    assert quota.usage().free_bytes == 0


@pytest.mark.parametrize(("length", "taken"), [(0, 0), (1, 4096), (4096, 4096), (4097, 8192)])
def test_a_file_takes_whole_blocks(length: int, taken: int) -> None:
    assert on_disk(length) == taken
