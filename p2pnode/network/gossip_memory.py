"""What gossip remembers of messages: the names of those seen, the latest messages themselves, and who is owed a name.

All are bounded, and none has a thread: they age by being told the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from p2pnode.network import gossip_limits
from wire.ids import PeerId

Name = TypeVar("Name", bound=Hashable)
Heard = TypeVar("Heard")


class SeenNames:
    """The names of messages seen lately, in two generations: when the young one is full or old, the old one goes."""

    def __init__(self, *, now: float) -> None:
        """Nothing was seen."""
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._since = now

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._young) + len(self._old)

    def __contains__(self, name: bytes) -> bool:
        """Tell whether a message was seen."""
        return name in self._young or name in self._old

    def add(self, name: bytes, *, now: float) -> None:
        """Remember a name for SEEN_S at least, unless SEEN_MAX others come first."""
        self._young.add(name)
        if len(self._young) >= gossip_limits.SEEN_MAX:
            self._turn(now)

    def age(self, *, now: float) -> None:
        """Forget what is old; call it at every heartbeat."""
        if now - self._since >= gossip_limits.SEEN_S:
            self._turn(now)

    def _turn(self, now: float) -> None:
        self._old, self._young, self._since = self._young, set(), now


@dataclass(slots=True)
class _Kept:
    """One message as it goes over the wire."""

    topic: str
    frame: bytes
    served: dict[PeerId, int] = field(default_factory=dict)


class RecentMessages:
    """Messages of the last heartbeats, for peers that were offered their names and ask."""

    def __init__(self) -> None:
        """Nothing is kept."""
        self._kept: dict[bytes, _Kept] = {}
        self._by_age: deque[list[bytes]] = deque([[]])
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """How many bytes of messages are kept."""
        return self._bytes

    def put(self, name: bytes, topic: str, frame: bytes) -> None:
        """Keep a message; the oldest go when there are too many bytes."""
        self._kept[name] = _Kept(topic, frame)
        self._by_age[0].append(name)
        self._bytes += len(frame)
        while self._bytes > gossip_limits.RECENT_BYTES_MAX:
            while not self._by_age[-1]:
                self._by_age.pop()
            self._drop(self._by_age[-1].pop(0))

    def serve(self, name: bytes, peer_id: PeerId) -> bytes | None:
        """Return the frame of a message for a peer that asks; None when it is gone, or was sent often enough."""
        kept = self._kept.get(name)
        if kept is None or kept.served.get(peer_id, 0) >= gossip_limits.SERVED_TIMES_MAX:
            return None
        kept.served[peer_id] = kept.served.get(peer_id, 0) + 1
        return kept.frame

    def names(self, topic: str) -> list[bytes]:
        """Return the names of the topic's messages of the last heartbeats, the youngest first, that are offered."""
        found: list[bytes] = []
        for number, generation in enumerate(self._by_age):
            if number == gossip_limits.OFFERED_HEARTBEATS:
                break
            found += [name for name in reversed(generation) if self._kept[name].topic == topic]
        return found[: gossip_limits.OFFERED_MAX]

    def age(self) -> None:
        """Begin the next heartbeat: the oldest messages go."""
        self._by_age.appendleft([])
        while len(self._by_age) > gossip_limits.RECENT_HEARTBEATS:
            for name in self._by_age.pop():
                self._drop(name)

    def _drop(self, name: bytes) -> None:
        self._bytes -= len(self._kept.pop(name).frame)


class OwedNames(Generic[Name]):
    """The names that neighbours in a mesh are offered at the next heartbeat, because they did not get the messages.

    Whoever shows before that it has a message, by sending it or by offering its name, is not told of it.
    """

    def __init__(self) -> None:
        """Nothing is owed."""
        self._owed: dict[PeerId, dict[Name, str]] = {}

    def owe(self, peer_ids: Iterable[PeerId], name: Name, topic: str) -> None:
        """Note a name for these neighbours; the oldest of a neighbour goes when there are OFFERED_MAX."""
        for peer_id in peer_ids:
            names = self._owed.setdefault(peer_id, {})
            names[name] = topic
            if len(names) > gossip_limits.OFFERED_MAX:
                del names[next(iter(names))]

    def has(self, peer_id: PeerId, names: Iterable[Name]) -> None:
        """Note that a neighbour has these messages."""
        owed = self._owed.get(peer_id)
        if owed:
            for name in names:
                owed.pop(name, None)

    def forget(self, peer_id: PeerId) -> None:
        """Owe nothing to a neighbour that is gone."""
        self._owed.pop(peer_id, None)

    def take(self) -> list[tuple[PeerId, str, list[Name]]]:
        """Return who is to be offered what of which topic, and owe it no more."""
        owed, self._owed = self._owed, {}
        offers: dict[tuple[PeerId, str], list[Name]] = {}
        for peer_id, names in owed.items():
            for name, topic in names.items():
                offers.setdefault((peer_id, topic), []).append(name)
        return [(peer_id, topic, names) for (peer_id, topic), names in offers.items()]


class HeldMessages(Generic[Heard]):
    """Messages on which nothing is decided yet, by their topic and bytes; the oldest makes room.

    Were they published as messages of our own, each neighbour would take them for new ones, and get as many copies as
    it has neighbours.
    """

    def __init__(self) -> None:
        """Nothing is held."""
        self._held: dict[tuple[str, bytes], Heard] = {}

    def __len__(self) -> int:
        """Return how many are held."""
        return len(self._held)

    def put(self, topic: str, data: bytes, message: Heard) -> None:
        """Hold a message; of two with the same bytes the first is as good as the second."""
        self._held.setdefault((topic, data), message)
        if len(self._held) > gossip_limits.HELD_MAX:
            del self._held[next(iter(self._held))]

    def take(self, topic: str, data: bytes) -> Heard | None:
        """Return the message with these bytes, and hold it no more; None when there is none."""
        return self._held.pop((topic, data), None)
