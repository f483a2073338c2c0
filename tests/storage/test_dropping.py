"""Claims about giving pairs up: the files go, and each is to be retracted once."""

from __future__ import annotations

import random
from pathlib import Path

from p2pnode.storage.files import DiskFiles
from tests.storage.helpers import make_pair, open_store, store
from wire.ids import ShardIndex


async def test_what_is_dropped_is_gone_from_the_disk_and_is_to_be_retracted(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    first, second = (make_pair(rng, number=number, shard=number) for number in (1, 2))
    await store(target, first)
    await store(target, second)
    assert await target.drop([first.key, second.key, (first.key[0], ShardIndex(3))]) == 2
    assert not (tmp_path / first.path).exists()
    assert target.receipts.has_untold_losses
    assert sorted(await target.receipts.untold_losses()) == sorted([first.key, second.key])
    assert await target.drop([first.key]) == 0
    await store(target, first)
    assert await target.missing([first.key, second.key]) == [second.key]
    await target.close()


async def test_after_a_crash_between_file_and_row_it_is_lost_all_the_same(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng, number=1, shard=1)
    await store(target, pair)
    await target.close()
    (tmp_path / pair.path).unlink()
    again = await open_store(DiskFiles(tmp_path))
    assert await again.receipts.untold_losses() == [pair.key]
    await again.close()
