"""Signatures over (domain tag, network, version, body): no signature over bare data, none that fits another place."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey

_TAG = b"p2pnode/signed/v1"


class BadSignatureError(ValueError):
    """A signature that does not fit its key, domain, network, version and body."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature counts: the kind of record, the network, and the version of the record's format."""

    tag: str
    network: str
    version: int

    def digest(self, body: bytes) -> bytes:
        """Return the 32 bytes that are signed; each part is prefixed with its length, so none can flow into another."""
        return tagged_hash(_TAG, self.tag.encode(), self.network.encode(), self.version.to_bytes(4, "big"), body)


_FIELD_PRIME = 2**255 - 19
_ORDER_EIGHT_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_EIGHT_Y, _FIELD_PRIME - _ORDER_EIGHT_Y})
"""The y coordinates of the eight points of low order. With such a key one signature fits every message, so it would say
nothing about what was signed. Nobody comes to one by chance."""


def _check_key(public_key: bytes) -> None:
    """Raise `ValueError` for a key of low order, or one whose y coordinate is not in its one spelling."""
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME or y in _LOW_ORDER_Y:
        message = "not the key of anybody"
        raise ValueError(message)


def sign(key: SigningKey, domain: Domain, body: bytes) -> bytes:
    """Return the signature of `body` in `domain`, 64 bytes."""
    return key.sign_bytes(domain.digest(body))


def verify(domain: Domain, body: bytes, *, public_key: bytes, signature: bytes) -> None:
    """Check a signature. Raises `BadSignatureError` when it does not fit; returns nothing when it does."""
    try:
        _check_key(public_key)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, domain.digest(body))
    except (InvalidSignature, ValueError) as error:
        message = f"bad signature on a {domain.tag} of network {domain.network!r} by key {public_key.hex()[:12]}"
        raise BadSignatureError(message) from error
