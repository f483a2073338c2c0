"""Intents: who is rebuilding which pair, as its sources know, so that others wait for it, and not for ever.

An intent is made known by the requests that carry it, or by one that asks for nothing where a blob is read whole. Any
two repairers need a source in common, so the later one hears of the earlier. It waits only for one that ranks before
it: else two that each reached some of the sources would wait for each other. An intent holds others up once for each
node and loss, and at most three in all do: whoever promises and does nothing delays a repair by three times the time of
one pair, and no more. It costs no score: a source cannot tell whether it was the repairer's fault (ADR 0020).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from p2pnode import bft
from p2pnode.config import Profile
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.repair.ranks import FIRST_RANKS
from p2pnode.protocols.repair.survey import PageView
from wire.ids import BlobId, Digest, PeerId, ShardIndex

INTENTS_PER_LOSS_MAX = 3
"""Intents that may delay the repair of one pair."""

YIELDS_SHARE = 1 / 8
"""The part of an intent's time in which it yields to nobody: that of a repairer eight times as fast as the slowest.

The pairs of a large file are rebuilt together, and signed for at the end: whoever comes before, and was busy with other
pairs until then, would rebuild them once more."""

LOSSES_MAX = 20_000
"""Losses of which intents are remembered, some 300 bytes each; the one asked about longest ago makes room."""

Loss = tuple[Pair, Digest]
"""A pair, and the digest of what was lost of it: the next loss of the same pair is another one."""


def lasts_s(profile: Profile, pair_bytes: int) -> float:
    """Return how long an intent counts that is for so many bytes of pairs: what the slowest repairer may take."""
    return profile.request_timeout_s + pair_bytes / profile.bytes_per_s_min


def bytes_of_rescue(pair_bytes: int, *, n: int, missing: int) -> int:
    """Return how many bytes it takes to read a blob whole and hand its missing pairs on; that is bounded from above."""
    return (bft.primary_source(n) + missing) * pair_bytes


def loss_of(view: PageView, blob_id: BlobId, shard: ShardIndex, *, is_whole: bool) -> Loss:
    """Return by what name an intent is kept: for a pair, or for a blob that has to be read whole."""
    if is_whole:
        return (blob_id, ShardIndex(0)), view.loss_of_whole(blob_id)
    return (blob_id, shard), view.loss_of((blob_id, shard))


@dataclass(slots=True)
class _Record:
    since: float = 0.0
    until: float = 0.0
    rank: int = 0
    """Of the node whose intent counts."""
    nodes: list[PeerId] = field(default_factory=list)
    """Those whose intents have delayed others, in their order; the last one's counts until `until`."""


class IntentBook:
    """What this node has heard of intents. Times are monotonic, in seconds."""

    def __init__(self, *, yields_after_s: float = 0.0) -> None:
        """Nobody intends anything. After so long, or YIELDS_SHARE, a node makes way for one that ranks before it.

        By then its receipt is known, if it has rebuilt the pair.
        """
        self._yields_after_s = yields_after_s
        self._losses: OrderedDict[Loss, _Record] = OrderedDict()

    def __len__(self) -> int:
        """Return how many losses are remembered."""
        return len(self._losses)

    def busy_until(self, loss: Loss, node: PeerId, *, now: float, is_urgent: bool, rank: int) -> float | None:
        """Return until when a node has to wait for another's intent; None when it may begin."""
        record = self._losses.get(loss)
        if record is None or record.until <= now or record.nodes[-1] == node:
            return None
        if self._yields(record, rank, now):
            return None
        return None if is_urgent and rank < FIRST_RANKS else record.until

    def is_at_work(self, loss: Loss, node: PeerId, *, now: float) -> bool:
        """Tell whether it is a node's own intent that counts: what it has begun it may finish."""
        record = self._losses.get(loss)
        return record is not None and record.until > now and record.nodes[-1] == node

    def begin(self, loss: Loss, node: PeerId, *, now: float, until: float, rank: int) -> bool:
        """Take note of an intent; returns whether it holds others up, which it does once."""
        record = self._losses.pop(loss, None) or _Record()
        self._losses[loss] = record
        if len(self._losses) > LOSSES_MAX:
            self._losses.popitem(last=False)
        counts = record.until > now and not self._yields(record, rank, now)
        if node in record.nodes or counts or len(record.nodes) >= INTENTS_PER_LOSS_MAX:
            return False
        record.nodes.append(node)
        record.since, record.until, record.rank = now, until, rank
        return True

    def _yields(self, record: _Record, rank: int, now: float) -> bool:
        given_s = max(self._yields_after_s, YIELDS_SHARE * (record.until - record.since))
        return rank < record.rank and now - record.since >= given_s
