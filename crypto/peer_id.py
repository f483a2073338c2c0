"""Peer ids as libp2p derives them: an identity multihash over the protobuf form of an Ed25519 public key.

Source: libp2p specification "Peer Ids and Keys"; short keys are carried whole, so a peer id yields its key.
"""

from __future__ import annotations

import functools

import base58

from crypto.keys import PUBLIC_KEY_BYTES

_PREFIX = bytes.fromhex("002408011220")
"""Multihash code 0 (identity), 36 bytes; protobuf field 1 (type) = 1 (Ed25519), field 2 (data) of 32 bytes."""

PEER_ID_BYTES = len(_PREFIX) + PUBLIC_KEY_BYTES

PEER_ID_CHARS = 52
"""Every peer id of an Ed25519 key has this many characters: all start with the same bytes."""


class BadPeerIdError(ValueError):
    """Bytes or text that are not the peer id of an Ed25519 key."""


def peer_id_of(public_key: bytes) -> bytes:
    """Return the 38 bytes of the peer id. Raises `BadPeerIdError` when the key has another length."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        message = f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, got {len(public_key)}"
        raise BadPeerIdError(message)
    return _PREFIX + public_key


def public_key_of(peer_id: bytes) -> bytes:
    """Return the public key that a peer id carries. Raises `BadPeerIdError` when it carries none."""
    if len(peer_id) != PEER_ID_BYTES or not peer_id.startswith(_PREFIX):
        message = f"not the peer id of an Ed25519 key: {peer_id.hex()[:24]}"
        raise BadPeerIdError(message)
    return peer_id[len(_PREFIX) :]


TEXTS_MAX = 16_384
"""Printed forms that are remembered, about 200 bytes each: more than the members of a full table."""


@functools.lru_cache(maxsize=TEXTS_MAX)
def peer_id_to_text(peer_id: bytes) -> str:
    """Return the printed form (base58btc, it starts with 12D3KooW).

    It is remembered, because it takes ten times as long as all else that is asked about a member.
    """
    return base58.b58encode(peer_id).decode("ascii")


def peer_id_from_text(text: str) -> bytes:
    """Read the printed form. Raises `BadPeerIdError` for anything but the one spelling of a peer id."""
    # Checked first: reading base58 takes time that grows with the square of the length, and forgives white space at the
    # end. No peer id is shorter, so that what was forgiven here could be one.
    if len(text) != PEER_ID_CHARS:
        message = f"a peer id has {PEER_ID_CHARS} characters, got {len(text)}"
        raise BadPeerIdError(message)
    try:
        raw = base58.b58decode(text.encode("ascii"))
    except ValueError as error:
        message = f"not a peer id: {text!r}"
        raise BadPeerIdError(message) from error
    public_key_of(raw)
    return raw
