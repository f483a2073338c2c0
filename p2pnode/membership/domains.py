"""Failure domains: machines that share a network prefix are likely to fail together (PROTOCOL section 2)."""

from __future__ import annotations

import functools
import ipaddress

_PREFIX_BITS = {4: 24, 6: 48}


DOMAINS_MAX = 16_384
"""Domains that are remembered, about 300 bytes each: more than the members of a full table."""


@functools.lru_cache(maxsize=DOMAINS_MAX)
def domain_of(peer_text: str, address: str) -> str:
    """Return the failure domain of a peer that is reached at a multiaddr.

    The /24 or /48 of a public address. Loopback, private and link-local addresses say nothing about shared fate, and a
    name is not resolved here: then the peer is a domain of its own. It is remembered: whoever places a blob, or chooses
    neighbours, asks for the domains of all members.
    """
    parts = address.split("/")
    if len(parts) > 2 and parts[1] in ("ip4", "ip6"):  # noqa: PLR2004 - "", family, address
        try:
            ip = ipaddress.ip_address(parts[2])
        except ValueError:
            return f"peer:{peer_text}"
        if ip.is_global:
            return str(ipaddress.ip_network(f"{ip}/{_PREFIX_BITS[ip.version]}", strict=False))
    return f"peer:{peer_text}"
