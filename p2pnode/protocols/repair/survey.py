"""What the records of a page say of its blobs' health, and what of it is to be repaired.

A receipt that is named in a certificate, or has passed an audit of ours, counts. Any other one is a claim: it holds
repair up for a while, so that a pair that was just rebuilt is not rebuilt again, and is to be audited meanwhile; if it
never passes, the shard is missing after all. So whoever signs for what it does not hold delays a repair and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from crypto.hashing import tagged_hash
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.receipt_set import Pair, ReceiptSet
from p2pnode.protocols.repair.health import Health, Level, Presence, health_of
from wire import limits
from wire.codec import decode
from wire.ids import BlobId, Digest, PeerId, ShardIndex
from wire.records import Certificate, GroupPage, Lease
from wire.signed import Signed

RECEIPTS_PER_SHARD_COUNT = 2
"""Live receipts of a blob at most, for each of its n shards: beyond, nothing of it is rebuilt any more."""

Claim = tuple[Pair, PeerId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """How one node sees the holders."""

    presence: Callable[[PeerId], Presence]
    audited: Mapping[Pair, frozenset[PeerId]]
    is_believed: Callable[[Claim], bool]
    """Whether a claim still counts."""
    wall: float
    missing_min: int = 1
    """With how many lost shards repair begins at leisure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobView:
    """One blob as this node sees it."""

    blob_id: BlobId
    health: Health
    holders: tuple[tuple[PeerId, ...], ...]
    """For each shard those who count or claim to hold it, the most present first."""
    receipts: int
    """Live ones of all shards."""

    @property
    def n(self) -> int:
        """The number of shards."""
        return self.health.n

    def is_crowded(self) -> bool:
        """Tell whether the blob has as many live receipts as it may."""
        return self.receipts >= RECEIPTS_PER_SHARD_COUNT * self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class LostShard:
    """One shard that is missing of some blobs of a page, all of them equally endangered."""

    shard: ShardIndex
    level: Level
    margin: int
    """How many more pairs of the weakest of the blobs may go."""
    missing: int
    """k: missing shards of each of the blobs."""
    blob_ids: tuple[BlobId, ...]
    former: frozenset[PeerId]
    """Who held it and has lost its pair; it may rebuild it."""
    holders: tuple[PeerId | None, ...]
    """The best holder of each shard of the blobs."""
    first: ShardIndex | None = None
    """`Health.first_of_whole`: the shard whose candidates read the blobs whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """A page as this node sees it, under the lease that ends last."""

    page: Digest
    certificate: Signed[Certificate]
    lease: Signed[Lease]
    receipts: ReceiptSet
    blobs: Mapping[BlobId, BlobView]
    claims: tuple[Claim, ...]
    """Live receipts that are to be audited."""
    wall: float
    """When it was looked at, in seconds since 1970."""

    @property
    def group(self) -> GroupPage:
        """The blobs of the page and their path."""
        return self.certificate.record.page

    @property
    def seed(self) -> bytes:
        """What the candidates are ranked by."""
        lease = self.lease.record
        return lease.target if lease.salt is None else lease.salt

    @property
    def n(self) -> int:
        """The number of shards."""
        return self.lease.record.n

    def loss_of(self, pair: Pair) -> Digest:
        """Return what names this loss of a pair: whatever its signers have said of it so far."""
        parts = []
        for signer in self.receipts.signers_of(pair):
            register = self.receipts.register(pair, signer)
            newest = max((each.sequence for each in register.promises), default=0)
            parts += [signer, newest.to_bytes(8, "big"), max(0, register.ended).to_bytes(8, "big")]
        return Digest(tagged_hash(b"p2pnode/loss", *parts))

    def loss_of_whole(self, blob_id: BlobId) -> Digest:
        """Return what names that too few pairs of a blob are left, whichever of them are missing just now.

        Made anew pair by pair it is one loss; by the next renewal of the lease, some weeks later, it would be another.
        """
        return Digest(tagged_hash(b"p2pnode/loss of a whole", blob_id, self.lease.digest))

    def lost_shard(self, blob_id: BlobId, shard: ShardIndex) -> LostShard | None:
        """Return what is lost of one blob; None when this shard is not missing, or the blob has too many receipts."""
        view = self.blobs[blob_id]
        health = view.health
        if view.is_crowded() or shard not in health.missing:
            return None
        return LostShard(
            shard=shard,
            level=health.level,
            margin=health.margin,
            missing=len(health.missing),
            blob_ids=(blob_id,),
            former=self._former((blob_id, shard)),
            holders=tuple(peers[0] if peers else None for peers in view.holders),
            first=health.first_of_whole,
        )

    def lost_shards(self) -> list[LostShard]:
        """Return what is to be rebuilt, blobs with the same loss together, the most endangered first."""
        together: dict[LostShard, list[BlobId]] = {}
        for blob_id, view in self.blobs.items():
            for shard in view.health.missing:
                lost = self.lost_shard(blob_id, shard)
                if lost is not None:
                    together.setdefault(replace(lost, blob_ids=()), []).append(blob_id)
        found = [replace(lost, blob_ids=tuple(blobs)) for lost, blobs in together.items()]
        return sorted(found, key=endangered_first)

    def _former(self, pair: Pair) -> frozenset[PeerId]:
        """Return who has retracted a pair and has not signed for it since."""
        registers = {signer: self.receipts.register(pair, signer) for signer in self.receipts.signers_of(pair)}
        return frozenset(signer for signer, each in registers.items() if each.retraction is not None and not each.live)


def endangered_first(lost: LostShard) -> tuple[int, int, ShardIndex]:
    """Return by what the losses are ordered: the most endangered first."""
    return -lost.level, lost.margin, lost.shard


def survey(page: Digest, records: PageRecords, eyes: Eyes) -> PageView | None:
    """Look at a page; None when no certificate is in effect: what is not certified is nobody's to repair.

    Looks through all receipts of a page: call it in a worker.
    """
    leases = [(_lease_of(each), each) for each in records.certificates]
    running = [(lease, each) for lease, each in leases if lease.record.end > eyes.wall]
    if not running:
        return None
    lease, certificate = max(running, key=lambda row: (row[0].record.end, row[1].digest))
    receipts = records.receipt_set(audited=eyes.audited)
    blobs, claims = {}, []
    for blob_id in certificate.record.page.blob_ids:
        blobs[blob_id] = view = _look(blob_id, lease.record.n, receipts, eyes)
        claims += [
            ((blob_id, ShardIndex(at)), peer)
            for at, peers in enumerate(view.holders)
            for peer in peers
            if not receipts.view.counts(peer, (blob_id, ShardIndex(at))) and eyes.presence(peer) is Presence.HERE
        ]
    return PageView(
        page=page,
        certificate=certificate,
        lease=lease,
        receipts=receipts,
        blobs=blobs,
        claims=tuple(claims),
        wall=eyes.wall,
    )


def _lease_of(certificate: Signed[Certificate]) -> Signed[Lease]:
    envelope = certificate.record.lease
    return Signed(decode(envelope.body, Lease, bytes_max=limits.RECORD_BYTES_MAX), envelope)


def _look(blob_id: BlobId, n: int, receipts: ReceiptSet, eyes: Eyes) -> BlobView:
    holders: list[tuple[PeerId, ...]] = []
    presences: list[Presence] = []
    live = 0
    for shard in map(ShardIndex, range(n)):
        pair = (blob_id, shard)
        signed = receipts.holders(pair, now=eyes.wall)
        live += len(signed)
        counting = [each for each in signed if receipts.view.counts(each, pair) or eyes.is_believed((pair, each))]
        by_presence = sorted(counting, key=eyes.presence)
        holders.append(tuple(by_presence))
        presences.append(eyes.presence(by_presence[0]) if by_presence else Presence.LOST)
    health = health_of(presences, missing_min=eyes.missing_min)
    return BlobView(blob_id=blob_id, health=health, holders=tuple(holders), receipts=live)


def sources_of(view: BlobView, presence: Callable[[PeerId], Presence], *, without: ShardIndex) -> Sequence[ShardIndex]:
    """Return the shards whose holder is here, except the one that is rebuilt."""
    return [
        ShardIndex(at)
        for at, peers in enumerate(view.holders)
        if at != without and peers and presence(peers[0]) is Presence.HERE
    ]
