"""Texts from people, files and peers: ids, references, addresses, invitations, keys, secrets, what mDNS says."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import ModuleType

import crypto.keys
import crypto.peer_id
import p2pnode.membership.circuit_addresses
import p2pnode.membership.domains
import p2pnode.membership.endpoints
import p2pnode.network.addresses
import p2pnode.network.lan_text
import wire.ids
import wire.invitations
import wire.network_secret
import wire.protocol_ids
import wire.references
from crypto.hashing import tagged_hash
from crypto.keys import BadKeyError, KeyPurpose, key_from_text, key_to_text
from crypto.peer_id import BadPeerIdError, peer_id_from_text, peer_id_to_text, public_key_of
from p2pnode.config import PUBLIC
from p2pnode.errors import CallerError
from p2pnode.membership.circuit_addresses import is_circuit, parse_dialable, without_peer
from p2pnode.membership.domains import domain_of
from p2pnode.membership.endpoints import BadAddressError, endpoint_of, parse_endpoint, plain_ip
from p2pnode.network import limits as network_limits
from p2pnode.network.addresses import (
    announceable,
    dialable,
    parse_announced,
    parse_bootstrap,
    parse_listened,
    with_extra,
)
from p2pnode.network.lan_text import hosts_of, make_text, network_mark, read_text
from testnet.fuzz import honest
from testnet.fuzz.mutator import damaged
from testnet.fuzz.plain import NotPlainError, edited, read_plain, write_plain
from testnet.fuzz.target import Mutate, Target, plain
from testnet.fuzz.values import KEYS, value_editor
from wire import limits
from wire.codec import encode
from wire.errors import WireError
from wire.ids import BlobId, PublicKey
from wire.invitations import Invitation, InvitedMember, pack_address, unpack_address
from wire.network_secret import NetworkSecret
from wire.protocol_ids import NetworkNames
from wire.references import Reference

_RELAY = peer_id_to_text(honest.peer_id(3))
ADDRESSES = (
    "/ip4/192.0.2.7/tcp/4710",
    "/ip4/20.1.2.3/tcp/1",
    "/ip6/2a00::7/tcp/65535",
    "/ip6/::ffff:10.0.0.1/tcp/4710",
    "/dns4/node.example/tcp/4710",
    "/dns/a_b.c-d/tcp/80",
    f"/ip4/20.1.2.3/tcp/4710/p2p/{_RELAY}/p2p-circuit",
)
FULL_ADDRESSES = tuple(f"{address}/p2p/{peer_id_to_text(honest.peer_id(4))}" for address in ADDRESSES)
_PIECES = (
    *"/:.-_%0 \n\x00\x1b",
    "0x7f",
    "\u0661",
    "²",
    "K",
    "\u202e",
    "/p2p/",
    "/p2p-circuit",
    "/tcp/",
    "ip6zone",
    "1" * 300,
)
"""Pieces that parsers of addresses and ids have stumbled over: odd digits, zones, control characters, repetitions."""


def targets() -> list[Target]:
    """Return the targets of this file."""
    invited = _text("text/invitation", _invitation, (WireError,), _invitations, wire.invitations)
    return [
        *_ids(),
        *_addresses(),
        invited,
        _invitation_messages(),
        _packed_addresses(),
        _lan(),
    ]


def text_of(data: bytes) -> str:
    """Return any bytes as text; those that are no UTF-8 come through as lone surrogates, as from a command line."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Return the input that `text_of` makes this text of."""
    return text.encode("utf-8", "surrogateescape")


def edited_text(rng: random.Random, data: bytes) -> bytes:
    """Put an odd piece into a text, exchange two of its parts, or change one letter."""
    text = text_of(data)
    position = rng.randrange(len(text) + 1)
    match rng.randrange(4):
        case 0:
            return bytes_of(text[:position] + rng.choice(_PIECES) + text[position:])
        case 1:
            parts = text.split("/")
            rng.shuffle(parts)
            return bytes_of("/".join(parts))
        case 2:
            return bytes_of(text[:position] + rng.choice(_PIECES) + text[position + 1 :])
        case _:
            return bytes_of(
                text[:position] + chr(rng.choice((rng.randrange(32, 127), 0x660, 0x2028))) + text[position + 1 :]
            )


def _text(
    name: str,
    check: Callable[[str], object],
    errors: tuple[type[Exception], ...],
    examples: Sequence[str],
    *modules: ModuleType,
    mutate: Mutate = edited_text,
) -> Target:
    def seeds(_rng: random.Random) -> list[bytes]:
        return [bytes_of(example) for example in examples]

    return Target(
        name=name,
        open=plain(lambda data: check(text_of(data))),
        errors=errors,
        seeds=seeds,
        modules=modules,
        mutate=mutate,
    )


