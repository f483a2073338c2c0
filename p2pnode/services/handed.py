"""Offering pairs to a node that comes next for them, and keeping the receipt with which it answers."""

from __future__ import annotations

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.page_records import NamedHolder, PageRecords, check_holder_record
from p2pnode.protocols.receipt_set import View
from p2pnode.protocols.receipts import pairs_of
from p2pnode.protocols.repair.survey import PageView
from p2pnode.services.context import Context
from wire.ids import PeerId, ShardIndex
from wire.repair import TakenOver, TakeOver


async def ask_to_take(context: Context, view: PageView, heir: PeerId, offer: TakeOver, *, pair_bytes: int) -> None:
    """Offer pairs of a page, of so many bytes in all, and wait until they are signed for.

    Raises `PeerUnavailableError`, `PeerFaultError`, or as the store does.
    """
    profile = context.profile
    timeout_s = 2 * (profile.request_timeout_s + pair_bytes / profile.bytes_per_s_min)
    reply = await context.peers.ask(heir, "repair", offer, expect=(TakenOver,), timeout_s=timeout_s)
    holder = await context.offload.run(_check_holder, reply.message, context.network_name)
    signed = set(pairs_of(holder.record.page, holder.record.holder.shard_sets))
    wanted = {(blob_id, ShardIndex(offer.shard)) for blob_id in offer.blob_ids}
    if holder.signer != heir or not wanted <= signed or holder.record.page != view.group:
        message = f"{heir} signed for something else than it was offered"
        raise PeerFaultError(message)
    await context.store.receipts.merge_page(view.page, PageRecords(holders=(holder,)), View(ranks={heir: 0}))


def _check_holder(taken: TakenOver, network: str) -> NamedHolder:
    return check_holder_record(taken.holder, network=network)
