"""What a node says of itself on the local network: the text record of a DNS-SD service. Pure.

    network=<the start of a hash over the network's name, version and shared parameters>
    dnsaddr=/ip4/<address>/tcp/<port>/p2p/<peer id>        (one entry for each address)

`dnsaddr` entries are those of libp2p's specification of mDNS discovery. The hash keeps networks apart without telling
their names to whoever listens. Everything here may come from anybody on the local network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from crypto.hashing import tagged_hash
from crypto.peer_id import peer_id_to_text
from p2pnode.errors import CallerError
from p2pnode.network import limits
from p2pnode.network.addresses import BadAddressError, Endpoint, parse_bootstrap, parse_endpoint
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames

_NETWORK = b"network="
_ADDRESS = b"dnsaddr="
_ENTRY_BYTES_MAX = 255
"""The longest entry of a text record (RFC 6763): its length is one byte."""

_MARK_BYTES = 8
"""Two networks with one mark try to talk to each other in vain, once in 2**64."""


def network_mark(names: NetworkNames) -> str:
    """Return what members of one network know each other by on a local network."""
    return tagged_hash(b"p2pnode/lan", names.protocol("lan").encode())[:_MARK_BYTES].hex()


def make_text(mark: str, peer_id: PeerId, addresses: Sequence[str]) -> bytes:
    """Return the text record for a node at these addresses; what others there cannot dial is left out."""
    suffix = f"/p2p/{peer_id_to_text(peer_id)}".encode()
    entries = [_NETWORK + mark.encode()]
    entries += [_ADDRESS + address.encode() + suffix for address in addresses if _is_for_others(address)]
    short = [entry for entry in entries if len(entry) <= _ENTRY_BYTES_MAX]
    return b"".join(bytes([len(entry)]) + entry for entry in short[: 1 + limits.LAN_ADDRESSES_MAX])


def read_text(text: bytes, *, mark: str, own: PeerId) -> list[str]:
    """Return the addresses, with the peer id at the end, that a text record names; none for what is not for us.

    At most LAN_ADDRESSES_MAX, all of one peer and none of ourselves, with IP addresses only: a name would send us to
    ask a name server of a stranger's choice.
    """
    entries = _entries(text[: limits.LAN_TEXT_BYTES_MAX])
    if _NETWORK + mark.encode() not in entries:
        return []
    found: dict[str, PeerId] = {}
    for entry in entries:
        if not entry.startswith(_ADDRESS):
            continue
        try:
            address = entry.removeprefix(_ADDRESS).decode("ascii")
            endpoint, peer_id = parse_bootstrap(address)
        except (CallerError, UnicodeDecodeError):
            continue
        is_same_peer = next(iter(found.values()), peer_id) == peer_id
        if isinstance(endpoint, Endpoint) and _is_dialable(endpoint) and is_same_peer and peer_id != own:
            found[f"{endpoint.text()}/p2p/{peer_id_to_text(peer_id)}"] = peer_id
    return list(found)[: limits.LAN_ADDRESSES_MAX]


def hosts_of(addresses: Sequence[str]) -> list[str]:
    """Return the IP addresses, each once, of those multiaddrs that others on the local network can dial."""
    return list(dict.fromkeys(parse_endpoint(each).host for each in addresses if _is_for_others(each)))


def _entries(text: bytes) -> list[bytes]:
    """Return the entries of a text record; a cut one at the end is left out."""
    entries = []
    while text:
        end = 1 + text[0]
        if end > len(text):
            break
        entries.append(text[1:end])
        text = text[end:]
    return entries


def _is_for_others(address: str) -> bool:
    try:
        return _is_dialable(parse_endpoint(address))
    except BadAddressError:
        return False


def _is_dialable(endpoint: Endpoint) -> bool:
    ip = endpoint.ip
    if ip is None or endpoint.is_unspecified or ip.is_loopback or ip.is_multicast:
        return False
    # Without its zone a link-local IPv6 address means nothing.
    return not (isinstance(ip, ipaddress.IPv6Address) and ip.is_link_local)
