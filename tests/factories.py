"""Builders of valid keys, ids, records, envelopes and messages, so that a test shows only what matters to it.

A number picks one of many: `key(3)` is the same key in every test and every run. To change a field, say
`dataclasses.replace(lease(), n=7)`; to sign the result, `signed(record, key(1))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.protocols.leases import BlobGroup, blob_page
from p2pnode.protocols.receipts import make_batch, pairs_of, shard_set
from wire.audit_receipts import AuditedPair, Outcome
from wire.commitments import Commitment
from wire.ids import BlobId, Digest, FileSalt, LeaseTarget, PeerId, PublicKey, ShardIndex
from wire.messages import BlobRecord, Certify, CommitLease, ExchangeMembers, Members, StorePair
from wire.protocol_ids import NetworkNames, SharedParameters
from wire.records import (
    Announcement,
    AnnouncementBatch,
    Certificate,
    Envelope,
    GroupPage,
    HolderReceipts,
    Lease,
    LeaseKind,
    LeaseScope,
    MemberRecord,
    MemberState,
    MetadataRecord,
    ReceiptBatch,
    Retraction,
    RetractionReason,
    Tombstone,
)
from wire.signed import R, Signed, sign_record

NETWORK = "test"
TIME = 1_800_000_000
"""The wall clock of the tests, in seconds since 1970."""

SALT = FileSalt(b"\x5a" * FileSalt.length)
"""What places all files of the tests."""

LEASE_SECONDS = 24 * 3600
N = 4
"""The smallest committee: f = 1, and three receipts certify."""

OWNER = 1_000
"""The number of the owner key that leases are signed with."""


def seed_bytes(label: str, number: int) -> bytes:
    """Return 32 bytes that look random and are the same in every run."""
    return tagged_hash(b"tests", label.encode(), number.to_bytes(8, "big"))


# ------------------------------------------------------------------------------------------ keys and ids


def key(number: int = 1) -> SigningKey:
    """Return a signing key."""
    return SigningKey(seed_bytes("key", number))


def owner_key() -> SigningKey:
    """Return the key that signs leases, certificates and tombstones here."""
    return key(OWNER)


def public_key(number: int = 1) -> PublicKey:
    """Return the public half of `key(number)`."""
    return PublicKey(key(number).public)


def peer_id(number: int = 1) -> PeerId:
    """Return the peer id of `key(number)`."""
    return PeerId(peer_id_of(key(number).public))


def blob_id(number: int = 1) -> BlobId:
    """Return a blob id that belongs to no blob."""
    return BlobId(seed_bytes("blob", number))


def digest(number: int = 1) -> Digest:
    """Return a digest of nothing."""
    return Digest(seed_bytes("digest", number))


def address(number: int = 1) -> str:
    """Return the multiaddr of a node on loopback, without its peer id."""
    return f"/ip4/127.0.0.1/tcp/{4000 + number}"


def full_address(number: int = 1) -> str:
    """Return a multiaddr that ends in the peer id, as a bootstrap address does."""
    return f"{address(number)}/p2p/{peer_id_to_text(peer_id(number))}"


def network_names(network: str = NETWORK) -> NetworkNames:
    """Return the names that a network uses on the wire."""
    return NetworkNames(network, shared_parameters())


def shared_parameters() -> SharedParameters:
    """Return parameters that all members of the test network share."""
    return SharedParameters(
        record_format=2,
        lease_format=1,
        epoch_seconds=60,
        lease_seconds_max=31 * 24 * 3600,
        admission_work=0,
        shard_count_rule="3f+1<=100",
    )


# ----------------------------------------------------------------------------------------------- records


def signed(record: R, by: SigningKey, *, network: str = NETWORK) -> Signed[R]:
    """Sign any record."""
    return sign_record(record, key=by, network=network)


def member_record(number: int = 1, *, sequence: int = 1, time: int = TIME) -> MemberRecord:
    """Return what node `number` says of itself."""
    return MemberRecord(
        sequence=sequence,
        time=time,
        addresses=(address(number),),
        capacity_bytes=2**30,
        free_bytes=2**29,
        state=MemberState.ACTIVE,
        state_until=0,
        work=b"",
        owner=public_key(OWNER),
        domain_tag="",
        software="p2pnode 0.1.0",
    )


def signed_member(number: int = 1, *, sequence: int = 1, time: int = TIME) -> Signed[MemberRecord]:
    """Return node `number`'s record, signed by it."""
    return signed(member_record(number, sequence=sequence, time=time), key(number))


