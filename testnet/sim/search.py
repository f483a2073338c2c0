"""Searching a simulated network for where a peer listens, as its DHT would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wire.ids import PeerId


class Searchable(Protocol):
    """What the search needs of a node's network."""

    @property
    def peer_id(self) -> PeerId:
        """Its id."""
        ...

    def addresses(self) -> tuple[str, ...]:
        """Return where it listens."""
        ...

    def known_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return what it was told about another."""
        ...

    def neighbours(self) -> Sequence[Searchable]:
        """Return those that it has a working connection with."""
        ...


def search(start: Searchable, peer_id: PeerId) -> tuple[str, ...]:
    """Return a peer's addresses: its own if it can be reached over open connections, else what one of those knows."""
    reached: dict[PeerId, Searchable] = {start.peer_id: start}
    to_ask = [start]
    while to_ask:
        asked = to_ask.pop(0)
        if asked.peer_id == peer_id:
            return asked.addresses()
        for other in asked.neighbours():
            if other.peer_id not in reached:
                reached[other.peer_id] = other
                to_ask.append(other)
    known = (other.known_addresses(peer_id) for other in reached.values() if other is not start)
    return next((addresses for addresses in known if addresses), ())
