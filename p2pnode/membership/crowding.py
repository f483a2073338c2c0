"""Who yields a full member table: one of the most crowded block of addresses, so that no network fills it.

A block is a wide prefix (/16, /32), for whoever can make thousands of identities has more than one /24; an address that
says nothing about shared fate is a block of its own. Only a full table is touched: ten thousand honest members of one
large provider are welcome while there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from crypto.peer_id import peer_id_to_text
from p2pnode.membership.domains import domain_of, wide_of
from wire.ids import PeerId


@dataclass(frozen=True, slots=True)
class Seat:
    """A member that may have to go."""

    peer_id: PeerId
    block: str
    met_at: float
    """When we met it first; infinite for one that we never met."""


def block_of(peer_id: PeerId, address: str) -> str:
    """Return the block of a peer at an address."""
    return wide_of(address) or domain_of(peer_id_to_text(peer_id), address)


def who_yields(newcomer_block: str, seats: Iterable[Seat]) -> PeerId | None:
    """Return who makes room for a newcomer: of the most crowded block the one that we have known for the shortest time.

    None when its own block would then be as crowded: a crowd never displaces others, and two never displace each other
    in turns.
    """
    seats = list(seats)
    counts = Counter(each.block for each in seats)
    if not seats or max(counts.values()) <= counts[newcomer_block] + 1:
        return None
    most = max(counts, key=lambda block: (counts[block], block))
    crowd = (each for each in seats if each.block == most)
    return max(crowd, key=lambda each: (each.met_at, each.peer_id)).peer_id
