"""Names of hosts: which addresses stand behind one."""

from __future__ import annotations

import socket

import trio

from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint, endpoint_of

_FAMILIES = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}


async def resolve(endpoint: Endpoint) -> tuple[Endpoint, ...]:
    """Return the endpoint with each IP address behind its name, itself if it has one; none for an unknown name."""
    if endpoint.ip is not None:
        return (endpoint,)
    try:
        with trio.fail_after(limits.RESOLVE_S):
            rows = await trio.socket.getaddrinfo(
                endpoint.host, endpoint.port, family=_FAMILIES[endpoint.kind], type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError, trio.TooSlowError):
        return ()
    return tuple(dict.fromkeys(endpoint_of(str(place[0]), endpoint.port) for *_, place in rows))
