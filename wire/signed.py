"""Opening and making envelopes: the only way from an unchecked `Envelope` to a checked `Signed` record."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic, TypeVar

from crypto import signing
from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of
from wire import limits
from wire.audit_receipts import AuditReceipt
from wire.challenges import StorageProof
from wire.codec import decode, encode
from wire.commitments import Commitment
from wire.errors import WireError
from wire.ids import Digest, PeerId, PublicKey, Signature
from wire.ownership import CatalogueHead, OwnedRecord, Succession
from wire.records import (
    AnnouncementBatch,
    Certificate,
    Envelope,
    Lease,
    MemberRecord,
    ReceiptBatch,
    Retraction,
    Tombstone,
)
from wire.repair import RepairIntent

SignedRecord = (
    MemberRecord
    | Lease
    | ReceiptBatch
    | Retraction
    | Tombstone
    | Certificate
    | AnnouncementBatch
    | OwnedRecord
    | CatalogueHead
    | Succession
    | StorageProof
    | RepairIntent
    | Commitment
    | AuditReceipt
)

R = TypeVar("R", bound=SignedRecord)

_DOMAIN_TAGS: dict[type[object], str] = {
    MemberRecord: "member record",
    Lease: "lease",
    ReceiptBatch: "receipt",
    Retraction: "retraction",
    Tombstone: "tombstone",
    Certificate: "certificate",
    AnnouncementBatch: "announcement",
    OwnedRecord: "owned record",
    CatalogueHead: "catalogue head",
    Succession: "succession",
    StorageProof: "storage proof",
    RepairIntent: "repair intent",
    Commitment: "commitment",
    AuditReceipt: "audit receipt",
}


PEER_IDS_MAX = 16_384
"""Peer ids that are remembered, about 250 bytes each: more than the members of a full table."""


@functools.lru_cache(maxsize=PEER_IDS_MAX)
def peer_of(signer: PublicKey) -> PeerId:
    """Return the peer id of a key.

    It is remembered: it is asked for at every look at a record, and the tables of one process share the answer.
    """
    return PeerId(peer_id_of(signer))


@dataclass(frozen=True, slots=True)
class Signed(Generic[R]):
    """A record whose signature was checked (or made) here, with the envelope that proves it to others."""

    record: R
    envelope: Envelope

    @property
    def signer(self) -> PublicKey:
        """The key that signed."""
        return self.envelope.signer

    @property
    def signer_peer(self) -> PeerId:
        """The peer id of the key that signed."""
        return peer_of(self.envelope.signer)

    @property
    def digest(self) -> Digest:
        """The record's name: a hash over its body and its signer, not over the signature."""
        return digest_of(self.envelope)


def digest_of(envelope: Envelope) -> Digest:
    """Return the name of the record in an envelope, whether or not anybody has signed it."""
    return Digest(tagged_hash(b"p2pnode/record", envelope.signer, envelope.body))


def _domain(kind: type[object], network: str, version: int) -> signing.Domain:
    return signing.Domain(_DOMAIN_TAGS[kind], network, version)


def sign_record(record: R, *, key: SigningKey, network: str) -> Signed[R]:
    """Sign a record for one network. Raises `WireError` when a field, or the whole, breaks its limit."""
    body = encode(record)
    if len(body) > limits.RECORD_BYTES_MAX:  # Else we would sign and keep what nobody opens.
        message = f"{type(record).__name__}: {len(body)} bytes, a record may have {limits.RECORD_BYTES_MAX}"
        raise WireError(message)
    signature = signing.sign(key, _domain(type(record), network, record.version), body)
    return Signed(record, Envelope(body=body, signer=PublicKey(key.public), signature=Signature(signature)))


def open_envelope(envelope: Envelope, kind: type[R], *, network: str) -> Signed[R]:
    """Check an envelope's format and signature. Raises `WireError` or `crypto.signing.BadSignatureError`."""
    return open_decoded(envelope, decode(envelope.body, kind, bytes_max=limits.RECORD_BYTES_MAX), network=network)


def open_decoded(envelope: Envelope, record: R, *, network: str) -> Signed[R]:
    """Check the signature of an envelope whose body was decoded already. Raises `crypto.signing.BadSignatureError`."""
    signing.verify(
        _domain(type(record), network, record.version),
        envelope.body,
        public_key=envelope.signer,
        signature=envelope.signature,
    )
    return Signed(record, envelope)
