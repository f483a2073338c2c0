"""Opening after trouble: what a pair is leased for is neither forgotten nor made up."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from p2pnode.storage.files import DiskFiles
from p2pnode.storage.schema import LEASE_RECORDS
from tests import factories
from tests.storage.helpers import PROVISIONAL_END, check_readable, flip, make_pair, open_store, records, store
from wire.records import LeaseKind

AFTER_PROVISIONAL = PROVISIONAL_END + 1


async def test_a_replaced_pair_keeps_its_earlier_leases_when_the_index_is_lost(
    tmp_path: Path, rng: random.Random
) -> None:
    """The damaged file's header was the only one to tell of them."""
    pair = make_pair(rng)
    brief = factories.lease(pair.blob_id, kind=LeaseKind.PROVISIONAL, end=PROVISIONAL_END - 100)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    flip(tmp_path / pair.path, -1)
    await store(target, pair, factories.signed(brief, factories.key(77)))
    await target.close()
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    assert (await target.collect(PROVISIONAL_END - 50)).pairs == ()
    await check_readable(target, pair)
    assert (await target.collect(AFTER_PROVISIONAL)).pairs == (pair.key,)
    await target.close()


async def test_a_record_that_nobody_needs_is_removed_again_when_its_removal_came_undone(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    (name,) = records(tmp_path)
    data = (tmp_path / name).read_bytes()
    await target.collect(AFTER_PROVISIONAL)
    await target.close()
    for _ in range(2):
        (tmp_path / name).write_bytes(data)
        await (await open_store(DiskFiles(tmp_path))).close()
        assert records(tmp_path) == []
    connection = sqlite3.connect(tmp_path / "index.db")
    assert LEASE_RECORDS.rows(connection) == []
    connection.close()


async def test_the_guessed_end_of_an_unreadable_pair_is_forgotten_once_its_header_is_read(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    brief = factories.lease(pair.blob_id, kind=LeaseKind.PROVISIONAL, end=factories.TIME + 100)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair, factories.signed(brief, factories.key(77)))
    await target.close()
    (tmp_path / "index.db").unlink()
    data = (tmp_path / pair.path).read_bytes()
    flip(tmp_path / pair.path, 20)
    await (await open_store(DiskFiles(tmp_path))).close()
    (tmp_path / pair.path).write_bytes(data)
    target = await open_store(DiskFiles(tmp_path))
    await check_readable(target, pair)
    assert (await target.collect(factories.TIME + 101)).pairs == (pair.key,)
    await target.close()
