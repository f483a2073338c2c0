"""Sealing of private data with ChaCha20-Poly1305: under a derived key, or under a passphrase that scrypt makes slow.

A sealed text opens with its key and its context only; whatever is changed in it is noticed.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from crypto.hashing import tagged_hash

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 16
TAG_BYTES = 16

SCRYPT_LOG2_N = 17
"""128 MiB and about half a second on a laptop: a guess at a passphrase costs as much. Restoring happens once."""

SCRYPT_LOG2_N_MAX = 20
"""A backup that asks for more than a gigabyte is not one of ours."""

_SCRYPT_R, _SCRYPT_P = 8, 1
_PASSPHRASE_HEADER = struct.Struct(f"<B{SALT_BYTES}s{NONCE_BYTES}s")


class SealError(ValueError):
    """Sealed bytes that do not open: another key, another context, or damage; nobody can tell which."""


def derive_key(secret: bytes, purpose: bytes) -> bytes:
    """Return a key for one purpose from secret bytes with full entropy; keys of two purposes say nothing of another."""
    return tagged_hash(b"p2pnode/derived-key/v1", purpose, secret)


def seal(key: bytes, plaintext: bytes, *, nonce: bytes, context: bytes) -> bytes:
    """Return nonce and sealed text. A nonce is random and never used twice with a key; the context is not secret."""
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plaintext, context)


def unseal(key: bytes, sealed: bytes, *, context: bytes) -> bytes:
    """Return what `seal` was given. Raises `SealError`."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        message = f"{len(sealed)} bytes are too few for sealed data"
        raise SealError(message)
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except InvalidTag as error:
        message = "the sealed data does not open: it is damaged, or sealed with another key"
        raise SealError(message) from error


def seal_with_passphrase(
    passphrase: str, plaintext: bytes, *, salt: bytes, nonce: bytes, context: bytes, log2_n: int = SCRYPT_LOG2_N
) -> bytes:
    """Return the sealed text with all that is needed to open it but the passphrase. Takes half a second."""
    header = _PASSPHRASE_HEADER.pack(log2_n, salt, nonce)
    key = _stretched(passphrase, salt, log2_n)
    return header + ChaCha20Poly1305(key).encrypt(nonce, plaintext, context + header)


def unseal_with_passphrase(passphrase: str, sealed: bytes, *, context: bytes) -> bytes:
    """Return what `seal_with_passphrase` was given. Raises `SealError`, also for costs that we would not pay."""
    if len(sealed) < _PASSPHRASE_HEADER.size + TAG_BYTES:
        message = f"{len(sealed)} bytes are too few for sealed data"
        raise SealError(message)
    header = sealed[: _PASSPHRASE_HEADER.size]
    log2_n, salt, nonce = _PASSPHRASE_HEADER.unpack(header)
    if not 1 <= log2_n <= SCRYPT_LOG2_N_MAX:
        message = f"the sealed data asks for scrypt with N = 2**{log2_n}: it is damaged, or not one of ours"
        raise SealError(message)
    try:
        key = _stretched(passphrase, salt, log2_n)
        return ChaCha20Poly1305(key).decrypt(nonce, sealed[_PASSPHRASE_HEADER.size :], context + header)
    except InvalidTag as error:
        message = "the sealed data does not open: the passphrase is another one, or the data is damaged"
        raise SealError(message) from error


def _stretched(passphrase: str, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=1 << log2_n, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase.encode())
