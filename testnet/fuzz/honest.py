"""Honest blobs, leases, receipts and requests: what damage begins with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from crypto.peer_id import peer_id_of
from p2pnode.coding import EncodedBlob, encode, pair_of_shard
from p2pnode.protocols.certificates import make_certificate
from p2pnode.protocols.challenge import make_proof, open_challenge, sliver_of
from p2pnode.protocols.leases import BlobGroup, LeaseTerms, blob_page, make_blob_lease, make_file_lease
from p2pnode.protocols.members import OwnFacts, make_member_record
from p2pnode.protocols.page_records import make_holder_record, page_name
from p2pnode.protocols.receipts import make_batch, pairs_of, receipt_for, shard_set
from p2pnode.protocols.retractions import make_retraction
from p2pnode.protocols.store import record_of
from testnet.fuzz.values import KEYS, NETWORK
from testnet.sim.admission import SIMULATED, solved
from testnet.sim.clock import WALL_EPOCH_S
from wire.challenges import Challenge, StorageProof
from wire.ids import BlobId, Digest, FileSalt, LeaseTarget, PeerId, PublicKey, ShardIndex
from wire.messages import Certify, CommitLease, ExchangeMembers, ExchangePage, StorePair
from wire.records import (
    Announcement,
    AnnouncementBatch,
    Certificate,
    Envelope,
    GroupPage,
    HolderReceipts,
    Lease,
    LeaseKind,
    MemberRecord,
    Receipt,
    RecordBundle,
)
from wire.signed import Signed, open_envelope, sign_record

WALL = int(WALL_EPOCH_S)
"""The wall clock of all targets, in seconds since 1970."""

N = 4
OWNER = KEYS[0]
_DAY_S = 24 * 3600


def peer_id(number: int) -> PeerId:
    """Return the peer id of one of the keys."""
    return PeerId(peer_id_of(KEYS[number].public))


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestBlob:
    """A blob with everything that is signed about it."""

    encoded: EncodedBlob
    provisional: Signed[Lease]
    final: Signed[Lease]

    @property
    def blob_id(self) -> BlobId:
        """The blob's id."""
        return self.encoded.blob_id

    @property
    def page(self) -> GroupPage:
        """The one page of both leases."""
        return blob_page(self.blob_id)

    def payload(self, shard: int) -> tuple[bytes, bytes]:
        """Return the pair of a shard."""
        pair = pair_of_shard(self.blob_id, ShardIndex(shard), N)
        primary, secondary = self.encoded.pair(pair)
        return bytes(primary.data), bytes(secondary.data)

    def store_pair(self, shard: int) -> tuple[StorePair, bytes]:
        """Return the request to keep a pair, and its payload."""
        primary, secondary = self.payload(shard)
        request = StorePair(
            leases=(self.provisional.envelope, self.final.envelope),
            metadata=record_of(self.encoded.metadata),
            blob_id=self.blob_id,
            shard=shard,
            primary_bytes=len(primary),
            secondary_bytes=len(secondary),
        )
        return request, primary + secondary

    def commit(self, shard: int) -> CommitLease:
        """Return the request to put a pair under the final lease."""
        sets = (shard_set(ShardIndex(shard), (0,), blob_count=1),)
        return CommitLease(lease=self.final.envelope, page=self.page, shard_sets=sets)

    def certificate(self, *holders: int) -> Signed[Certificate]:
        """Return the owner's certificate: holder k of these keys has shard k."""
        rows = [holder_receipts(self.final, self.page, shard, holder) for shard, holder in enumerate(holders)]
        return make_certificate(OWNER, self.final, self.page, rows, network=NETWORK)

    def receipt(self, shard: int) -> Receipt:
        """Return the receipt of one shard by itself."""
        return receipt_for(self.page, holder_receipts(self.final, self.page, shard, 1), self.blob_id, ShardIndex(shard))


def holder_receipts(lease: Signed[Lease], page: GroupPage, shard: int, holder: int) -> HolderReceipts:
    """Return what a holder signs for one shard of every blob of a page."""
    count = len(page.blob_ids)
    sets = (shard_set(ShardIndex(shard), range(count), blob_count=count),)
    batch = make_batch(KEYS[holder], lease, list(pairs_of(page, sets)), network=NETWORK, time=WALL, sequence=1)
    return HolderReceipts(batch=batch.envelope, shard_sets=sets)


@cache
def honest_blob(number: int = 0, size: int = 1000) -> HonestBlob:
    """Return one of many blobs."""
    encoded = encode(bytes((number + position) % 251 for position in range(size)), N)
    leases = {
        kind: make_blob_lease(
            OWNER,
            encoded.blob_id,
            LeaseTerms(n=N, sequence=1, start=WALL, end=WALL + _DAY_S - 600),
            network=NETWORK,
            kind=kind,
        )
        for kind in LeaseKind
    }
    return HonestBlob(encoded=encoded, provisional=leases[LeaseKind.PROVISIONAL], final=leases[LeaseKind.FINAL])


