"""Who gets a connection slot when there are not enough: where a stranger comes from, and who gives way. Pure.

A flood comes from few places, or from many at a price; honest strangers come from everywhere. So when slots run out,
the place with the most connections loses its newest one. Protected peers, and connections that we made, never give way.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from p2pnode.network.resources import Claim, Resource, Scope

_BLOCK_BITS = {4: 24, 6: 48}
_ADDRESS_BITS = {4: 32, 6: 56}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection comes from."""

    address: str
    """The IPv4 address, or the IPv6 /56: what one household has."""
    block: str
    """The IPv4 /24 or IPv6 /48 around it: what one operator gets easily."""
    is_public: bool
    """Whether it is capped: on one machine or in one home, many nodes share what looks like one place."""
    is_relay: bool = False
    """Whether only a relay is here, and who came through it is elsewhere: it stands for more than one household."""

    def claims(self, resource: Resource, *scopes: Scope) -> tuple[Claim, ...]:
        """Return what something from here counts against, besides the whole system."""
        if not self.is_public:
            return ()
        keys = {Scope.ADDRESS: self.address, Scope.BLOCK: self.block}
        return tuple(
            Claim(scope, resource, keys[scope]) for scope in scopes if not (self.is_relay and scope is Scope.ADDRESS)
        )


def place_of(host: str) -> Place:
    """Return the place of a remote IP address; one without an address (it closed already) is a place of its own."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return Place("", "", is_public=False)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return Place(
        str(ipaddress.ip_network((address, _ADDRESS_BITS[address.version]), strict=False)),
        str(ipaddress.ip_network((address, _BLOCK_BITS[address.version]), strict=False)),
        is_public=address.is_global,
    )


def fullest(blocks: Iterable[str]) -> str:
    """Return the block that is named most often; of several the one that is named last."""
    counts: Counter[str] = Counter()
    order: dict[str, int] = {}
    for position, block in enumerate(blocks):
        counts[block] += 1
        order[block] = position
    return max(counts, key=lambda block: (counts[block], order[block]))
