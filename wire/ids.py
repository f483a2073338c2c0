"""The id types: every id that crosses a module boundary has its own type, so that two kinds never mix silently."""

from __future__ import annotations

import base64
import enum
from typing import NewType, Self

from crypto.peer_id import peer_id_to_text
from wire.errors import WireError

BLOB_ID_BYTES = 32
DIGEST_BYTES = 32
PEER_ID_BYTES = 38
"""An identity multihash (2 bytes) over the protobuf form (4 + 32 bytes) of an Ed25519 key, as libp2p derives it."""

BLOB_ID_TEXT_CHARS = 43

ShardIndex = NewType("ShardIndex", int)
"""A position among the n shards of a committee: shard s is what its holder signs for."""

PairIndex = NewType("PairIndex", int)
"""A position among the n sliver pairs of one blob; `coding.shard_of_pair` turns it into a shard."""


class Axis(enum.IntEnum):
    """Which dimension of the expanded matrix a sliver runs along (spec section 2)."""

    PRIMARY = 0
    SECONDARY = 1


class FixedBytes(bytes):
    """Bytes of one exact length; the common part of the id types.

    Raises `WireError` when made from anything of another length.
    """

    length = 0

    def __new__(cls, value: bytes) -> Self:
        if len(value) != cls.length:
            message = f"a {cls.__name__} has {cls.length} bytes, got {len(value)}"
            raise WireError(message)
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()[:12]}..)"

    __str__ = __repr__


class BlobId(FixedBytes):
    """The name of a blob: H(0x01 || length || blob root), spec section 3."""

    length = BLOB_ID_BYTES

    def text(self) -> str:
        """Return the printed form: base64url without padding, 43 characters."""
        return base64.urlsafe_b64encode(self).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the printed form. Raises `WireError` when it is not exactly one blob id in its one spelling."""
        if len(text) != BLOB_ID_TEXT_CHARS:
            message = f"a blob id has {BLOB_ID_TEXT_CHARS} characters, got {len(text)}"
            raise WireError(message)
        try:
            blob_id = cls(base64.b64decode(text + "=", altchars=b"-_", validate=True))
        except ValueError as error:  # Not base64, not even ASCII, or fewer bytes because of padding inside.
            message = f"not a blob id: {text!r} is not base64url"
            raise WireError(message) from error
        if blob_id.text() != text:  # Spare bits in the last character would give one id several spellings.
            message = f"not a blob id: {text!r} is not in canonical form"
            raise WireError(message)
        return blob_id

    def __str__(self) -> str:
        return self.text()


class PeerId(FixedBytes):
    """A node's libp2p peer id; it carries the node's public key. `crypto.peer_id` converts it."""

    length = PEER_ID_BYTES

    def __str__(self) -> str:
        return peer_id_to_text(self)


SUMMARY_BUCKETS = 256
"""Parts of a member table that are compared each for itself: with ten thousand members one has forty records, and of a
thousand members those few that changed within the last seconds differ."""


class MembersSummary(FixedBytes):
    """A digest of each bucket of a member table, four bytes each: `p2pnode/membership/summary.py`."""

    length = 4 * SUMMARY_BUCKETS


PAGE_BUCKETS = 256
"""Buckets in which two nodes compare what they hold in common, by the first byte of a page's name."""

STATE_BYTES = 8
"""A digest over what is kept of a page, or of all pages of a bucket: two peers with the same are in step."""


class PageDigests(FixedBytes):
    """A digest of each bucket of the pages that two nodes share."""

    length = STATE_BYTES * PAGE_BUCKETS


class Digest(FixedBytes):
    """A BLAKE2b-256 hash or Merkle root of anything that is not a blob."""

    length = DIGEST_BYTES


class LeaseTarget(Digest):
    """What a lease is for: a blob id, or the Merkle root over the blob ids of a file."""


class FileSalt(Digest):
    """The random salt by which all segments of one file share a committee."""


class PublicKey(FixedBytes):
    """A raw Ed25519 public key."""

    length = 32


class Signature(FixedBytes):
    """A raw Ed25519 signature."""

    length = 64