def _ids() -> list[Target]:
    blob_id = honest.honest_blob().blob_id
    secret = NetworkSecret(tagged_hash(b"testnet/fuzz", b"secret")[:16])

    def reference(text: str) -> None:
        assert Reference.parse(text).text() == text

    def parsed_blob_id(text: str) -> None:
        assert BlobId.parse(text).text() == text

    def parsed_peer_id(text: str) -> None:
        assert peer_id_to_text(peer_id_from_text(text)) == text

    def key(text: str) -> None:
        assert key_to_text(key_from_text(text, KeyPurpose.OWNER), KeyPurpose.OWNER).split() == text.split()

    def network_secret(text: str) -> None:
        assert NetworkSecret.from_file_text(text).file_text() == text.strip() + "\n"

    def network_name(text: str) -> None:
        NetworkNames(text, PUBLIC.shared()).topic("members")

    def raw_peer_id(text: str) -> None:
        assert len(public_key_of(bytes_of(text))) == PublicKey.length

    references = (blob_id.text(), f"file:{blob_id.text()}")
    peer_texts = [peer_id_to_text(honest.peer_id(number)) for number in range(3)]
    return [
        _text("text/reference", reference, (WireError,), references, wire.references, wire.ids),
        _text("text/blob-id", parsed_blob_id, (WireError,), references[:1], wire.ids),
        _text("text/peer-id", parsed_peer_id, (BadPeerIdError,), peer_texts, crypto.peer_id),
        _text("text/peer-id-bytes", raw_peer_id, (BadPeerIdError,), [text_of(honest.peer_id(1))], crypto.peer_id),
        _text("text/key-file", key, (BadKeyError,), [key_to_text(KEYS[1], KeyPurpose.OWNER)], crypto.keys),
        _text("text/network-secret", network_secret, (WireError,), [secret.file_text()], wire.network_secret),
        _text("text/network-name", network_name, (WireError,), ["main", "a.b-c"], wire.protocol_ids),
    ]


def _addresses() -> list[Target]:
    def endpoint(text: str) -> None:
        parsed = parse_endpoint(text)
        assert parse_endpoint(parsed.text()) == parsed
        _ = parsed.is_private, parsed.is_link_local, parsed.is_unspecified

    def circuit(text: str) -> None:
        parsed = parse_dialable(text)
        assert parse_dialable(parsed.text()) == parsed
        _ = parsed.is_private, is_circuit(without_peer(text))

    def bootstrap(text: str) -> None:
        parsed, peer_id = parse_bootstrap(text)
        assert parse_bootstrap(f"{parsed.text()}/p2p/{peer_id_to_text(peer_id)}") == (parsed, peer_id)

    def announced(text: str) -> None:
        parsed = parse_announced(text)
        assert len(announceable([parsed], ["192.0.2.1", "::1"], allows_private=False)) <= limits.ADDRESSES_MAX

    def listened(text: str) -> None:
        assert announceable([parse_listened(text)], ["192.0.2.1", "fe80::1", "::1"], allows_private=True) is not None

    def many(text: str) -> str:
        """Choose among what a peer says of itself: never raises, never more than asked for."""
        told = text.split("\n")
        kept = dialable(told, allows_private=bool(len(text) % 2), own=ADDRESSES[:2], count_max=8)
        assert len(kept) <= limits.ADDRESSES_MAX
        assert len(with_extra(ADDRESSES, told)) <= limits.ADDRESSES_MAX + len(ADDRESSES)
        domains = {domain_of("peer", each) for each in told}
        return f"{len(kept)} of {len(domains)}"

    def socket_address(text: str) -> None:
        assert endpoint_of(str(plain_ip(text)), 1).port == 1

    modules = (p2pnode.membership.endpoints, p2pnode.membership.circuit_addresses, p2pnode.network.addresses)
    plain_ones, lists = ADDRESSES, ("\n".join(ADDRESSES), "\n".join(FULL_ADDRESSES))
    return [
        _text("text/endpoint", endpoint, (BadAddressError,), plain_ones, modules[0]),
        _text("text/dialable", circuit, (BadAddressError,), plain_ones, *modules[:2]),
        _text("text/bootstrap", bootstrap, (CallerError,), FULL_ADDRESSES, *modules),
        _text("text/announced", announced, (CallerError,), plain_ones, *modules),
        _text("text/listened", listened, (CallerError,), plain_ones, *modules),
        _text("text/addresses-of-a-peer", many, (), lists, *modules, p2pnode.membership.domains),
        _text("text/socket-address", socket_address, (ValueError,), ["192.0.2.7", "fe80::1%eth0"], modules[0]),
    ]


