"""Invitations: what `p2pnode invite` prints and `p2pnode join` takes, all that a newcomer needs in one short string.

The string is `p2pnode1` and base32 in lower case: it survives mail, telephone and a double click, it can be read while
a part is missing, and 1 is no letter of base32, so the prefix has an end. Inside stand a version, a length, the
canonical encoding of an `Invitation`, and a checksum. That frame stays the same in later versions, so that every
version can tell a mistyped code from one that is too new for it.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from crypto.hashing import tagged_hash
from crypto.peer_id import peer_id_of, peer_id_to_text, public_key_of
from wire import limits
from wire.codec import Nested, decode, encode, wire_type
from wire.errors import WireError
from wire.ids import PeerId, PublicKey
from wire.network_secret import NetworkSecret
from wire.shapes import Fixed, ListOf, Maybe, Raw, Text

PREFIX = "p2pnode1"
VERSION = 1

_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")
_CHARS_PER_GROUP, _BYTES_PER_GROUP = 8, 5
_HEAD_BYTES = 3
"""The version, and the length of the message in two bytes."""
_HEAD_CHARS = 5
"""Characters that show the head."""
_CHECKSUM_BYTES = 4
"""Four bytes let one wrong code in four thousand million through; it protects from mistakes only."""
_PARAMETER_HASH_BYTES = 8
_PORT_BYTES = 2
_IP4, _IP6, _TEXT = 4, 6, ord("/")
_IP_BYTES = {_IP4: 4, _IP6: 16}


@wire_type(0x04)
@dataclass(frozen=True, slots=True, kw_only=True)
class InvitedMember:
    """A member to begin with. Addresses are packed, because most of a code would be their text."""

    key: Annotated[PublicKey, Fixed(PublicKey)]
    """Its peer id carries no more than this key."""
    addresses: Annotated[
        tuple[bytes, ...], ListOf(Raw(limits.ADDRESS_CHARS_MAX, low=1), limits.INVITED_ADDRESSES_MAX, low=1)
    ]

    @classmethod
    def at(cls, peer_id: PeerId, addresses: Sequence[str]) -> Self:
        """Return a member at multiaddrs that carry no peer id."""
        key = PublicKey(public_key_of(peer_id))
        return cls(key=key, addresses=tuple(pack_address(address) for address in addresses))

    @property
    def peer_id(self) -> PeerId:
        """The member's peer id."""
        return PeerId(peer_id_of(self.key))

    def bootstrap(self) -> tuple[str, ...]:
        """Return the addresses as multiaddrs that end in the peer id. Raises `WireError` for bytes that are none."""
        return tuple(f"{unpack_address(each)}/p2p/{peer_id_to_text(self.peer_id)}" for each in self.addresses)


@wire_type(0x03)
@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A network, its secret when it has one, and members to begin with."""

    network: Annotated[str, Text(limits.NETWORK_NAME_CHARS_MAX, low=1)]
    profile: Annotated[str, Text(limits.TEXT_CHARS_MAX, low=1)]
    parameter_hash: Annotated[bytes, Raw(_PARAMETER_HASH_BYTES, low=_PARAMETER_HASH_BYTES)]
    """As in the protocol ids: a newcomer whose version has other parameters hears it at once."""
    secret: Annotated[NetworkSecret | None, Maybe(Fixed(NetworkSecret))]
    members: Annotated[tuple[InvitedMember, ...], ListOf(Nested(InvitedMember), limits.INVITED_MEMBERS_MAX, low=1)]

    def bootstrap(self) -> tuple[str, ...]:
        """Return all addresses, those of the inviting member first."""
        return tuple(address for member in self.members for address in member.bootstrap())

    def text(self) -> str:
        """Return the one spelling of this invitation. Raises `WireError` when a field breaks its own limit."""
        message = encode(self)
        body = bytes([VERSION]) + len(message).to_bytes(_HEAD_BYTES - 1, "big") + message
        return PREFIX + _to_base32(body + _checksum(body))

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Read an invitation. Raises `WireError` that says what to do; it never repeats the code, which is secret."""
        version, message = _open_frame(text)
        if version != VERSION:
            problem = f"the invitation was made by another version of p2pnode (format {version}): install that version"
            raise WireError(problem)
        invitation = decode(message, Invitation, bytes_max=limits.INVITATION_BYTES_MAX)
        for member in invitation.members:
            for packed in member.addresses:
                if pack_address(unpack_address(packed)) != packed:
                    problem = "an address of the invitation is not in canonical form"
                    raise WireError(problem)
        return invitation


