"""Circuits: what a relay grants to whom, and how fast it carries.

A relay lends its reachability to nodes that nobody can dial (libp2p circuit relay v2). It sees sealed bytes only: the
two ends shake hands through it as they would over a socket. The desk below is the relay's memory; it decides, and the
waiting stands in `libp2p_relay.py`.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from p2pnode.network import limits
from wire.ids import PeerId


class Grant(enum.Enum):
    """A relay's answer."""

    OK = "ok"
    NO_RESERVATION = "the peer has no reservation here"
    TOO_MANY = "the relay is full"
    NOT_THIS_WAY = "a relayed connection cannot be relayed again"


class _Allowance:
    """How often something is granted. What is refused costs nothing, so whoever slows down is served again at once."""

    def __init__(self, *, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Tell whether it is granted now."""
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now
        is_granted = self._level >= 1.0
        self._level -= is_granted
        return is_granted


class RelayDesk:
    """Reservations and circuits of one relay, each kind bounded in all, per network prefix and per peer."""

    def __init__(self) -> None:
        """Start with nothing granted."""
        self._expiry: dict[PeerId, float] = {}
        self._prefix: dict[PeerId, str] = {}
        self._circuits_from: Counter[PeerId] = Counter()
        self._circuits_to: Counter[PeerId] = Counter()
        self._asks: dict[PeerId, _Allowance] = {}
        """How often each source may ask."""
        self._offers: dict[PeerId, _Allowance] = {}
        """How often each target is asked: it would end a connection on which streams come and go too fast."""

    @property
    def reservation_count(self) -> int:
        """Reservations that are kept, those that ran out since the last one was asked for included."""
        return len(self._expiry)

    @property
    def circuit_count(self) -> int:
        """Circuits that are open now."""
        return self._circuits_from.total()

    def reserve(self, peer_id: PeerId, *, prefix: str, now: float) -> Grant:
        """Grant or renew a reservation for RELAY_RESERVATION_S; `prefix` is the network that the peer comes from."""
        self._expire(now)
        if peer_id not in self._expiry:
            from_there = sum(each == prefix for each in self._prefix.values())
            if len(self._expiry) >= limits.RELAY_RESERVATIONS_MAX or (
                prefix and from_there >= limits.RELAY_RESERVATIONS_PER_PREFIX_MAX
            ):
                return Grant.TOO_MANY
        self._expiry[peer_id] = now + limits.RELAY_RESERVATION_S
        self._prefix[peer_id] = prefix
        return Grant.OK

    def release(self, peer_id: PeerId) -> None:
        """Forget the reservation of a peer whose connection is gone; no error when it has none."""
        self._expiry.pop(peer_id, None)
        self._prefix.pop(peer_id, None)
        self._offers.pop(peer_id, None)

    def may_connect(self, source: PeerId, target: PeerId, *, now: float) -> Grant:
        """Tell whether a circuit from one peer to another is granted; asking counts, whatever the answer is."""
        self._expire(now)
        asks = self._asks.pop(source, None) or _Allowance(
            per_s=limits.RELAY_ASKS_PER_S, burst=limits.RELAY_ASKS_BURST, now=now
        )
        self._asks[source] = asks  # At the end: who asked longest ago is forgotten first.
        while len(self._asks) > limits.RELAY_SOURCES_KEPT_MAX:
            del self._asks[next(iter(self._asks))]
        if not asks.take(now):
            return Grant.TOO_MANY
        if target not in self._expiry:
            return Grant.NO_RESERVATION
        if (
            self.circuit_count >= limits.RELAY_CIRCUITS_MAX
            or self._circuits_from[source] >= limits.RELAY_CIRCUITS_FROM_PEER_MAX
            or self._circuits_to[target] >= limits.RELAY_CIRCUITS_TO_PEER_MAX
        ):
            return Grant.TOO_MANY
        offers = self._offers.setdefault(
            target, _Allowance(per_s=limits.RELAY_OFFERS_PER_S, burst=limits.RELAY_OFFERS_BURST, now=now)
        )
        return Grant.OK if offers.take(now) else Grant.TOO_MANY

    @contextmanager
    def circuit(self, source: PeerId, target: PeerId) -> Iterator[None]:
        """Count a circuit for as long as the block lasts."""
        self._circuits_from[source] += 1
        self._circuits_to[target] += 1
        try:
            yield
        finally:
            for counter, peer_id in ((self._circuits_from, source), (self._circuits_to, target)):
                counter[peer_id] -= 1
                if not counter[peer_id]:
                    del counter[peer_id]

    def _expire(self, now: float) -> None:
        for peer_id in [each for each, expiry in self._expiry.items() if expiry <= now]:
            self.release(peer_id)


class RelayBudget:
    """How fast all circuits together may carry bytes: a bucket that fills at RELAY_BYTES_PER_S."""

    def __init__(self) -> None:
        """Start full."""
        self._level = float(limits.RELAY_BURST_BYTES)
        self._at: float | None = None

    def wait_s(self, count: int, *, now: float) -> float:
        """Take `count` bytes out and return how long to wait before they may be carried."""
        idle_s = 0.0 if self._at is None else now - self._at
        self._level = min(limits.RELAY_BURST_BYTES, self._level + idle_s * limits.RELAY_BYTES_PER_S)
        self._at = now
        self._level -= count
        return max(0.0, -self._level / limits.RELAY_BYTES_PER_S)
