"""Multiaddrs of TCP endpoints: reading and writing them, and which of them are worth dialling or announcing.

Only what we dial has a type here: `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>`, with or without `/p2p/<peer id>`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crypto.peer_id import BadPeerIdError, peer_id_from_text
from p2pnode.errors import CallerError
from wire import limits as wire_limits
from wire.ids import PeerId

_IP_KINDS = {"ip4": 4, "ip6": 6}
_NAME_KINDS = frozenset({"dns", "dns4", "dns6"})
_ENDPOINT_PARTS = 5
"""An empty part before the first slash, then kind, host, `tcp` and port."""
_PORT_MAX = 65_535
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): a datagram socket that is connected to one sends nothing, and tells
which of our own addresses the route to the world starts from."""


class BadAddressError(ValueError):
    """Text that is not the multiaddr of a TCP endpoint."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host, by address or by name, and a TCP port."""

    kind: str
    host: str
    port: int

    def text(self) -> str:
        """Return the multiaddr."""
        return f"/{self.kind}/{self.host}/tcp/{self.port}"

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The IP address; None for a name."""
        return ipaddress.ip_address(self.host) if self.kind in _IP_KINDS else None

    @property
    def is_unspecified(self) -> bool:
        """Whether it is 0.0.0.0, ::, or has no port: something to listen on, never to dial."""
        return self.port == 0 or (self.ip is not None and self.ip.is_unspecified)

    @property
    def is_private(self) -> bool:
        """Whether it is loopback, private or link-local, so that it means another machine elsewhere."""
        return self.ip is not None and not self.ip.is_global


def parse_endpoint(text: str) -> Endpoint:
    """Read a multiaddr without a peer id. Raises `BadAddressError` for anything but a TCP endpoint."""
    parts = text.split("/")
    if len(text) > wire_limits.ADDRESS_CHARS_MAX or len(parts) != _ENDPOINT_PARTS or parts[0] or parts[3] != "tcp":
        message = f"{text[:80]!r} is not of the form /ip4/<address>/tcp/<port>"
        raise BadAddressError(message)
    kind, host, port_text = parts[1], parts[2], parts[4]
    if not port_text.isascii() or not port_text.isdigit() or int(port_text) > _PORT_MAX:
        message = f"{text!r}: {port_text!r} is no port"
        raise BadAddressError(message)
    if kind in _IP_KINDS:
        host = _canonical_ip(host, version=_IP_KINDS[kind])
    elif kind not in _NAME_KINDS or not host or not host.isascii():
        message = f"{text!r}: {kind!r} is no kind of host that is dialled here"
        raise BadAddressError(message)
    return Endpoint(kind, host, int(port_text))


def _canonical_ip(host: str, *, version: int) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        message = f"{host!r} is no IP address"
        raise BadAddressError(message) from error
    if address.version != version or "%" in host:
        message = f"{host!r} is no IPv{version} address that means the same elsewhere"
        raise BadAddressError(message)
    return str(address)


def endpoint_of(host: str, port: int) -> Endpoint:
    """Return the endpoint of a socket's address."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return Endpoint("ip4" if address.version == _IP_KINDS["ip4"] else "ip6", str(address), port)


def parse_bootstrap(text: str) -> tuple[Endpoint, PeerId]:
    """Read a multiaddr that ends in `/p2p/<peer id>`. Raises `CallerError` that says what it should look like."""
    address, marker, peer_text = text.rpartition("/p2p/")
    try:
        if not marker:
            message = "the part /p2p/<peer id> is missing"
            raise BadAddressError(message)
        return parse_endpoint(address), PeerId(peer_id_from_text(peer_text))
    except (BadAddressError, BadPeerIdError) as error:
        message = f"{text!r} is no address of a node ({error}): expected /ip4/<address>/tcp/<port>/p2p/<peer id>"
        raise CallerError(message) from error


def dialable(
    addresses: Iterable[str], *, allows_private: bool, own: Iterable[str] = (), count_max: int
) -> list[Endpoint]:
    """Return what is worth dialling of what a peer says of itself, in its order and without repetition.

    Dropped are: what is no TCP endpoint, what is unspecified (a peer that listens on 0.0.0.0 may say so, and whoever
    dials that reaches itself), our own addresses, and private ones unless they are allowed.
    """
    kept: dict[Endpoint, None] = {}
    ours = set(own)
    for text in addresses:
        try:
            endpoint = parse_endpoint(text)
        except BadAddressError:
            continue
        if endpoint.is_unspecified or endpoint.text() in ours or (endpoint.is_private and not allows_private):
            continue
        kept[endpoint] = None
        if len(kept) == count_max:
            break
    return list(kept)


def announceable(listening: Sequence[Endpoint], interfaces: Sequence[str], *, allows_private: bool) -> tuple[str, ...]:
    """Return concrete addresses for those that are listened on: an unspecified one stands for all interfaces.

    Private addresses stay in when there is nothing else, so that a node on a home network can still say where it is.
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
    public = [endpoint for endpoint in concrete if not endpoint.is_private]
    chosen = list(concrete) if allows_private or not public else public
    return tuple(endpoint.text() for endpoint in chosen[: wire_limits.ADDRESSES_MAX])


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
