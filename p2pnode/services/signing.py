"""Signing for pairs outside of any certificate: after a repair, or when one that leaves has handed them over."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.protocols.page_records import NamedHolder, PageRecords, make_holder_record
from p2pnode.protocols.receipt_set import View
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.repair.survey import PageView
from p2pnode.services.announce import Announcer
from p2pnode.services.context import Context
from p2pnode.services.keep import RECEIPTS
from wire.ids import BlobId, ShardIndex


async def sign_pairs(
    context: Context, announcer: Announcer, view: PageView, shard: ShardIndex, blob_ids: Sequence[BlobId]
) -> NamedHolder:
    """Sign for pairs of a page that are durable, keep the record, and let others know. Raises as the store does."""
    positions = [at for at, blob_id in enumerate(view.group.blob_ids) if blob_id in blob_ids]
    holder = make_holder_record(
        context.identity,
        view.lease,
        view.group,
        (shard_set(shard, positions, blob_count=len(view.group.blob_ids)),),
        network=context.network_name,
        sequence=await context.store.take_number(RECEIPTS),
        time=context.wall_seconds(),
    )
    own_view = View(audited=context.passed.of(blob_ids), ranks={context.own: 0})
    await context.store.receipts.merge_page(view.page, PageRecords(holders=(holder,)), own_view)
    announcer.announce_holder(holder, blob_ids)
    return holder
