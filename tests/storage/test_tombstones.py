"""Tombstones: they end their signer's lease and no other, and what they ended does not come back."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from p2pnode.errors import LeaseError
from p2pnode.protocols.lease_merging import outlasts
from p2pnode.storage import tombstone_index
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.store import TRASH_S_DEFAULT
from tests import factories
from tests.storage.helpers import (
    DAY_S,
    Pair,
    certificate,
    check_accounting,
    check_readable,
    make_pair,
    open_store,
    records,
    store,
    tree,
)
from tests.storage.test_trash import renewal, stored_for_a_month
from wire.records import Tombstone
from wire.signed import Signed

SOON = factories.TIME + 1
"""Just after the tombstones of these tests were signed."""


def tomb(pair: Pair, *, sequence: int = 1, owner: int | None = None, time: int = factories.TIME) -> Signed[Tombstone]:
    """Return a tombstone of the pair's owner, or of another one."""
    record = dataclasses.replace(factories.tombstone(pair.blob_id), sequence=sequence, time=time)
    return factories.signed(record, factories.owner_key() if owner is None else factories.key(owner))


async def test_a_tombstone_sends_what_it_ends_to_the_trash(tmp_path: Path, rng: random.Random) -> None:
    pair, other = make_pair(rng), make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair, other)
    assert await target.bury(tomb(pair))
    assert (await target.collect(SOON)).trashed == (pair.key,)
    await check_readable(target, other)
    assert (await target.collect(SOON + TRASH_S_DEFAULT + 1)).pairs == (pair.key,)
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_tombstone_ends_no_other_owners_lease(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    assert not await target.bury(tomb(pair, owner=5, sequence=9))
    theirs = factories.signed(factories.lease(pair.blob_id, end=factories.TIME + 9 * DAY_S), factories.key(5))
    await target.certify(certificate(theirs, pair.page), theirs)
    await target.bury(tomb(pair))
    assert (await target.collect(theirs.record.end)).trashed == ()
    await check_readable(target, pair)
    assert (await target.collect(theirs.record.end + 1)).trashed == (pair.key,)
    await target.close()


async def test_what_was_buried_does_not_come_back_by_a_replay(tmp_path: Path, rng: random.Random) -> None:
    """Not while it is here, not from the trash, not when it is gone, not after a lost index."""
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.bury(tomb(pair))
    for now in (0, SOON, SOON + TRASH_S_DEFAULT + 1):
        await target.collect(now)
        for without_index in (False, True):
            await target.close()
            if without_index:
                (tmp_path / "index.db").unlink()
            target = await open_store(DiskFiles(tmp_path))
            with pytest.raises(LeaseError, match="the owner has deleted"):
                await store(target, pair, pair.provisional, pair.final)
            with pytest.raises(LeaseError, match="the owner has deleted"):
                await target.commit_lease(pair.final, pair.page, pair.shard_sets)
            with pytest.raises(LeaseError, match="the owner has deleted"):
                await target.certify(pair.certificate, pair.final)
    assert tree(tmp_path) == {}
    assert len(records(tmp_path)) == 1
    await target.close()


async def test_a_later_lease_of_the_owner_lives(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.bury(tomb(pair))
    await target.collect(SOON)
    again = renewal(pair)
    await target.commit_lease(again, pair.page, pair.shard_sets)
    await target.bury(tomb(pair))
    assert (await target.collect(again.record.end)).trashed == ()
    await check_readable(target, pair)
    await target.close()


async def test_a_tombstone_counts_for_a_lease_that_comes_after_it(tmp_path: Path, rng: random.Random) -> None:
    """In a partition the newer word may be here first; what it does not end is held all the same."""
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    assert await target.bury(tomb(pair, sequence=5))
    with pytest.raises(LeaseError, match="with sequence 4"):
        await target.commit_lease(renewal(pair, sequence=4), pair.page, pair.shard_sets)
    await target.commit_lease(renewal(pair, sequence=6), pair.page, pair.shard_sets)
    await check_readable(target, pair)
    await target.close()


async def test_a_tombstone_of_nothing_is_not_kept(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert not await target.bury(tomb(make_pair(rng)))
    assert records(tmp_path) == []
    await target.close()


async def test_of_several_tombstones_the_latest_stays_whatever_their_order(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    before = set(records(tmp_path))
    first, latest = tomb(pair, sequence=2), tomb(pair, sequence=7)
    for each in (first, latest, first, latest):
        assert await target.bury(each)
    (name,) = set(records(tmp_path)) - before
    assert latest.digest.hex() in name
    earlier = (tmp_path / name).read_bytes()
    await target.close()
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert len(records(tmp_path)) == len(before) + 1
    assert (tmp_path / name).read_bytes() == earlier
    await target.close()


async def test_a_left_over_earlier_tombstone_goes_when_the_store_is_opened(tmp_path: Path, rng: random.Random) -> None:
    """A crash came between the new one and the removal of the old one, and then the index was lost."""
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    tombs = [tomb(pair, sequence=number) for number in (2, 7)]
    kept = {}
    for each in tombs:
        await target.bury(each)
        name = f"records/{each.digest.hex()[:2]}/{each.digest.hex()}.rec"
        kept[name] = (tmp_path / name).read_bytes()
    await target.close()
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert set(kept) & set(records(tmp_path)) == {name for name in kept if tombs[1].digest.hex() in name}
    with pytest.raises(LeaseError):
        await target.commit_lease(renewal(pair, sequence=7), pair.page, pair.shard_sets)
    await target.close()


async def test_a_tombstone_is_forgotten_when_nothing_that_it_ends_could_run(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.bury(tomb(pair))
    await target.collect(SOON)
    await target.collect(SOON + TRASH_S_DEFAULT + 1)
    await target.collect(outlasts(tomb(pair)))
    assert len(records(tmp_path)) == 1
    await target.collect(outlasts(tomb(pair)) + 1)
    assert records(tmp_path) == []
    await target.close()


async def test_only_so_many_tombstones_are_kept(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TOMBSTONES_KEPT_MAX is reached; those go that would go first."""
    monkeypatch.setattr(tombstone_index, "TOMBSTONES_KEPT_MAX", 2)
    pairs = [make_pair(rng) for _ in range(4)]
    target = await stored_for_a_month(tmp_path, *pairs)
    for age, pair in enumerate(pairs):
        await target.bury(tomb(pair, time=factories.TIME - age))
    while (await target.collect(SOON)).has_more:
        pass
    names = " ".join(records(tmp_path))
    assert [tomb(pair, time=factories.TIME - age).digest.hex() in names for age, pair in enumerate(pairs)] == [
        True,
        True,
        False,
        False,
    ]
    await target.close()
