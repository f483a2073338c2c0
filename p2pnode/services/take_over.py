"""Taking pairs over from a node that leaves for good, or has read a blob whole to make what is missing of it.

Each is fetched whole from it, checked, stored and signed for.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from p2pnode.coding import BlobMetadata, CodingError, verify_sliver
from p2pnode.errors import (
    DiskFullError,
    LeaseError,
    LocalStorageError,
    PeerFaultError,
    PeerUnavailableError,
    QuotaError,
    TooFewPairsError,
)
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair import exchange
from p2pnode.protocols.repair.budget import Credit
from p2pnode.protocols.repair.handing import check_offer, check_rescued
from p2pnode.protocols.repair.ranks import rank_of
from p2pnode.protocols.repair.survey import LostShard, PageView
from p2pnode.protocols.store import record_of
from p2pnode.services.announce import Announcer
from p2pnode.services.context import Context
from p2pnode.services.health import HealthView
from p2pnode.services.losses import learn_page
from p2pnode.services.membership import Membership
from p2pnode.services.peers import Answer
from p2pnode.services.signing import sign_pairs
from wire.ids import Axis, BlobId, PeerId, ShardIndex
from wire.messages import GetSliver, RefusalCode, SliverData
from wire.repair import TakenOver, TakeOver

log = logging.getLogger(__name__)

REQUESTS = (TakeOver,)
"""The requests of the `repair` protocol that are answered here."""

WAITING_MAX = 8
"""Offers that wait for the one that is being taken: more are refused."""


class Taker:
    """Answers offers of nodes that drain."""

    def __init__(
        self,
        context: Context,
        membership: Membership,
        health: HealthView,
        announcer: Announcer,
        *,
        metadata: Callable[[PageView, BlobId], Awaitable[BlobMetadata]],
    ) -> None:
        """Nothing was offered yet; `metadata` finds that of a blob at any of its holders."""
        profile, now = context.profile, context.clock.monotonic()
        self._context = context
        self._membership = membership
        self._health = health
        self._announcer = announcer
        self._metadata = metadata
        self._turn = trio.Lock()
        self._credit = Credit(per_s=profile.repair_bytes_per_s, carried_s=profile.repair_credit_s, now=now)

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Take what is offered over, then answer. Raises `RefusalError`."""
        del payload
        if not isinstance(message, TakeOver):
            raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no offer")
        if self._turn.statistics().tasks_waiting >= WAITING_MAX:
            raise RefusalError(RefusalCode.BUSY, "too many nodes offer their pairs at once")
        try:
            async with self._turn:
                return await self._take(peer_id, message), ()
        except (QuotaError, DiskFullError) as error:
            raise RefusalError(RefusalCode.NO_SPACE, str(error)) from error
        except LeaseError as error:
            raise RefusalError(RefusalCode.LEASE, str(error)) from error
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error
        except (PeerUnavailableError, PeerFaultError, CodingError, TooFewPairsError) as error:
            log.info("%s did not hand its pairs over: %s", peer_id, error)
            raise RefusalError(RefusalCode.BUSY, f"the pairs could not be had: {error}") from error

    async def _take(self, peer_id: PeerId, offer: TakeOver) -> TakenOver:
        context = self._context
        await context.clock.sleep(self._credit.wait_s(context.clock.monotonic()))
        view = await self._view(peer_id, offer)
        shard = ShardIndex(offer.shard)
        for lost in self._checked(peer_id, view, offer):
            if rank_of(self._health.order(view, lost), context.own, missing=lost.missing) is None:
                raise RefusalError(RefusalCode.BUSY, "others come before this node for the shard")
        await context.store.certify(view.certificate, view.lease)
        for blob_id, _ in await context.store.missing([(blob_id, shard) for blob_id in offer.blob_ids]):
            await self._fetch(peer_id, view, blob_id, shard)
        holder = await sign_pairs(context, self._announcer, view, shard, offer.blob_ids)
        return TakenOver(holder=holder.record)

    def _checked(self, peer_id: PeerId, view: PageView, offer: TakeOver) -> list[LostShard]:
        """Return what is offered as our own view has it, or would have it soon. Raises `RefusalError`."""
        if self._membership.table.is_draining(peer_id):
            return check_offer(view, offer, leaving=peer_id, own=self._context.own, stays=self._health.stays)
        return check_rescued(view, offer)

    async def _view(self, peer_id: PeerId, offer: TakeOver) -> PageView:
        view = await self._health.survey(offer.page)
        if view is None or not self._knows(view, peer_id):
            await learn_page(self._context, self._health, peer_id, offer.page)
            view = await self._health.survey(offer.page)
        if view is None:
            raise RefusalError(RefusalCode.NOT_HELD, "no certificate of this page is in effect as far as is known here")
        return view

    def _knows(self, view: PageView, peer_id: PeerId) -> bool:
        """Tell whether we have a part in a page, so that its receipts come here by themselves."""
        return {self._context.own, peer_id} <= view.receipts.signers()

    async def _fetch(self, peer_id: PeerId, view: PageView, blob_id: BlobId, shard: ShardIndex) -> None:
        """Fetch one pair and store it."""
        context = self._context
        metadata = await self._metadata(view, blob_id)
        primary = await self._sliver(peer_id, metadata, shard, Axis.PRIMARY)
        secondary = await self._sliver(peer_id, metadata, shard, Axis.SECONDARY)
        self._credit.spend(len(primary) + len(secondary), context.clock.monotonic())
        await context.store.store_pair(blob_id, shard, record_of(metadata), primary, secondary, [view.lease])

    async def _sliver(self, peer_id: PeerId, metadata: BlobMetadata, shard: ShardIndex, axis: Axis) -> bytes:
        """Return one sliver, which is checked before it counts."""
        context = self._context
        index = exchange.sliver_of_shard(metadata.blob_id, shard, axis, metadata.n)
        request = GetSliver(blob_id=metadata.blob_id, axis=axis, index=index)
        reply = await context.peers.ask(peer_id, "read", request, expect=(SliverData,))
        await context.offload.run(verify_sliver, metadata, axis, index, reply.payload)
        return reply.payload
