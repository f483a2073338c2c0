"""Peer ids: what libp2p derives, in one spelling."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import Ed25519PublicKey
from libp2p.peer.id import ID

from crypto.keys import SigningKey
from crypto.peer_id import (
    PEER_ID_BYTES,
    PEER_ID_CHARS,
    BadPeerIdError,
    peer_id_from_text,
    peer_id_of,
    peer_id_to_text,
    public_key_of,
)

PUBLIC = SigningKey(bytes(range(32))).public
PEER_ID = peer_id_of(PUBLIC)
TEXT = peer_id_to_text(PEER_ID)


def test_a_peer_id_is_the_one_that_libp2p_derives(rng: random.Random) -> None:
    for _ in range(50):
        public = SigningKey(rng.randbytes(32)).public
        theirs = ID.from_pubkey(Ed25519PublicKey.from_bytes(public))
        assert peer_id_of(public) == theirs.to_bytes()
        assert peer_id_to_text(peer_id_of(public)) == theirs.to_base58()
        assert peer_id_from_text(theirs.to_base58()) == theirs.to_bytes()


def test_a_peer_id_has_its_golden_bytes_and_text() -> None:
    assert PEER_ID.hex() == "002408011220" + PUBLIC.hex()
    assert TEXT == "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"


@given(st.binary(min_size=32, max_size=32))
def test_a_peer_id_carries_its_key(public: bytes) -> None:
    peer_id = peer_id_of(public)
    assert len(peer_id) == PEER_ID_BYTES == 38
    assert public_key_of(peer_id) == public


@given(st.binary(min_size=32, max_size=32))
def test_the_text_of_a_peer_id_leads_back_to_it(public: bytes) -> None:
    text = peer_id_to_text(peer_id_of(public))
    assert text.startswith("12D3KooW")
    assert len(text) == PEER_ID_CHARS
    assert peer_id_from_text(text) == peer_id_of(public)


@pytest.mark.parametrize("extreme", [bytes(32), b"\xff" * 32])
def test_the_smallest_and_the_largest_peer_id_have_as_many_characters(extreme: bytes) -> None:
    assert len(peer_id_to_text(peer_id_of(extreme))) == PEER_ID_CHARS


@pytest.mark.parametrize("count", [0, 31, 33])
def test_a_key_of_another_length_has_no_peer_id(count: int) -> None:
    with pytest.raises(BadPeerIdError, match=f"an Ed25519 public key has 32 bytes, got {count}"):
        peer_id_of(bytes(count))


WRONG_BYTES = {
    "empty": b"",
    "cut": PEER_ID[:-1],
    "too long": PEER_ID + b"\0",
    "a hashed key": bytes.fromhex("1220") + bytes(36),
    "a key of another type": bytes.fromhex("002408021220") + PUBLIC,
    "a longer multihash": bytes.fromhex("002508011220") + PUBLIC,
}


@pytest.mark.parametrize("peer_id", WRONG_BYTES.values(), ids=WRONG_BYTES)
def test_other_bytes_carry_no_key(peer_id: bytes) -> None:
    with pytest.raises(BadPeerIdError, match="not the peer id of an Ed25519 key"):
        public_key_of(peer_id)


WRONG_TEXTS = {
    "empty": "",
    "cut": TEXT[:-1],
    "too long": TEXT + "1",
    "white space at the end": TEXT + "\n",
    "white space in the place of a character": TEXT[:-1] + " ",
    "white space in front": " " + TEXT[:-1],
    "a character that base58 has not": "0" + TEXT[1:],
    "not ASCII": "ä" + TEXT[1:],
    "half of a surrogate pair": "\ud800" + TEXT[1:],
    "a hashed key": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
    "of the right length only": "1" * PEER_ID_CHARS,
    "another start": "22" + TEXT[2:],
    "a million characters": "1" * 1_000_000,
}


@pytest.mark.parametrize("text", WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadPeerIdError, match="peer id"):
        peer_id_from_text(text)


@given(st.text(max_size=60) | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabc \n", min_size=52, max_size=52))
def test_any_text_is_a_peer_id_in_its_one_spelling_or_an_error(text: str) -> None:
    try:
        peer_id = peer_id_from_text(text)
    except BadPeerIdError:
        return
    assert peer_id_to_text(peer_id) == text
