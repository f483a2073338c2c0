"""Claims about records that a peer brings: what is taken, what is refused and why, and what that may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.membership.refusals import Refused
from p2pnode.protocols import sync
from p2pnode.protocols.page_records import NamedHolder, PageRecords, make_holder_record, page_name
from p2pnode.protocols.receipt_set import View
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.retractions import make_retraction
from p2pnode.protocols.sync import (
    CheckBudget,
    RefusedRecords,
    Setting,
    SyncSchedule,
    Taken,
    blobs_of_bundle,
    check_bundle,
    cost_of,
    fitting_bundle,
    is_empty,
    page_seed,
    wanted,
)
from tests import factories
from tests.factories import NETWORK, TIME, blob_id, digest, key, page, peer_id, public_key, signed_lease
from wire import limits
from wire.ids import LeaseTarget, PublicKey, ShardIndex
from wire.records import Envelope, HolderRecord, RecordBundle, Retraction
from wire.signed import Signed

BLOB = blob_id(1)
LEASE = signed_lease(BLOB)
CERTIFICATE = factories.signed_certificate(BLOB)
OWNER = PublicKey(factories.owner_key().public)
EMPTY = RecordBundle(certificates=(), holders=(), retractions=())
SETTING = Setting(
    page=page_name(OWNER, LeaseTarget(BLOB), 0),
    known=PageRecords(),
    owners=frozenset({OWNER}),
    view=View(ranks={peer_id(9): 0}),
    own=peer_id(50),
    own_key=public_key(50),
    network=NETWORK,
    wall=TIME,
)
KNOWING = replace(SETTING, known=PageRecords(certificates=(CERTIFICATE,)))


def holder(number: int = 9, shard: int = 0, sequence: int = 5) -> NamedHolder:
    """Return what node `number` signed for one shard, outside of the certificate."""
    sets = (shard_set(ShardIndex(shard), [0], blob_count=1),)
    return make_holder_record(key(number), LEASE, page(BLOB), sets, network=NETWORK, sequence=sequence, time=TIME)


def retraction(number: int = 1, shard: int = 0, sequence: int = 5) -> Signed[Retraction]:
    """Return node `number`'s retraction."""
    pair = (BLOB, ShardIndex(shard))
    return make_retraction(key(number), pair, network=NETWORK, sequence=sequence, time=TIME)


def bundle(
    *,
    certificates: tuple[Envelope, ...] = (),
    holders: tuple[HolderRecord, ...] = (),
    retractions: tuple[Envelope, ...] = (),
) -> RecordBundle:
    """Return records as a peer brings them."""
    return RecordBundle(certificates=certificates, holders=holders, retractions=retractions)


def reason_of(taken: Taken) -> Refused:
    """Return why the only record was refused; nothing of it was taken."""
    assert taken.records == PageRecords()
    assert taken.certificates == []
    (refused,) = taken.refused
    return refused[1]


def with_certificate(envelope: Envelope, setting: Setting = SETTING) -> Taken:
    """Check one certificate."""
    return check_bundle(bundle(certificates=(envelope,)), setting)


def with_holder(record: HolderRecord, setting: Setting = SETTING) -> Taken:
    """Check one holder record."""
    return check_bundle(bundle(holders=(record,)), setting)


def with_retraction(envelope: Envelope, setting: Setting = KNOWING) -> Taken:
    """Check one retraction."""
    return check_bundle(bundle(retractions=(envelope,)), setting)


def test_a_valid_certificate_of_an_owner_whose_lease_covers_a_pair_of_ours_is_taken() -> None:
    taken = with_certificate(CERTIFICATE.envelope)
    assert [each.signed for each in taken.certificates] == [CERTIFICATE]
    assert taken.records.certificates == (CERTIFICATE,)
    assert taken.refused == []


def test_a_certificate_of_anybody_else_counts_only_if_it_names_us() -> None:
    foreign = replace(SETTING, owners=frozenset())
    assert reason_of(with_certificate(CERTIFICATE.envelope, foreign)) == Refused.RECEIPT_FOREIGN
    named = replace(foreign, own=peer_id(2), own_key=public_key(2))
    taken = with_certificate(CERTIFICATE.envelope, named)
    assert len(taken.certificates) == 1
    assert taken.own_promises == {(BLOB, ShardIndex(1)): 1}


