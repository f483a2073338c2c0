"""BLAKE2b-256, bare and with a domain tag: the only hash function of the project.

Bare hashes name data (blobs, files, Merkle nodes). Whatever is signed or compared as a statement goes through
`tagged_hash`, so that bytes which mean one thing in one place can never pass for something else in another.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeAlias

HASH_BYTES = 32

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What can be hashed without a copy."""

_TAGGED_PERSON = b"p2pnode-tagged"
"""BLAKE2b personalisation. It makes tagged hashes another function than the bare one, so that no file, whatever its
content, has a bare hash which equals a tagged one."""

_TAGGED = blake2b(digest_size=HASH_BYTES, person=_TAGGED_PERSON)
"""Never updated itself, so threads may share it."""

_LENGTH_BYTES = 8


def blake2b_256(data: Buffer) -> bytes:
    """Return the unkeyed BLAKE2b digest of 32 bytes."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


def tagged_hash(tag: bytes, *parts: bytes) -> bytes:
    """Return a digest that commits to the tag, the number of parts and each part.

    Every piece is preceded by its length as u64le, so the input can be read back in one way only.
    """
    pieces: list[bytes] = []
    for piece in (tag, *parts):
        pieces += (len(piece).to_bytes(_LENGTH_BYTES, "little"), piece)
    state = _TAGGED.copy()
    state.update(b"".join(pieces))  # One call: most parts are short.
    return state.digest()
