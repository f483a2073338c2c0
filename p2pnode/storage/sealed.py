"""Sealed parts of files: magic, version, length and a checksum around bytes, so that no flipped bit is believed. Pure.

    magic (8)  version (2)  body length (4)  body  checksum (32)

Numbers are big-endian. The checksum covers everything before it, tagged with the magic, so that a part of one kind of
file never passes for another's. It guards against accidents of a disk, not against an attacker who writes our files.
"""

from __future__ import annotations

import struct

from crypto.hashing import HASH_BYTES, tagged_hash

_PREFIX = struct.Struct(">8sHI")
_TAG = b"p2pnode/sealed"

PREFIX_BYTES = _PREFIX.size
SEAL_BYTES = PREFIX_BYTES + HASH_BYTES
"""What sealing adds to a body."""


class DamagedFileError(ValueError):
    """Bytes on our disk are not what was written there; the message says which part."""


class NewerFormatError(ValueError):
    """Intact, but written by a newer version of this program."""


def seal(magic: bytes, version: int, body: bytes) -> bytes:
    """Return the sealed bytes."""
    sealed = _PREFIX.pack(magic, version, len(body)) + body
    return sealed + tagged_hash(_TAG, sealed)


def sealed_bytes(prefix: bytes, *, magic: bytes, body_bytes_max: int) -> int:
    """Return the length of the whole sealed part that starts with this prefix; unchecked, but bounded.

    Raises `DamagedFileError` when no part of this kind starts here.
    """
    if len(prefix) < PREFIX_BYTES:
        message = f"cut short: {len(prefix)} bytes"
        raise DamagedFileError(message)
    found, _, body_bytes = _PREFIX.unpack_from(prefix)
    if found != magic:
        message = f"expected {magic!r} at the start, got {found!r}"
        raise DamagedFileError(message)
    if body_bytes > body_bytes_max:
        message = f"a body has at most {body_bytes_max} bytes, {body_bytes} are announced"
        raise DamagedFileError(message)
    return SEAL_BYTES + int(body_bytes)


def unseal(data: bytes, *, magic: bytes, version: int, body_bytes_max: int) -> bytes:
    """Return the body of a sealed part that fills `data` exactly.

    Raises `DamagedFileError`, or `NewerFormatError` when it is intact and of another version.
    """
    expected = sealed_bytes(data[:PREFIX_BYTES], magic=magic, body_bytes_max=body_bytes_max)
    if len(data) != expected:
        message = f"expected {expected} bytes, got {len(data)}"
        raise DamagedFileError(message)
    if tagged_hash(_TAG, data[:-HASH_BYTES]) != data[-HASH_BYTES:]:
        message = "the checksum does not match"
        raise DamagedFileError(message)
    found = _PREFIX.unpack_from(data)[1]
    if found != version:
        message = f"format version {found}, this program knows {version}"
        raise NewerFormatError(message)
    return data[PREFIX_BYTES:-HASH_BYTES]
