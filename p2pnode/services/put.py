"""put: cut, encode, upload, lease, certify, announce (PROTOCOL section 4).

A source of one segment is one blob: provisional and final lease go out together, in one round trip. A longer source is
a file: segments under provisional leases while it streams, then the manifest, then one final lease over them all. The
writer is an ordinary holder and an ordinary reader; success is reported only when certificates are in effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from crypto.hashing import Buffer
from p2pnode import bft
from p2pnode.coding import EncodedBlob, EncodeJob, SpareMemory
from p2pnode.placement import shape
from p2pnode.placement.candidates import propose
from p2pnode.placement.rendezvous import Candidate, Committee
from p2pnode.protocols.leases import BlobGroup, LeaseTerms, blob_page, make_blob_lease, make_file_lease
from p2pnode.protocols.manifest import (
    FileShape,
    ManifestEntry,
    make_level,
    manifest_to_bytes,
    segment_bytes,
)
from p2pnode.protocols.plan import choose_shards
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.renewal import lease_end
from p2pnode.services.announce import Announcer
from p2pnode.services.coding_jobs import run_job
from p2pnode.services.commit import CertifiedPage, Committer, HeldReceipts
from p2pnode.services.context import Context
from p2pnode.services.cutting import Cutter
from p2pnode.services.membership import Membership
from p2pnode.services.nursery import open_nursery
from p2pnode.services.owner_face import NO_OPTIONS, PutOptions
from p2pnode.services.results import PutResult
from p2pnode.services.upload import PlacedBlob, Uploader
from wire.ids import BlobId, Digest, FileSalt, PeerId, ShardIndex
from wire.records import HolderReceipts, Lease, LeaseKind
from wire.references import Reference, ReferenceKind
from wire.signed import Signed

SEGMENTS_IN_FLIGHT = 2
"""Segments that are encoded or uploaded at a time: one keeps the processor busy while the other is on the wire."""


class Putter:
    """Stores what sources yield."""

    def __init__(self, context: Context, membership: Membership, announcer: Announcer) -> None:
        """Write to the members that `membership` knows."""
        self._context = context
        self._membership = membership
        self._announcer = announcer

    async def put(
        self,
        source: AsyncIterator[bytes],
        *,
        shards: int | None,
        size: int | None,
        options: PutOptions = NO_OPTIONS,
    ) -> Written:
        """Store a source of any length; see `NodeFace.put`.

        Raises `CallerError`, `TooFewHoldersError`, or what reading the source raises.
        """
        started = self._context.clock.monotonic()
        cutter = Cutter(source)
        candidates = self._membership.candidates()
        if size is None and shards is None:
            # From here on the length no longer decides n, so a stream need not tell its own in advance.
            size = await cutter.peek(shape.SIZE_THAT_DECIDES)
        n = await self._context.offload.run(_choose_shards, shards, candidates, size or 0)
        sequence = await self._context.store.next_sequence("lease")
        write = _Write(self._context, candidates, n, sequence=sequence, options=options)
        first = await cutter.cut(segment_bytes(n))
        if await cutter.peek(1) == 0:
            stored = await write.store_blob(first)
        else:
            stored = await write.store_file(first, cutter)
        for page in stored.pages:
            self._announcer.announce(page.certificate)
        placed = stored.weakest
        lease = stored.lease.record
        result = PutResult(
            id=stored.reference.text(),
            kind=stored.reference.kind.value,
            size=stored.size,
            n=n,
            healthy=min(page.healthy for page in stored.pages),
            segments=stored.segments,
            nodes_that_may_fail=shape.nodes_that_may_fail(placed, needed=bft.primary_source(n)),
            seconds=self._context.clock.monotonic() - started,
            lease_end=lease.end,
        )
        return Written(result, stored.reference, stored.lease)


@dataclass(frozen=True, slots=True)
class Written:
    """A finished write and the lease that it is under."""

    result: PutResult
    reference: Reference
    lease: Signed[Lease]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What a finished write knows."""

    reference: Reference
    size: int
    segments: int
    lease: Signed[Lease]
    pages: Sequence[CertifiedPage]
    weakest: Sequence[PeerId]
    """The holders of the blob that has the fewest shards, one entry a shard."""


