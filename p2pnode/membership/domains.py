"""Failure domains: machines that share a network prefix, or an operator's tag, are likely to fail together.

A domain is known by the address that was really dialled (PROTOCOL section 2): the /24 of an IPv4 address, the /48 of an
IPv6 one. Their /16 and /32 are *wide* prefixes, which one provider or region often has; they count for less. A peer
that is reached through a relay fails with its relay, and has its domain. Peers behind one public address are one.

Loopback, private, link-local, unique local and shared (100.64/10) addresses mean another machine elsewhere, and say
nothing about shared fate; a name is not resolved here. Then a peer is a domain of its own; public profiles do not dial
such addresses at all.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

from crypto.peer_id import peer_id_to_text
from p2pnode.membership.circuit_addresses import CircuitAddress, is_circuit, parse_dialable
from p2pnode.membership.endpoints import BadAddressError
from wire.ids import PeerId

_PREFIX_BITS = {4: 24, 6: 48}
_WIDE_BITS = {4: 16, 6: 32}

DOMAINS_MAX = 16_384
"""Domains that are remembered, about 300 bytes each: more than the members of a full table."""


@functools.lru_cache(maxsize=DOMAINS_MAX)
def domain_of(peer_text: str, address: str) -> str:
    """Return the failure domain of a peer that is reached at a multiaddr.

    It is remembered: whoever places a blob, or chooses neighbours, asks for the domains of all members.
    """
    return _prefix_of(address, _PREFIX_BITS) or f"peer:{_relay_of(address) or peer_text}"


@functools.lru_cache(maxsize=DOMAINS_MAX)
def wide_of(address: str) -> str:
    """Return the wide prefix of a multiaddr; empty where the address says nothing about shared fate."""
    return _prefix_of(address, _WIDE_BITS)


def domains_of(peers: Sequence[tuple[PeerId, str, str]]) -> dict[PeerId, str]:
    """Return the failure domain of each peer, given with where it is and with its operator's tag, if that counts.

    The one definition: whoever asks how far something is spread over domains asks here.
    """
    alone = [domain_of(peer_id_to_text(peer_id), address) for peer_id, address, _ in peers]
    together = merged(alone, [tag for _, _, tag in peers])
    return {peer_id: domain for (peer_id, _, _), domain in zip(peers, together, strict=True)}


def merged(domains: Sequence[str], tags: Sequence[str]) -> list[str]:
    """Return the domains of some peers once those are one that share a tag; an empty tag is none.

    So a tag merges and never splits: peers of one prefix stay together whatever they say. The name of a merged domain
    is the smallest of its parts.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = name = leader[leader[name]]
        return name

    first_with: dict[str, str] = {}
    for domain, tag in zip(domains, tags, strict=True):
        if tag:
            one, other = sorted((find(domain), find(first_with.setdefault(tag, domain))))
            leader[other] = one
    return [find(domain) for domain in domains]


def _prefix_of(address: str, bits: dict[int, int]) -> str:
    parts = address.split("/")
    if len(parts) > 2 and parts[1] in ("ip4", "ip6"):  # noqa: PLR2004 - "", family, address
        try:
            ip = ipaddress.ip_address(parts[2])
        except ValueError:
            return ""
        if ip.is_global:
            return str(ipaddress.ip_network(f"{ip}/{bits[ip.version]}", strict=False))
    return ""


def _relay_of(address: str) -> str:
    """Return the relay that a multiaddr leads through; empty when there is none."""
    if not is_circuit(address):
        return ""
    try:
        circuit = parse_dialable(address)
    except BadAddressError:
        return ""
    assert isinstance(circuit, CircuitAddress), "an address that ends so is one, or bad"
    return peer_id_to_text(circuit.relay_id)
