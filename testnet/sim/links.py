"""How long bytes take from one simulated node to another: latency, bandwidth, loss, and what gossip suffers on its way.

All pairs have the world's link until a fault gives some of them a worse one. Streams are TCP: a lost packet costs time
and never order. Gossip goes through other peers, of whom any may be late or tell a thing twice; so only gossip is
passed by later messages, or arrives again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from p2pnode.network.gossip_limits import SEEN_S
from testnet.sim.faults import FaultKind, FaultLog

_RETRANSMIT_S = 0.2
"""What the first loss of a packet costs; each further one costs twice as much as the one before, as TCP backs off."""

LOSS_MAX = 0.5
"""With more than half of the packets lost TCP makes no progress: that is a cut."""

Pair = tuple[str, str]
"""The names of a sender and a receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How a pair of nodes is connected, in one direction. Shares are from 0 to 1."""

    latency_s: float = 0.02
    """One way."""
    jitter_s: float = 0.01
    loss: float = 0.001
    """The share of packets that are sent again."""
    bytes_per_s: float = 12.5e6
    """Of the world's link: the uplink of one node, shared by everything that it sends. Of a pair's own: only for it."""
    duplicates: float = 0.0
    """The share of gossip messages that come a second time when the network has forgotten that they were seen."""
    duplicate_s_max: float = 300.0
    """How long after the first time, at most. What comes again sooner never gets as far as the node."""
    reorders: float = 0.0
    """The share of gossip messages that are late, so that others pass them."""
    reorder_s_max: float = 10.0

    def __post_init__(self) -> None:
        """Refuse a link over which nothing ever arrives."""
        assert 0 <= self.loss <= LOSS_MAX, f"a link that loses more than {LOSS_MAX} is cut: {self.loss}"
        assert self.bytes_per_s > 0, "a link without bandwidth is cut"


@dataclass(slots=True)
class _Way:
    """One direction between two nodes that has a link of its own."""

    link: Link
    is_slow: bool
    free_at: float = 0.0


class Links:
    """The links of all pairs."""

    def __init__(self, usual: Link, *, rng: random.Random, log: FaultLog) -> None:
        """Give every pair the usual link; `log` is told of each fault that a message meets."""
        self.usual = usual
        self._rng = rng
        self._log = log
        self._ways: dict[Pair, _Way] = {}
        self._uplink_free_at: dict[str, float] = {}

    def change(self, pairs: Iterable[Pair], change: Callable[[Link], Link]) -> None:
        """Give these pairs another link, made from the one that each has now."""
        for pair in pairs:
            link = change(self.of(pair))
            is_slow = link.latency_s > self.usual.latency_s or link.bytes_per_s < self.usual.bytes_per_s
            self._ways[pair] = _Way(link, is_slow)

    def heal(self, core: Collection[str] | None = None) -> None:
        """Give pairs within the core the usual link again; all pairs when no core is named."""
        self._ways = {pair: way for pair, way in self._ways.items() if core is not None and not is_within(pair, core)}

    def of(self, pair: Pair) -> Link:
        """Return the link of a pair."""
        way = self._ways.get(pair)
        return self.usual if way is None else way.link

    def arrival(self, pair: Pair, size: int, *, now: float) -> float:
        """Return when bytes that are sent now are there: behind all that the sender sent before."""
        sent_at = self.spend(pair[0], size, now=now)
        way = self._ways.get(pair) if self._ways else None
        if way is None:
            return sent_at + self._travel_s(self.usual)
        if way.is_slow:
            self._log.fire(FaultKind.SLOW_LINK)
        sent_at = way.free_at = max(sent_at, way.free_at) + size / way.link.bytes_per_s
        return sent_at + self._travel_s(way.link)

    def spend(self, source: str, size: int, *, now: float) -> float:
        """Take a node's uplink for so many bytes; return when they have left."""
        sent_at = max(now, self._uplink_free_at.get(source, 0.0)) + size / self.usual.bytes_per_s
        self._uplink_free_at[source] = sent_at
        return sent_at

    def round_trip_s(self, pair: Pair) -> float:
        """Return how long a short question and its answer take now."""
        return self._travel_s(self.of(pair)) + self._travel_s(self.of((pair[1], pair[0])))

    def gossip_delay_s(self, pair: Pair) -> float:
        """Return by how much a gossip message is late; mostly by nothing."""
        link = self.of(pair)
        if not link.reorders or self._rng.random() >= link.reorders:
            return 0.0
        self._log.fire(FaultKind.REORDER)
        return self._rng.uniform(0.0, link.reorder_s_max)

    def gossip_again_s(self, pair: Pair) -> float | None:
        """Return how much later a gossip message comes again; mostly it does not."""
        link = self.of(pair)
        if not link.duplicates or self._rng.random() >= link.duplicates:
            return None
        return self._rng.uniform(SEEN_S, link.duplicate_s_max)

    def _travel_s(self, link: Link) -> float:
        seconds = link.latency_s + link.jitter_s * self._rng.random()
        again_s = _RETRANSMIT_S
        while self._rng.random() < link.loss:
            self._log.fire(FaultKind.LOSS)
            seconds += again_s
            again_s *= 2
        return seconds


def is_within(pair: Pair, core: Collection[str]) -> bool:
    """Tell whether both nodes of a pair belong to the core."""
    return pair[0] in core and pair[1] in core
