"""Claims about the rescan: every file is read, what is damaged or gone is lost, and each step is bounded."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from p2pnode.storage import reader, rescan
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.sealed import NewerFormatError
from p2pnode.storage.store import SliverStore
from tests.storage.helpers import Pair, check_readable, flip, make_pair, open_store, store


async def whole(target: SliverStore) -> tuple[list[int], int]:
    """Rescan to the end; return how many pairs each step looked at, and how many are lost."""
    step = await target.rescan()
    sizes, lost = [step.pairs], step.lost
    while step.last is not None:
        step = await target.rescan(step.last)
        sizes, lost = [*sizes, step.pairs], lost + step.lost
    return sizes, lost


async def filled(path: Path, rng: random.Random, count: int) -> tuple[SliverStore, list[Pair]]:
    """Return a store with some pairs, the first two of one blob."""
    target = await open_store(DiskFiles(path))
    pairs = [make_pair(rng, number=max(number, 1), shard=number % 4) for number in range(count)]
    for pair in pairs:
        await store(target, pair)
    return target, pairs


async def test_what_is_whole_stays_and_what_is_damaged_or_gone_is_lost(tmp_path: Path, rng: random.Random) -> None:
    target, pairs = await filled(tmp_path, rng, 6)
    flip(tmp_path / pairs[1].path, -1)
    (tmp_path / pairs[4].path).unlink()
    assert await whole(target) == ([6], 2)
    assert sorted(await target.lost_pairs()) == sorted([pairs[1].key, pairs[4].key])
    for pair in (pairs[0], pairs[2], pairs[3], pairs[5]):
        await check_readable(target, pair)
    assert await whole(target) == ([4], 0), "what is lost is not looked at again"
    await target.close()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
async def test_each_step_is_bounded_and_together_they_leave_nothing_out(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(rescan, "RESCAN_PAIRS_MAX", 3)
    target, pairs = await filled(tmp_path, rng, count)
    for pair in pairs:
        flip(tmp_path / pair.path, -1)
    sizes, lost = await whole(target)
    assert (sum(sizes), lost) == (count, count)
    assert all(size <= 3 for size in sizes)
    await target.close()


@pytest.mark.parametrize(("code", "lost"), [(errno.EIO, 1), (errno.EMFILE, 0)])
async def test_only_what_means_damage_counts_as_lost(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch, code: int, lost: int
) -> None:
    target, _ = await filled(tmp_path, rng, 1)

    def read(_self: DiskFiles, name: str, **_: object) -> bytes:
        raise OSError(code, "told so", name)

    monkeypatch.setattr(DiskFiles, "read", read)
    assert (await whole(target))[1] == lost
    await target.close()


async def test_a_pair_of_a_newer_version_is_not_lost(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, _ = await filled(tmp_path, rng, 1)

    def newer(*_: object, **__: object) -> None:
        raise NewerFormatError("version 9")

    monkeypatch.setattr(reader, "check_whole_file", newer)
    assert await whole(target) == ([1], 0)
    await target.close()
