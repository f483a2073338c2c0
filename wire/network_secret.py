"""The secret of a private network: who does not have it gets no answer from any member.

Rules: it is always generated, never chosen, because one recorded handshake lets an attacker test guesses for as long as
he likes; it never travels except in an invitation; and nothing prints it by accident.
"""

from __future__ import annotations

import base64
from typing import Self

from crypto.hashing import tagged_hash
from wire.errors import WireError
from wire.ids import FixedBytes

SECRET_BYTES = 16
"""128 bits: nobody guesses it, and an invitation stays short enough to be read out."""

_FILE_WORD = "p2pnode-network-secret-v1"
_HANDSHAKE_TAG = b"p2pnode/network-secret/v1"


class NetworkSecret(FixedBytes):
    """What the members of one network share."""

    length = SECRET_BYTES

    def handshake_key(self, network: str) -> bytes:
        """Return the key of 32 bytes that both sides bring to every handshake.

        The network's name is in it, so that one secret used for two networks by mistake does not join them.
        """
        return tagged_hash(_HANDSHAKE_TAG, network.encode(), self)

    def file_text(self) -> str:
        """Return what stands in the secret's file: one line."""
        return f"{_FILE_WORD} {base64.b64encode(self).decode('ascii')}\n"

    @classmethod
    def from_file_text(cls, text: str) -> Self:
        """Read the secret's file. Raises `WireError`, which does not repeat what stood there."""
        message = f"expected one line: '{_FILE_WORD}' and the base64 of {SECRET_BYTES} bytes"
        word, _, encoded = text.strip().partition(" ")
        if word != _FILE_WORD:
            raise WireError(message)
        try:
            secret = cls(base64.b64decode(encoded.encode("ascii"), validate=True))
        except ValueError:
            raise WireError(message) from None  # The cause would carry parts of the secret into a log.
        if secret.file_text() != text.strip() + "\n":  # Spare bits would give one secret several spellings.
            raise WireError(message)
        return secret

    def __repr__(self) -> str:
        """Return a name without the bytes: this may stand in a log."""
        return "NetworkSecret(hidden)"

    __str__ = __repr__
