"""Handing pairs over: who leaves for good gives each of its pairs to those that would rebuild it once it is gone.

The same order as for a lost shard, with the one that leaves counted as lost already; so nothing is to be repaired
afterwards, and no byte moves but those of the pairs. Who takes one checks by its own view that there is something to
take: a live receipt of the one that leaves, and nobody else who keeps the pair. Pairs of a blob that one node had to
read whole, to make what was missing of it, are handed over in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair.health import Level
from p2pnode.protocols.repair.survey import LostShard, PageView
from wire.ids import BlobId, PeerId, ShardIndex
from wire.messages import RefusalCode
from wire.repair import TakeOver


def promised_until(view: PageView, pair: Pair, signer: PeerId) -> int:
    """Return until when a node has promised a pair, in seconds since 1970; 0 when it has not."""
    live = view.receipts.register(pair, signer).live
    return max((each.lease_end for each in live if each.lease_end >= view.wall), default=0)


def promises_of(view: PageView, signer: PeerId) -> list[Pair]:
    """Return the pairs of a page that a node has promised. Looks through all of them: call it in a worker."""
    return sorted(pair for pair in view.receipts.pairs() if promised_until(view, pair, signer))


def heirs(view: PageView, pair: Pair, leaving: PeerId) -> list[PeerId]:
    """Return who else has promised a pair, for at least as long as the one that leaves."""
    until = promised_until(view, pair, leaving)
    others = view.receipts.holders(pair, now=view.wall)
    return [each for each in others if each != leaving and promised_until(view, pair, each) >= until]


def as_if_lost(view: PageView, pairs: Collection[Pair], leaving: PeerId) -> list[LostShard]:
    """Return these pairs of the one that leaves as if they were lost, those that are alike together."""
    together: dict[LostShard, list[BlobId]] = {}
    for blob_id, shard in sorted(pairs):
        blob = view.blobs[blob_id]
        staying = [[each for each in peers if each != leaving] for peers in blob.holders]
        lost = LostShard(
            shard=shard,
            level=Level.NORMAL,
            margin=blob.health.margin,
            missing=sum(not peers for peers in staying),
            blob_ids=(),
            former=frozenset(),
            holders=tuple(peers[0] if peers else None for peers in staying),
        )
        together.setdefault(lost, []).append(blob_id)
    return [replace(lost, blob_ids=tuple(blob_ids)) for lost, blob_ids in together.items()]


def check_rescued(view: PageView, offer: TakeOver) -> list[LostShard]:
    """Check an offer of one that has read blobs whole, because too few of their pairs are left. Raises `RefusalError`.

    The pairs are missing as we see it too, and their symbols are not to be had.
    """
    shard = ShardIndex(offer.shard)
    found: list[LostShard] = []
    for blob_id in offer.blob_ids:
        lost = view.lost_shard(blob_id, shard) if blob_id in view.blobs and shard < view.n else None
        if lost is None or lost.first is None:
            message = f"shard {shard} of blob {blob_id} is not missing here, or to be rebuilt from symbols"
            raise RefusalError(RefusalCode.BUSY, message)
        found.append(lost)
    return found


def check_offer(
    view: PageView, offer: TakeOver, *, leaving: PeerId, own: PeerId, stays: Callable[[PeerId], bool]
) -> list[LostShard]:
    """Check what is offered by our own view, and return it as if it were lost. Raises `RefusalError`.

    `stays` tells of a node whether it is here, and does not leave too.
    """
    shard = ShardIndex(offer.shard)
    blobs = set(offer.blob_ids)
    if not blobs <= view.blobs.keys() or shard >= view.n:
        raise RefusalError(RefusalCode.INVALID, "an offer of blobs or a shard that are not of its page")
    if len(blobs) < len(offer.blob_ids):
        raise RefusalError(RefusalCode.INVALID, "an offer that names a blob twice")
    pairs = [(blob_id, shard) for blob_id in offer.blob_ids]
    if not all(promised_until(view, pair, leaving) for pair in pairs):
        raise RefusalError(RefusalCode.INVALID, "an offer of a pair for which the asker has no live receipt")
    if any(each != own and stays(each) for pair in pairs for each in heirs(view, pair, leaving)):
        raise RefusalError(RefusalCode.BUSY, "another node keeps one of these pairs already")
    if any(view.blobs[blob_id].is_crowded() for blob_id in offer.blob_ids):
        raise RefusalError(RefusalCode.BUSY, "one of these blobs has as many receipts as it may have")
    return as_if_lost(view, pairs, leaving)
