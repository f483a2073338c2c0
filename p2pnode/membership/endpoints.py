"""Endpoints: a host and a TCP port, and the multiaddr that writes them down.

Only what we dial has a type here: `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>`. `p2pnode/network/addresses.py` decides
which of them are worth dialling or announcing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from wire import limits

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_IP_KINDS = {"ip4": 4, "ip6": 6}
_NAME_KINDS = frozenset({"dns", "dns4", "dns6"})
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_ENDPOINT_PARTS = 5
"""An empty part before the first slash, then kind, host, `tcp` and port."""
_PORT_MAX = 65_535


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
    def ip(self) -> IpAddress | None:
        """The IP address; None for a name."""
        return ipaddress.ip_address(self.host) if self.kind in _IP_KINDS else None

    @property
    def is_unspecified(self) -> bool:
        """Whether it is 0.0.0.0, ::, or has no port: something to listen on, never to dial."""
        return self.port == 0 or (self.ip is not None and self.ip.is_unspecified)

    @property
    def is_link_local(self) -> bool:
        """Whether it means another machine on each cable, and nothing at all without the name of an interface."""
        return self.ip is not None and self.ip.is_link_local

    @property
    def is_private(self) -> bool:
        """Whether it is loopback, private or link-local, so that it means another machine elsewhere."""
        return self.ip is not None and not self.ip.is_global


def parse_endpoint(text: str) -> Endpoint:
    """Read a multiaddr without a peer id. Raises `BadAddressError` for anything but a TCP endpoint."""
    parts = text.split("/")
    if len(text) > limits.ADDRESS_CHARS_MAX or len(parts) != _ENDPOINT_PARTS or parts[0] or parts[3] != "tcp":
        message = f"{text[:80]!r} is not of the form /ip4/<address>/tcp/<port>"
        raise BadAddressError(message)
    kind, host, port_text = parts[1], parts[2], parts[4]
    if not port_text.isascii() or not port_text.isdigit() or int(port_text) > _PORT_MAX:
        message = f"{text!r}: {port_text!r} is no port"
        raise BadAddressError(message)
    if kind in _IP_KINDS:
        host = _canonical_ip(host, version=_IP_KINDS[kind])
    elif kind not in _NAME_KINDS:
        message = f"{text!r}: {kind!r} is no kind of host that is dialled here"
        raise BadAddressError(message)
    elif _NAME.fullmatch(host) is None:
        message = f"{text!r}: {host!r} is no host name"
        raise BadAddressError(message)
    return Endpoint(kind, host, int(port_text))


def endpoint_of(host: str, port: int) -> Endpoint:
    """Return the endpoint of a socket's address."""
    address = plain_ip(host)
    return Endpoint("ip4" if address.version == _IP_KINDS["ip4"] else "ip6", str(address), port)


def plain_ip(host: str) -> IpAddress:
    """Return an IP address without its interface; one that only maps an IPv4 address is that one. Raises ValueError."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


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