def metadata_record(*, n: int = N, length: int = 1000) -> MetadataRecord:
    """Return metadata in the right form; the hashes belong to no blob."""
    return MetadataRecord(n=n, length=length, pair_hashes=b"".join(seed_bytes("hash", k) for k in range(2 * n)))


def lease(
    target: BlobId | None = None,
    *,
    kind: LeaseKind = LeaseKind.FINAL,
    n: int = N,
    sequence: int = 1,
    start: int = TIME,
    end: int = TIME + LEASE_SECONDS,
) -> Lease:
    """Return a lease on one blob."""
    return Lease(
        kind=kind,
        scope=LeaseScope.BLOB,
        target=LeaseTarget(target or blob_id()),
        salt=None,
        blob_count=1,
        n=n,
        sequence=sequence,
        start=start,
        end=end,
        is_deletable=True,
        renewers=(),
        holders=(),
    )


def file_lease(blob_ids: Sequence[BlobId], *, n: int = N) -> Lease:
    """Return the final lease over all blobs of a file; `file_pages` gives its pages."""
    return Lease(
        kind=LeaseKind.FINAL,
        scope=LeaseScope.FILE,
        target=BlobGroup(blob_ids, SALT).target,
        salt=SALT,
        blob_count=len(blob_ids),
        n=n,
        sequence=1,
        start=TIME,
        end=TIME + LEASE_SECONDS,
        is_deletable=True,
        renewers=(),
        holders=(),
    )


def signed_lease(
    target: BlobId | None = None, *, kind: LeaseKind = LeaseKind.FINAL, n: int = N, by: SigningKey | None = None
) -> Signed[Lease]:
    """Return a lease on one blob, signed by the owner."""
    return signed(lease(target, kind=kind, n=n), by or owner_key())


def page(target: BlobId | None = None) -> GroupPage:
    """Return the one page of a lease on one blob."""
    return blob_page(target or blob_id())


def file_pages(blob_ids: Sequence[BlobId]) -> list[GroupPage]:
    """Return the pages of a file's lease."""
    return BlobGroup(blob_ids, SALT).pages()


def signed_batch(
    under: Signed[Lease], pairs: Sequence[tuple[BlobId, ShardIndex]], holder: int = 1, *, sequence: int = 1
) -> Signed[ReceiptBatch]:
    """Return node `holder`'s signature for these pairs."""
    return make_batch(key(holder), under, pairs, network=NETWORK, time=TIME, sequence=sequence)


def holder_receipts(
    under: Signed[Lease], of: GroupPage, shards: Sequence[int], holder: int, *, sequence: int = 1
) -> HolderReceipts:
    """Return node `holder`'s receipts for these shards of every blob of a page."""
    count = len(of.blob_ids)
    sets = tuple(shard_set(ShardIndex(shard), range(count), blob_count=count) for shard in shards)
    batch = signed_batch(under, list(pairs_of(of, sets)), holder, sequence=sequence)
    return HolderReceipts(batch=batch.envelope, shard_sets=sets)


def certificate(under: Signed[Lease], of: GroupPage, shards_by_holder: Mapping[int, Sequence[int]]) -> Certificate:
    """Return a certificate in which each holder signed for its shards of every blob of the page."""
    holders = tuple(holder_receipts(under, of, shards, holder) for holder, shards in shards_by_holder.items())
    return Certificate(lease=under.envelope, page=of, holders=holders)


