"""Invitations: one text each, and whatever else somebody pastes is refused with words that say what to do."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from tests.wire.strategies import values_of
from wire import invitations
from wire.codec import encode
from wire.errors import WireError
from wire.invitations import PREFIX, Invitation, InvitedMember, pack_address, unpack_address
from wire.network_secret import SECRET_BYTES, NetworkSecret

LAN = "/ip4/192.168.1.20/tcp/4710"
PUBLIC = "/ip6/2001:db8::7/tcp/4710"
NAMED = "/dns4/node.example/tcp/4710"
SECRET = NetworkSecret(b"\x5e" * SECRET_BYTES)


def invitation(*members: InvitedMember, secret: NetworkSecret | None = SECRET) -> Invitation:
    return Invitation(
        network="family",
        profile="private",
        parameter_hash=b"\xaa" * 8,
        secret=secret,
        members=members or (InvitedMember.at(factories.peer_id(), [LAN, PUBLIC, NAMED]),),
    )


def framed(message: bytes, *, version: int = 1) -> str:
    """Return a code whose frame is right, whatever the message is."""
    body = bytes([version]) + len(message).to_bytes(2, "big") + message
    return PREFIX + invitations._to_base32(body + invitations._checksum(body))


@given(st.booleans(), values_of(Invitation))
def test_every_invitation_comes_back_as_it_was_or_its_addresses_are_refused(
    is_whole: bool,  # noqa: FBT001 - Hypothesis gives it
    value: object,
) -> None:
    assert isinstance(value, Invitation)
    if is_whole:
        value = dataclasses.replace(value, members=(InvitedMember.at(factories.peer_id(), [LAN, NAMED]),))
        assert Invitation.parse(value.text()) == value
    else:
        try:
            assert Invitation.parse(value.text()) == value
        except WireError as error:
            assert "address" in str(error)  # noqa: PT017 - most random bytes are no address, some are


def test_a_newcomer_gets_every_address_with_its_peer_id() -> None:
    first, second = factories.peer_id(1), factories.peer_id(2)
    made = invitation(InvitedMember.at(first, [LAN, PUBLIC]), InvitedMember.at(second, [NAMED]))
    read = Invitation.parse(made.text())
    assert read.bootstrap() == (f"{LAN}/p2p/{first}", f"{PUBLIC}/p2p/{first}", f"{NAMED}/p2p/{second}")
    assert [member.peer_id for member in read.members] == [first, second]


def test_a_code_for_one_node_is_short_and_one_word() -> None:
    code = invitation().text()
    assert len(code) < 250
    assert code.startswith("p2pnode1")
    assert code.isalnum()
    assert code == code.lower()
    assert len(invitation(InvitedMember.at(factories.peer_id(), [LAN])).text()) < 180


def test_a_code_is_its_golden_text() -> None:
    member = InvitedMember.at(factories.peer_id(), [LAN])
    message = encode(invitation(member))
    assert invitation(member).text() == framed(message)
    assert Invitation.parse(framed(message)) == invitation(member)


def test_a_network_without_a_secret_has_invitations_too() -> None:
    assert Invitation.parse(invitation(secret=None).text()).secret is None


@pytest.mark.parametrize(
    ("address", "count"),
    [
        (LAN, 7),
        (PUBLIC, 19),
        ("/ip4/0.0.0.0/tcp/65535", 7),
        (NAMED, len(NAMED)),
        ("/ip4/1.2.3.4/tcp/65536", 22),
        ("/ip4/1.2.3.4/tcp/04", 19),
        ("/ip4/1.2.3.4/tcp/x", 18),
        ("/ip4/1.2.3/tcp/1", 16),
        ("/ip4/::1/tcp/1", 14),
        ("/ip6/2001:DB8::7/tcp/1", 22),
        ("/ip4/1.2.3.4/udp/1/quic-v1", 26),
    ],
)
def test_an_address_is_packed_where_that_keeps_its_spelling(address: str, count: int) -> None:
    assert len(pack_address(address)) == count
    assert unpack_address(pack_address(address)) == address


@pytest.mark.parametrize(
    "packed",
    [b"\x04", b"\x04" + bytes(5), b"\x04" + bytes(7), b"\x06" + bytes(17), b"x", b"/\xff", b"/a\n", b"\xff", b"\x05/a"],
)
def test_bytes_that_are_no_address_are_refused(packed: bytes) -> None:
    with pytest.raises(WireError, match="an address of"):
        unpack_address(packed)
    bad = framed(encode(invitation(InvitedMember(key=factories.public_key(), addresses=(packed,)))))
    with pytest.raises(WireError, match="an address of"):
        Invitation.parse(bad)


def test_an_address_has_one_spelling_in_a_code() -> None:
    long = InvitedMember(key=factories.public_key(), addresses=(LAN.encode(),))
    with pytest.raises(WireError, match="not in canonical form"):
        Invitation.parse(framed(encode(invitation(long))))


def test_every_part_of_a_code_is_told_from_the_whole() -> None:
    code = invitation().text()
    for end in range(len(PREFIX), len(code)):
        with pytest.raises(WireError, match=r"the end of the invitation is missing .* copy the whole code"):
            Invitation.parse(code[:end])


@pytest.mark.parametrize("more", ["a", "aaaaaaaa", "p2pnode"])
def test_a_code_with_more_behind_it_is_refused(more: str) -> None:
    with pytest.raises(WireError, match=r"goes on after its end .* copy the code alone"):
        Invitation.parse(invitation().text() + more)


def test_every_mistyped_letter_is_noticed(rng: random.Random) -> None:
    code = invitation().text()
    for position in range(len(PREFIX), len(code)):
        other = rng.choice(sorted(invitations._ALPHABET - {code[position]}))
        # A letter of the length makes the code look too long or too short.
        with pytest.raises(WireError, match=r"mistyped or damaged|copy the"):
            Invitation.parse(code[:position] + other + code[position + 1 :])


def test_two_letters_that_changed_places_are_noticed() -> None:
    code = invitation().text()
    for position in range(len(PREFIX) + 5, len(code) - 1):
        first, second = code[position], code[position + 1]
        if first != second:
            with pytest.raises(WireError, match="mistyped or damaged"):
                Invitation.parse(code[:position] + second + first + code[position + 2 :])


@pytest.mark.parametrize("char", ["1", "0", "A", "-", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\0", "="])
def test_a_character_that_no_code_has_is_named(char: str) -> None:
    code = invitation().text()
    with pytest.raises(WireError, match=r"mistyped: character 20 cannot be"):
        Invitation.parse(code[:19] + char + code[20:])


@pytest.mark.parametrize("text", ["", "p2pnode", "P2PNODE1AEAI", "/ip4/1.2.3.4/tcp/1", " p2pnode1aeai", "bc1qqqq"])
def test_what_is_no_code_at_all_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(WireError, match="this is no invitation: expected a text that begins with p2pnode1"):
        Invitation.parse(text)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_a_code_of_another_version_says_so(version: int) -> None:
    with pytest.raises(WireError, match=rf"another version of p2pnode \(format {version}\)"):
        Invitation.parse(framed(b"whatever it has", version=version))


@pytest.mark.parametrize("message", [b"", b"\xc0", b"\x91\x03", encode(factories.envelope()), bytes(4097)])
def test_a_right_frame_around_anything_else_is_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        Invitation.parse(framed(message))


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", max_size=300))
def test_any_letters_are_an_invitation_or_a_wire_error(letters: str) -> None:
    with pytest.raises(WireError):
        Invitation.parse(PREFIX + letters)


def test_no_error_repeats_what_was_in_the_code() -> None:
    code = invitation().text()
    for broken in (code[:-1], code + "a", code[:-1] + ("a" if code[-1] != "a" else "b"), code[9:]):
        with pytest.raises(WireError) as caught:
            Invitation.parse(broken)
        assert code[20:40] not in str(caught.value)
