"""The face of the set of receipts on disk: what the services call, as `SliverStore` says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import trio

from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.receipt_set import View
from p2pnode.storage import page_store
from p2pnode.storage.engine import Engine
from p2pnode.storage.page_store import OurPairs
from wire import limits
from wire.ids import BlobId, Digest, PageDigests, PeerId, PublicKey, ShardIndex
from wire.messages import PageState
from wire.records import Retraction
from wire.signed import Signed

T = TypeVar("T")

LOOKS_MAX = 1
"""Comparisons with peers that look into the store at a time: nobody waits for them, and reads and writes come first."""


class Call(Protocol):
    """Runs work on the store in a worker."""

    async def __call__(self, limiter: trio.CapacityLimiter, function: Callable[..., T], *args: object) -> T:
        """Run it."""
        ...


class ReceiptStore:
    """Certificates, holder records and retractions, page by page. What a method says has survived power loss."""

    def __init__(
        self, engine: Engine, call: Call, *, reads: trio.CapacityLimiter, writes: trio.CapacityLimiter
    ) -> None:
        """Work on the store's engine, as many calls at a time as the store allows."""
        self._engine = engine
        self._call = call
        self._reads = reads
        self._looks = trio.CapacityLimiter(LOOKS_MAX)
        self._writes = writes

    async def page_digests(self, own: PeerId, peer_id: PeerId) -> PageDigests:
        """Return the digests of the pages of which both we and a peer hold pairs, as far as receipts tell."""
        return await self._call(self._looks, page_store.page_digests, own, peer_id)

    async def sharing(self, own: PeerId, peers: Sequence[PeerId]) -> list[PeerId]:
        """Return those of these peers that hold pairs of a page of which we do."""
        return await self._call(self._looks, page_store.sharing, own, peers)

    async def pages_shared(
        self,
        own: PeerId,
        peer_id: PeerId,
        buckets: Sequence[int],
        after: Digest | None = None,
        count_max: int = limits.PAGES_PER_MESSAGE_MAX,
    ) -> tuple[list[PageState], bool]:
        """Return the next pages, in these buckets, that we share with a peer, and whether there are more."""
        return await self._call(self._looks, page_store.pages_shared, own, peer_id, buckets, after, count_max)

    async def records_of_page(self, page: Digest) -> PageRecords:
        """Return the records of receipts that are kept of a page."""
        return await self._call(self._looks, page_store.records_of_page, page)

    async def records_of_pages(self, blob_id: BlobId) -> PageRecords:
        """Return the records of receipts that are kept of all pages that a blob is in."""
        return await self._call(self._reads, page_store.records_of_pages, blob_id)

    async def records_of_blob(self, blob_id: BlobId) -> PageRecords:
        """Return the holder records and retractions that are kept of a blob."""
        return await self._call(self._reads, page_store.records_of_blob, blob_id)

    async def our_pairs(self, blob_ids: Sequence[BlobId]) -> OurPairs:
        """Return which pairs of these blobs are held here, and whose leases they are under."""
        return await self._call(self._looks, page_store.our_pairs, blob_ids)

    async def merge_page(self, page: Digest, new: PageRecords, view: View) -> PageRecords:
        """Keep what is needed of these checked holder records and retractions of a page; returns what is kept of them.

        Whoever else signed has no part in it: a record only adds, or ends what its own signer promised.
        """
        return await self._call(self._writes, page_store.merge, page, new, view)

    async def retract(self, retractions: Sequence[Signed[Retraction]]) -> list[Signed[Retraction]]:
        """Keep our own retractions of those pairs that are still not held, durably; returns these."""
        return await self._call(self._writes, page_store.retract, retractions)

    async def retracted(
        self, signer: PublicKey, pairs: Sequence[tuple[BlobId, ShardIndex]]
    ) -> dict[tuple[BlobId, ShardIndex], Signed[Retraction]]:
        """Return the last retraction of one signer for each of these pairs that it has retracted."""
        return await self._call(self._looks, page_store.retracted, signer, pairs)

    @property
    def has_untold_losses(self) -> bool:
        """Whether `untold_losses` may return something; from memory."""
        return self._engine.has_untold_losses

    async def untold_losses(self) -> list[tuple[BlobId, ShardIndex]]:
        """Return pairs that were held and are lost, and that were not retracted since; a bounded number at a time."""
        return await self._call(self._looks, page_store.untold_losses)

    @property
    def has_changed_pages(self) -> bool:
        """Whether `take_changed_pages` would return something; from memory."""
        return bool(self._engine.changed_pages)

    async def take_changed_pages(self) -> list[tuple[Digest, bytes]]:
        """Return the pages whose records changed since the last call, each with its committee."""
        return await self._call(self._looks, page_store.take_changed)

    async def collect_records(self, now: float) -> int:
        """Forget records of receipts that have ended by `now` (wall clock); returns how many."""
        return await self._call(self._writes, page_store.collect_records, now)
