"""Ed25519 keys: made from 32 seed bytes, written as text with their purpose, so that a wrong file is noticed."""

from __future__ import annotations

import base64
import enum
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
_HEADER = "p2pnode-key-v1"


class BadKeyError(ValueError):
    """A key file or key bytes that cannot be used; the message says why."""


class KeyPurpose(enum.StrEnum):
    """What a key signs; it stands in the key's file, so that one is never taken for the other."""

    IDENTITY = "identity"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 private key. Its `repr` shows the public half only."""

    seed: bytes
    _private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)
    public: bytes = field(init=False, repr=False, compare=False)
    """The raw public key, 32 bytes."""

    def __post_init__(self) -> None:
        """Refuse a seed of another length. The rest is made once: it takes as long as a signature."""
        if len(self.seed) != SEED_BYTES:
            message = f"an Ed25519 seed has {SEED_BYTES} bytes, got {len(self.seed)}"
            raise BadKeyError(message)
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(self, "_private", private)
        object.__setattr__(self, "public", private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the raw signature, 64 bytes. Only `crypto.signing` calls this: nothing is signed without a domain."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:12]}..)"


def key_to_text(key: SigningKey, purpose: KeyPurpose) -> str:
    """Return the text of a key file: one line with version, purpose and seed."""
    return f"{_HEADER} {purpose.value} {base64.b64encode(key.seed).decode('ascii')}\n"


def key_from_text(text: str, purpose: KeyPurpose) -> SigningKey:
    """Read the text of a key file. Raises `BadKeyError` when it is no key file, or one for another purpose."""
    words = text.split()
    if len(words) != 3 or words[0] != _HEADER:  # noqa: PLR2004 - header, purpose, seed
        message = f"not a p2pnode key file: expected one line '{_HEADER} {purpose.value} <seed>'"
        raise BadKeyError(message)
    if words[1] != purpose.value:  # The word is not shown: in a damaged file it may be the seed.
        message = f"this key file is not for '{purpose.value}'"
        raise BadKeyError(message)
    try:
        key = SigningKey(base64.b64decode(words[2], validate=True))
    except ValueError as error:  # Not base64, not even ASCII, or of another length.
        message = f"the seed in the key file is not the base64 of {SEED_BYTES} bytes"
        raise BadKeyError(message) from error
    if key_to_text(key, purpose).split() != words:  # Spare bits in the last character mean that it was damaged.
        message = "the seed in the key file is damaged"
        raise BadKeyError(message)
    return key