def pack_address(address: str) -> bytes:
    """Return a multiaddr without its peer id in short form: 7 bytes for IPv4 and TCP, 19 for IPv6, else its text."""
    match address.split("/"):
        case ["", "ip4" | "ip6", host, "tcp", port] if port.isascii() and port.isdigit() and int(port) < 1 << 16:
            try:
                ip = ipaddress.ip_address(host)
            except ValueError:
                return address.encode()
            packed = bytes([ip.version]) + ip.packed + int(port).to_bytes(_PORT_BYTES, "big")
            if unpack_address(packed) == address:  # Another spelling is kept as it is.
                return packed
    return address.encode()


def unpack_address(packed: bytes) -> str:
    """Return the multiaddr of a short form. Raises `WireError`."""
    kind = packed[0]
    if kind in _IP_BYTES and len(packed) == 1 + _IP_BYTES[kind] + _PORT_BYTES:
        ip = ipaddress.ip_address(packed[1:-_PORT_BYTES])
        return f"/ip{kind}/{ip}/tcp/{int.from_bytes(packed[-_PORT_BYTES:], 'big')}"
    try:
        text = packed.decode()
    except UnicodeDecodeError:
        text = ""
    if kind != _TEXT or not text.isprintable() or not text:
        message = f"an address of {len(packed)} bytes and kind {kind} is unknown here"
        raise WireError(message)
    return text


def _open_frame(text: str) -> tuple[int, bytes]:
    """Return the version and the message. Raises `WireError` that tells a missing end from a mistyped letter."""
    if not text.startswith(PREFIX):
        message = f"this is no invitation: expected a text that begins with {PREFIX}, as 'p2pnode invite' prints it"
        raise WireError(message)
    if len(text) > limits.INVITATION_CHARS_MAX:
        message = f"an invitation has at most {limits.INVITATION_CHARS_MAX} characters, this text has {len(text)}"
        raise WireError(message)
    body = text.removeprefix(PREFIX)
    for position, char in enumerate(body, start=len(PREFIX) + 1):
        if char not in _ALPHABET:
            message = f"the invitation is mistyped: character {position} cannot be {char!r}"
            raise WireError(message)
    head = _from_base32(body[:_HEAD_CHARS]) if len(body) >= _HEAD_CHARS else b""
    length = int.from_bytes(head[1:], "big")
    expected = len(PREFIX) + _chars_for(_HEAD_BYTES + length + _CHECKSUM_BYTES)
    if len(text) < expected or not head:
        message = f"the end of the invitation is missing ({len(text)} characters came): copy the whole code"
        raise WireError(message)
    if len(text) > expected:
        message = f"the invitation goes on after its end ({len(text)} characters came): copy the code alone"
        raise WireError(message)
    data = _from_base32(body)
    framed, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if _checksum(framed) != checksum or _to_base32(data) != body:
        message = "the invitation is mistyped or damaged: copy it again, or ask for a new one"
        raise WireError(message)
    return framed[0], framed[_HEAD_BYTES:]


def _checksum(data: bytes) -> bytes:
    return tagged_hash(b"p2pnode/invitation", data)[:_CHECKSUM_BYTES]


def _chars_for(count: int) -> int:
    """Return how many letters of base32 show so many bytes."""
    return -(-count * _CHARS_PER_GROUP // _BYTES_PER_GROUP)


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _from_base32(text: str) -> bytes:
    """Return the whole bytes that the letters show; every text of the alphabet shows some."""
    count = len(text) * _BYTES_PER_GROUP // _CHARS_PER_GROUP
    whole = text + "a" * (-len(text) % _CHARS_PER_GROUP)
    return base64.b32decode(whole.upper())[:count]
