"""Searching a simulated network for where a peer listens, as its DHT would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wire.ids import PeerId

ASKED_MAX = 40
"""Nodes that one search asks: as many as a real one does in a network of ten thousand."""


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

    def neighbour(self, peer_id: PeerId) -> Searchable | None:
        """Return the one with this id, if there is a working connection with it."""
        ...

    def neighbours(self) -> Sequence[Searchable]:
        """Return those that it has a working connection with."""
        ...


def search(start: Searchable, peer_id: PeerId) -> tuple[str, ...]:
    """Return a peer's addresses: its own if it can be reached over open connections, else what one of those knows.

    Only ASKED_MAX nodes are asked, those first that are nearest by connections.
    """
    if start.peer_id == peer_id:
        return start.addresses()
    reached = {start.peer_id: None}
    to_ask = [start]
    for asked in to_ask:  # It grows meanwhile.
        found = asked.neighbour(peer_id)
        if found is not None:
            return found.addresses()
        if len(to_ask) < ASKED_MAX:
            news = [other for other in asked.neighbours() if other.peer_id not in reached]
            to_ask += news[: ASKED_MAX - len(to_ask)]
            reached.update(dict.fromkeys(other.peer_id for other in news))
    known = (other.known_addresses(peer_id) for other in to_ask[1:])
    return next((addresses for addresses in known if addresses), ())
