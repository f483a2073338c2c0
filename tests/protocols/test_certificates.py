"""Claims about certificates: n - f distinct shards of every blob, each receipt genuine, signed by the lease's owner."""

from __future__ import annotations

import dataclasses

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.certificates import check_certificate, check_is_ours, make_certificate, weakest_blob
from p2pnode.protocols.refusal import RefusalError
from tests.factories import (
    NETWORK,
    blob_id,
    certificate,
    file_lease,
    file_pages,
    holder_receipts,
    key,
    owner_key,
    page,
    peer_id,
    signed,
    signed_certificate,
    signed_lease,
)
from wire.ids import ShardIndex
from wire.records import Certificate


def check(record: Certificate, *, by: int | None = None) -> None:
    """Sign a certificate, as its owner by default, and check it."""
    check_certificate(signed(record, owner_key() if by is None else key(by)).envelope, network=NETWORK)


def test_a_certificate_names_the_holders_of_every_shard() -> None:
    checked = check_certificate(signed_certificate(blob_id(1)).envelope, network=NETWORK)
    assert checked.shards(blob_id(1)) == {ShardIndex(i): (peer_id(i + 1),) for i in range(4)}
    assert checked.shards(blob_id(2)) == {}
    assert checked.page.blob_ids == (blob_id(1),)


def test_n_minus_f_shards_certify_and_one_fewer_does_not() -> None:
    check_certificate(signed_certificate(holders=3).envelope, network=NETWORK)
    with pytest.raises(PeerFaultError, match="2 distinct shards, n - f are 3"):
        check_certificate(signed_certificate(holders=2).envelope, network=NETWORK)


def test_many_receipts_for_one_shard_are_one_shard() -> None:
    lease = signed_lease()
    with pytest.raises(PeerFaultError, match="2 distinct shards"):
        check(certificate(lease, page(), {1: (0,), 2: (0,), 3: (0,), 4: (1,)}))


def test_a_shard_has_four_signers_at_most_so_that_checking_them_ends_soon() -> None:
    others = {6: (1,), 7: (2,)}
    check(certificate(signed_lease(), page(), {1: (0,), 2: (0,), 3: (0,), 4: (0,), **others}))
    with pytest.raises(PeerFaultError, match="more than 4 signers of one shard"):
        check(certificate(signed_lease(), page(), {1: (0,), 2: (0,), 3: (0,), 4: (0,), 5: (0,), **others}))


def test_one_node_may_hold_several_shards() -> None:
    check(certificate(signed_lease(), page(), {1: (0, 1), 2: (2,)}))


def test_every_blob_of_a_file_needs_its_own_quorum() -> None:
    ids = [blob_id(number) for number in range(3)]
    lease = signed(file_lease(ids), owner_key())
    group_page = file_pages(ids)[0]
    check(certificate(lease, group_page, {1: (0,), 2: (1,), 3: (2,)}))
    full = [holder_receipts(lease, group_page, (shard,), shard + 1) for shard in range(2)]
    check_quorum = make_certificate(owner_key(), lease, group_page, full, network=NETWORK)
    with pytest.raises(PeerFaultError, match="2 distinct shards"):
        check_certificate(check_quorum.envelope, network=NETWORK)


def test_only_the_owner_of_the_lease_certifies() -> None:
    record = certificate(signed_lease(), page(), {1: (0,), 2: (1,), 3: (2,)})
    with pytest.raises(PeerFaultError, match="another key"):
        check(record, by=1)


def test_a_shard_beyond_n_or_a_foreign_page_or_a_forged_receipt_spoils_it() -> None:
    lease = signed_lease()
    with pytest.raises(PeerFaultError, match="beyond n"):
        check(certificate(lease, page(), {1: (0,), 2: (1,), 3: (2,), 4: (9,)}))
    good = certificate(lease, page(), {1: (0,), 2: (1,), 3: (2,)})
    with pytest.raises(PeerFaultError, match="not the one blob"):
        check(dataclasses.replace(good, page=page(blob_id(2))))
    with pytest.raises(PeerFaultError, match="another lease"):
        check(dataclasses.replace(good, lease=signed_lease(blob_id(1), n=7).envelope))
    swapped = dataclasses.replace(good.holders[0], shard_sets=good.holders[1].shard_sets)
    with pytest.raises(PeerFaultError, match="other pairs"):
        check(dataclasses.replace(good, holders=(swapped, *good.holders[1:])))


def test_a_certificate_of_another_network_does_not_count() -> None:
    with pytest.raises(PeerFaultError, match="cannot count"):
        check_certificate(signed_certificate().envelope, network="other")


def test_a_holder_keeps_certificates_that_name_it_and_its_own_only() -> None:
    checked = check_certificate(signed_certificate().envelope, network=NETWORK)
    check_is_ours(checked, own=peer_id(1), asker=peer_id(50))
    check_is_ours(checked, own=peer_id(99), asker=peer_id(99))
    with pytest.raises(RefusalError, match="names no pair that is here"):
        check_is_ours(checked, own=peer_id(99), asker=peer_id(50))


def test_the_weakest_blob_decides() -> None:
    ids = [blob_id(number) for number in range(2)]
    group_page = file_pages(ids)[0]
    pairs = [(ids[0], ShardIndex(0)), (ids[0], ShardIndex(1)), (ids[1], ShardIndex(0)), (ids[1], ShardIndex(0))]
    assert weakest_blob(group_page, pairs) == 1
    assert weakest_blob(group_page, pairs[:2]) == 0
