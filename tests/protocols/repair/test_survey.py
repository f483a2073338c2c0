"""What the records of a page say of its blobs' health."""

from __future__ import annotations

from dataclasses import replace

from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.repair.health import Level, Presence
from p2pnode.protocols.repair.survey import RECEIPTS_PER_SHARD_COUNT, sources_of, survey
from tests import factories
from tests.factories import peer_id
from tests.protocols.repair.pages import (
    BLOBS,
    CERTIFICATE,
    CERTIFIED,
    GROUP,
    LEASE,
    PAGE,
    N,
    eyes,
    holder,
    look,
    retraction,
    with_records,
)
from wire.ids import ShardIndex

LOST = Presence.LOST
SHARD = ShardIndex(2)


def test_a_page_with_all_holders_here_has_no_losses() -> None:
    view = look()
    assert (view.lost_shards(), view.claims, view.n, view.group) == ([], (), N, GROUP)
    assert view.seed == LEASE.record.salt
    assert {each.receipts for each in view.blobs.values()} == {N}


def test_what_placed_a_single_blob_is_its_id() -> None:
    certificate = factories.signed_certificate(BLOBS[0])
    view = survey(PAGE, PageRecords(certificates=(certificate,)), eyes())
    assert view is not None
    assert view.seed == BLOBS[0]


def test_without_a_certificate_in_effect_there_is_nothing_to_repair() -> None:
    assert survey(PAGE, PageRecords(holders=(holder(20, 2),)), eyes()) is None
    assert survey(PAGE, CERTIFIED, eyes(wall=LEASE.record.end)) is None


def test_the_lease_that_ends_last_counts() -> None:
    later = factories.signed(replace(LEASE.record, end=LEASE.record.end + 50, sequence=7), factories.owner_key())
    rows = {shard + 1: (shard,) for shard in range(N)}
    renewed = factories.signed(factories.certificate(later, GROUP, rows), factories.owner_key())
    for certificates in ((CERTIFICATE, renewed), (renewed, CERTIFICATE)):
        assert look(PageRecords(certificates=certificates)).lease == later


def test_blobs_that_lost_the_same_shard_are_told_together() -> None:
    (lost,) = look(seen=eyes({3: LOST})).lost_shards()
    assert (lost.shard, lost.level, lost.missing, lost.blob_ids) == (SHARD, Level.NORMAL, 1, tuple(BLOBS))
    assert lost.former == frozenset()
    assert lost.holders[2] == peer_id(3)


def test_who_retracted_may_rebuild_and_its_shard_is_missing() -> None:
    view = look(with_records(retractions=[retraction(3, 2)]))
    (lost,) = view.lost_shards()
    assert (lost.shard, lost.blob_ids, lost.former) == (SHARD, (BLOBS[0],), frozenset({peer_id(3)}))
    assert lost.holders[2] is None
    again = look(with_records(holder(3, 2), retractions=[retraction(3, 2)]))
    assert again.lost_shards() == []


def test_a_claim_holds_repair_up_and_is_to_be_audited_until_it_is_believed_no_more() -> None:
    records = with_records(holder(20, 2))
    claimed = look(records, eyes({3: LOST}))
    assert claimed.lost_shards() == []
    assert claimed.claims == tuple(((blob_id, SHARD), peer_id(20)) for blob_id in BLOBS)
    assert len(look(records, eyes({3: LOST}, doubted=[20])).lost_shards()) == 1
    audited = {(blob_id, SHARD): frozenset({peer_id(20)}) for blob_id in BLOBS}
    proven = look(records, eyes({3: LOST}, doubted=[20], audited=audited))
    assert (proven.lost_shards(), proven.claims) == ([], ())


def test_the_claim_of_one_that_is_away_is_not_to_be_audited_now() -> None:
    view = look(with_records(holder(20, 2)), eyes({20: Presence.SUSPECT}))
    assert view.claims == ()
    assert view.blobs[BLOBS[0]].holders[2] == (peer_id(3), peer_id(20))


def test_the_most_endangered_comes_first() -> None:
    records = with_records(retractions=[retraction(number + 1, number) for number in range(5)])
    found = look(records, eyes({10: LOST})).lost_shards()
    assert [each.level for each in found] == sorted((each.level for each in found), reverse=True)
    assert found[0].level is Level.URGENT
    assert found[0].blob_ids == (BLOBS[0],)
    assert found[-1].level is Level.NORMAL


def test_a_blob_with_too_many_receipts_is_rebuilt_no_more() -> None:
    extra = [holder(100 + 4 * shard + at, shard) for shard in range(4) for at in range(3)]
    crowded = look(with_records(*extra), eyes({10: LOST}))
    assert crowded.blobs[BLOBS[0]].receipts == N + 12 >= RECEIPTS_PER_SHARD_COUNT * N
    assert crowded.lost_shards() == []
    assert crowded.lost_shard(BLOBS[0], ShardIndex(9)) is None


def test_one_shard_is_looked_up_by_itself() -> None:
    view = look(seen=eyes({3: LOST}))
    lost = view.lost_shard(BLOBS[1], SHARD)
    assert lost is not None
    assert lost.blob_ids == (BLOBS[1],)
    assert view.lost_shard(BLOBS[1], ShardIndex(0)) is None


def test_each_loss_of_a_pair_has_a_name_of_its_own() -> None:
    pair = (BLOBS[0], SHARD)
    names = [
        look(records).loss_of(pair)
        for records in (
            CERTIFIED,
            with_records(retractions=[retraction(3, 2)]),
            with_records(holder(3, 2), retractions=[retraction(3, 2)]),
            with_records(holder(3, 2), retractions=[retraction(3, 2, sequence=20)]),
        )
    ]
    assert len(set(names)) == 4
    assert look().loss_of(pair) == names[0]
    assert look().loss_of((BLOBS[1], ShardIndex(9))) != names[0]


def test_sources_are_the_shards_whose_holder_is_here() -> None:
    seen = eyes({1: Presence.SUSPECT, 4: LOST})
    view = look(with_records(retractions=[retraction(6, 5)]), seen)
    assert sources_of(view.blobs[BLOBS[0]], seen.presence, without=SHARD) == [1, 4, 6, 7, 8, 9]