class _Write:
    """One put under way."""

    def __init__(
        self, context: Context, candidates: Sequence[Candidate], n: int, *, sequence: int, options: PutOptions
    ) -> None:
        self._context = context
        self._options = options
        self._candidates = candidates
        self._n = n
        self._sequence = sequence
        self._uploader = Uploader(context)
        self._committer = Committer(context)
        self._placed: dict[BlobId, dict[ShardIndex, PeerId]] = {}
        self._holders: dict[tuple[tuple[ShardIndex, PeerId], ...], dict[ShardIndex, PeerId]] = {}
        self._memory = SpareMemory()

    async def store_blob(self, data: Buffer) -> _Stored:
        """Store one blob with both leases in one round trip."""
        encoded = await self._encode(data)
        blob_id = encoded.blob_id
        leases = [self._blob_lease(blob_id, kind) for kind in (LeaseKind.PROVISIONAL, LeaseKind.FINAL)]
        committee = await self._committee(blob_id)
        placed = await self._uploader.upload(encoded, committee, leases)
        receipts = _receipts_of_blob(placed)
        page = await self._committer.certify_page(leases[1], blob_page(blob_id), receipts)
        return _Stored(
            reference=Reference(ReferenceKind.BLOB, blob_id),
            size=len(data),
            segments=1,
            lease=leases[1],
            pages=[page],
            weakest=[each.peer_id for each in placed.shards.values()],
        )

    async def store_file(self, first: Buffer, cutter: Cutter) -> _Stored:
        """Store segments as they come, then the manifests, then lease all of them at once."""
        salt = FileSalt(self._context.rng.random_bytes(FileSalt.length))
        async with open_nursery() as nursery:
            nursery.start_soon(self._extend_regularly, salt)
            stored = await self._store_file(first, cutter, salt)
            nursery.cancel_scope.cancel()
        return stored

    async def _store_file(self, first: Buffer, cutter: Cutter, salt: FileSalt) -> _Stored:
        committee = await self._committee(salt)
        entries, content = await self._store_segments(first, cutter, committee)
        file_shape = FileShape(n=self._n, salt=salt, content=content)
        root = await self._store_manifests(file_shape, entries, committee)
        # Equal segments are one blob; the manifests come last.
        blob_ids = list(dict.fromkeys([*(entry.blob_id for entry in entries), *self._placed]))
        group = await self._context.offload.run(BlobGroup, blob_ids, salt)
        lease = self._file_lease(group, LeaseKind.FINAL)
        pages = [
            await self._committer.commit_page(lease, page, self._placed)
            for page in await self._context.offload.run(group.pages)
        ]
        weakest = min(self._placed.values(), key=len)
        return _Stored(
            reference=Reference(ReferenceKind.FILE, root),
            size=sum(entry.file_bytes for entry in entries),
            segments=len(entries),
            lease=lease,
            pages=pages,
            weakest=list(weakest.values()),
        )

    async def _store_segments(
        self, first: Buffer, cutter: Cutter, committee: Committee
    ) -> tuple[list[ManifestEntry], Digest]:
        """Upload every segment, at most SEGMENTS_IN_FLIGHT at a time; return their entries and the content's hash."""
        content = hashlib.blake2b(digest_size=Digest.length)
        entries: list[ManifestEntry | None] = []
        slots = trio.Semaphore(SEGMENTS_IN_FLIGHT)

        async def store(position: int, segment: Buffer) -> None:
            try:
                blob_id = await self._store_part(segment, committee)
            finally:
                slots.release()
            entries[position] = ManifestEntry(blob_id=blob_id, file_bytes=len(segment))

        async with open_nursery() as nursery:
            segment = first
            while segment:
                await self._context.offload.run(content.update, segment)
                await slots.acquire()
                entries.append(None)
                nursery.start_soon(store, len(entries) - 1, segment)
                segment = await cutter.cut(segment_bytes(self._n))
        return [entry for entry in entries if entry is not None], Digest(content.digest())

    async def _store_manifests(
        self, file_shape: FileShape, parts: Sequence[ManifestEntry], committee: Committee
    ) -> BlobId:
        """Store the manifests level by level; return the id of the one that is left.

        Lower levels stand with the segments; the root is placed by its own id, for that is all that a reader has.
        """
        level = 0
        while True:
            manifests = make_level(file_shape, level, parts)
            is_root = len(manifests) == 1
            entries = []
            for manifest in manifests:
                data = await self._context.offload.run(manifest_to_bytes, manifest)
                blob_id = await self._store_part(data, None if is_root else committee)
                entries.append(ManifestEntry(blob_id=blob_id, file_bytes=manifest.file_bytes))
            if is_root:
                return entries[0].blob_id
            parts = entries
            level += 1

    async def _store_part(self, data: Buffer, committee: Committee | None) -> BlobId:
        """Upload one blob of a file under a provisional lease, unless this put has already done so."""
        encoded = await self._encode(data)
        blob_id = encoded.blob_id
        if blob_id not in self._placed:
            lease = self._blob_lease(blob_id, LeaseKind.PROVISIONAL)
            placed = await self._uploader.upload(encoded, committee or await self._committee(blob_id), [lease])
            self._placed[blob_id] = self._interned({shard: each.peer_id for shard, each in placed.shards.items()})
        return blob_id

    async def _encode(self, data: Buffer) -> EncodedBlob:
        return await run_job(self._context.offload, EncodeJob(data, self._n, memory=self._memory))

    def _interned(self, holders: dict[ShardIndex, PeerId]) -> dict[ShardIndex, PeerId]:
        """Return one object for equal holders: most blobs of a file have the same, and a long file has many blobs."""
        return self._holders.setdefault(tuple(sorted(holders.items())), holders)

    async def _committee(self, seed: bytes) -> Committee:
        return await self._context.offload.run(propose, seed, self._n, self._candidates)

    def _terms(self, kind: LeaseKind) -> LeaseTerms:
        profile = self._context.profile
        start = self._context.wall_seconds()
        if kind is LeaseKind.PROVISIONAL:
            return LeaseTerms(n=self._n, sequence=self._sequence, start=start, end=start + profile.provisional_lease_s)
        wanted_until = 0 if self._options.keep_for_s is None else start + self._options.keep_for_s
        end = lease_end(start=start, longest_s=profile.lease_s, wanted_until=wanted_until)
        return LeaseTerms(n=self._n, sequence=self._sequence, start=start, end=end, renewers=self._options.renewers)

    async def _extend_regularly(self, salt: FileSalt) -> None:
        """Extend the provisional lease of what is uploaded so far: a slow upload must not lose its beginning."""
        while True:
            await self._context.clock.sleep(self._context.profile.provisional_lease_s / 2)
            if not self._placed:
                continue
            placed = dict(self._placed)
            group = await self._context.offload.run(BlobGroup, list(placed), salt)
            lease = self._file_lease(group, LeaseKind.PROVISIONAL)
            for page in await self._context.offload.run(group.pages):
                await self._committer.sign_page(lease, page, placed)

    def _file_lease(self, group: BlobGroup, kind: LeaseKind) -> Signed[Lease]:
        return make_file_lease(
            self._context.owner, group, self._terms(kind), network=self._context.network_name, kind=kind
        )

    def _blob_lease(self, blob_id: BlobId, kind: LeaseKind) -> Signed[Lease]:
        return make_blob_lease(
            self._context.owner, blob_id, self._terms(kind), network=self._context.network_name, kind=kind
        )


def _choose_shards(shards: int | None, candidates: Sequence[Candidate], size: int) -> int:
    return choose_shards(shards, candidates, size=size).n


def _receipts_of_blob(placed: PlacedBlob) -> list[HeldReceipts]:
    """Return the receipts for the final lease of a single blob: each shard has a batch of its own."""
    return [
        (
            each.peer_id,
            HolderReceipts(batch=each.batches[-1].envelope, shard_sets=(shard_set(shard, [0], blob_count=1),)),
        )
        for shard, each in placed.shards.items()
    ]
