"""Which receipts have passed an audit of ours: one outside of its blob's certificate counts as healthy only then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from wire.ids import BlobId, PeerId, ShardIndex

BLOBS_MAX = 20_000
"""Blobs of which passed audits are remembered, about a kilobyte each; the one audited longest ago makes room."""


class PassedAudits:
    """Passed audits of this life, by blob."""

    def __init__(self) -> None:
        """Nobody has passed any."""
        self._passed: OrderedDict[BlobId, dict[ShardIndex, set[PeerId]]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many blobs are remembered."""
        return len(self._passed)

    def note(self, blob_id: BlobId, shard: ShardIndex, peer_id: PeerId, *, passed: bool) -> None:
        """Take note of an audit; one that failed takes back what was passed before."""
        by_shard = self._passed.pop(blob_id, {})
        self._passed[blob_id] = by_shard
        if len(self._passed) > BLOBS_MAX:
            self._passed.popitem(last=False)
        peers = by_shard.setdefault(shard, set())
        if passed:
            peers.add(peer_id)
        else:
            peers.discard(peer_id)

    def of(self, blob_ids: Iterable[BlobId]) -> dict[tuple[BlobId, ShardIndex], frozenset[PeerId]]:
        """Return who has passed for which pair of these blobs."""
        return {
            (blob_id, shard): frozenset(peers)
            for blob_id in dict.fromkeys(blob_ids)
            for shard, peers in self._passed.get(blob_id, {}).items()
        }