def challenge(blob: HonestBlob, shard: int) -> Challenge:
    """Return a question about a shard."""
    return Challenge(receipt=blob.receipt(shard), number=shard, secret=Digest(bytes(32)), deadline=WALL + 20)


def storage_proof(blob: HonestBlob, shard: int) -> StorageProof:
    """Return the true answer to it."""
    question = open_challenge(challenge(blob, shard), challenger=peer_id(2), network=NETWORK)
    axis, _, _ = sliver_of(question, blob.encoded.metadata)
    answer = make_proof(question, blob.encoded.metadata, blob.payload(shard)[axis], key=KEYS[1])
    return open_envelope(answer.proof, StorageProof, network=NETWORK).record


@cache
def file_lease(count: int) -> tuple[Signed[Lease], tuple[GroupPage, ...]]:
    """Return the final lease of a file of so many blobs, with its pages."""
    blob_ids = [BlobId(bytes([number % 256]) * 30 + number.to_bytes(2, "big")) for number in range(count)]
    group = BlobGroup(blob_ids, FileSalt(bytes(FileSalt.length)))
    terms = LeaseTerms(n=N, sequence=2, start=WALL, end=WALL + _DAY_S)
    return make_file_lease(OWNER, group, terms, network=NETWORK, kind=LeaseKind.FINAL), tuple(group.pages())


@cache
def file_commit(count: int) -> CommitLease:
    """Return the request to put shards 0 and 2 of a file's first page under its lease."""
    lease, pages = file_lease(count)
    size = len(pages[0].blob_ids)
    sets = tuple(shard_set(ShardIndex(shard), range(size), blob_count=size) for shard in (0, 2))
    return CommitLease(lease=lease.envelope, page=pages[0], shard_sets=sets)


@cache
def file_certificate(count: int) -> Signed[Certificate]:
    """Return the certificate of a file's first page."""
    lease, pages = file_lease(count)
    rows = [holder_receipts(lease, pages[0], shard, shard + 1) for shard in range(N)]
    return make_certificate(OWNER, lease, pages[0], rows, network=NETWORK)


@cache
def member(number: int, sequence: int = 1) -> Signed[MemberRecord]:
    """Return what a node says of itself."""
    return make_member_record(
        KEYS[number],
        OwnFacts(
            network=NETWORK,
            owner=PublicKey(OWNER.public),
            work=solved(KEYS[number], NETWORK, SIMULATED),
            domain_tag="",
            software="p2pnode/0.1.0",
        ),
        sequence=sequence,
        time=WALL,
        addresses=(f"/ip4/20.0.{number}.7/tcp/4710", f"/ip6/2a00::{number + 1}/tcp/4710"),
        capacity_bytes=1 << 33,
        free_bytes=1 << 32,
    )


def announcements(number: int, count: int, sequence: int = 1) -> Envelope:
    """Return a batch of announcements."""
    notes = tuple(
        Announcement(
            id_prefix=each.to_bytes(8, "big"), lease_end=WALL + _DAY_S, record=Digest(bytes([each % 256]) * 32)
        )
        for each in range(count)
    )
    batch = AnnouncementBatch(sequence=sequence, time=WALL, announcements=notes)
    return sign_record(batch, key=KEYS[number], network=NETWORK).envelope


def exchange(number: int) -> ExchangeMembers:
    """Return a greeting."""
    return ExchangeMembers(record=member(number).envelope, after=None, known=None)


def page_records(number: int) -> ExchangePage:
    """Return what a holder of a blob's page brings: a certificate, a receipt of its own, and its retraction."""
    blob = honest_blob(number, size=300 * (number + 1))
    sets = (shard_set(ShardIndex(3), (0,), blob_count=1),)
    held = make_holder_record(KEYS[1], blob.final, blob.page, sets, network=NETWORK, sequence=2, time=WALL)
    pair = (blob.blob_id, ShardIndex(0))
    ended = make_retraction(KEYS[1], pair, network=NETWORK, sequence=3, time=WALL)
    bundle = RecordBundle(
        certificates=(blob.certificate(1, 2, 3).envelope,), holders=(held.record,), retractions=(ended.envelope,)
    )
    page = page_name(PublicKey(OWNER.public), LeaseTarget(blob.blob_id), 0)
    return ExchangePage(page=page, has=(held.name,), records=bundle)


def certify() -> Certify:
    """Return the message that brings a certificate."""
    return Certify(certificate=honest_blob().certificate(1, 2, 3, 4).envelope)