def _invitation(text: str) -> None:
    invitation = Invitation.parse(text)
    assert invitation.text() == text
    assert len(invitation.bootstrap()) <= limits.INVITED_MEMBERS_MAX * limits.INVITED_ADDRESSES_MAX


def _invitation_of(number: int) -> Invitation:
    return Invitation(
        network="main",
        profile="home",
        parameter_hash=bytes(8),
        secret=NetworkSecret(bytes(16)) if number % 2 else None,
        members=(InvitedMember.at(honest.peer_id(number), ADDRESSES[: 1 + number % 3]),),
    )


_invitations = tuple(_invitation_of(number).text() for number in range(4))


def _sealed_invitation(message: bytes) -> str:
    """Return the text around a message that is none: an attacker knows how to make the checksum."""
    # `Invitation.text` makes the frame; we need it around other bytes, so the frame's own parts are used.
    body = bytes([wire.invitations.VERSION]) + (len(message) % (1 << 16)).to_bytes(2, "big") + message
    framed = body + wire.invitations._checksum(body)  # noqa: SLF001 - the frame around what is no invitation
    return wire.invitations.PREFIX + wire.invitations._to_base32(framed)  # noqa: SLF001 - as above


def _invitation_messages() -> Target:
    """The message inside an invitation whose checksum is right."""
    edit_value = value_editor(Invitation)

    def check(data: bytes) -> None:
        _invitation(_sealed_invitation(data[: limits.INVITATION_BYTES_MAX + 1]))

    def seeds(_rng: random.Random) -> list[bytes]:
        return [encode(_invitation_of(number)) for number in range(4)]

    def mutate(rng: random.Random, data: bytes) -> bytes:
        if rng.random() < 0.5:  # noqa: PLR2004 - either
            return edit_value(rng, data)
        try:
            return write_plain(edited(rng, read_plain(data), None))
        except NotPlainError:
            return data

    return Target(
        name="text/invitation-message",
        open=plain(check),
        errors=(WireError,),
        seeds=seeds,
        modules=(wire.invitations,),
        mutate=mutate,
        framing=r"WireError: (the (end of the )?inv|not msgpack|message: (expected|unknown)|an? (message|invitation) )",
    )


def _packed_addresses() -> Target:
    def check(data: bytes) -> None:
        if data:  # The shape refuses an empty one.
            assert unpack_address(pack_address(unpack_address(data)))

    def seeds(_rng: random.Random) -> list[bytes]:
        return [pack_address(address) for address in ADDRESSES]

    return Target(
        name="text/packed-address",
        open=plain(check),
        errors=(WireError,),
        seeds=seeds,
        modules=(wire.invitations,),
    )


def _lan() -> Target:
    """What anybody on the local network may say: at most LAN_ADDRESSES_MAX addresses, all of one peer."""
    mark = network_mark(NetworkNames("main", PUBLIC.shared()))
    own = honest.peer_id(0)

    def check(data: bytes) -> str:
        found = read_text(data, mark=mark, own=own)
        assert len(found) <= network_limits.LAN_ADDRESSES_MAX
        assert len({address.rpartition("/")[2] for address in found}) <= 1
        assert peer_id_to_text(own) not in "".join(found)
        hosts_of([address.partition("/p2p/")[0] for address in found])
        return str(len(found))

    def seeds(_rng: random.Random) -> list[bytes]:
        return [make_text(mark, honest.peer_id(number), ADDRESSES[: 1 + number]) for number in range(1, 6)]

    def mutate(rng: random.Random, data: bytes) -> bytes:
        """Damage the entries and write their lengths anew."""
        entries = []
        while data:
            entries.append(data[1 : 1 + data[0]])
            data = data[1 + data[0] :]
        if entries:
            position = rng.randrange(len(entries))
            change = edited_text if rng.random() < 0.6 else damage  # noqa: PLR2004 - mostly texts
            entries[position] = change(rng, entries[position])
        return b"".join(bytes([len(entry[:255])]) + entry[:255] for entry in entries)

    def damage(rng: random.Random, data: bytes) -> bytes:
        return damaged(rng, data, ())

    return Target(
        name="text/lan",
        open=plain(check),
        errors=(),
        seeds=seeds,
        modules=(p2pnode.network.lan_text,),
        mutate=mutate,
    )
