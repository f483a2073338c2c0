"""Uploading the pairs of one blob: every shard to its holder at once, and to the next candidate when one fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import trio

from p2pnode import bft
from p2pnode.coding import EncodedBlob, pair_of_shard
from p2pnode.errors import PeerFaultError, PeerUnavailableError, TooFewHoldersError
from p2pnode.placement.rendezvous import Committee
from p2pnode.protocols.receipts import check_batch_from
from p2pnode.protocols.store import record_of
from p2pnode.services.context import Context
from wire.ids import BlobId, PeerId, ShardIndex
from wire.messages import Stored, StorePair
from wire.records import Lease, ReceiptBatch
from wire.signed import Signed

log = logging.getLogger(__name__)

STALL_HEDGES = 3
"""A holder that has not answered after this many hedge times is overtaken by the next candidate."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One shard that a holder signed for: a checked batch of one per lease, in the order of the leases."""

    peer_id: PeerId
    batches: tuple[Signed[ReceiptBatch], ...]


@dataclass(frozen=True, slots=True)
class PlacedBlob:
    """Where the pairs of one blob are."""

    blob_id: BlobId
    n: int
    shards: dict[ShardIndex, Placed]


class Uploader:
    """Uploads blobs for one put; it remembers who was slow or failed, and asks those last."""

    def __init__(self, context: Context) -> None:
        """Upload with the node's own keys and connections."""
        self._context = context
        self._laggards: set[PeerId] = set()

    async def upload(self, encoded: EncodedBlob, committee: Committee, leases: Sequence[Signed[Lease]]) -> PlacedBlob:
        """Upload all pairs; return once all are placed, or n - f are and the tail's time is over.

        Raises `TooFewHoldersError` when n - f shards cannot be placed; what was uploaded goes when its provisional
        lease ends.
        """
        upload = _BlobUpload(self._context, encoded, committee, leases, self._laggards)
        return await upload.run()


class _BlobUpload:
    """One blob on its way."""

    def __init__(
        self,
        context: Context,
        encoded: EncodedBlob,
        committee: Committee,
        leases: Sequence[Signed[Lease]],
        laggards: set[PeerId],
    ) -> None:
        self._context = context
        self._encoded = encoded
        self._committee = committee
        self._leases = tuple(leases)
        self._laggards = laggards
        self._quorum = bft.quorum(committee.n)
        self._metadata = record_of(encoded.metadata)
        self._taken = {holder.peer_id for holder in committee.holders}
        self._placed: dict[ShardIndex, Placed] = {}
        self._failures: list[str] = []
        self._shards_failed = 0
        self._scope = trio.CancelScope()

    async def run(self) -> PlacedBlob:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for shard in range(self._committee.n):
                    nursery.start_soon(self._place, ShardIndex(shard))
        if len(self._placed) < self._quorum:
            raise self._shortage()
        placed = dict(sorted(self._placed.items()))
        return PlacedBlob(self._encoded.blob_id, self._committee.n, placed)

    def _shortage(self) -> TooFewHoldersError:
        message = (
            f"only {len(self._placed)} of the {self._quorum} shards needed found a holder (n = {self._committee.n}); "
            f"nothing was stored for good; see 'p2pnode peers', or choose fewer shards with --shards"
        )
        if self._failures:
            message += f"; the last failure: {self._failures[-1]}"
        return TooFewHoldersError(message)

    async def _place(self, shard: ShardIndex) -> None:
        """Place one shard; give the whole upload up when more than f shards found nobody."""
        stall_s = STALL_HEDGES * self._context.profile.hedge_after_s
        async with trio.open_nursery() as nursery:
            for peer_id in self._candidates(shard):
                answered = trio.Event()
                nursery.start_soon(self._attempt, shard, peer_id, answered)
                with trio.move_on_after(stall_s):
                    await answered.wait()
                if not answered.is_set():
                    self._laggards.add(peer_id)
                if shard in self._placed:
                    # A late second holder does no harm, but it is not waited for.
                    nursery.cancel_scope.cancel()
                    break
        if shard not in self._placed:
            self._shards_failed += 1
        if self._shards_failed > self._committee.n - self._quorum:
            self._scope.cancel()

    def _candidates(self, shard: ShardIndex) -> Iterator[PeerId]:
        """Yield who may keep the shard, best first; a spare that is yielded is taken for the other shards.

        Spares are ranked only once the first fails: ranking thousands for every shard would hold everything else up.
        """
        first = self._committee.holders[shard].peer_id
        order: list[PeerId] = []
        if first in self._laggards:
            order.append(first)
        else:
            yield first
        order += [spare.peer_id for spare in self._committee.spares(shard, taken=self._taken)]
        for peer_id in sorted(order, key=lambda each: each in self._laggards):
            if peer_id != first and peer_id in self._taken:
                continue
            self._taken.add(peer_id)
            yield peer_id

    async def _attempt(self, shard: ShardIndex, peer_id: PeerId, answered: trio.Event) -> None:
        try:
            placed = await self._store(shard, peer_id)
        except (PeerUnavailableError, PeerFaultError) as error:
            log.info("shard %d of %s not stored by %s: %s", shard, self._encoded.blob_id.text(), peer_id, error)
            self._failures.append(str(error))
            self._laggards.add(peer_id)
        else:
            self._placed.setdefault(shard, placed)
            if len(self._placed) == self._quorum:
                self._scope.deadline = trio.current_time() + self._context.profile.tail_timeout_s
        answered.set()

    async def _store(self, shard: ShardIndex, peer_id: PeerId) -> Placed:
        context = self._context
        blob_id = self._encoded.blob_id
        primary, secondary = self._encoded.pair(pair_of_shard(blob_id, shard, self._committee.n))
        request = StorePair(
            leases=tuple(lease.envelope for lease in self._leases),
            metadata=self._metadata,
            blob_id=blob_id,
            shard=shard,
            primary_bytes=len(primary.data),
            secondary_bytes=len(secondary.data),
        )
        reply = await context.peers.ask(
            peer_id, "store", request, payload=(primary.data, secondary.data), expect=(Stored,)
        )
        assert isinstance(reply.message, Stored)
        if len(reply.message.batches) != len(self._leases):
            message = f"{len(reply.message.batches)} receipts for {len(self._leases)} leases"
            raise PeerFaultError(message)
        batches = tuple(
            check_batch_from(batch, lease, [(blob_id, shard)], network=context.network_name, holder=peer_id)
            for batch, lease in zip(reply.message.batches, self._leases, strict=True)
        )
        return Placed(peer_id, batches)
