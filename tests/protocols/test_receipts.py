"""Claims about receipts: a batch promises exactly its pairs under exactly its lease, by exactly its signer."""

from __future__ import annotations

import dataclasses
import random

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.leases import BlobGroup
from p2pnode.protocols.receipts import (
    check_batch,
    check_batch_from,
    check_receipt,
    make_batch,
    pairs_of,
    receipt_for,
    shard_set,
)
from tests.factories import (
    NETWORK,
    SALT,
    TIME,
    blob_id,
    file_lease,
    file_pages,
    holder_receipts,
    key,
    owner_key,
    page,
    peer_id,
    signed,
    signed_batch,
    signed_lease,
)
from wire import limits
from wire.errors import WireError
from wire.ids import Digest, ShardIndex
from wire.records import ShardSet

PAIR = (blob_id(1), ShardIndex(2))


def test_a_set_of_positions_and_its_bitmap_say_the_same(rng: random.Random) -> None:
    for count in (1, 7, 8, 9, 255, 256):
        ids = [blob_id(number) for number in range(count)]
        group_page = file_pages(ids)[0]
        positions = sorted(rng.sample(range(count), rng.randint(1, count)))
        sets = [shard_set(ShardIndex(4), positions, blob_count=count)]
        assert list(pairs_of(group_page, sets)) == [(ids[position], ShardIndex(4)) for position in positions]


def test_shard_sets_that_do_not_fit_their_page_are_refused() -> None:
    ids = [blob_id(number) for number in range(9)]
    group_page = file_pages(ids)[0]
    good = shard_set(ShardIndex(0), [8], blob_count=9)
    for wrong, why in [
        ([good, good], "stands twice"),
        ([ShardSet(shard=0, blobs=b"\1")], "does not fit"),
        ([ShardSet(shard=0, blobs=b"\1\2")], "does not fit"),
        ([ShardSet(shard=0, blobs=b"\0\0")], "is empty"),
    ]:
        with pytest.raises(WireError, match=why):
            list(pairs_of(group_page, wrong))


def test_more_pairs_than_a_batch_may_promise_are_refused_before_any_is_named() -> None:
    ids = [blob_id(number) for number in range(256)]
    group_page = file_pages(ids)[0]
    sets = [shard_set(ShardIndex(shard), range(256), blob_count=256) for shard in range(257)]
    assert sum(1 for _ in pairs_of(group_page, sets[:256])) == limits.RECEIPT_BATCH_MAX
    with pytest.raises(WireError, match="65792 pairs, a batch of receipts has at most 65536"):
        next(pairs_of(group_page, sets))


def test_a_receipt_counts_for_its_pairs_its_lease_and_its_signer() -> None:
    lease = signed_lease(blob_id(1))
    batch = signed_batch(lease, [PAIR], holder=5)
    checked = check_batch_from(batch.envelope, lease, [PAIR], network=NETWORK, holder=peer_id(5))
    assert checked.record.lease_end == lease.record.end


def test_a_receipt_counts_for_nothing_else() -> None:
    lease = signed_lease(blob_id(1))
    envelope = signed_batch(lease, [PAIR], holder=5).envelope
    other_pair = (blob_id(1), ShardIndex(3))
    with pytest.raises(PeerFaultError, match="another lease"):
        check_batch(envelope, signed_lease(blob_id(2)), [PAIR], network=NETWORK)
    for pairs in ([other_pair], [PAIR, other_pair], [PAIR, PAIR]):
        with pytest.raises(PeerFaultError, match="other pairs"):
            check_batch(envelope, lease, pairs, network=NETWORK)
    with pytest.raises(PeerFaultError, match="expected"):
        check_batch_from(envelope, lease, [PAIR], network=NETWORK, holder=peer_id(6))
    with pytest.raises(PeerFaultError, match="cannot count"):
        check_batch(envelope, lease, [PAIR], network="other")
    with pytest.raises(PeerFaultError, match="cannot count"):
        check_batch(lease.envelope, lease, [PAIR], network=NETWORK)


def test_a_receipt_with_another_end_than_its_lease_does_not_count() -> None:
    lease = signed_lease(blob_id(1))
    batch = signed_batch(lease, [PAIR]).record
    stretched = signed(dataclasses.replace(batch, lease_end=batch.lease_end + 1), key(1))
    with pytest.raises(PeerFaultError, match="another lease"):
        check_batch(stretched.envelope, lease, [PAIR], network=NETWORK)


def test_each_pair_of_a_batch_has_a_receipt_that_stands_by_itself() -> None:
    ids = [blob_id(number) for number in range(5)]
    lease = signed(file_lease(ids), owner_key())
    group_page = BlobGroup(ids, SALT).pages()[0]
    holder = holder_receipts(lease, group_page, (0, 3), 7)
    for pair in pairs_of(group_page, holder.shard_sets):
        receipt = receipt_for(group_page, holder, *pair)
        assert check_receipt(receipt, network=NETWORK).signer_peer == peer_id(7)
        for forged in (
            dataclasses.replace(receipt, shard=1),
            dataclasses.replace(receipt, blob_id=blob_id(99)),
            dataclasses.replace(receipt, index=(receipt.index + 1) % 10),
            dataclasses.replace(receipt, index=10),
            dataclasses.replace(receipt, path=receipt.path[:-1]),
            dataclasses.replace(receipt, path=(*receipt.path, Digest(bytes(32)))),
        ):
            with pytest.raises(PeerFaultError, match="proves nothing"):
                check_receipt(forged, network=NETWORK)
    with pytest.raises(KeyError):
        receipt_for(group_page, holder, ids[0], ShardIndex(1))


def test_a_batch_of_one_is_its_own_receipt() -> None:
    lease = signed_lease(blob_id(1))
    holder = holder_receipts(lease, page(blob_id(1)), (2,), 1)
    receipt = receipt_for(page(blob_id(1)), holder, *PAIR)
    assert receipt.path == ()
    check_receipt(receipt, network=NETWORK)
    with pytest.raises(PeerFaultError, match="proves nothing"):
        check_receipt(receipt, network="other")


def test_the_same_promise_is_the_same_bytes() -> None:
    lease = signed_lease(blob_id(1))
    first = make_batch(key(1), lease, [PAIR], network=NETWORK, time=TIME, sequence=7)
    assert first == make_batch(key(1), lease, [PAIR], network=NETWORK, time=TIME, sequence=7)
    assert first.record.sequence == 7
