"""Who is given symbols: what a holder checks of a request for repair, by its own view of the blobs.

A pair is rebuilt only where it is missing in the holder's view too. The asker's own live receipt for it is a reason to
refuse: it has the pair, or has lost it and not said so.
"""

from __future__ import annotations

from collections.abc import Mapping

from p2pnode.coding import BlobMetadata
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair.survey import LostShard, PageView
from wire import limits
from wire.ids import BlobId, PeerId, ShardIndex
from wire.messages import RefusalCode
from wire.repair import RecoverSymbols, RepairIntent


def check_request(request: RecoverSymbols, intent: RepairIntent, view: PageView) -> None:
    """Check that a request fits its intent, and the intent our view of the page. Raises `RefusalError`."""
    if not set(intent.blob_ids) <= view.blobs.keys() or intent.shard >= view.n:
        raise RefusalError(RefusalCode.INVALID, "an intent for blobs or a shard that are not of its page")
    named = [(each.blob, each.axis, each.index) for each in request.wanted]
    if len(set(named)) != len(named):
        raise RefusalError(RefusalCode.INVALID, "a symbol is wanted twice")
    if any(each.blob >= len(intent.blob_ids) or each.index >= view.n for each in request.wanted):
        raise RefusalError(RefusalCode.INVALID, "a symbol is wanted of a blob or a sliver that there is not")


def check_size(request: RecoverSymbols, intent: RepairIntent, known: Mapping[BlobId, BlobMetadata]) -> None:
    """Check that an answer to all of a request fits into one message. Raises `RefusalError`."""
    sizes = [
        known[intent.blob_ids[each.blob]].symbol_bytes for each in request.wanted if intent.blob_ids[each.blob] in known
    ]
    if sum(sizes) > limits.RECOVERY_BYTES_MAX:
        message = f"{sum(sizes)} bytes of symbols at once, {limits.RECOVERY_BYTES_MAX} are given"
        raise RefusalError(RefusalCode.INVALID, message)


def lost_of(view: PageView, shard: ShardIndex, blob_id: BlobId, *, asker: PeerId) -> LostShard:
    """Return what is lost of a blob as we see it, if this shard is and the asker may have it. Raises `RefusalError`."""
    pair = (blob_id, shard)
    if any(each.lease_end >= view.wall for each in view.receipts.register(pair, asker).live):
        raise RefusalError(
            RefusalCode.INVALID, "the asker has a live receipt for this pair: it is to be retracted first"
        )
    lost = view.lost_shard(blob_id, shard)
    if lost is None:
        raise RefusalError(RefusalCode.BUSY, f"shard {shard} of blob {blob_id} is not missing as this node sees it")
    return lost
