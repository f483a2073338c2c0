"""Successions: a holder takes the new owner key for the old one, over restarts, and the old one signs nothing new."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from p2pnode.errors import LeaseError, QuotaError
from p2pnode.protocols.owners_cap import OwnersCap
from p2pnode.protocols.successions import kept_until, make_succession
from p2pnode.storage import succeeding
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.store import SliverStore
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
)
from tests.storage.test_tombstones import SOON, tomb
from tests.storage.test_trash import stored_for_a_month
from wire import limits
from wire.ids import PublicKey
from wire.ownership import Succession
from wire.records import Lease
from wire.signed import Signed

HEIR, GRANDCHILD, THIEF, STRANGER = 71, 72, 66, 67
OLD = PublicKey(factories.owner_key().public)


def succession(old: int = factories.OWNER, new: int = HEIR, *, time: int = factories.TIME - 1) -> Signed[Succession]:
    return make_succession(factories.key(old), factories.key(new), time=time, network=factories.NETWORK)


def lease(pair: Pair, owner: int, *, sequence: int = 1, start: int = factories.TIME, days: int = 31) -> Signed[Lease]:
    record = factories.lease(pair.blob_id, sequence=sequence, start=start, end=start + days * DAY_S)
    return factories.signed(record, factories.key(owner))


async def test_the_successor_ends_the_leases_of_its_predecessor_whatever_their_sequence(
    tmp_path: Path, rng: random.Random
) -> None:
    pair, other = make_pair(rng), make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair, other)
    assert not await target.bury(tomb(pair, owner=HEIR, sequence=0))
    assert await target.succeed(succession())
    assert not await target.bury(tomb(pair, owner=STRANGER, sequence=9))
    assert await target.bury(tomb(pair, owner=HEIR, sequence=0))
    assert (await target.collect(SOON)).trashed == (pair.key,)
    await check_readable(target, other)
    check_accounting(target, tmp_path)
    await target.close()


async def test_a_renewal_by_the_successor_takes_effect_at_once_and_replaces_the_lease(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.succeed(succession())
    renewed = lease(pair, HEIR, start=factories.TIME + 20 * DAY_S)
    await target.commit_lease(renewed, pair.page, pair.shard_sets)
    assert (await target.collect(factories.TIME + 40 * DAY_S)).trashed == ()
    await check_readable(target, pair)
    await target.bury(tomb(pair, owner=HEIR, sequence=1, time=factories.TIME + 41 * DAY_S))
    assert (await target.collect(factories.TIME + 41 * DAY_S + 1)).trashed == (pair.key,)
    await target.close()


async def test_the_predecessor_ends_nothing_and_leases_nothing_newer(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.succeed(succession())
    with pytest.raises(LeaseError, match="succeeded"):
        await target.bury(tomb(pair, sequence=limits.UINT64_MAX))
    newer = lease(pair, factories.OWNER, sequence=7)
    with pytest.raises(LeaseError, match="succeeded"):
        await target.commit_lease(newer, pair.page, pair.shard_sets)
    with pytest.raises(LeaseError, match="succeeded"):
        await target.certify(certificate(newer, pair.page), newer)
    fresh = make_pair(rng)
    with pytest.raises(LeaseError, match="succeeded"):
        await store(target, fresh)
    assert (await target.collect(SOON)).trashed == ()
    await check_readable(target, pair)
    await target.close()


async def test_earlier_leases_of_the_predecessor_still_count(tmp_path: Path, rng: random.Random) -> None:
    """A repair brings them to new holders, and a certificate may be late."""
    pair, repaired = make_pair(rng), make_pair(rng)
    target = await open_store(DiskFiles(tmp_path))
    await store(target, pair)
    await target.commit_lease(pair.final, pair.page, pair.shard_sets)
    await target.succeed(succession())
    await target.certify(certificate(pair.final, pair.page), pair.final)
    await store(target, repaired, lease(repaired, factories.OWNER, start=factories.TIME - 1))
    await target.close()


@pytest.mark.parametrize("loses_index", [False, True])
async def test_a_succession_survives_a_restart_and_a_lost_index(
    tmp_path: Path, rng: random.Random, *, loses_index: bool
) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.succeed(succession())
    await target.succeed(succession(HEIR, GRANDCHILD))
    await target.bury(tomb(pair, owner=GRANDCHILD))
    await target.close()
    if loses_index:
        (tmp_path / "index.db").unlink()
    target = await open_store(DiskFiles(tmp_path))
    kept = await target.succession(OLD)
    assert kept == succession().envelope
    with pytest.raises(LeaseError, match="succeeded"):
        await target.bury(tomb(pair, sequence=5))
    assert (await target.collect(SOON)).trashed == (pair.key,)
    await target.close()


async def test_the_first_succession_stands(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    assert await target.succeed(succession())
    for time in (0, factories.TIME - 1, factories.TIME + 9):
        assert await target.succeed(succession(new=THIEF, time=time))
    assert await target.succession(OLD) == succession().envelope
    assert not await target.bury(tomb(pair, owner=THIEF))
    assert (await target.collect(SOON)).trashed == ()
    await target.close()


async def test_a_tombstone_of_an_heir_that_came_first_ends_the_lease_once_the_succession_is_known(
    tmp_path: Path, rng: random.Random
) -> None:
    """It was kept because the heir has a lease of its own here."""
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    own = lease(pair, HEIR)
    await target.certify(certificate(own, pair.page), own)
    assert await target.bury(tomb(pair, owner=HEIR))
    assert (await target.collect(SOON)).trashed == ()
    await target.succeed(succession())
    assert (await target.collect(SOON)).trashed == (pair.key,)
    await target.close()


async def test_nothing_is_kept_for_owners_that_have_nothing_here(tmp_path: Path, rng: random.Random) -> None:
    target = await stored_for_a_month(tmp_path, make_pair(rng))
    before = records(tmp_path)
    assert not await target.succeed(succession(STRANGER, THIEF))
    assert records(tmp_path) == before
    assert await target.succession(factories.public_key(STRANGER)) is None
    assert await target.succeed(succession(STRANGER, THIEF), is_needed=True)
    await target.close()


async def test_a_bounded_number_is_kept(tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    target = await stored_for_a_month(tmp_path, make_pair(rng))
    monkeypatch.setattr(succeeding, "SUCCESSIONS_KEPT_MAX", 1)
    await target.succeed(succession())
    with pytest.raises(QuotaError):
        await target.succeed(succession(STRANGER, THIEF), is_needed=True)
    await target.close()


async def test_keys_that_succeed_each_other_in_a_circle_end_no_call(tmp_path: Path, rng: random.Random) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.succeed(succession(), is_needed=True)
    await target.succeed(succession(HEIR, factories.OWNER), is_needed=True)
    with pytest.raises(LeaseError):
        await target.bury(tomb(pair, owner=HEIR))
    await check_readable(target, pair)
    await target.close()


async def test_a_succession_goes_when_its_predecessor_has_no_lease_and_could_sign_none(
    tmp_path: Path, rng: random.Random
) -> None:
    pair = make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    made = succession()
    await target.succeed(made)
    end = kept_until(made) + 1
    await target.collect(end)
    assert await target.succession(OLD) is not None, "its lease waits in the trash"
    while (await target.collect(end + 60 * DAY_S)).has_more:
        pass
    await target.collect(end + 60 * DAY_S)
    assert await target.succession(OLD) is None
    assert records(tmp_path) == []
    check_accounting(target, tmp_path)
    await target.close()


async def test_what_an_owner_has_here_counts_once_and_for_its_new_key(tmp_path: Path, rng: random.Random) -> None:
    """Whoever relies on the new key relies on what the old one has left; a renewal moves the tally."""
    pair, more = make_pair(rng), make_pair(rng)
    target = await stored_for_a_month(tmp_path, pair)
    await target.succeed(succession())
    cap = OwnersCap(frozenset({factories.public_key(HEIR)}), 1)
    renewed = lease(pair, HEIR, start=factories.TIME + 5)
    await target.commit_lease(renewed, pair.page, pair.shard_sets, cap=cap)
    await _stores(target, more, lease(more, factories.OWNER, start=factories.TIME - 9), cap)
    strange = make_pair(rng)
    with pytest.raises(QuotaError):
        await _stores(target, strange, lease(strange, STRANGER), cap)
    check_accounting(target, tmp_path)
    await target.close()


async def _stores(target: SliverStore, pair: Pair, by: Signed[Lease], cap: OwnersCap) -> None:
    await target.store_pair(pair.blob_id, pair.shard, pair.metadata, pair.primary, pair.secondary, [by], cap=cap)
