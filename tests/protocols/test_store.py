"""Claims about what a holder keeps: only a pair that fits its blob id, under leases that fit it."""

from __future__ import annotations

import dataclasses
import random

import pytest

from p2pnode.coding import EncodedBlob, encode, pair_of_shard
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.store import check_commit, check_store_pair, record_of
from tests.factories import NETWORK, TIME, blob_id, commit_lease, page, public_key, signed_lease
from wire.ids import ShardIndex
from wire.messages import RefusalCode, StorePair
from wire.records import LeaseKind, ShardSet

N = 7


@pytest.fixture
def encoded(rng: random.Random) -> EncodedBlob:
    return encode(rng.randbytes(1000), N)


def request_for(encoded: EncodedBlob, shard: int) -> tuple[StorePair, bytes]:
    """Return the honest request for one shard, and its payload."""
    primary, secondary = encoded.pair(pair_of_shard(encoded.blob_id, ShardIndex(shard), N))
    leases = tuple(signed_lease(encoded.blob_id, kind=kind, n=N).envelope for kind in LeaseKind)
    request = StorePair(
        leases=leases,
        metadata=record_of(encoded.metadata),
        blob_id=encoded.blob_id,
        shard=shard,
        primary_bytes=len(primary.data),
        secondary_bytes=len(secondary.data),
    )
    return request, bytes(primary.data) + bytes(secondary.data)


def refused(request: StorePair, payload: bytes, *, network: str = NETWORK) -> RefusalError:
    """Return why a request is refused."""
    with pytest.raises(RefusalError) as caught:
        check_store_pair(request, payload, network=network, wall=TIME)
    return caught.value


def test_every_honest_pair_is_taken(encoded: EncodedBlob) -> None:
    for shard in range(N):
        request, payload = request_for(encoded, shard)
        checked = check_store_pair(request, payload, network=NETWORK, wall=TIME)
        assert checked.shard == shard
        assert bytes(checked.primary.data) + bytes(checked.secondary.data) == payload
        assert [lease.record.kind for lease in checked.leases] == list(LeaseKind)


def test_a_provisional_lease_alone_is_enough(encoded: EncodedBlob) -> None:
    request, payload = request_for(encoded, 0)
    alone = dataclasses.replace(request, leases=request.leases[:1])
    assert len(check_store_pair(alone, payload, network=NETWORK, wall=TIME).leases) == 1


def test_any_flipped_bit_is_refused(encoded: EncodedBlob, rng: random.Random) -> None:
    request, payload = request_for(encoded, 3)
    for _ in range(20):
        damaged = bytearray(payload)
        damaged[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        assert refused(request, bytes(damaged)).code is RefusalCode.INVALID


def test_a_pair_for_another_shard_is_refused(encoded: EncodedBlob) -> None:
    request, payload = request_for(encoded, 3)
    assert refused(dataclasses.replace(request, shard=4), payload).code is RefusalCode.INVALID
    assert "shard 7 of a blob with n = 7" in str(refused(dataclasses.replace(request, shard=7), payload))


def test_metadata_that_does_not_lead_to_the_blob_id_is_refused(encoded: EncodedBlob) -> None:
    request, payload = request_for(encoded, 0)
    longer = dataclasses.replace(request.metadata, length=999)
    assert refused(dataclasses.replace(request, metadata=longer), payload).code is RefusalCode.INVALID


def test_lengths_that_do_not_fit_are_refused(encoded: EncodedBlob) -> None:
    request, payload = request_for(encoded, 0)
    shifted = dataclasses.replace(
        request, primary_bytes=request.primary_bytes + 2, secondary_bytes=request.secondary_bytes - 2
    )
    assert refused(shifted, payload).code is RefusalCode.INVALID
    assert refused(request, payload[:-1]).code is RefusalCode.INVALID


@pytest.mark.parametrize("order", [(1,), (1, 0), (0, 0), (1, 1)])
def test_leases_of_other_kinds_than_provisional_then_final_are_refused(
    encoded: EncodedBlob, order: tuple[int, ...]
) -> None:
    request, payload = request_for(encoded, 0)
    wrong = dataclasses.replace(request, leases=tuple(request.leases[each] for each in order))
    assert refused(wrong, payload).code is RefusalCode.LEASE


def test_leases_for_something_else_are_refused(encoded: EncodedBlob) -> None:
    request, payload = request_for(encoded, 0)
    for wrong in (
        signed_lease(blob_id(1), kind=LeaseKind.PROVISIONAL, n=N),
        signed_lease(encoded.blob_id, kind=LeaseKind.PROVISIONAL, n=N + 1),
    ):
        assert refused(dataclasses.replace(request, leases=(wrong.envelope,)), payload).code is RefusalCode.LEASE
    assert refused(request, payload, network="other").code is RefusalCode.LEASE


def test_a_commit_needs_a_lease_over_its_page() -> None:
    good = commit_lease(blob_id(1))
    assert check_commit(good, network=NETWORK, wall=TIME).record.kind == LeaseKind.FINAL
    extension = signed_lease(blob_id(1), kind=LeaseKind.PROVISIONAL).envelope
    extended = check_commit(dataclasses.replace(good, lease=extension), network=NETWORK, wall=TIME)
    assert extended.record.kind == LeaseKind.PROVISIONAL
    beyond = (ShardSet(shard=4, blobs=b"\1"),)
    forged = dataclasses.replace(good.lease, signer=public_key(3))
    for wrong, why in [
        (dataclasses.replace(good, shard_sets=beyond), "beyond n"),
        (dataclasses.replace(good, page=page(blob_id(2))), "not the one blob"),
        (dataclasses.replace(good, lease=forged), "not valid"),
    ]:
        with pytest.raises(RefusalError, match=why):
            check_commit(wrong, network=NETWORK, wall=TIME)
