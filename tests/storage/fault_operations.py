"""What a store does while its disk fails in `test_faults.py`, what stands before, and how to see that it was done."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from p2pnode.errors import LocalStorageError
from p2pnode.storage.store import SliverStore
from testnet.sim.files import SimFiles
from tests import factories
from tests.storage.helpers import (
    FINAL_END,
    PROVISIONAL_END,
    Pair,
    certificate,
    check_readable,
    make_pair,
    open_store,
    store,
)
from wire.ids import Axis, BlobId, ShardIndex

AFTER_PROVISIONAL = PROVISIONAL_END + 1
AFTER_FINAL = FINAL_END + 1
SHORT_END = factories.TIME + 10
EVERYTHING = ("plain", "pending", "certified", "lost", "trashed")
IMAGES = 3
"""Disks tried after each power loss: what was not synced is lost, kept, torn or zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What stands before each operation: all of it was told done."""

    plain: Pair
    pending: Pair
    certified: Pair
    lost: Pair
    new: Pair
    trashed: Pair

    @property
    def kept(self) -> tuple[Pair, ...]:
        """Pairs that must be readable whatever happens."""
        return self.plain, self.pending, self.certified


def make_short_lived(rng: random.Random) -> Pair:
    """Return a pair whose lease ends before all others."""
    pair = make_pair(rng)
    final = factories.signed(factories.lease(pair.blob_id, end=SHORT_END), factories.owner_key())
    return replace(pair, final=final, certificate=certificate(final, pair.page))


async def prepare(rng: random.Random) -> tuple[SimFiles, Before]:
    """Return a disk with pairs in every state."""
    pairs = {name: make_pair(rng) for name in ("plain", "pending", "certified", "lost", "new")}
    before = Before(**pairs, trashed=make_short_lived(rng))
    files = SimFiles()
    target = await open_store(files)
    await store(target, before.trashed, before.trashed.final)
    await target.certify(before.trashed.certificate, before.trashed.final)
    assert (await target.collect(SHORT_END + 1)).trashed == (before.trashed.key,)
    for pair in (*before.kept, before.lost):
        await store(target, pair)
    for pair in (before.pending, before.certified):
        await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    for pair in (before.certified, before.lost):
        await target.certify(pair.certificate, pair.final)
    await target.next_sequence("member record")
    data = files.read(before.lost.path)
    files.damage(before.lost.path, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(LocalStorageError):
        await target.read_sliver(before.lost.blob_id, Axis.SECONDARY, before.lost.metadata.n - 1 - before.lost.index)
    await target.close()
    return files.stop(), before


# ------------------------------------------------------------------------------------------- operations

Act = Callable[[SliverStore, Before], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to do, and how to see that it was done."""

    act: Act
    check: Act
    may_remove: frozenset[str] = frozenset()
    """The names in `Before` of what it is to remove."""

    def kept(self, before: Before) -> list[Pair]:
        """Return the pairs that must be held in the middle of it, too."""
        return [getattr(before, name) for name in ("plain", "pending", "certified") if name not in self.may_remove]


async def store_new(target: SliverStore, before: Before) -> None:
    await store(target, before.new)


async def new_is_held(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.new)


async def replace_lost(target: SliverStore, before: Before) -> None:
    await store(target, before.lost)


async def lost_is_held(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.lost)
    assert await target.lost_pairs() == []
    assert (await target.collect(FINAL_END)).has_more is False
    await check_readable(target, before.lost)


async def store_again(target: SliverStore, before: Before) -> None:
    lease = factories.lease(before.plain.blob_id, sequence=5, end=FINAL_END)
    await store(target, before.plain, factories.signed(lease, factories.key(55)), before.plain.final)


async def plain_is_held(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.plain)


async def commit(target: SliverStore, before: Before) -> None:
    await target.commit_lease(before.plain.final, before.plain.page, before.plain.shard_sets)


async def certify(target: SliverStore, before: Before) -> None:
    await target.certify(before.pending.certificate, before.pending.final)


async def pending_is_certified(target: SliverStore, before: Before) -> None:
    assert await target.certificates(before.pending.blob_id) == [before.pending.certificate.envelope]
    assert before.pending.key not in (await target.collect(AFTER_PROVISIONAL)).pairs
    await check_readable(target, before.pending)


