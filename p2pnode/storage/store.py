"""The store's face: what the services call. Every method runs its whole work in one worker call.

So a caller that is cancelled tears nothing: the work either never starts or is finished. How many calls run at a time
is bounded here, apart for reads and writes, so that waiting for the disk never takes all workers from the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Self, TypeVar

import trio

from p2pnode.membership.contact import Contact
from p2pnode.protocols.audit_receipts import Countersigned
from p2pnode.protocols.inconsistency import Contradiction
from p2pnode.protocols.owners_cap import OwnersCap
from p2pnode.reputation.score import Score
from p2pnode.seams import Clock, Files, Offload
from p2pnode.storage import audit_receipts as keep_audit_receipts
from p2pnode.storage import (
    burying,
    collection,
    dropping,
    inconsistent,
    leasing,
    members,
    numbers,
    reader,
    rescan,
    sequences,
    succeeding,
    trash,
    writer,
)
from p2pnode.storage import evidence as keep_evidence
from p2pnode.storage import scores as keep_scores
from p2pnode.storage.collection import Collected
from p2pnode.storage.commitment_store import CommitmentStore
from p2pnode.storage.database import DamagedIndexError
from p2pnode.storage.engine import DirectoriesChangedError, Engine
from p2pnode.storage.names import PairKey
from p2pnode.storage.quota import Usage
from p2pnode.storage.reader import HeldBlob
from p2pnode.storage.receipt_store import ReceiptStore
from p2pnode.storage.recovery import look_again, open_engine, rebuild_index
from p2pnode.storage.rescan import Rescanned
from p2pnode.storage.trash import TrashedPair
from wire import limits
from wire.evidence import Evidence
from wire.ids import Axis, BlobId, Digest, PeerId, PublicKey, ShardIndex
from wire.ownership import Succession
from wire.records import Certificate, Envelope, GroupPage, Lease, MetadataRecord, ShardSet, Tombstone
from wire.signed import Signed

__all__ = ["Collected", "HeldBlob", "SliverStore", "TrashedPair", "Usage"]

T = TypeVar("T")

READS_MAX = 4
"""Reads that run at a time: a disk gives its full speed with few, and a read ends soon."""

WRITES_MAX = 4
"""Writes that run at a time: their fsyncs overlap, their commits queue for one lock."""


TRASH_S_DEFAULT = 7 * 24 * 3600
"""How long what has expired stays in the trash unless a profile says otherwise."""


class SliverStore:
    """Sliver pairs, signed records and numbers on one node's disk.

    Whatever a method has done when it returns survives power loss. Besides what each says, every method may raise
    `LocalStorageError` (the disk failed: after a failed write nothing more is written until the store is opened anew,
    reads go on) and, if it writes, `DiskFullError` (nothing was changed, and it passes).
    """

    def __init__(self, engine: Engine, offload: Offload) -> None:
        """Use `open` instead."""
        self._engine = engine
        self._offload = offload
        self._numbers = numbers.Numbers()
        self._reads = trio.CapacityLimiter(READS_MAX)
        self._writes = trio.CapacityLimiter(WRITES_MAX)
        self.receipts = ReceiptStore(engine, self._call, reads=self._reads, writes=self._writes)
        """What is kept of the set of receipts."""
        self.commitments = CommitmentStore(engine, self._call, reads=self._reads, writes=self._writes)
        """What commitments need."""

    @classmethod
    async def open(
        cls,
        files: Files,
        offload: Offload,
        clock: Clock,
        *,
        quota_bytes: int,
        trash_s: int = TRASH_S_DEFAULT,
        disk_free_min_bytes: int | None = None,
    ) -> Self:
        """Open the store and recover from whatever happened: see `p2pnode.storage.recovery`.

        `disk_free_min_bytes` is how much pairs leave free on the disk; by default `engine.DISK_RESERVE_BYTES`.

        Raises `HomeError` when a newer version of the program wrote it.
        """
        return cls(await offload.run(open_engine, files, clock, quota_bytes, trash_s, disk_free_min_bytes), offload)

    async def store_pair(
        self,
        blob_id: BlobId,
        shard: ShardIndex,
        metadata: MetadataRecord,
        primary: bytes | memoryview,
        secondary: bytes | memoryview,
        leases: Sequence[Signed[Lease]],
        *,
        cap: OwnersCap | None = None,
    ) -> None:
        """Keep a pair under one or two leases. The caller has verified all of it, and does not change the buffers.

        A pair that is held intact, or in the trash, is put under the leases that are new; a damaged one is replaced.
        Raises `QuotaError` (`NewcomersQuotaError` beyond the `cap`) or `LeaseError` (too many leases on one pair, or
        its owner has ended one of these); both leave nothing behind.
        """
        new = writer.NewPair(
            blob_id=blob_id,
            shard=shard,
            metadata=metadata,
            primary=primary,
            secondary=secondary,
            leases=tuple(leases),
            cap=cap,
        )
        await self._call(self._writes, writer.store_pair, new)

    async def read_sliver(self, blob_id: BlobId, axis: Axis, index: int) -> bytes:
        """Return a sliver, verified against its file's checksums just now; one in the trash is still read.

        Raises `NotFoundError` when its pair is not kept here, `CorruptSliverError` when it is damaged or gone; then
        the pair counts as lost from now on.
        """
        return await self._call(self._reads, reader.read_sliver, blob_id, axis, index)

    async def held(self, blob_id: BlobId) -> HeldBlob | None:
        """Return what is kept of a blob; None when nothing is. Its shards leave out what is damaged or in the trash."""
        return await self._call(self._reads, reader.held, blob_id)

    async def missing(self, pairs: Sequence[tuple[BlobId, ShardIndex]]) -> list[tuple[BlobId, ShardIndex]]:
        """Return those pairs, in their order, that are not held intact as far as is known."""
        return await self._call(self._reads, reader.missing, pairs)

    async def lost_pairs(self) -> list[tuple[BlobId, ShardIndex]]:
        """Return pairs that were held and are damaged or gone, until they are stored anew or their leases have ended.

        At most `reader.LOST_PAIRS_MAX` at a time.
        """
        return await self._call(self._reads, reader.lost_pairs)

    async def commit_lease(
        self,
        lease: Signed[Lease],
        page: GroupPage,
        shard_sets: Sequence[ShardSet],
        *,
        cap: OwnersCap | None = None,
    ) -> None:
        """Put the named pairs of a page under a lease: a final one is pending until it is certified.

        A renewal takes effect at once when all of the pairs are under a final lease in effect of the same owner for the
        same target with a lower sequence, and it takes them out of the trash. All or nothing. Raises `NotFoundError`
        when one of the pairs is not held, `LeaseError` when one has too many leases or the owner has ended this one,
        `WireError` when the shard sets do not fit the page, `NewcomersQuotaError` beyond the `cap`.
        """
        await self._call(self._writes, leasing.commit_lease, lease, page, shard_sets, cap)

    async def certify(self, certificate: Signed[Certificate], lease: Signed[Lease]) -> None:
        """Keep a certificate; its lease takes effect for every pair held of its page, and for those stored later.

        It replaces the one that is kept for the same lease and page unless that names more holders. Works without any
        pair of the page, and takes those that are here out of the trash. Raises `LeaseError` when one of the blobs has
        too many certificates, or the owner has ended the lease.
        """
        await self._call(self._writes, leasing.certify, certificate, lease)

    async def certificates(
        self, blob_id: BlobId, count_max: int = limits.CERTIFICATES_PER_MESSAGE_MAX
    ) -> list[Envelope]:
        """Return the certificates of a blob, the longest lease first, among equals the one with more holders."""
        return await self._call(self._reads, reader.certificates, blob_id, count_max)

    async def bury(self, tombstone: Signed[Tombstone]) -> bool:
        """Let a verified tombstone end its signer's leases for its target, up to its sequence; no other owner's.

        Of an owner whom its signer has succeeded it ends all. Raises `LeaseError` when the signer has a successor.

        It is kept until none of these could still run, so that they do not come back; a lease with a higher sequence
        lives. Returns False when it ends nothing that is here, and is not kept.
        """
        return await self._call(self._writes, burying.bury, tombstone)

    async def succeed(self, succession: Signed[Succession], *, is_needed: bool = False) -> bool:
        """Let an owner's successor act for it from now on: renew its leases, and end them.

        The predecessor ends nothing any more, and no lease counts that it dates after the succession. It is kept while
        the predecessor has a lease here or could still sign one; the first one that comes stands. Returns False when it
        is about nothing that is here, unless `is_needed`, and is not kept. Raises `QuotaError` when there are too many.
        """
        return await self._call(self._writes, succeeding.succeed, succession, is_needed)

    async def succession(self, owner: PublicKey) -> Envelope | None:
        """Return the succession of an owner that is kept here."""
        return await self._call(self._reads, succeeding.succession, owner)

    async def collect(self, now: float) -> Collected:
        """Remove what only provisional leases covered, all of which ended before `now` (wall clock), and old trash.

        What had a final lease goes to the trash when its last lease has ended. A bounded number at a time: call again
        while `has_more`. The caller decides when the clock can be trusted.
        """
        return await self._call(self._writes, collection.collect, now)

    async def trash(self) -> list[TrashedPair]:
        """Return what is in the trash, the earliest first, at most `trash.TRASH_LISTED_MAX` pairs."""
        return await self._call(self._reads, trash.listed)

    async def restore(self, blob_id: BlobId) -> int:
        """Let the time in the trash begin anew for a blob's pairs; return how many there are.

        Only a lease takes data out of the trash: this gives the owner the time to renew it. Raises `NotFoundError`.
        """
        return await self._call(self._writes, trash.restore, blob_id)

    async def empty_trash(self) -> Collected:
        """Remove what is in the trash, whatever its time. A bounded number at a time: call again while `has_more`."""
        return await self._call(self._writes, collection.empty_trash)

    async def drop(self, pairs: Sequence[tuple[BlobId, ShardIndex]]) -> int:
        """Remove pairs that others keep from now on, and count them as lost; return how many were here."""
        return await self._call(self._writes, dropping.drop, pairs)

    async def set_aside(self, contradiction: Contradiction) -> int:
        """Keep the checked proof that a blob is inconsistent, and move its pairs to the trash; return how many.

        Nothing takes these pairs out of the trash, they are retracted as lost ones are, and nothing of the blob is
        stored any more (`LeaseError`). It may be called again.
        """
        return await self._call(self._writes, inconsistent.set_aside, contradiction)

    async def load_inconsistent(self) -> list[Contradiction]:
        """Return the proofs against inconsistent blobs that are kept, the earliest first."""
        return await self._call(self._reads, inconsistent.load)

    async def save_members(self, envelopes: Sequence[Envelope], contacts: Sequence[Contact] = ()) -> None:
        """Keep verified member records, per signer the one with the highest sequence, and what we know of peers.

        The oldest go when there are too many, anchors never. Raises `WireError` for an envelope with something else.
        """
        await self._call(self._writes, members.save_members, envelopes, contacts)

    async def load_members(self) -> list[Envelope]:
        """Return the member records that are kept, in the order of their signers' keys."""
        return await self._call(self._reads, members.load_members)

    async def load_contacts(self) -> list[Contact]:
        """Return what is kept of our history with peers, in the order of their ids."""
        return await self._call(self._reads, members.load_contacts)

    async def save_scores(self, scores: Sequence[tuple[PeerId, Score]]) -> None:
        """Keep what our audits say of others, instead of what is kept of it."""
        await self._call(self._writes, keep_scores.save_scores, scores)

    async def load_scores(self) -> list[tuple[PeerId, Score]]:
        """Return what is kept of it, in the order of peer ids."""
        return await self._call(self._reads, keep_scores.load_scores)

    async def save_evidence(self, name: Digest, evidence: Evidence, *, heard_at: int) -> None:
        """Keep a checked piece of evidence under its name."""
        await self._call(self._writes, keep_evidence.save_evidence, name, evidence, heard_at)

    async def forget_evidence(self, names: Collection[Digest]) -> None:
        """Let pieces of evidence go."""
        await self._call(self._writes, keep_evidence.forget_evidence, names)

    async def load_evidence(self) -> list[tuple[Digest, int, Evidence]]:
        """Return the name of each piece that is kept, when it came, and the piece; the earliest first."""
        return await self._call(self._reads, keep_evidence.load_evidence)

    async def save_audit_receipts(self, new: Collection[Countersigned], gone: Collection[Digest]) -> None:
        """Keep some audit receipts, and let others go."""
        await self._call(self._writes, keep_audit_receipts.save_audit_receipts, new, gone)

    async def load_audit_receipts(self) -> list[Countersigned]:
        """Return the audit receipts that are kept, by time."""
        return await self._call(self._reads, keep_audit_receipts.load_audit_receipts)

    async def next_sequence(self, purpose: str, *, at_least: int = 0) -> int:
        """Return a number above all that this ever returned for the purpose, and not below `at_least`.

        It counts as used from now on, also when the index is lost. Raises `CallerError` past 64 bits.
        """
        return await self._call(self._writes, sequences.next_sequence, purpose, at_least)

    async def take_number(self, purpose: str, *, at_least: int = 0) -> int:
        """Return a number above all that this ever returned for the purpose, and not below `at_least`.

        As `next_sequence`, but from memory, under a ceiling that is durable; a purpose uses the one or the other.
        """
        while (number := self._numbers.take(purpose, at_least)) is None:
            await self._call(self._writes, numbers.reserve, self._numbers, purpose, at_least)
        return number

    def highest_number(self, purpose: str) -> int:
        """Return the highest number that counts as used of those that `take_number` hands out."""
        return self._numbers.highest(purpose)

    async def last_sequence(self, purpose: str) -> int:
        """Return a number not below any that `next_sequence` returned for the purpose, as far as this disk knows."""
        return await self._call(self._reads, sequences.last_sequence, purpose)

    async def leave_sequences_behind(self, seen: int) -> None:
        """Let the numbers of every purpose go on far above `seen`, and above all that this store ever returned.

        For a disk that was put back from an old copy of itself. Raises `CallerError` past 64 bits.
        """
        await self._call(self._writes, numbers.leave_behind, self._numbers, seen)

    async def rescan(self, after: PairKey | None = None) -> Rescanned:
        """Read every byte of the next pairs that are held; those that are damaged or gone are lost from then on.

        A bounded number at a time: call again with `last` until that is None.
        """
        return await self._call(self._writes, rescan.rescan, after)

    def usage(self) -> Usage:
        """Return how full the store is, from memory."""
        return self._engine.quota.usage()

    @property
    def away(self) -> tuple[str, ...]:
        """The data directories that are not here: their pairs are neither served nor lost."""
        return self._engine.away

    def set_quota(self, quota_bytes: int) -> None:
        """Grow or shrink the quota at once.

        Below what is used nothing more is accepted until leases have run out; what is leased is never dropped for it.
        The caller keeps the number, in the settings.
        """
        self._engine.quota.set_quota(quota_bytes)

    async def close(self) -> None:
        """Close; work under way is done before or fails whole, and calls after it raise `LocalStorageError`."""
        await self._offload.run(_close, self._engine)

    async def _call(self, limiter: trio.CapacityLimiter, function: Callable[..., T], *args: object) -> T:
        """Run the work in a worker. It is done again, once, after the index was mended or told what disks are here."""
        async with limiter:
            generation = self._engine.generation
            try:
                return await self._offload.run(function, self._engine, *args)
            except DamagedIndexError:
                await self._offload.run(rebuild_index, self._engine, generation)
            except DirectoriesChangedError:
                await self._offload.run(look_again, self._engine, generation)
            return await self._offload.run(function, self._engine, *args)


def _close(engine: Engine) -> None:
    with engine.mutation:
        engine.database.close()
