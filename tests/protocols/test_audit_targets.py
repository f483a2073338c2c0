"""What may be asked of whom: live receipts only, by those who have a part in the blob."""

from __future__ import annotations

import random
from dataclasses import replace

from p2pnode.protocols.audit_targets import (
    Promised,
    choose_promise,
    holders_of,
    may_ask,
    named_batch,
    owners_of,
)
from p2pnode.protocols.page_records import PageRecords, make_holder_record
from p2pnode.protocols.receipts import check_receipt, shard_set
from p2pnode.protocols.retractions import make_retraction
from tests import factories
from tests.factories import NETWORK, OWNER, TIME, blob_id, key, peer_id, public_key
from wire.ids import ShardIndex

BLOBS = [blob_id(number) for number in range(5)]
SHARD = ShardIndex(0)


def certified() -> PageRecords:
    """Return the certificate of five blobs: node i + 1 holds shard i of each."""
    lease = factories.signed(factories.file_lease(BLOBS), factories.owner_key())
    page = factories.file_pages(BLOBS)[0]
    certificate = factories.certificate(lease, page, {shard + 1: (shard,) for shard in range(4)})
    return PageRecords(certificates=(factories.signed(certificate, factories.owner_key()),))


def test_every_live_receipt_of_a_holder_may_be_drawn_and_proves_itself(rng: random.Random) -> None:
    drawn = set()
    for _ in range(100):
        promised = choose_promise(certified(), peer_id(1), wall=TIME, chance=rng.random())
        assert promised is not None
        assert check_receipt(promised.receipt, network=NETWORK) == promised.batch
        assert promised.batch.signer_peer == peer_id(1)
        drawn.add(promised.receipt.blob_id)
    assert drawn == set(BLOBS)
    assert choose_promise(certified(), peer_id(1), wall=TIME, chance=1.0) is not None


def test_whoever_has_signed_nothing_or_nothing_that_lives_is_not_asked() -> None:
    assert choose_promise(certified(), peer_id(9), wall=TIME, chance=0) is None
    after = TIME + factories.LEASE_SECONDS + 1
    assert choose_promise(certified(), peer_id(1), wall=after, chance=0) is None


def test_what_was_retracted_is_not_asked_about() -> None:
    ended = tuple(make_retraction(key(1), (each, SHARD), network=NETWORK, sequence=2, time=TIME) for each in BLOBS[1:])
    records = certified().joined(PageRecords(retractions=ended))
    for chance in (0.0, 0.5, 0.99):
        promised = choose_promise(records, peer_id(1), wall=TIME, chance=chance)
        assert promised is not None
        assert promised.receipt.blob_id == BLOBS[0]


def test_a_holder_outside_the_certificate_is_asked_too_and_may_ask() -> None:
    lease = factories.signed_lease(BLOBS[0])
    sets = (shard_set(SHARD, (0,), blob_count=1),)
    page = factories.page(BLOBS[0])
    added = make_holder_record(key(7), lease, page, sets, network=NETWORK, sequence=3, time=TIME)
    records = PageRecords(holders=(added,))
    promised = choose_promise(records, peer_id(7), wall=TIME, chance=0)
    assert promised is not None
    assert (promised.receipt.blob_id, promised.receipt.shard) == (BLOBS[0], SHARD)
    assert may_ask(records, peer_id(7), None)


def promised_by(records: PageRecords, holder: int = 1) -> Promised:
    """Return the receipt of a node for the first blob."""
    found = choose_promise(records, peer_id(holder), wall=TIME, chance=0, only=(BLOBS[0], SHARD))
    assert found is not None
    return found


def test_a_receipt_that_is_named_is_found_by_its_signer_only_as_it_is() -> None:
    promised = promised_by(certified())
    named = promised.named(factories.digest())
    assert named_batch(certified(), peer_id(1), named) == promised.batch
    assert named_batch(certified(), peer_id(2), named) is None, "it holds another shard"
    assert named_batch(PageRecords(), peer_id(1), named) is None
    for other in (
        replace(named, blob_id=blob_id(99)),
        replace(named, shard=1),
        replace(named, lease=factories.digest(99)),
        replace(named, sequence=named.sequence + 1),
    ):
        assert named_batch(certified(), peer_id(1), other) is None


def test_a_later_receipt_for_the_pair_under_the_same_lease_will_do_and_the_latest_is_taken() -> None:
    lease = factories.signed(factories.file_lease(BLOBS), factories.owner_key())
    page = factories.file_pages(BLOBS)[0]
    sets = (shard_set(SHARD, range(len(BLOBS)), blob_count=len(BLOBS)),)
    later = [
        make_holder_record(key(1), lease, page, sets, network=NETWORK, sequence=number, time=TIME) for number in (5, 9)
    ]
    records = certified().joined(PageRecords(holders=tuple(later)))
    named = promised_by(certified()).named(factories.digest())
    for sequence in (named.sequence, 5, 9):
        found = named_batch(records, peer_id(1), replace(named, sequence=sequence))
        assert found is not None
        assert (found.record.sequence, found.record.lease) == (9, named.lease)
    assert named_batch(records, peer_id(1), replace(named, sequence=10)) is None


def test_holders_and_owners_may_ask_and_nobody_else() -> None:
    records = certified()
    assert owners_of(records) == {public_key(OWNER)}
    assert [signer for signer, _, _ in holders_of(records)] == [peer_id(number) for number in range(1, 5)]
    assert may_ask(records, peer_id(4), None)
    assert may_ask(records, peer_id(9), public_key(OWNER))
    assert not may_ask(records, peer_id(9), public_key(9))
    assert not may_ask(records, peer_id(9), None)
    assert not may_ask(PageRecords(), peer_id(1), None)


def test_one_pair_is_drawn_when_it_is_that_one_which_is_asked_about() -> None:
    pair = (BLOBS[3], SHARD)
    promised = choose_promise(certified(), peer_id(1), wall=TIME, chance=0, only=pair)
    assert promised is not None
    assert (promised.receipt.blob_id, promised.receipt.shard) == pair
    assert choose_promise(certified(), peer_id(2), wall=TIME, chance=0, only=pair) is None
