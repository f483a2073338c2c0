"""What commitments need of the disk: no change of what is held is missed, whoever makes it and whatever fails."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from p2pnode.errors import QuotaError
from p2pnode.protocols.entry_tree import Entry, EntryTree, Key
from p2pnode.storage import commitments
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.store import SliverStore
from tests import factories
from tests.storage.helpers import (
    FINAL_END,
    PROVISIONAL_END,
    StillClock,
    flip,
    make_pair,
    open_store,
    store,
)


async def changes_of(target: SliverStore) -> dict[Key, Entry | None]:
    """Return all that changed since it was asked last."""
    found: dict[Key, Entry | None] = {}
    while changes := await target.commitments.take_changes():
        found |= changes
    return found


async def held(target: SliverStore) -> dict[Key, Entry | None]:
    """Return everything that is held."""
    found: dict[Key, Entry | None] = {}
    last: Key | None = None
    while entries := await target.commitments.entries_after(last):
        found |= entries
        last = next(reversed(entries))
    return found


async def test_what_is_stored_leased_lost_and_collected_is_noted(tmp_path: Path, rng: random.Random) -> None:
    clock = StillClock()
    target = await open_store(DiskFiles(tmp_path), clock=clock)
    assert await target.commitments.take_changes() is None
    await target.commitments.watch()
    assert await changes_of(target) == {}
    kept, lost, over = (make_pair(rng) for _ in range(3))
    for pair in (kept, lost, over):
        await store(target, pair)
    assert {key: each and each.lease_end for key, each in (await changes_of(target)).items()} == dict.fromkeys(
        (kept.key, lost.key, over.key), PROVISIONAL_END
    )
    await target.commit_lease(kept.final, kept.page, kept.shard_sets)
    await target.certify(kept.certificate, kept.final)
    (renewed,) = (await changes_of(target)).values()
    assert renewed is not None
    assert (renewed.blob_id, renewed.shard, renewed.lease_end) == (*kept.key, FINAL_END)
    assert renewed.pair_bytes == (tmp_path / kept.path).stat().st_size
    flip(tmp_path / lost.path, -1)
    await target.rescan()
    assert await changes_of(target) == {lost.key: None}
    assert (await target.collect(PROVISIONAL_END + 1)).pairs
    assert (await changes_of(target))[over.key] is None
    assert await held(target) == {kept.key: renewed}
    await target.close()


async def test_a_change_that_was_undone_is_none(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path), quota_bytes=100)
    await target.commitments.watch()
    with pytest.raises(QuotaError):
        await store(target, make_pair(rng, sliver_bytes=500))
    assert await changes_of(target) == {}
    await target.close()


async def test_step_by_step_is_as_all_at_once(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitments, "ENTRIES_MAX", 3)
    target = await open_store(DiskFiles(tmp_path))
    await target.commitments.watch()
    pairs = [make_pair(rng, shard=number % 4) for number in range(10)]
    for pair in pairs:
        await store(target, pair)
    found = await held(target)
    assert list(found) == sorted(pair.key for pair in pairs)
    assert await changes_of(target) == found
    assert EntryTree().changed(found).count == len(pairs)
    await target.commitments.watch()  # From nothing again.
    assert await changes_of(target) == {}
    await target.close()


async def test_after_the_index_was_made_anew_nobody_watches(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await store(target, pair)
    await target.commitments.watch()
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.commitments.take_changes() is None
    assert list(await held(target)) == [pair.key]
    await target.close()


async def test_the_last_epoch_outlives_a_restart(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert await target.commitments.last_epoch() == 0
    await target.commitments.note_epoch(factories.TIME // 3600)
    await target.next_sequence("a record")
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.commitments.last_epoch() == factories.TIME // 3600
    assert await target.next_sequence("a record") == 2
    await target.close()
