"""Keeping a pair: what a holder checks before it writes and signs. Nothing is believed, everything is recomputed."""

from __future__ import annotations

from dataclasses import dataclass

from crypto.signing import BadSignatureError
from p2pnode.coding import (
    BlobMetadata,
    CodingError,
    Sliver,
    check_metadata,
    pair_of_shard,
    verify_sliver,
)
from p2pnode.protocols.leases import blob_page, check_lease_times, check_page
from p2pnode.protocols.refusal import RefusalError
from wire.errors import WireError
from wire.ids import Axis, BlobId, PairIndex, ShardIndex
from wire.messages import CommitLease, RefusalCode, StorePair
from wire.records import Envelope, Lease, LeaseKind, LeaseScope, MetadataRecord
from wire.signed import Signed, open_envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPair:
    """A pair that fits its blob id, under leases that fit it too."""

    blob_id: BlobId
    shard: ShardIndex
    pair: PairIndex
    metadata: MetadataRecord
    primary: Sliver
    secondary: Sliver
    leases: tuple[Signed[Lease], ...]


def open_metadata(blob_id: BlobId, record: MetadataRecord) -> BlobMetadata:
    """Check a metadata record against the blob id. Raises `CodingError`."""
    return check_metadata(blob_id, n=record.n, length=record.length, pair_hashes=record.pair_hashes)


def record_of(metadata: BlobMetadata) -> MetadataRecord:
    """Return the wire form of checked metadata."""
    return MetadataRecord(n=metadata.n, length=metadata.length, pair_hashes=metadata.pair_hashes)


def open_lease(envelope: Envelope, *, network: str, wall: float) -> Signed[Lease]:
    """Check a lease's signature and times. Raises `RefusalError`."""
    try:
        lease = open_envelope(envelope, Lease, network=network)
    except (WireError, BadSignatureError) as error:
        raise RefusalError(RefusalCode.LEASE, f"the lease is not valid: {error}") from error
    check_lease_times(lease.record, wall=wall)
    return lease


def check_store_pair(request: StorePair, payload: bytes, *, network: str, wall: float) -> CheckedPair:
    """Check a pair that was sent to be kept. Raises `RefusalError`. Hashes both slivers: call it in a worker."""
    leases = tuple(open_lease(each, network=network, wall=wall) for each in request.leases)
    _check_blob_leases(leases, request)
    try:
        metadata = open_metadata(request.blob_id, request.metadata)
        if request.shard >= metadata.n:
            raise RefusalError(RefusalCode.INVALID, f"shard {request.shard} of a blob with n = {metadata.n}")
        shard = ShardIndex(request.shard)
        pair = pair_of_shard(request.blob_id, shard, metadata.n)
        view = memoryview(payload)
        primary = verify_sliver(metadata, Axis.PRIMARY, pair, view[: request.primary_bytes])
        secondary = verify_sliver(metadata, Axis.SECONDARY, metadata.n - 1 - pair, view[request.primary_bytes :])
    except CodingError as error:
        raise RefusalError(RefusalCode.INVALID, str(error)) from error
    return CheckedPair(
        blob_id=request.blob_id,
        shard=shard,
        pair=pair,
        metadata=request.metadata,
        primary=primary,
        secondary=secondary,
        leases=leases,
    )


def _check_blob_leases(leases: tuple[Signed[Lease], ...], request: StorePair) -> None:
    """A pair comes under a provisional lease for its own blob, and perhaps under the final one as well."""
    kinds = [each.record.kind for each in leases]
    if kinds not in ([LeaseKind.PROVISIONAL], [LeaseKind.PROVISIONAL, LeaseKind.FINAL]):
        raise RefusalError(RefusalCode.LEASE, "a pair comes under a provisional lease, then perhaps a final one")
    for each in leases:
        if each.record.scope != LeaseScope.BLOB or each.record.n != request.metadata.n:
            raise RefusalError(RefusalCode.LEASE, "the lease is not for a blob with this n")
        check_page(each.record, blob_page(request.blob_id))


def check_commit(request: CommitLease, *, network: str, wall: float) -> Signed[Lease]:
    """Check that a page is under a valid lease: a final one, or one that extends an upload. Raises `RefusalError`."""
    lease = open_lease(request.lease, network=network, wall=wall)
    if any(each.shard >= lease.record.n for each in request.shard_sets):
        raise RefusalError(RefusalCode.INVALID, f"a shard beyond n = {lease.record.n}")
    check_page(lease.record, request.page)
    return lease
