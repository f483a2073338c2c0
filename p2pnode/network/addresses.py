"""Addresses: which of those that peers tell are worth dialling, and which of our own are worth announcing."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from crypto.peer_id import BadPeerIdError, peer_id_from_text
from p2pnode.errors import CallerError
from p2pnode.membership.circuit_addresses import Dialable, parse_dialable
from p2pnode.membership.endpoints import BadAddressError, Endpoint, endpoint_of, parse_endpoint
from wire import limits as wire_limits
from wire.ids import PeerId

__all__ = [
    "BadAddressError",
    "Endpoint",
    "announceable",
    "dialable",
    "endpoint_of",
    "interface_addresses",
    "parse_announced",
    "parse_bootstrap",
    "parse_endpoint",
    "parse_listened",
    "with_extra",
]

_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): a datagram socket that is connected to one sends nothing, and tells
which of our own addresses the route to the world starts from."""


def parse_listened(text: str) -> Endpoint:
    """Read an address to listen on. Raises `CallerError` that says what to write."""
    try:
        endpoint = parse_endpoint(text)
    except BadAddressError as error:
        message = f"not an address to listen on: {error}; write one such as /ip4/0.0.0.0/tcp/4710 or /ip6/::/tcp/4710"
        raise CallerError(message) from error
    if endpoint.ip is None:
        message = f"cannot listen on the name {text}: write an IP address; /ip4/0.0.0.0/tcp/{endpoint.port} means all"
        raise CallerError(message)
    return endpoint


def parse_announced(text: str) -> Endpoint:
    """Read an address to tell others. Raises `CallerError` that says what to write instead of one that nobody reaches.

    A name is not resolved: it may lead to this machine for others only.
    """
    try:
        endpoint = parse_endpoint(text)
    except BadAddressError as error:
        hint = " without /p2p/<peer id>" if "/p2p/" in text else ""
        message = f"cannot announce this: {error}; write it as /ip4/203.0.113.7/tcp/4710 or /dns4/node.example/tcp/4710"
        raise CallerError(message + hint) from error
    if endpoint.ip is not None and endpoint.ip.is_unspecified:
        message = (
            f"cannot announce {text}: {endpoint.host} is no place that others can dial; write your public address, "
            f"such as /ip4/203.0.113.7/tcp/{endpoint.port or 4710}, or leave --announce out: the node finds its own"
        )
        raise CallerError(message)
    if endpoint.port == 0:
        message = f"cannot announce {text}: port 0 cannot be dialled; write the port that others reach, such as 4710"
        raise CallerError(message)
    if endpoint.is_link_local:
        message = (
            f"cannot announce {text}: {endpoint.host} is a link-local address, which means nothing to other machines; "
            "write a public or private address of this one"
        )
        raise CallerError(message)
    return endpoint


def parse_bootstrap(text: str) -> tuple[Dialable, PeerId]:
    """Read a multiaddr that ends in `/p2p/<peer id>`. Raises `CallerError` that says what it should look like."""
    address, marker, peer_text = text.rpartition("/p2p/")
    try:
        if not marker:
            message = "the part /p2p/<peer id> is missing"
            raise BadAddressError(message)
        return parse_dialable(address), PeerId(peer_id_from_text(peer_text))
    except (BadAddressError, BadPeerIdError) as error:
        message = f"{text!r} is no address of a node ({error}): expected /ip4/<address>/tcp/<port>/p2p/<peer id>"
        raise CallerError(message) from error


def dialable(
    addresses: Iterable[str], *, allows_private: bool, own: Iterable[str] = (), count_max: int
) -> list[Dialable]:
    """Return what is worth dialling of what a peer says of itself, in its order and without repetition.

    Dropped are: what is neither a TCP endpoint nor a circuit over one, what is unspecified (a peer that listens on
    0.0.0.0 may say so, and whoever dials that reaches itself), link-local (no address says on which cable), our own
    addresses, and private ones unless they are allowed.
    """
    kept: dict[Dialable, None] = {}
    ours = set(own)
    for text in addresses:
        try:
            endpoint = parse_dialable(text)
        except BadAddressError:
            continue
        if endpoint.is_unspecified or endpoint.is_link_local:
            continue
        if isinstance(endpoint, Endpoint) and endpoint.text() in ours:  # All who are behind one relay share an address.
            continue
        if endpoint.is_private and not allows_private:
            continue
        kept[endpoint] = None
        if len(kept) == count_max:
            break
    return list(kept)


def announceable(listening: Sequence[Endpoint], interfaces: Sequence[str], *, allows_private: bool) -> tuple[str, ...]:
    """Return concrete addresses for those that are listened on: an unspecified one stands for all interfaces.

    Private addresses stay in when there is nothing else, so that a node on a home network can still say where it is.
    Link-local ones never do: they mean nothing to another machine.
    """
    concrete: dict[Endpoint, None] = {}
    for endpoint in listening:
        if endpoint.ip is None or not endpoint.ip.is_unspecified:
            concrete[endpoint] = None
            continue
        for host in interfaces:
            candidate = endpoint_of(host, endpoint.port)
            if candidate.kind == endpoint.kind:
                concrete[candidate] = None
    usable = [endpoint for endpoint in concrete if not endpoint.is_link_local]
    public = [endpoint for endpoint in usable if not endpoint.is_private]
    chosen = usable if allows_private or not public else public
    return tuple(endpoint.text() for endpoint in chosen[: wire_limits.ADDRESSES_MAX])


def with_extra(own: Sequence[str], extra: Sequence[str]) -> tuple[str, ...]:
    """Return our own addresses and those under which others reach us besides; the extra ones are never cut off."""
    added = [text for text in dict.fromkeys(extra) if text not in own][: wire_limits.ADDRESSES_MAX]
    return (*tuple(own)[: wire_limits.ADDRESSES_MAX - len(added)], *added)


def interface_addresses() -> list[str]:
    """Return this machine's own addresses: those from which routes to the world start, then loopback. Sends nothing."""
    found = []
    for family, probe in _PROBES:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probing:
                probing.connect((probe, 9))
                found.append(str(probing.getsockname()[0]))
        except OSError:  # No route of this family: then there is no address of it to announce either.
            continue
    return [*found, "127.0.0.1", "::1"]