def test_a_certificate_of_another_page_or_over_or_forged_or_unreadable_is_refused() -> None:
    other = factories.signed_certificate(blob_id(2))
    assert reason_of(with_certificate(other.envelope)) == Refused.RECEIPT_MISPLACED
    late = replace(SETTING, wall=LEASE.record.end)
    assert reason_of(with_certificate(CERTIFICATE.envelope, late)) == Refused.RECEIPT_ENDED
    forged = replace(CERTIFICATE.envelope, signature=other.envelope.signature)
    assert reason_of(with_certificate(forged)) == Refused.RECEIPT_FORGED
    assert reason_of(with_certificate(LEASE.envelope)) == Refused.RECEIPT_UNREADABLE
    bad_lease = replace(CERTIFICATE.record, lease=CERTIFICATE.record.holders[0].batch)
    assert (
        reason_of(with_certificate(factories.signed(bad_lease, factories.owner_key()).envelope))
        == Refused.RECEIPT_UNREADABLE
    )


def test_a_holder_record_needs_a_signer_with_a_claim() -> None:
    assert with_holder(holder(9).record).records.holders == (holder(9),)
    assert reason_of(with_holder(holder(10).record)) == Refused.RECEIPT_UNASSIGNED
    audited = replace(SETTING, view=View(audited={(BLOB, ShardIndex(0)): frozenset({peer_id(10)})}))
    assert with_holder(holder(10).record, audited).records.holders == (holder(10),)
    assert with_holder(holder(1).record, KNOWING).records.holders == (holder(1),)
    beside = check_bundle(bundle(certificates=(CERTIFICATE.envelope,), holders=(holder(1).record,)), SETTING)
    assert beside.records.holders == (holder(1),)


def test_a_holder_record_that_is_wrong_is_refused() -> None:
    good = holder().record
    assert reason_of(with_holder(good, replace(SETTING, owners=frozenset()))) == Refused.RECEIPT_FOREIGN
    assert reason_of(with_holder(good, replace(SETTING, page=digest(3)))) == Refused.RECEIPT_MISPLACED
    assert reason_of(with_holder(good, replace(SETTING, wall=LEASE.record.end + 1))) == Refused.RECEIPT_ENDED
    assert reason_of(with_holder(replace(good, lease=CERTIFICATE.envelope))) == Refused.RECEIPT_UNREADABLE
    forged = replace(good, holder=replace(good.holder, shard_sets=holder(shard=1).record.holder.shard_sets))
    assert reason_of(with_holder(forged)) == Refused.RECEIPT_FORGED


def test_a_receipt_in_our_own_name_is_noticed_whoever_brings_it() -> None:
    taken = with_holder(holder(50, shard=2, sequence=77).record, replace(SETTING, owners=frozenset()))
    assert taken.own_promises == {(BLOB, ShardIndex(2)): 77}
    ours = retraction(50, shard=2, sequence=78)
    ended = replace(SETTING, known=PageRecords(holders=(holder(50, shard=2, sequence=77),), retractions=(ours,)))
    assert check_bundle(EMPTY, ended).own_promises == {}


def test_a_retraction_is_taken_only_if_its_own_signer_has_a_receipt_that_it_may_end() -> None:
    assert with_retraction(retraction(1).envelope).records.retractions == (retraction(1),)
    assert reason_of(with_retraction(retraction(2).envelope)) == Refused.RETRACTION_OF_NOTHING
    assert reason_of(with_retraction(retraction(1).envelope, SETTING)) == Refused.RETRACTION_OF_NOTHING
    assert reason_of(with_retraction(LEASE.envelope)) == Refused.RECEIPT_UNREADABLE
    forged = replace(retraction(1).envelope, signature=retraction(2).envelope.signature)
    assert reason_of(with_retraction(forged)) == Refused.RECEIPT_FORGED


def test_a_stale_retraction_is_refused_before_its_signature_is_looked_at() -> None:
    known = replace(KNOWING, known=KNOWING.known.joined(PageRecords(retractions=(retraction(1, sequence=9),))))
    assert reason_of(with_retraction(retraction(1, sequence=8).envelope, known)) == Refused.RECEIPT_NOT_NEEDED


def holder_of_file() -> NamedHolder:
    """Return a receipt for a blob of a file."""
    ids = [blob_id(1), blob_id(2)]
    lease = factories.signed(factories.file_lease(ids), factories.owner_key())
    page = factories.file_pages(ids)[0]
    sets = (shard_set(ShardIndex(0), [0, 1], blob_count=2),)
    return make_holder_record(factories.key(1), lease, page, sets, network=factories.NETWORK, sequence=1, time=0)


