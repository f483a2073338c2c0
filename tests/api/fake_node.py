"""A node of one: it really keeps what is put and gives it back, but in memory, and it fails when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from crypto.hashing import blake2b_256
from crypto.peer_id import peer_id_from_text, peer_id_to_text
from p2pnode.errors import NotFoundError
from p2pnode.placement.rendezvous import Candidate
from p2pnode.protocols.plan import plan_storage
from p2pnode.services.owner_face import NO_OPTIONS, PutOptions
from p2pnode.services.results import (
    AddressReach,
    Audited,
    BlobStatus,
    Convicted,
    Download,
    KnownCertificate,
    KnownEvidence,
    NodeInfo,
    PeerStatus,
    PutResult,
    ReachReport,
    RepairReport,
    StoragePlan,
)
from tests.api.fake_owner import FakeOwner
from wire.ids import BlobId, PeerId
from wire.references import Reference, ReferenceKind

PEER_ID = "12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2"
CHUNK_BYTES = 100_000
"""No divisor of anything, so that pieces never fit by chance."""

NOTHING_MISSING = RepairReport(
    tasks=(),
    pairs_missing=0,
    pairs_ours=0,
    pairs_rebuilt=0,
    bytes_rebuilt=0,
    bytes_moved=0,
    bytes_served=0,
    bad_symbols=0,
    bytes_per_s_max=2_000_000,
    credit_in_s=0.0,
)


class FakeEvidence:
    """An `EvidenceFace` with what a test puts in."""

    def __init__(self) -> None:
        self.convicted: list[Convicted] = []
        self.pieces: dict[str, KnownEvidence] = {}

    def listed(self) -> list[Convicted]:
        """List."""
        return self.convicted

    async def piece(self, evidence_id: str) -> KnownEvidence:
        """Give one, if it is here."""
        await trio.lowlevel.checkpoint()
        if evidence_id not in self.pieces:
            raise NotFoundError(f"no evidence {evidence_id} is kept here")
        return self.pieces[evidence_id]


class FakeNode(FakeOwner):
    """A `NodeFace`; the attributes say how it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.blobs: dict[str, bytes] = {}
        self.asked: list[tuple[int | None, int | None]] = []
        """(shards, size) of each put."""
        self.options: list[PutOptions] = []
        """What each put said besides."""
        self.taken = 0
        """Bytes that puts have read."""
        self.healthy = 10
        self.put_error: Exception | None = None
        self.put_error_after = 0
        """Bytes that a put reads before it raises `put_error`; -1: everything."""
        self.get_error: Exception | None = None
        self.get_error_after = -1
        """Bytes that a get gives before it raises `get_error`; -1: on entering."""
        self.put_gate = trio.Event()
        """A put reads on beyond its first chunk only when this is set."""
        self.put_gate.set()
        self.cancelled = trio.Event()
        """Set when a put or get was cancelled."""
        self.verdict = "ok"
        self.known_certificate: KnownCertificate | None = None
        self.evidence = FakeEvidence()
        self.refused_counts: dict[str, int] = {}
        self.repair_report = NOTHING_MISSING
        self.peer_list: tuple[PeerStatus, ...] = (
            PeerStatus(
                peer_id=PEER_ID,
                state="active",
                addresses=("/ip4/192.0.2.7/tcp/4710",),
                connected=True,
                seconds_since_contact=2.5,
                fresh=True,
                capacity_bytes=1000,
                free_bytes=400,
                software="p2pnode/0.1.0",
                score=0.951,
                trust="full",
                domain="192.0.2.0/24",
                vetted=True,
                receipts_of_it=12,
                receipts_by_it=9,
            ),
        )

        self.is_frozen = False
        self.is_restored = False
        self.checks = 0
        self.reach_report = ReachReport(
            reach="not reachable",
            addresses=(
                AddressReach(
                    address="/ip4/192.0.2.7/tcp/4710",
                    origin="observed",
                    reach="not reachable",
                    reached_by=0,
                    tried_by=2,
                ),
            ),
            peers_asked=3,
            peers_answered=2,
            seen_at=("192.0.2.7",),
            port_mapping="failed",
            port_mapping_detail="no router answered",
            advice="Forward TCP port 4710.",
            seconds_since_check=1.5,
        )

    async def put(
        self,
        source: AsyncIterator[bytes],
        *,
        shards: int | None,
        size: int | None,
        options: PutOptions = NO_OPTIONS,
    ) -> PutResult:
        """Keep the bytes."""
        self.options.append(options)
        self.asked.append((shards, size))
        parts: list[bytes] = []
        try:
            self._fail_put(0)
            async for chunk in source:
                parts.append(chunk)
                self.taken += len(chunk)
                self._fail_put(self.taken)
                await self.put_gate.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        if self.put_error is not None:
            raise self.put_error
        data = b"".join(parts)
        reference = reference_of(data)
        self.blobs[reference] = data
        n = shards or 10
        return PutResult(
            id=reference,
            kind="blob",
            size=len(data),
            n=n,
            healthy=min(self.healthy, n),
            segments=1,
            nodes_that_may_fail=(n - 1) // 3,
            seconds=0.5,
            lease_end=1_900_000_000,
        )

    def _fail_put(self, taken: int) -> None:
        if self.put_error is not None and 0 <= self.put_error_after <= taken:
            raise self.put_error

    @asynccontextmanager
    async def get(self, reference: Reference) -> AsyncIterator[Download]:
        """Give the bytes back."""
        if self.get_error is not None and self.get_error_after < 0:
            raise self.get_error
        data = self._find(reference)
        try:
            yield Download(reference, len(data), self._chunks(data))
        except trio.Cancelled:
            self.cancelled.set()
            raise

    async def _chunks(self, data: bytes) -> AsyncIterator[bytes | memoryview]:
        end = len(data) if self.get_error is None else self.get_error_after
        for start in range(0, end, CHUNK_BYTES):
            await trio.lowlevel.checkpoint()
            yield memoryview(data)[start : min(end, start + CHUNK_BYTES)]
        if self.get_error is not None:
            raise self.get_error

    async def stat(self, reference: Reference) -> BlobStatus:
        """Tell about kept bytes."""
        return BlobStatus(
            id=reference.text(),
            kind="blob",
            size=len(self._find(reference)),
            n=10,
            healthy=9,
            reachable=8,
            shards_to_read=4,
            certified=True,
            lease_end=1_900_000_000,
            segments=1,
            stored_bytes=6620,
            nodes=9,
            domains=8,
            nodes_that_may_fail=3,
            domains_that_may_fail=2,
        )

    async def plan(self, size: int, *, shards: int | None) -> StoragePlan:
        """Plan for twelve members in as many domains."""
        await trio.lowlevel.checkpoint()
        members = [Candidate(PeerId(bytes([at]) * 38), bytes([at]), 1.0, f"domain-{at}") for at in range(12)]
        return plan_storage(size, members, shards=shards)

    def peers(self) -> tuple[PeerStatus, ...]:
        """Tell of the one other."""
        return self.peer_list

    async def audit(self, peer_id: PeerId) -> Audited:
        """Audit the one other, which has proven it."""
        await trio.lowlevel.checkpoint()
        if peer_id_to_text(peer_id) != PEER_ID:
            raise NotFoundError(f"no live receipt of {peer_id} is known here")
        return Audited(
            peer_id=PEER_ID,
            verdict=self.verdict,
            reason="as it was told",
            asked_on="receipt",
            blob_id="A" * 43,
            shard=3,
            answer_bytes=1_500,
            seconds=0.25,
            score=0.951,
            receipt="signed by both",
        )

    async def audit_holders(self, reference: Reference) -> list[Audited]:
        """Audit the one other about what is kept."""
        self._find(reference)
        return [await self.audit(PeerId(peer_id_from_text(PEER_ID)))]

    async def certificate(self, reference: Reference) -> KnownCertificate:
        """Give what it was given to give."""
        await trio.lowlevel.checkpoint()
        if self.known_certificate is None:
            raise NotFoundError(f"nobody has a certificate of {reference.text()}")
        return self.known_certificate

    def repairs(self) -> RepairReport:
        """Tell of what it was given to tell."""
        return self.repair_report

    def refused(self) -> dict[str, int]:
        """Tell of what it was given to tell."""
        return self.refused_counts

    def info(self) -> NodeInfo:
        """Tell about itself."""
        return NodeInfo(
            peer_id=PEER_ID,
            network="test",
            profile="testnet",
            addresses=("/ip4/127.0.0.1/tcp/4710",),
            version="0.1.0",
            members=1,
            connected=1,
            quota_bytes=1000,
            used_bytes=600,
            uptime_s=3.0,
            frozen=self.is_frozen,
            restored=self.is_restored,
        )

    def reach(self) -> ReachReport:
        """Tell what the last check found."""
        return self.reach_report

    async def check_reach(self) -> ReachReport:
        """Count checks."""
        await trio.lowlevel.checkpoint()
        self.checks += 1
        return self.reach_report

    def _find(self, reference: Reference) -> bytes:
        try:
            return self.blobs[reference.text()]
        except KeyError as error:
            message = f"no holder of {reference.text()} is known"
            raise NotFoundError(message) from error


def reference_of(data: bytes) -> str:
    """Return the reference under which the fake keeps these bytes."""
    return Reference(ReferenceKind.BLOB, BlobId(blake2b_256(data))).text()
