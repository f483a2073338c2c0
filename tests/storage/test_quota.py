"""The quota: never passed by a byte, whoever writes at the same time, and nothing reserved is left over."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest
import trio

from p2pnode.errors import DiskFullError, QuotaError
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.quota import Quota
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
    """Return what one pair takes on disk."""
    target = await open_store(DiskFiles(root))
    await store(target, pair)
    await target.close()
    return sum(tree(root).values())


async def test_ten_writers_fill_the_quota_to_the_last_byte(tmp_path: Path, rng: random.Random) -> None:
    """Room for six: with real threads exactly six of ten get it, and not one byte is wrong."""
    pairs = [make_pair(rng, sliver_bytes=30_000) for _ in range(10)]
    each = await file_bytes(tmp_path / "one", pairs[0])
    root = tmp_path / "store"
    target = await SliverStore.open(DiskFiles(root), ThreadOffload(8), StillClock(), quota_bytes=6 * each)
    refused: list[Pair] = []

    async def write(pair: Pair) -> None:
        try:
            await store(target, pair)
        except QuotaError:
            refused.append(pair)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for pair in pairs:
                nursery.start_soon(write, pair)
    assert len(refused) == 4
    assert len(tree(root)) == 6
    usage = target.usage()
    assert (usage.used_bytes, usage.free_bytes, usage.pairs) == (6 * each, 0, 6)
    check_accounting(target, root)
    await target.close()


async def test_one_byte_too_few_is_refused_with_the_figures(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    each = await file_bytes(tmp_path / "one", pair)
    target = await open_store(DiskFiles(tmp_path / "store"), quota_bytes=each - 1)
    with pytest.raises(QuotaError, match=rf"no room for {each} bytes: 0 of {each - 1} are used.*raise quota_bytes"):
        await store(target, pair)
    assert tree(tmp_path / "store") == {}
    check_accounting(target, tmp_path / "store")
    await target.close()
    target = await open_store(DiskFiles(tmp_path / "store"), quota_bytes=each)
    await store(target, pair)
    await check_readable(target, pair)
    await store(target, pair)  # It is held: nothing more is needed.
    await target.close()


async def test_a_damaged_pair_is_replaced_although_the_quota_is_full(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    each = await file_bytes(tmp_path / "one", pair)
    root = tmp_path / "store"
    target = await open_store(DiskFiles(root), quota_bytes=each)
    await store(target, pair)
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
    first, second = make_pair(rng), make_pair(rng)
    each = await file_bytes(tmp_path / "one", first)
    root = tmp_path / "store"
    target = await open_store(DiskFiles(root), quota_bytes=each)
    await store(target, first)
    collected = await target.collect(first.provisional.record.end + 1)
    assert (collected.pairs, collected.bytes_freed) == ((first.key,), each)
    await store(target, second)
    check_accounting(target, root)
    await target.close()


async def test_a_failed_write_gives_its_reservation_back(tmp_path: Path, rng: random.Random) -> None:
    files = FaultyFiles(tmp_path)
    target = await open_store(files)
    files.fault = Fault(at=2, code=errno.ENOSPC)
    with pytest.raises(DiskFullError, match="disk is full"):
        await store(target, make_pair(rng))
    check_accounting(target, tmp_path)
    await target.close()


def test_a_reservation_counts_until_it_is_used_or_released() -> None:
    quota = Quota(100)
    quota.note_disk(1000)
    first = quota.reserve(60)
    with pytest.raises(QuotaError, match="60 reserved by writes under way"):
        quota.reserve(41)
    second = quota.reserve(40)
    assert quota.usage().free_bytes == 0
    first.use(50)
    first.release()
    second.release()
    second.release()
    usage = quota.usage()
    assert (usage.used_bytes, usage.reserved_bytes, usage.free_bytes) == (50, 0, 50)
    quota.note_disk(7)
    assert quota.usage().free_bytes == 7
