"""The standing of peers in gossip: what they did, weighed; below certain marks they are heard and told less.

This is the peer score of the GossipSub v1.1 specification, with the terms that tell something in a network like ours.
All counts fade: half is forgotten in ten minutes, so nobody is shut out for ever. It takes the time as an argument.

What the specification has and we leave at zero:
- Time in the mesh (P1): who sits still would earn what it can spend on garbage later.
- Too few deliveries in the mesh (P3, P3b): our topics are quiet for minutes, and an honest peer would owe deliveries.
- A score of the application (P5): what is known of a peer elsewhere (audits, contact) is judged there.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from p2pnode.network import gossip_limits
from wire.ids import PeerId

StandingOf = Callable[[PeerId], float]
"""Tells a peer's standing at one moment."""

HALF_LIFE_S = 600.0
"""Half of what a peer did is forgotten after this time."""

NEWS_WEIGHT = 0.5
"""For each message that it was the first to bring (P2): a little, to choose between peers when a mesh is too full."""

NEWS_MAX = 20.0
"""News beyond this does not count, so that the standing that can be earned (10) outweighs one bad message, not two."""

REJECTED_WEIGHT = -10.0
"""Times the square of the messages that no honest peer passes on (P4): one may be a fault of a disk or a new version
(-10: out of the mesh unless it brought news), two cost -40, three -90. No honest peer sends any."""

REJECTED_MAX = 20.0
"""More do not count, so that even the worst is back above GRAYLIST_BELOW after three half-lives."""

FAULT_WEIGHT = -5.0
"""Times the square of the breaches of the protocol above FAULTS_FREE (P7): malformed frames, coming back too early."""

FAULTS_FREE = 2.0
"""Breaches that an honest peer may commit by bad luck, a race between two messages for example."""

FAULTS_MAX = 20.0
"""More do not count, for the same reason as above."""

NEIGHBOUR_WEIGHT = -1.0
"""Times the square of the peers above NEIGHBOURS_FREE that reach us from the same public IP address (P6). Loopback,
private and link-local addresses do not count: there a hundred honest nodes share one."""

NEIGHBOURS_FREE = 10
"""A household or a small office behind one address."""

LEAVE_MESH_BELOW = 0.0
"""Below it a peer is asked out of the mesh, and not in: it gets no message at once any more."""

GOSSIP_BELOW = -20.0
"""Below it names of messages are neither offered to a peer nor asked of it: two rejected messages."""

PUBLISH_BELOW = -30.0
"""Below it a peer gets no message of our own either, however small the mesh is: two rejected messages, for
the first two minutes."""

GRAYLIST_BELOW = -80.0
"""Below it nothing that a peer says but its subscriptions is looked at: three rejected messages, by somebody who
brought no news. It is lifted when the count has faded below 2.8, with three within a minute."""


@dataclass(slots=True)
class _Deeds:
    """What one peer did, faded to the moment `at`."""

    at: float
    news: float = 0.0
    rejected: float = 0.0
    faults: float = 0.0

    def fade(self, now: float) -> None:
        factor = 0.5 ** (max(0.0, now - self.at) / HALF_LIFE_S)
        self.news *= factor
        self.rejected *= factor
        self.faults *= factor
        self.at = now


class Standings:
    """The standing of every peer that did anything; zero for all others."""

    def __init__(self) -> None:
        """Nobody did anything yet."""
        self._deeds: OrderedDict[PeerId, _Deeds] = OrderedDict()
        self._by_host: dict[str, set[PeerId]] = {}
        self._hosts: dict[PeerId, str] = {}

    def __len__(self) -> int:
        """Return how many peers' deeds are remembered."""
        return len(self._deeds)

    def of(self, peer_id: PeerId, *, now: float) -> float:
        """Return a peer's standing."""
        standing = self._crowding(peer_id)
        deeds = self._deeds.get(peer_id)
        if deeds is not None:
            deeds.fade(now)
            standing += NEWS_WEIGHT * deeds.news + REJECTED_WEIGHT * deeds.rejected**2
            standing += FAULT_WEIGHT * max(0.0, deeds.faults - FAULTS_FREE) ** 2
        return standing

    def brought_news(self, peer_id: PeerId, *, now: float) -> None:
        """Note that a peer was the first to bring a message that was accepted."""
        deeds = self._deeds_of(peer_id, now)
        deeds.news = min(NEWS_MAX, deeds.news + 1)

    def was_rejected(self, peer_id: PeerId, *, now: float) -> None:
        """Note that a peer passed on what no honest one would have."""
        deeds = self._deeds_of(peer_id, now)
        deeds.rejected = min(REJECTED_MAX, deeds.rejected + 1)

    def broke_rules(self, peer_id: PeerId, *, now: float) -> None:
        """Note that a peer did what the protocol forbids."""
        deeds = self._deeds_of(peer_id, now)
        deeds.faults = min(FAULTS_MAX, deeds.faults + 1)

    def arrived(self, peer_id: PeerId, host: str) -> None:
        """Note the IP address that a peer reaches us from; only public ones count."""
        self.left(peer_id)
        if _is_public(host):
            self._hosts[peer_id] = host
            self._by_host.setdefault(host, set()).add(peer_id)

    def left(self, peer_id: PeerId) -> None:
        """Note that a peer has no connection any more; what it did stays."""
        host = self._hosts.pop(peer_id, None)
        if host is not None:
            self._by_host[host].discard(peer_id)
            if not self._by_host[host]:
                del self._by_host[host]

    def _crowding(self, peer_id: PeerId) -> float:
        host = self._hosts.get(peer_id)
        if host is None:
            return 0.0
        return NEIGHBOUR_WEIGHT * max(0, len(self._by_host[host]) - NEIGHBOURS_FREE) ** 2

    def _deeds_of(self, peer_id: PeerId, now: float) -> _Deeds:
        deeds = self._deeds.setdefault(peer_id, _Deeds(now))
        self._deeds.move_to_end(peer_id)
        if len(self._deeds) > gossip_limits.STANDINGS_MAX:
            self._deeds.popitem(last=False)
        deeds.fade(now)
        return deeds


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:  # A relay, or the transport of a test.
        return False
