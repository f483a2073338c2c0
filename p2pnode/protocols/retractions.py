"""Retractions: a holder's signed end of its own receipts for one pair. Nobody else's signature ends them."""

from __future__ import annotations

from crypto.keys import SigningKey
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from wire import limits
from wire.errors import WireError
from wire.ids import BlobId, ShardIndex
from wire.records import Envelope, Retraction, RetractionReason
from wire.signed import Signed, open_envelope, sign_record

RETRACTION_SECONDS = limits.LEASE_SECONDS_MAX + 2 * limits.CLOCK_SKEW_SECONDS
"""How long a retraction is kept after it was signed: by then every receipt that it ended is over by itself."""


def make_retraction(
    key: SigningKey,
    pair: tuple[BlobId, ShardIndex],
    *,
    network: str,
    sequence: int,
    time: int,
    reason: RetractionReason = RetractionReason.LOST,
) -> Signed[Retraction]:
    """Sign that all our receipts for a pair with a lower number have ended."""
    blob_id, shard = pair
    record = Retraction(blob_id=blob_id, shard=shard, sequence=sequence, reason=reason, time=time)
    return sign_record(record, key=key, network=network)


def open_retraction(envelope: Envelope, *, network: str) -> Signed[Retraction]:
    """Check format and signature. Raises `PeerFaultError`."""
    try:
        return open_envelope(envelope, Retraction, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"a retraction that ends nothing: {error}"
        raise PeerFaultError(message) from error


def pair_of(retraction: Retraction) -> tuple[BlobId, ShardIndex]:
    """Return the pair that a retraction is about."""
    return retraction.blob_id, ShardIndex(retraction.shard)


def kept_until(retraction: Retraction, *, wall: float) -> int:
    """Return until when, in seconds since 1970, a retraction is kept; whoever claims a time to come gains nothing."""
    return int(min(retraction.time, wall)) + RETRACTION_SECONDS
