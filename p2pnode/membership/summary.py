"""A summary of a member table: by it two nodes that meet tell each other only what differs.

Nearly all that two neighbours know of the members is the same, and a node in a large network has a hundred neighbours.
So the table is divided into buckets by the last byte of the peer ids, and the summary has a digest of each bucket: the
sum modulo two of a hash for every record in it, which one record changes without a look at the others.

A stranger who makes identities at will can make two different buckets look alike. It gains nothing that lasts: what it
hides so between two nodes for now, gossip tells them with the next record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import TypeVar

from wire.ids import SUMMARY_BUCKETS, MembersSummary, PeerId

T = TypeVar("T")

_HASH_BYTES = MembersSummary.length // SUMMARY_BUCKETS
_HASH_BITS = 8 * _HASH_BYTES
_SEQUENCE_BYTES = 8


class Summary:
    """The digests of all buckets, kept while records come and go."""

    def __init__(self) -> None:
        """Start with no record."""
        self.sums = 0
        """All buckets in one number, the first in its lowest bits."""

    def flip(self, peer_id: PeerId, sequence: int) -> None:
        """Take a record in, or out again: it is the same sum."""
        data = bytes(peer_id) + sequence.to_bytes(_SEQUENCE_BYTES, "big")
        digest = hashlib.blake2b(data, digest_size=_HASH_BYTES, person=b"p2pnode/members").digest()
        self.sums ^= int.from_bytes(digest, "little") << (_HASH_BITS * bucket_of(peer_id))

    def digests(self, *others: Summary) -> MembersSummary:
        """Return what another node compares with its own, with the records of other summaries taken in."""
        sums = self.sums
        for other in others:
            sums ^= other.sums
        return MembersSummary(sums.to_bytes(MembersSummary.length, "little"))


def bucket_of(peer_id: PeerId) -> int:
    """Return the bucket that a peer's record is in."""
    return peer_id[-1]


def within(buckets: Collection[int], rows: Iterable[tuple[PeerId, T]]) -> list[tuple[PeerId, T]]:
    """Return the rows whose peer is in one of the buckets; a large table is gone through for each new neighbour."""
    return [row for row in rows if row[0][-1] in buckets] if buckets else []


def differing(ours: MembersSummary, theirs: MembersSummary | None) -> frozenset[int]:
    """Return the buckets in which the two tables differ; all when the other one is not known."""
    if theirs is None:
        return frozenset(range(SUMMARY_BUCKETS))
    if ours == theirs:
        return frozenset()
    starts = range(0, MembersSummary.length, _HASH_BYTES)
    return frozenset(
        start // _HASH_BYTES
        for start in starts
        if ours[start : start + _HASH_BYTES] != theirs[start : start + _HASH_BYTES]
    )
