"""How many shards a blob gets, and how many nodes may then fail (PROTOCOL section 3)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

MEMBERS_MIN = 4
"""Fewer members than this cannot keep a blob so that one of them may fail."""

SHARDS_DEFAULT_MAX = 100
"""More shards cost metadata and bring little: at n = 100 a third of a hundred nodes may fail already."""

SPARES_FROM = 12
"""Above this many members a fifth of them is left as spares."""

BYTES_PER_SHARD_SQUARED = 144
"""Keeps a pair's metadata (64 n bytes) near a tenth of the pair: n at most sqrt(bytes / 144)."""

SMALL_SHARDS = 10
"""Small blobs get up to this many shards whatever their metadata costs."""

SIZE_THAT_DECIDES = BYTES_PER_SHARD_SQUARED * SHARDS_DEFAULT_MAX**2
"""From this many bytes on the size no longer limits the default n, so a writer need not know how long the rest is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlan:
    """What a put would do now. Sizes are in bytes."""

    size: int
    n: int
    limited_by: str
    """Why n is not larger."""
    segments: int
    segment_bytes: int
    stored_bytes: int
    """On all nodes together: slivers, and the hashes that each holder keeps of all pairs."""
    members: int
    """Those that may be given data, this node included."""
    nodes: int
    """Those that would hold a part."""
    domains: int
    """Failure domains that these are in."""
    spares: int
    """Members that hold nothing and may take over."""
    shards_to_read: int
    """P: so many shards give the data back, whichever they are."""
    shards_to_store: int
    """n - f: so many must be signed for before a put reports success."""
    nodes_that_may_fail: int
    domains_that_may_fail: int


def default_shards(*, members: int, size: int) -> int:
    """Return the largest n of the form 3f + 1 that the members and the size (bytes) allow.

    Raises `ValueError` below MEMBERS_MIN members.
    """
    if members < MEMBERS_MIN:
        message = f"at least {MEMBERS_MIN} members are needed, {members} are known"
        raise ValueError(message)
    by_members = members if members <= SPARES_FROM else members * 8 // 10
    by_size = max(SMALL_SHARDS, math.isqrt(size // BYTES_PER_SHARD_SQUARED))
    most = min(SHARDS_DEFAULT_MAX, by_members, by_size)
    return (most - 1) // 3 * 3 + 1


def nodes_that_may_fail(shard_holders: Sequence[Hashable], *, needed: int) -> int:
    """Return how many nodes, whichever they are, may vanish while shards of `needed` of them stay.

    `shard_holders` names the holder of each shard that is there; a node may stand in it several times.
    """
    left = len(shard_holders)
    failures = 0
    for _, shards in Counter(shard_holders).most_common():
        left -= shards
        if left < needed:
            break
        failures += 1
    return failures