def test_what_records_speak_of_and_cost_is_known_before_they_are_checked() -> None:
    every = bundle(
        certificates=(CERTIFICATE.envelope, LEASE.envelope),
        holders=(holder().record,),
        retractions=(retraction().envelope,),
    )
    assert blobs_of_bundle(every) == [BLOB]
    assert cost_of(every) > cost_of(bundle(holders=(holder().record,))) > cost_of(EMPTY) == 0
    assert page_seed(EMPTY, KNOWING.known) == (BLOB, factories.N)
    assert page_seed(every, PageRecords()) == (BLOB, factories.N)
    assert page_seed(EMPTY, PageRecords(holders=(holder(),))) == (BLOB, factories.N)
    assert page_seed(EMPTY, PageRecords()) is None
    of_file = holder_of_file().record
    assert page_seed(bundle(holders=(of_file,)), PageRecords()) == (factories.SALT, factories.N)
    assert page_seed(bundle(holders=(replace(holder().record, lease=CERTIFICATE.envelope),)), PageRecords()) is None


def test_as_many_records_are_sent_as_fit_and_none_that_the_other_has() -> None:
    records = PageRecords(certificates=(CERTIFICATE,), holders=(holder(),), retractions=(retraction(), retraction(2)))
    every = fitting_bundle(records)
    assert (len(every.certificates), len(every.holders), len(every.retractions)) == (1, 1, 2)
    assert sync.names_of_bundle(every) == set(records.names())
    assert is_empty(fitting_bundle(records, without=records.names()))
    assert is_empty(fitting_bundle(records, room=10))
    only = fitting_bundle(records, only=[holder().name, retraction().digest])
    assert only == bundle(holders=(holder().record,), retractions=(retraction().envelope,))
    many = PageRecords(holders=tuple(holder(sequence=number) for number in range(70)))
    assert len(fitting_bundle(many).holders) == limits.HOLDER_RECORDS_PER_MESSAGE_MAX
    assert not is_empty(bundle(retractions=(retraction().envelope,)))


def test_what_we_lack_is_wanted_unless_it_was_refused_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "REFUSED_REMEMBERED_MAX", 2)
    refused = RefusedRecords(for_s=10)
    has = [CERTIFICATE.digest, digest(1), digest(2)]
    refused.add(digest(1), now=0)
    assert wanted(has, KNOWING.known, refused, now=5) == [digest(2)]
    assert wanted(has, KNOWING.known, refused, now=10) == [digest(1), digest(2)]
    for number in range(5):
        refused.add(digest(number), now=20)
    assert len(refused) == 2
    assert refused.holds(digest(4), now=21)
    assert not refused.holds(digest(1), now=21)


def test_a_peer_pays_for_checks_and_its_budget_fills_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "PAYERS_MAX", 2)
    budget = CheckBudget()
    assert budget.take(peer_id(1), sync.CHECKS_PER_PEER_MAX, now=0)
    assert not budget.take(peer_id(1), 1, now=0)
    assert budget.take(peer_id(1), sync.CHECKS_PER_SECOND, now=1)
    assert not budget.take(peer_id(1), 1, now=1)
    for number in range(2, 5):
        assert budget.take(peer_id(number), 1, now=1)
    assert len(budget) == 2


def test_who_is_met_is_due_soon_then_once_an_interval() -> None:
    schedule = SyncSchedule(every_s=1_000, soon_s=10)
    schedule.meet([peer_id(2), peer_id(1)], now=0, chance=0.5)
    assert schedule.due(now=4) == []
    assert schedule.due(now=5) == sorted([peer_id(1), peer_id(2)])
    schedule.done(peer_id(1), now=5, chance=0.0)
    schedule.done(peer_id(2), now=5, chance=1.0)
    assert schedule.due(now=754) == []
    assert schedule.due(now=755) == [peer_id(1)]
    assert schedule.due(now=1_255) == [peer_id(1), peer_id(2)]


def test_news_makes_a_peer_due_soon_and_nobody_else() -> None:
    schedule = SyncSchedule(every_s=1_000, soon_s=10)
    schedule.meet([peer_id(1), peer_id(2)], now=0, chance=0.0)
    for number in (1, 2):
        schedule.done(peer_id(number), now=0, chance=0.5)
    schedule.hurry(peer_id(1), now=100, chance=1.0)
    schedule.hurry(peer_id(3), now=100, chance=1.0)
    schedule.done(peer_id(3), now=100, chance=1.0)
    assert schedule.due(now=110) == [peer_id(1)]
    schedule.hurry(peer_id(1), now=500, chance=1.0)
    assert schedule.due(now=110) == [peer_id(1)]


def test_a_peer_that_left_is_forgotten_and_due_soon_when_it_comes_back() -> None:
    schedule = SyncSchedule(every_s=1_000, soon_s=10)
    schedule.meet([peer_id(1)], now=0, chance=0.0)
    schedule.done(peer_id(1), now=0, chance=0.5)
    schedule.meet([], now=50, chance=0.0)
    assert len(schedule) == 0
    schedule.meet([peer_id(1)], now=60, chance=0.0)
    assert schedule.due(now=60) == [peer_id(1)]
