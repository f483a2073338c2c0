"""What newcomers may have kept together: counted with every row, never passed, and nobody else is held up by it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from crypto.keys import SigningKey
from p2pnode.errors import NewcomersQuotaError
from p2pnode.protocols.owners_cap import OwnersCap
from p2pnode.storage import owner_tally
from p2pnode.storage.engine import Engine
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.quota import on_disk
from p2pnode.storage.store import SliverStore
from tests import factories
from tests.storage.helpers import (
    PROVISIONAL_END,
    Pair,
    check_accounting,
    check_tallies,
    flip,
    make_pair,
    open_store,
    store,
    tree,
)
from wire.records import LeaseKind

SLIVER_BYTES = 10_000
PAIR_BYTES = 16_384
"""What a pair of these takes on the disk: 15,000 bytes of slivers and a header."""

KNOWN, NEWCOMER, OTHER = factories.owner_key(), factories.key(71), factories.key(72)


def cap_of(pairs: int) -> OwnersCap:
    """Return a cap that has room for so many pairs."""
    return OwnersCap(frozenset({factories.public_key(factories.OWNER)}), pairs * PAIR_BYTES)


def pair_of(rng: random.Random, owner: SigningKey) -> Pair:
    """Return a pair whose leases this owner has signed."""
    pair = make_pair(rng, sliver_bytes=SLIVER_BYTES)
    provisional, final = (factories.signed(each.record, owner) for each in (pair.provisional, pair.final))
    return dataclasses.replace(pair, provisional=provisional, final=final)


async def put(target: SliverStore, pair: Pair, cap: OwnersCap | None) -> None:
    """Store a pair under its provisional lease."""
    await target.store_pair(
        pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, (pair.provisional,), cap=cap
    )


async def commit(target: SliverStore, pair: Pair, cap: OwnersCap | None) -> None:
    """Put a pair under its final lease."""
    await target.commit_lease(pair.final, pair.page, pair.shard_sets, cap=cap)


def newcomers_bytes(target: SliverStore) -> int:
    """Return what is kept for all owners but the known one."""
    with target._engine.database.reading() as connection:
        return owner_tally.newcomers_bytes(connection, [factories.public_key(factories.OWNER)])


async def test_newcomers_together_fill_their_part_and_no_byte_more(tmp_path: Path, rng: random.Random) -> None:
    target, cap = await open_store(DiskFiles(tmp_path)), cap_of(2)
    await put(target, pair_of(rng, NEWCOMER), cap)
    await put(target, pair_of(rng, OTHER), cap)
    assert newcomers_bytes(target) == cap.bytes_max
    with pytest.raises(NewcomersQuotaError, match=r"may keep 32768 bytes .* 32768 are kept, 16384 would be added: ask"):
        await put(target, pair_of(rng, factories.key(73)), cap)
    assert len(tree(tmp_path)) == 2
    for _ in range(3):
        await put(target, pair_of(rng, KNOWN), cap)
    await put(target, pair_of(rng, NEWCOMER), None)
    check_accounting(target, tmp_path)
    await target.close()


async def test_what_was_let_in_can_be_renewed_though_newcomers_have_their_part(
    tmp_path: Path, rng: random.Random
) -> None:
    target, pair = await open_store(DiskFiles(tmp_path)), pair_of(rng, NEWCOMER)
    await put(target, pair, cap_of(1))
    await put(target, pair_of(rng, OTHER), None)
    await commit(target, pair, cap_of(1))
    await put(target, pair, cap_of(1))
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_lease_on_what_is_held_for_others_counts_too(tmp_path: Path, rng: random.Random) -> None:
    target, pair = await open_store(DiskFiles(tmp_path)), pair_of(rng, KNOWN)
    await put(target, pair, cap_of(0))
    wants_it = dataclasses.replace(pair, final=factories.signed(pair.final.record, NEWCOMER))
    with pytest.raises(NewcomersQuotaError):
        await commit(target, wants_it, cap_of(0))
    renewed = factories.lease(pair.blob_id, kind=LeaseKind.PROVISIONAL, end=PROVISIONAL_END)
    with pytest.raises(NewcomersQuotaError):
        await put(target, dataclasses.replace(pair, provisional=factories.signed(renewed, NEWCOMER)), cap_of(0))
    assert newcomers_bytes(target) == 0
    await commit(target, wants_it, cap_of(1))
    assert newcomers_bytes(target) == PAIR_BYTES
    check_accounting(target, tmp_path)
    await target.close()


async def test_two_writes_at_once_do_not_pass_the_cap_together(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one pair is written another one takes the last room."""
    target, cap = await open_store(DiskFiles(tmp_path)), cap_of(1)
    slow, quick = pair_of(rng, NEWCOMER), pair_of(rng, OTHER)
    writes = Engine.write_temporary

    def write(engine: Engine, name: str, parts: Sequence[bytes | memoryview]) -> str:
        if name == slow.path:
            with engine.database.writing() as connection:
                owner_tally.count(connection, [bytes(quick.final.signer)], before=0, after=1)
        return writes(engine, name, parts)

    monkeypatch.setattr(Engine, "write_temporary", write)
    with pytest.raises(NewcomersQuotaError):
        await put(target, slow, cap)
    assert tree(tmp_path) == {}
    await target.close()


async def test_room_comes_back_when_a_pair_goes_and_an_index_that_is_built_anew_counts_the_same(
    tmp_path: Path, rng: random.Random
) -> None:
    target, pairs = await open_store(DiskFiles(tmp_path)), [pair_of(rng, NEWCOMER) for _ in range(3)]
    for pair in pairs:
        await put(target, pair, None)
    await commit(target, pairs[0], None)
    before = newcomers_bytes(target)
    await target.close()
    (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    check_tallies(target)
    assert newcomers_bytes(target) == before == 3 * PAIR_BYTES
    await target.collect(PROVISIONAL_END + 1)
    assert newcomers_bytes(target) == 0
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_damaged_pair_may_be_stored_anew_though_newcomers_have_their_part(
    tmp_path: Path, rng: random.Random
) -> None:
    target, pair = await open_store(DiskFiles(tmp_path)), pair_of(rng, NEWCOMER)
    await put(target, pair, cap_of(1))
    flip(tmp_path / pair.path, 5_000)
    await put(target, pair, cap_of(0))
    assert newcomers_bytes(target) == on_disk(sum(tree(tmp_path).values())) == PAIR_BYTES
    check_accounting(target, tmp_path)
    await target.close()


async def test_an_owner_whom_nobody_kept_anything_for_is_told_apart_from_all(tmp_path: Path) -> None:
    target = await open_store(DiskFiles(tmp_path))
    assert newcomers_bytes(target) == 0
    await store(target, make_pair(random.Random(1)))
    assert newcomers_bytes(target) == 0
    await target.close()
