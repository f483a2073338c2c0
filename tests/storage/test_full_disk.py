"""A real disk that is really full: a store on a small file system in memory takes what fits, and loses nothing."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pnode.errors import DiskFullError
from p2pnode.storage import engine
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.store import SliverStore
from tests.conftest import requires
from tests.storage.helpers import Pair, check_accounting, check_readable, make_pair, open_store, store
from wire import limits

DISK_BYTES = 4 * limits.MIB
BALLAST_BYTES = 2 * limits.MIB
"""What is removed so that there is room again."""
QUOTA_BYTES = 1 << 30
SLIVER_BYTES = 40_000
PAIRS_MAX = DISK_BYTES // SLIVER_BYTES + 1

pytestmark = requires("mounts")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of DISK_BYTES."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def fill(target: SliverStore, rng: random.Random) -> list[Pair]:
    """Store pairs until the disk is full; return those that were told stored."""
    stored: list[Pair] = []
    for _ in range(PAIRS_MAX):
        pair = make_pair(rng, sliver_bytes=SLIVER_BYTES)
        try:
            await store(target, pair)
        except DiskFullError:
            return stored
        stored.append(pair)
    pytest.fail("the disk never got full")


@pytest.mark.parametrize("reserve_bytes", [0, 512 * 1024], ids=["to the last byte", "down to the reserve"])
async def test_a_store_on_a_full_disk_keeps_all_it_took_and_goes_on_once_there_is_room(
    small_disk: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch, reserve_bytes: int
) -> None:
    """Without its reserve the store meets ENOSPC itself, wherever that comes: in a pair's file, a record, the index."""
    monkeypatch.setattr(engine, "DISK_RESERVE_BYTES", reserve_bytes)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    target = await open_store(DiskFiles(small_disk / "data"), quota_bytes=QUOTA_BYTES)
    stored = await fill(target, rng)
    assert len(stored) > 5
    for pair in stored:
        try:
            await target.commit_lease(pair.final, pair.page, pair.shard_sets)
        except DiskFullError:
            continue
    for pair in stored:
        await check_readable(target, pair)
    check_accounting(target, small_disk / "data")
    ballast.unlink()
    late = make_pair(rng, sliver_bytes=SLIVER_BYTES)
    await store(target, late)
    await target.close()
    target = await open_store(DiskFiles(small_disk / "data"), quota_bytes=QUOTA_BYTES)
    for pair in (*stored, late):
        await check_readable(target, pair)
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    check_accounting(target, small_disk / "data")
    await target.close()


async def test_a_store_opens_on_a_disk_without_a_byte_left(
    small_disk: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "DISK_RESERVE_BYTES", 0)
    target = await open_store(DiskFiles(small_disk / "data"), quota_bytes=QUOTA_BYTES)
    stored = await fill(target, rng)
    await target.close()
    with (small_disk / "rest").open("wb", buffering=0) as rest:
        for size in (4096, 1):
            try:
                while rest.write(bytes(size)):
                    pass
            except OSError:
                continue
    target = await open_store(DiskFiles(small_disk / "data"), quota_bytes=QUOTA_BYTES)
    for pair in stored:
        await check_readable(target, pair)
    check_accounting(target, small_disk / "data")
    with pytest.raises(DiskFullError):
        await store(target, make_pair(rng, sliver_bytes=SLIVER_BYTES))
    await target.close()
