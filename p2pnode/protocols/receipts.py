"""Receipts: a holder's promise for the pairs of a page, signed once over a Merkle root; a receipt is a path to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crypto.keys import SigningKey
from crypto.merkle import BadProofError, MerkleProof, MerkleTree, merkle_root, verify_proof
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from wire import limits
from wire.errors import WireError
from wire.ids import BlobId, Digest, PeerId, ShardIndex
from wire.records import Envelope, GroupPage, HolderReceipts, Lease, Receipt, ReceiptBatch, ShardSet
from wire.signed import Signed, open_envelope, sign_record


def shard_set(shard: ShardIndex, positions: Sequence[int], *, blob_count: int) -> ShardSet:
    """Return the shard set that stands for these positions of a page of `blob_count` blobs."""
    bits = bytearray((blob_count + 7) // 8)
    for position in positions:
        bits[position // 8] |= 1 << (position % 8)
    return ShardSet(shard=shard, blobs=bytes(bits))


def pairs_of(page: GroupPage, shard_sets: Sequence[ShardSet]) -> Iterator[tuple[BlobId, ShardIndex]]:
    """Yield the (blob, shard) of every set bit, in the order of a batch's leaves.

    Raises `WireError` when a shard set does not fit the page, is empty, a shard stands twice, or the pairs are more
    than one batch may promise: nobody looks any of them up then.
    """
    if len({each.shard for each in shard_sets}) != len(shard_sets):
        message = "a shard stands twice among the shard sets"
        raise WireError(message)
    total = sum(int.from_bytes(each.blobs, "little").bit_count() for each in shard_sets)
    if total > limits.RECEIPT_BATCH_MAX:
        message = f"{total} pairs, a batch of receipts has at most {limits.RECEIPT_BATCH_MAX}"
        raise WireError(message)
    count = len(page.blob_ids)
    for each in shard_sets:
        if len(each.blobs) != (count + 7) // 8 or int.from_bytes(each.blobs, "little") >> count:
            message = f"the shard set of shard {each.shard} does not fit a page of {count} blobs"
            raise WireError(message)
        if not any(each.blobs):
            message = f"the shard set of shard {each.shard} is empty"
            raise WireError(message)
        for position, blob_id in enumerate(page.blob_ids):
            if each.blobs[position // 8] >> (position % 8) & 1:
                yield blob_id, ShardIndex(each.shard)


def receipt_leaf(blob_id: BlobId, shard: ShardIndex) -> bytes:
    """Return the Merkle leaf that stands for one shard in a batch."""
    return bytes(blob_id) + shard.to_bytes(2, "big")


def make_batch(
    key: SigningKey,
    lease: Signed[Lease],
    pairs: Sequence[tuple[BlobId, ShardIndex]],
    *,
    network: str,
    time: int,
    sequence: int,
) -> Signed[ReceiptBatch]:
    """Sign for these pairs until the lease ends. The caller has made them durable before, and the number as well."""
    batch = ReceiptBatch(
        sequence=sequence,
        lease=lease.digest,
        lease_end=lease.record.end,
        count=len(pairs),
        root=Digest(merkle_root([receipt_leaf(*pair) for pair in pairs])),
        time=time,
    )
    return sign_record(batch, key=key, network=network)


def check_batch(
    envelope: Envelope, lease: Signed[Lease], pairs: Sequence[tuple[BlobId, ShardIndex]], *, network: str
) -> Signed[ReceiptBatch]:
    """Check that a batch promises exactly these pairs under exactly this lease. Raises `PeerFaultError`."""
    try:
        signed = open_envelope(envelope, ReceiptBatch, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"a receipt that cannot count: {error}"
        raise PeerFaultError(message) from error
    batch = signed.record
    if batch.lease != lease.digest or batch.lease_end != lease.record.end:
        message = f"a receipt of {signed.signer_peer} for another lease"
        raise PeerFaultError(message)
    root = merkle_root([receipt_leaf(*pair) for pair in pairs])
    if batch.count != len(pairs) or batch.root != root:
        message = f"a receipt of {signed.signer_peer} for other pairs than it was sent"
        raise PeerFaultError(message)
    return signed


def check_batch_from(
    envelope: Envelope,
    lease: Signed[Lease],
    pairs: Sequence[tuple[BlobId, ShardIndex]],
    *,
    network: str,
    holder: PeerId,
) -> Signed[ReceiptBatch]:
    """Check a batch that must come from one holder: nobody signs for another. Raises `PeerFaultError`."""
    signed = check_batch(envelope, lease, pairs, network=network)
    if signed.signer_peer != holder:
        message = f"a receipt signed by {signed.signer_peer}, expected {holder}"
        raise PeerFaultError(message)
    return signed


def receipt_for(page: GroupPage, holder: HolderReceipts, blob_id: BlobId, shard: ShardIndex) -> Receipt:
    """Take the receipt for one shard out of a holder's batch. Raises `KeyError` when the batch does not cover it."""
    pairs = list(pairs_of(page, holder.shard_sets))
    try:
        index = pairs.index((blob_id, shard))
    except ValueError:
        raise KeyError((blob_id, shard)) from None
    tree = MerkleTree.from_leaves(receipt_leaf(*pair) for pair in pairs)
    path = tuple(map(Digest, tree.prove(index).siblings))
    return Receipt(batch=holder.batch, blob_id=blob_id, shard=shard, index=index, path=path)


def check_receipt(receipt: Receipt, *, network: str) -> Signed[ReceiptBatch]:
    """Check a receipt by itself: the signature, and the path from its shard to the signed root.

    Raises `PeerFaultError`.
    """
    try:
        signed = open_envelope(receipt.batch, ReceiptBatch, network=network)
        verify_proof(
            signed.record.root,
            receipt_leaf(receipt.blob_id, ShardIndex(receipt.shard)),
            index=receipt.index,
            leaf_count=min(signed.record.count, limits.RECEIPT_BATCH_MAX),
            proof=MerkleProof(receipt.path),
        )
    except (WireError, BadSignatureError, BadProofError) as error:
        message = f"a receipt that proves nothing: {error}"
        raise PeerFaultError(message) from error
    return signed
