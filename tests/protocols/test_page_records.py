"""Claims about the records of a page: their names, their checks, what they say together and which are needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.page_records import (
    NamedHolder,
    PageRecords,
    check_holder_record,
    make_holder_record,
    page_name,
    ranks_of,
)
from p2pnode.protocols.receipt_set import View
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.retractions import RETRACTION_SECONDS, kept_until, make_retraction, open_retraction
from tests import factories
from tests.factories import NETWORK, TIME, blob_id, key, page, peer_id, signed, signed_lease
from wire.ids import LeaseTarget, PublicKey, ShardIndex
from wire.records import LeaseKind, Retraction
from wire.signed import Signed

BLOB = blob_id(1)
OWNER = PublicKey(factories.owner_key().public)
LEASE = signed_lease(BLOB)
CERTIFICATE = factories.signed_certificate(BLOB)


def holder(number: int = 9, shard: int = 0, sequence: int = 5) -> NamedHolder:
    """Return what node `number` signed for one shard, outside of the certificate."""
    sets = (shard_set(ShardIndex(shard), [0], blob_count=1),)
    return make_holder_record(key(number), LEASE, page(BLOB), sets, network=NETWORK, sequence=sequence, time=TIME)


def retraction(number: int = 1, shard: int = 0, sequence: int = 5) -> Signed[Retraction]:
    """Return node `number`'s retraction."""
    pair = (BLOB, ShardIndex(shard))
    return make_retraction(key(number), pair, network=NETWORK, sequence=sequence, time=TIME)


def test_a_holder_record_that_was_made_is_taken() -> None:
    made = holder()
    assert check_holder_record(made.record, network=NETWORK) == made
    assert made.signer == peer_id(9)


def test_a_holder_record_with_anything_wrong_counts_for_nothing() -> None:
    good = holder().record
    provisional = signed(factories.lease(BLOB, kind=LeaseKind.PROVISIONAL), factories.owner_key())
    sets = (shard_set(ShardIndex(0), [0], blob_count=1),)
    beyond = (shard_set(ShardIndex(factories.N), [0], blob_count=1),)
    terms = {"network": NETWORK, "sequence": 1, "time": TIME}
    for wrong in (
        replace(good, page=page(blob_id(2))),
        replace(good, lease=factories.signed_lease(blob_id(2)).envelope),
        replace(good, lease=good.holder.batch),
        replace(good, holder=replace(good.holder, shard_sets=beyond)),
        replace(good, holder=holder(shard=1).record.holder, page=page(blob_id(2))),
        replace(good, holder=replace(good.holder, shard_sets=holder(shard=1).record.holder.shard_sets)),
        make_holder_record(key(9), provisional, page(BLOB), sets, **terms).record,  # type: ignore[arg-type]
        make_holder_record(key(9), LEASE, page(BLOB), beyond, **terms).record,  # type: ignore[arg-type]
    ):
        with pytest.raises(PeerFaultError):
            check_holder_record(wrong, network=NETWORK)
    with pytest.raises(PeerFaultError):
        check_holder_record(good, network="other")


def test_a_retraction_is_its_signers_for_one_network_and_ends_by_itself() -> None:
    made = retraction()
    assert open_retraction(made.envelope, network=NETWORK) == made
    with pytest.raises(PeerFaultError, match="ends nothing"):
        open_retraction(made.envelope, network="other")
    with pytest.raises(PeerFaultError, match="ends nothing"):
        open_retraction(LEASE.envelope, network=NETWORK)
    assert kept_until(made.record, wall=TIME + 5.5) == TIME + RETRACTION_SECONDS
    assert kept_until(made.record, wall=TIME - 50) == TIME - 50 + RETRACTION_SECONDS


def test_pages_have_names_of_their_own() -> None:
    names = {page_name(OWNER, LeaseTarget(blob_id(number)), index) for number in range(3) for index in range(3)}
    assert len(names) == 9
    records = PageRecords(certificates=(CERTIFICATE,), holders=(holder(),))
    assert list(records.pages()) == [(page_name(OWNER, LeaseTarget(BLOB), 0), page(BLOB))] * 2


def test_what_the_records_say_together() -> None:
    records = PageRecords(certificates=(CERTIFICATE,), holders=(holder(),), retractions=(retraction(),))
    receipts = records.receipt_set()
    assert receipts.holders((BLOB, ShardIndex(0)), now=TIME) == (peer_id(9),)
    assert receipts.healthy((BLOB, ShardIndex(0)), now=TIME) == ()
    assert receipts.healthy((BLOB, ShardIndex(1)), now=TIME) == (peer_id(2),)
    audited = records.receipt_set(audited={(BLOB, ShardIndex(0)): frozenset({peer_id(9)})})
    assert audited.healthy((BLOB, ShardIndex(0)), now=TIME) == (peer_id(9),)


def test_records_of_both_are_joined_each_once_and_their_state_tells_them_apart() -> None:
    one = PageRecords(certificates=(CERTIFICATE,), holders=(holder(),))
    two = PageRecords(holders=(holder(),), retractions=(retraction(),))
    both = one.joined(two)
    assert both == two.joined(one)
    assert len(both.names()) == 3
    assert len({one.state(), two.state(), both.state()}) == 3
    assert len(both.state()) == 8


def test_of_each_lease_the_certificate_with_more_holders_is_kept_and_among_equals_always_the_same() -> None:
    fewer = factories.signed_certificate(BLOB, holders=3)
    for order in ((fewer, CERTIFICATE), (CERTIFICATE, fewer)):
        assert PageRecords(certificates=order).chosen().certificates == (CERTIFICATE,)


def test_where_all_is_needed_what_the_records_say_is_remembered() -> None:
    records = PageRecords(certificates=(CERTIFICATE,), holders=(holder(sequence=5),), retractions=())
    assert records.chosen() is records


def test_a_record_that_says_nothing_new_is_not_needed() -> None:
    older, newer = holder(sequence=5), holder(sequence=6)
    stale, last = retraction(sequence=3), retraction(sequence=4)
    stranger = retraction(number=77)
    records = PageRecords(
        certificates=(CERTIFICATE,), holders=(older, newer), retractions=(stale, last, stranger)
    ).chosen()
    assert records.holders == (newer,)
    assert records.retractions == (last,)
    assert PageRecords(certificates=(CERTIFICATE,), holders=(newer,)).chosen(View()).holders == ()


def test_ranks_are_those_of_the_first_of_an_order() -> None:
    assert ranks_of([peer_id(3), peer_id(1), peer_id(2)], count_max=2) == {peer_id(3): 0, peer_id(1): 1}
