"""Telling of losses: candidates that hold nothing of a blob cannot see that something of it is missing.

What one is told is looked at with one's own eyes: the records come from whoever told it, and prove themselves.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable

import trio

from p2pnode.errors import PeerFaultError, PeerUnavailableError
from p2pnode.protocols.certificates import check_certificate
from p2pnode.protocols.page_records import PageRecords, check_holder_record, page_name
from p2pnode.protocols.repair.health import Presence
from p2pnode.protocols.repair.ranks import whom_to_tell
from p2pnode.protocols.repair.survey import LostShard
from p2pnode.protocols.retractions import open_retraction
from p2pnode.protocols.sync import fitting_bundle
from p2pnode.services.context import Context
from p2pnode.services.health import HealthView
from p2pnode.services.recover import REPAIR
from wire import limits
from wire.ids import Digest, PeerId, ShardIndex
from wire.messages import ExchangePage, PageExchanged
from wire.records import RecordBundle
from wire.repair import LossNoted, TellLoss

log = logging.getLogger(__name__)

HEARD_MAX = 256
"""Losses that we were told of and have not looked at yet; what is beyond will be told again."""

TOLD_MAX = 20_000
"""Losses of which it is remembered when we told them to whom; the oldest make room, and may be told again."""

TOLD_AGAIN_AFTER_STEPS = 10
"""A candidate that was told, and has done nothing, is told again after so many rank steps."""


class LossTeller:
    """Tells candidates of losses, and hears of them."""

    def __init__(self, context: Context, health: HealthView, *, on_changed: Callable[[Iterable[Digest]], None]) -> None:
        """Nothing is told before `run`; `on_changed` hears of pages that others told us of."""
        self._context = context
        self._health = health
        self._on_changed = on_changed
        self._heard: OrderedDict[Digest, PeerId] = OrderedDict()
        self._waiting: OrderedDict[tuple[PeerId, Digest, ShardIndex], TellLoss] = OrderedDict()
        self._told_at: OrderedDict[tuple[PeerId, Digest, ShardIndex], float] = OrderedDict()
        self._has_work = trio.Event()

    def hear(self, peer_id: PeerId, message: TellLoss) -> None:
        """Take note of a loss that a peer tells."""
        if len(self._heard) < HEARD_MAX:
            self._heard[message.page] = peer_id
            self._has_work.set()

    def tell(self, page: Digest, lost: LostShard, order: list[PeerId], *, waited_steps: float) -> None:
        """Let candidates that hold nothing of the blobs be told, when it is our turn to."""
        context = self._context
        holders = [each for each in lost.holders if each is not None and self._health.presence(each) is Presence.HERE]
        now = context.clock.monotonic()
        again_after_s = TOLD_AGAIN_AFTER_STEPS * context.profile.repair_rank_step_s
        for peer_id in whom_to_tell(order, holders=holders, own=context.own, waited_steps=waited_steps):
            key = (peer_id, page, lost.shard)
            told_at = self._told_at.get(key)
            if told_at is None or now - told_at >= again_after_s:
                self._told_at[key] = now
                self._told_at.move_to_end(key)
                blob_ids = lost.blob_ids[: limits.REPAIR_BLOBS_MAX]
                self._waiting[key] = TellLoss(page=page, blob_ids=blob_ids, shard=lost.shard)
                self._has_work.set()
        for table in (self._told_at, self._waiting):
            while len(table) > TOLD_MAX:
                table.popitem(last=False)

    async def run(self) -> None:
        """Tell and hear until cancelled, at once: whoever is told is to have its turn before the others."""
        while True:
            await self._has_work.wait()
            self._has_work = trio.Event()
            while self._waiting:
                (peer_id, _, _), message = self._waiting.popitem(last=False)
                await self._tell(peer_id, message)
            while self._heard:
                page, peer_id = self._heard.popitem(last=False)
                await self._look(peer_id, page)

    async def _tell(self, peer_id: PeerId, message: TellLoss) -> None:
        try:
            await self._context.peers.ask(peer_id, REPAIR, message, expect=(LossNoted,))
        except (PeerUnavailableError, PeerFaultError) as error:
            log.debug("%s does not hear of a loss: %s", peer_id, error)

    async def _look(self, peer_id: PeerId, page: Digest) -> None:
        """Fetch the records of a page from whoever told us of it."""
        try:
            if await learn_page(self._context, self._health, peer_id, page):
                self._on_changed([page])
        except (PeerUnavailableError, PeerFaultError) as error:
            log.debug("no records of a page that %s told of: %s", peer_id, error)


async def learn_page(context: Context, health: HealthView, peer_id: PeerId, page: Digest) -> bool:
    """Ask a peer for its records of a page of which we may hold nothing, and take those that are good for true.

    Returns whether a certificate is among them. Raises `PeerUnavailableError` or `PeerFaultError`.
    """
    question = ExchangePage(page=page, has=(), records=fitting_bundle(PageRecords()))
    reply = await context.peers.ask(peer_id, "sync", question, expect=(PageExchanged,))
    assert isinstance(reply.message, PageExchanged)
    records = await context.offload.run(_check, page, reply.message.records, context.network_name)
    if records.certificates:
        health.told(page, records)
    return bool(records.certificates)


def _check(page: Digest, bundle: RecordBundle, network: str) -> PageRecords:
    """Return those of the records that are good and of the page. Checks many signatures: call it in a worker."""
    certificates, holders, retractions = [], [], []
    for envelope in bundle.certificates:
        with contextlib.suppress(PeerFaultError):
            certificate = check_certificate(envelope, network=network)
            lease = certificate.lease
            if page_name(lease.signer, lease.record.target, certificate.page.page_index) == page:
                certificates.append(certificate.signed)
    for each in bundle.holders:
        with contextlib.suppress(PeerFaultError):
            holder = check_holder_record(each, network=network)
            if page_name(holder.lease.signer, holder.lease.record.target, each.page.page_index) == page:
                holders.append(holder)
    for envelope in bundle.retractions:
        with contextlib.suppress(PeerFaultError):
            retractions.append(open_retraction(envelope, network=network))
    return PageRecords(certificates=tuple(certificates), holders=tuple(holders), retractions=tuple(retractions))
