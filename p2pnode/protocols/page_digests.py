"""Digests of what each pair of nodes holds in common, kept while pages come, change and go.

A page counts for two nodes when both stand in its committee: all who have signed for a pair of it, also who took that
back. For each peer there is a digest of each bucket of pages:
the sum modulo two of a hash for each page and its state, which one page changes without a look at the others. A peer
that makes two sets look alike hides a difference from itself only.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator

from crypto.hashing import tagged_hash
from wire.ids import STATE_BYTES, Digest, PageDigests, PeerId

TAG_BYTES = 8
"""Peers stand in a committee by the start of a hash: a fifth of an id, and no two of a million are alike."""


def peer_tag(peer_id: PeerId) -> bytes:
    """Return what stands for a peer in a committee."""
    return tagged_hash(b"p2pnode/committee", peer_id)[:TAG_BYTES]


def committee_tags(committee: Iterable[PeerId]) -> bytes:
    """Return a committee as it is kept: its peers' tags in order."""
    return b"".join(sorted(map(peer_tag, committee)))


def tags_of(committee: bytes) -> Iterator[bytes]:
    """Yield the tags of a committee."""
    for start in range(0, len(committee), TAG_BYTES):
        yield committee[start : start + TAG_BYTES]


def set_digest(digests: PageDigests) -> bytes:
    """Return the one digest that stands for all buckets."""
    return tagged_hash(b"p2pnode/page set", digests)[:STATE_BYTES]


def differing_buckets(ours: PageDigests, theirs: PageDigests) -> list[int]:
    """Return the buckets in which two sets of pages differ, in order."""
    places = range(0, PageDigests.length, STATE_BYTES)
    return [
        place // STATE_BYTES
        for place in places
        if ours[place : place + STATE_BYTES] != theirs[place : place + STATE_BYTES]
    ]


EMPTY = PageDigests(bytes(PageDigests.length))
"""What two nodes have that share nothing."""


class CommitteeDigests:
    """The digests for every peer with which we share a page: 2 KB each."""

    def __init__(self, own: PeerId) -> None:
        """Share nothing yet."""
        self.own = own
        self._own_tag = peer_tag(own)
        self._sums: dict[bytes, array[int]] = {}
        self._counts: dict[bytes, int] = {}

    def put(self, page: Digest, state: bytes, committee: bytes) -> None:
        """Take a page in."""
        self._flip(page, state, committee, +1)

    def remove(self, page: Digest, state: bytes, committee: bytes) -> None:
        """Take out a page that was put in with this state and committee."""
        self._flip(page, state, committee, -1)

    def _flip(self, page: Digest, state: bytes, committee: bytes, step: int) -> None:
        tags = set(tags_of(committee))
        if self._own_tag not in tags:
            return
        digest = int.from_bytes(tagged_hash(b"p2pnode/page digest", page, state)[:STATE_BYTES], "big")
        for tag in tags - {self._own_tag}:
            sums = self._sums.setdefault(tag, array("Q", bytes(PageDigests.length)))
            sums[page[0]] ^= digest
            self._counts[tag] = self._counts.get(tag, 0) + step
            if not self._counts[tag]:
                del self._sums[tag], self._counts[tag]

    def shares_with(self, peer_id: PeerId) -> bool:
        """Tell whether we share a page with a peer."""
        return peer_tag(peer_id) in self._counts

    def digests(self, peer_id: PeerId) -> PageDigests:
        """Return the digests of what we share with a peer."""
        sums = self._sums.get(peer_tag(peer_id))
        return EMPTY if sums is None else PageDigests(struct.pack(f">{len(sums)}Q", *sums))