def signed_certificate(target: BlobId | None = None, *, n: int = N, holders: int | None = None) -> Signed[Certificate]:
    """Return the owner's certificate for one blob: node i + 1 holds shard i, on all n nodes or the first `holders`."""
    count = n if holders is None else holders
    under = signed_lease(target, n=n)
    shards_by_holder = {shard + 1: (shard,) for shard in range(count)}
    return signed(certificate(under, page(target), shards_by_holder), owner_key())


def retraction(target: BlobId | None = None, *, shard: int = 0, sequence: int = 2) -> Retraction:
    """Return the end of a receipt; its holder signs."""
    return Retraction(
        blob_id=target or blob_id(), shard=shard, sequence=sequence, reason=RetractionReason.LOST, time=TIME
    )


def tombstone(target: BlobId | None = None) -> Tombstone:
    """Return the end of a lease on one blob; its owner signs."""
    return Tombstone(target=LeaseTarget(target or blob_id()), sequence=2, time=TIME)


def announcement(number: int = 1) -> Announcement:
    """Return one announcement."""
    return Announcement(id_prefix=blob_id(number)[:8], lease_end=TIME + LEASE_SECONDS, record=digest(number))


def announcement_batch(count: int = 1) -> AnnouncementBatch:
    """Return a batch; the announcing node signs."""
    return AnnouncementBatch(
        sequence=1, time=TIME, announcements=tuple(announcement(number) for number in range(count))
    )


def commitment(**fields: object) -> Commitment:
    """Return a commitment with some fields as said; its holder signs."""
    base = Commitment(epoch=1, time=TIME, root=digest(1), count=0, pair_bytes=0, secrets=digest(2))
    return replace(base, **fields)  # type: ignore[arg-type]  # the fields of one type


def envelope() -> Envelope:
    """Return some valid envelope, where its content does not matter."""
    return signed_member().envelope


# ---------------------------------------------------------------------------------------------- messages


def exchange_members(number: int = 1) -> ExchangeMembers:
    """Return node `number`'s question for the first members."""
    return ExchangeMembers(record=signed_member(number).envelope, after=None, known=None)


def members(numbers: Sequence[int] = (1, 2)) -> Members:
    """Return an answer with the records of these nodes."""
    return Members(records=tuple(signed_member(number).envelope for number in numbers), has_more=False)


def store_pair(target: BlobId | None = None, *, shard: int = 0, n: int = N) -> StorePair:
    """Return a request to store a pair under both leases; the metadata belongs to no blob."""
    leases = tuple(signed_lease(target, kind=kind, n=n).envelope for kind in LeaseKind)
    return StorePair(
        leases=leases,
        metadata=metadata_record(n=n),
        blob_id=target or blob_id(),
        shard=shard,
        primary_bytes=300,
        secondary_bytes=200,
    )


def commit_lease(target: BlobId | None = None, *, shard: int = 0, n: int = N) -> CommitLease:
    """Return a request to put one pair under the final lease."""
    sets = (shard_set(ShardIndex(shard), (0,), blob_count=1),)
    return CommitLease(lease=signed_lease(target, n=n).envelope, page=page(target), shard_sets=sets)


def certify(target: BlobId | None = None) -> Certify:
    """Return the message that brings a certificate."""
    return Certify(certificate=signed_certificate(target).envelope)


def blob_record(target: BlobId | None = None) -> BlobRecord:
    """Return what a holder of shard 0 knows of a blob."""
    return BlobRecord(
        metadata=metadata_record(),
        shards_held=(0,),
        certificates=(signed_certificate(target).envelope,),
        holders=(),
        retractions=(),
    )


def audited_pair(number: int = 1, *, time: int = TIME) -> AuditedPair:
    """Return what answer `number` has shown of a pair."""
    return AuditedPair(
        time=time,
        blob_id=blob_id(),
        shard=ShardIndex(2),
        lease=digest(1),
        base=digest(2),
        answer=digest(100 + number),
        outcome=Outcome.PROVEN,
        pair_bytes=700,
    )
