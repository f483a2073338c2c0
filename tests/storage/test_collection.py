"""Collection: what only provisional leases covered goes after their end, and nothing else ever does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from p2pnode.errors import NotFoundError
from p2pnode.storage import collection
from p2pnode.storage.files import DiskFiles
from tests import factories
from tests.storage.helpers import (
    PROVISIONAL_END,
    check_accounting,
    check_readable,
    make_pair,
    open_store,
    records,
    store,
    tree,
)
from wire.ids import Axis
from wire.records import LeaseKind

AFTER_PROVISIONAL = PROVISIONAL_END + 1


async def test_a_lease_holds_to_the_end_of_its_last_second(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await store(target, pair)
    for now in (0.0, PROVISIONAL_END - 1.0, PROVISIONAL_END - 0.001, float(PROVISIONAL_END)):
        assert (await target.collect(now)).pairs == ()
    await check_readable(target, pair)
    assert (await target.collect(PROVISIONAL_END + 0.001)).pairs == (pair.key,)
    await target.close()


async def test_what_was_collected_is_gone_with_all_that_spoke_of_it(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair, kept = make_pair(rng), make_pair(rng)
    for each in (pair, kept):
        await store(target, each)
        await target.commit_lease(each.final, each.page, each.shard_sets)
    await target.certify(kept.certificate, kept.final)
    assert len(records(tmp_path)) == 3
    await target.collect(AFTER_PROVISIONAL)
    assert list(tree(tmp_path)) == [kept.path]
    assert len(records(tmp_path)) == 2
    assert await target.held(pair.blob_id) is None
    with pytest.raises(NotFoundError):
        await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index)
    check_accounting(target, tmp_path)
    await target.close()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.held(pair.blob_id) is None
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == ()
    await check_readable(target, kept)
    await target.close()


async def test_metadata_stays_as_long_as_one_pair_of_the_blob(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    short, long = make_pair(rng, shard=0, number=1), make_pair(rng, shard=1, number=1)
    await store(target, short)
    lease = factories.lease(long.blob_id, kind=LeaseKind.PROVISIONAL, end=AFTER_PROVISIONAL + 100)
    await store(target, long, factories.signed(lease, factories.key(3)))
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == (short.key,)
    held = await target.held(long.blob_id)
    assert held is not None
    assert held.shards == (1,)
    await target.close()


async def test_one_call_removes_a_bounded_number(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COLLECT_PAIRS_MAX is reached, the oldest go first, and the rest follows."""
    monkeypatch.setattr(collection, "COLLECT_PAIRS_MAX", 3)
    target = await open_store(DiskFiles(tmp_path))
    pairs = [make_pair(rng) for _ in range(5)]
    for age, pair in enumerate(pairs):
        lease = factories.lease(pair.blob_id, kind=LeaseKind.PROVISIONAL, end=PROVISIONAL_END - age)
        await store(target, pair, factories.signed(lease, factories.owner_key()))
    first = await target.collect(AFTER_PROVISIONAL)
    assert first.has_more
    assert set(first.pairs) == {pair.key for pair in pairs[2:]}
    second = await target.collect(AFTER_PROVISIONAL)
    assert not second.has_more
    assert set(second.pairs) == {pair.key for pair in pairs[:2]}
    assert tree(tmp_path) == {}
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_pair_may_be_stored_again_after_its_collection(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    for _ in range(2):
        await store(target, pair)
        await check_readable(target, pair)
        assert (await target.collect(AFTER_PROVISIONAL)).pairs == (pair.key,)
        assert target._engine.unwanted == set()
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_lost_pair_is_collected_like_others(tmp_path: Path, rng: random.Random) -> None:
    target = await open_store(DiskFiles(tmp_path))
    pair = make_pair(rng)
    await store(target, pair)
    await target.close()
    (tmp_path / pair.path).unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert await target.lost_pairs() == [pair.key]
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == (pair.key,)
    assert await target.lost_pairs() == []
    check_accounting(target, tmp_path)
    await target.close()