async def certify_better(target: SliverStore, before: Before) -> None:
    pair = before.certified
    await target.certify(certificate(pair.final, pair.page, holders=4), pair.final)


async def better_is_there(target: SliverStore, before: Before) -> None:
    better = certificate(before.certified.final, before.certified.page, holders=4)
    assert await target.certificates(before.certified.blob_id) == [better.envelope]


async def collect(target: SliverStore, before: Before) -> None:
    del before
    await target.collect(AFTER_PROVISIONAL)


async def expired_are_gone(target: SliverStore, before: Before) -> None:
    for pair in (before.plain, before.pending):
        assert await target.missing([pair.key]) == [pair.key]
    await check_readable(target, before.certified)


async def bury(target: SliverStore, before: Before) -> None:
    await target.bury(factories.signed(factories.tombstone(before.certified.blob_id), factories.owner_key()))


async def buried_goes_to_the_trash(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.certified)
    await target.collect(AFTER_PROVISIONAL)
    assert before.certified.key in await trashed_keys(target)


async def put_away(target: SliverStore, before: Before) -> None:
    del before
    await target.collect(AFTER_FINAL)


async def ended_is_in_the_trash(target: SliverStore, before: Before) -> None:
    assert {before.certified.key} <= await trashed_keys(target) <= {before.certified.key, before.lost.key}
    await check_both_slivers(target, before.certified)
    for pair in (before.plain, before.pending, before.trashed):
        assert await target.missing([pair.key]) == [pair.key]


async def renew(target: SliverStore, before: Before) -> None:
    pair = before.trashed
    lease = factories.signed(factories.lease(pair.blob_id, sequence=2, end=FINAL_END), factories.owner_key())
    await target.commit_lease(lease, pair.page, pair.shard_sets)


async def renewed_is_back(target: SliverStore, before: Before) -> None:
    await check_readable(target, before.trashed)
    await target.collect(AFTER_PROVISIONAL)
    await check_readable(target, before.trashed)


async def empty_trash(target: SliverStore, before: Before) -> None:
    del before
    await target.empty_trash()


async def trash_is_empty(target: SliverStore, before: Before) -> None:
    del before
    assert await target.trash() == []


async def trashed_keys(target: SliverStore) -> set[tuple[BlobId, ShardIndex]]:
    return {(each.blob_id, each.shard) for each in await target.trash()}


async def check_both_slivers(target: SliverStore, pair: Pair) -> None:
    """Check that both slivers come back, promised or not."""
    assert await target.read_sliver(pair.blob_id, Axis.PRIMARY, pair.index) == pair.primary
    assert await target.read_sliver(pair.blob_id, Axis.SECONDARY, pair.metadata.n - 1 - pair.index) == pair.secondary


async def count_on(target: SliverStore, before: Before) -> None:
    del before
    assert await target.next_sequence("member record", at_least=5000) >= 5000


async def counting_goes_on(target: SliverStore, before: Before) -> None:
    del before
    assert await target.next_sequence("member record") > 5000


async def remember_members(target: SliverStore, before: Before) -> None:
    del before
    await target.save_members([factories.signed_member(number).envelope for number in (1, 2)])


async def members_are_known(target: SliverStore, before: Before) -> None:
    del before
    assert len(await target.load_members()) == 2


OPERATIONS = {
    "store": Operation(store_new, new_is_held),
    "replace a lost pair": Operation(replace_lost, lost_is_held),
    "store again under new leases": Operation(store_again, plain_is_held),
    "commit a lease": Operation(commit, plain_is_held),
    "certify": Operation(certify, pending_is_certified),
    "certify with more holders": Operation(certify_better, better_is_there),
    "collect": Operation(collect, expired_are_gone, frozenset({"plain", "pending"})),
    "bury": Operation(bury, buried_goes_to_the_trash),
    "put into the trash": Operation(put_away, ended_is_in_the_trash, frozenset(EVERYTHING)),
    "renew what is in the trash": Operation(renew, renewed_is_back),
    "empty the trash": Operation(empty_trash, trash_is_empty, frozenset({"trashed"})),
    "count": Operation(count_on, counting_goes_on),
    "save members": Operation(remember_members, members_are_known),
}
