"""A dishonest writer: slivers of no encoding, foreign metadata, leases out of bounds, certificates of a clique."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import trio

from p2pnode import bft
from p2pnode.coding import pair_of_shard
from p2pnode.network.requests import Requester
from p2pnode.placement.shape import MEMBERS_MIN, SMALL_SHARDS, default_shards
from p2pnode.protocols.certificates import make_certificate
from p2pnode.protocols.leases import LeaseTerms, blob_page, make_blob_lease
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.store import record_of
from testnet.sim.habits.bending import ANNOUNCEMENTS, MESSAGES, PEER_TROUBLE, STORE, BadHabit
from testnet.sim.habits.crooked_blobs import CrookedBlob, Deed, clique_certificate, crooked_blob, leases_of
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.codec import encode
from wire.ids import Axis, BlobId, PeerId, ShardIndex
from wire.messages import Certified, Certify, Committed, Stored, StorePair
from wire.records import Announcement, AnnouncementBatch, Certificate, HolderReceipts, Lease, LeaseKind
from wire.signed import Signed, sign_record

DEED_EVERY_S = 15.0
BLOB_BYTES = 3_000

BLOBS_KEPT = 50
"""Crooked blobs that are remembered, for those who want to try reading them."""

LONG_SECONDS = limits.LEASE_SECONDS_MAX + 1


@dataclass(frozen=True, slots=True)
class Crooked:
    """A blob that this writer has had certified, and what a read of it gives if it gives anything."""

    blob_id: BlobId
    data: bytes


class DishonestWriter(BadHabit):
    """Writes what breaks the rules, as far as its victims let it."""

    name: ClassVar[str] = "dishonest-writer"

    def __init__(self) -> None:
        """Nothing was written yet."""
        super().__init__()
        self.crooked: list[Crooked] = []
        self.of_no_encoding: set[BlobId] = set()
        """All that it has ever made of that kind."""
        self.wrongly_taken: list[str] = []
        """What a holder took and must not have: empty as long as holders check what they should."""
        self._sequence = 0

    async def run(self, parts: NodeParts, world: World) -> None:
        """Do one bad deed after the other, for ever."""
        del world
        deeds = (self._write_crooked_blob, self._send_wrong_pairs, self._send_bad_leases, self._send_clique)
        requester = self.requester()
        while True:
            for deed in self.rng.sample(deeds, len(deeds)):
                await parts.clock.sleep(DEED_EVERY_S)
                if len(self.peers()) + 1 >= MEMBERS_MIN:
                    await deed(requester)

    # ------------------------------------------------------------------ deeds

    async def _write_crooked_blob(self, requester: Requester) -> None:
        """Have a blob certified whose slivers belong to no encoding, and tell everybody of it."""
        blob = self._new_blob()
        metadata = blob.metadata
        self.of_no_encoding.add(metadata.blob_id)
        provisional, final = self._leases(metadata.blob_id, metadata.n)
        holders = self.rng.sample(self.peers(), min(metadata.n, len(self.peers())))
        signed: dict[ShardIndex, tuple[PeerId, HolderReceipts]] = {}

        async def place(shard: ShardIndex, peer_id: PeerId) -> None:
            pair = self._pair_of(blob, shard, (provisional, final))
            answer = await self._ask(requester, peer_id, *pair)
            if isinstance(answer, Stored):
                sets = (shard_set(shard, [0], blob_count=1),)
                signed[shard] = (peer_id, HolderReceipts(batch=answer.batches[-1], shard_sets=sets))

        async with trio.open_nursery() as nursery:
            for number, peer_id in enumerate(holders):
                nursery.start_soon(place, ShardIndex(number), peer_id)
        if len(signed) < bft.quorum(metadata.n):
            return
        self.did("had a blob of no encoding certified")
        receipts = [signed[shard][1] for shard in sorted(signed)]
        certificate = make_certificate(
            self.parts.owner, final, blob_page(metadata.blob_id), receipts, network=self.network_name
        )
        for shard in sorted(signed):
            await self._ask(requester, signed[shard][0], Certify(certificate=certificate.envelope), b"")
        await self._announce(certificate, final)
        self.crooked = [*self.crooked, Crooked(metadata.blob_id, blob.data)][-BLOBS_KEPT:]

    async def _send_wrong_pairs(self, requester: Requester) -> None:
        """Send pairs that do not fit their metadata, or metadata that does not fit the id."""
        blob, other = self._new_blob(), self._new_blob()
        leases = self._leases(blob.metadata.blob_id, blob.metadata.n)
        shard = ShardIndex(self.rng.randrange(blob.metadata.n))
        request, payload = self._pair_of(blob, shard, leases)
        flipped = bytearray(payload)
        flipped[self.rng.randrange(len(flipped))] ^= 1 << self.rng.randrange(8)
        next_shard = (shard + 1) % blob.metadata.n
        await self._demand_refusal(requester, "a pair with a flipped bit", request, bytes(flipped))
        await self._demand_refusal(requester, "the pair of another shard", replace(request, shard=next_shard), payload)
        other_metadata = replace(request, metadata=record_of(other.metadata))
        await self._demand_refusal(requester, "metadata of another blob", other_metadata, payload)
        other_id = replace(request, blob_id=other.metadata.blob_id)
        await self._demand_refusal(requester, "a pair under another id", other_id, payload)

    async def _send_bad_leases(self, requester: Requester) -> None:
        """Send good pairs under leases that are too long, over, not begun, of another blob, or signed by nobody."""
        blob = self._new_blob()
        blob_id, n, now = blob.metadata.blob_id, blob.metadata.n, self.wall_seconds()
        good, final = self._leases(blob_id, n)
        bad = {
            "a lease that is too long": self._lease(blob_id, n, start=now, end=now + LONG_SECONDS),
            "a lease that is over": self._lease(blob_id, n, start=now - 9_000, end=now - 8_000),
            "a lease of the future": self._lease(blob_id, n, start=now + 9_000, end=now + 10_000),
            "a lease for another blob": self._lease(self._some_id(), n, start=now, end=now + 1_000),
            "a lease for another n": self._lease(blob_id, n + 1, start=now, end=now + 1_000),
            "two final leases": final,
        }
        for what, lease in bad.items():
            await self._demand_refusal(requester, what, *self._pair_of(blob, ShardIndex(0), (lease,)))
        request, payload = self._pair_of(blob, ShardIndex(0), (good,))
        stolen = replace(good.envelope, signer=final.envelope.signer, signature=final.envelope.signature)
        await self._demand_refusal(requester, "a forged lease", replace(request, leases=(stolen,)), payload)

    async def _send_clique(self, requester: Requester) -> None:
        """Send a certificate that only a clique has signed to those who hold nothing of it."""
        blob_id = self._some_id()
        deed = Deed(owner=self.parts.owner, network=self.network_name, time=self.wall_seconds())
        n = self._n()
        certificate = clique_certificate(deed, blob_id, n, self.rng, sequence=self._next_sequence())
        request = Certify(certificate=certificate.envelope)
        await self._demand_refusal(requester, "a certificate of a clique", request, b"")
        if self.crooked:  # Its holders keep copies that they signed for; a clique's receipts release none.
            known = self.rng.choice(self.crooked).blob_id
            certificate = clique_certificate(deed, known, n, self.rng, sequence=self._next_sequence())
            request = Certify(certificate=certificate.envelope)
            await self._demand_refusal(requester, "a clique's certificate of a blob that is held", request, b"")

    # ------------------------------------------------------------------ parts of deeds

    async def _demand_refusal(self, requester: Requester, what: str, message: object, payload: bytes) -> None:
        """Send this to a peer, which has to refuse it."""
        if not self.peers():
            return
        self.did(f"sent {what}")
        answer = await self._ask(requester, self.rng.choice(self.peers()), message, payload)
        if isinstance(answer, Stored | Committed | Certified):
            self.wrongly_taken.append(what)

    async def _ask(self, requester: Requester, peer_id: PeerId, message: object, payload: bytes) -> object:
        """Return a peer's answer; None when there is none, or it refuses."""
        parts = (payload,) if payload else ()
        try:
            reply = await requester.request(peer_id, self.protocols[STORE], message, payload=parts, expect=MESSAGES)
        except PEER_TROUBLE:
            return None
        answer: object = reply.message
        return answer

    def _n(self) -> int:
        return default_shards(members=len(self.peers()) + 1, size=BLOB_BYTES)

    def _new_blob(self) -> CrookedBlob:
        n = min(self._n(), SMALL_SHARDS)
        bad = self.rng.randrange(1, bft.primary_source(n) + 1)
        return crooked_blob(self.rng.randbytes(BLOB_BYTES), n, self.rng, bad_slivers=bad)

    def _some_id(self) -> BlobId:
        return BlobId(self.rng.randbytes(BlobId.length))

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _leases(self, blob_id: BlobId, n: int) -> tuple[Signed[Lease], Signed[Lease]]:
        deed = Deed(owner=self.parts.owner, network=self.network_name, time=self.wall_seconds())
        return leases_of(deed, blob_id, n, sequence=self._next_sequence())

    def _lease(self, blob_id: BlobId, n: int, *, start: int, end: int) -> Signed[Lease]:
        terms = LeaseTerms(n=n, sequence=self._next_sequence(), start=start, end=end)
        return make_blob_lease(self.parts.owner, blob_id, terms, network=self.network_name, kind=LeaseKind.PROVISIONAL)

    def _pair_of(
        self, blob: CrookedBlob, shard: ShardIndex, leases: tuple[Signed[Lease], ...]
    ) -> tuple[StorePair, bytes]:
        metadata = blob.metadata
        pair = pair_of_shard(metadata.blob_id, shard, metadata.n)
        primary = blob.slivers[Axis.PRIMARY, pair]
        secondary = blob.slivers[Axis.SECONDARY, metadata.n - 1 - pair]
        request = StorePair(
            leases=tuple(lease.envelope for lease in leases),
            metadata=record_of(metadata),
            blob_id=metadata.blob_id,
            shard=shard,
            primary_bytes=len(primary),
            secondary_bytes=len(secondary),
        )
        return request, primary + secondary

    async def _announce(self, certificate: Signed[Certificate], lease: Signed[Lease]) -> None:
        blob_id = certificate.record.page.blob_ids[0]
        note = Announcement(id_prefix=bytes(blob_id[:8]), lease_end=lease.record.end, record=certificate.digest)
        batch = AnnouncementBatch(
            sequence=1_000_000 + self._next_sequence(), time=self.wall_seconds(), announcements=(note,)
        )
        signed = sign_record(batch, key=self.parts.identity, network=self.network_name)
        await self.parts.network.publish(self.topics[ANNOUNCEMENTS], encode(signed.envelope))
