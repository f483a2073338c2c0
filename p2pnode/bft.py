"""How many of n may fail and how many suffice: the one place that computes f, P, S and the quorum from n.

Names and values: `docs/spec/RED_STUFF.md`, section 1. n need not be 3f + 1; where it is, P = f + 1 and S = 2f + 1.
"""

from __future__ import annotations

from wire.limits import SHARDS_MAX, SHARDS_MIN


class BadShardCountError(ValueError):
    """A number of shards outside the code's range."""


def faulty(n: int) -> int:
    """Return f, the shards that may be Byzantine. Raises `BadShardCountError`, as all functions here do."""
    if not SHARDS_MIN <= n <= SHARDS_MAX:
        message = f"a blob has {SHARDS_MIN} to {SHARDS_MAX} shards, got n = {n}"
        raise BadShardCountError(message)
    return (n - 1) // 3


def primary_source(n: int) -> int:
    """Return P, the rows of the message matrix: any P sliver pairs give the blob back."""
    return n - 2 * faulty(n)


def secondary_source(n: int) -> int:
    """Return S, the columns of the message matrix: S symbols rebuild a primary sliver."""
    return n - faulty(n)


def quorum(n: int) -> int:
    """Return the distinct shards that certify a write: two quorums share an honest shard."""
    return n - faulty(n)


def validity(n: int) -> int:
    """Return the number of shards of which at least one is honest."""
    return faulty(n) + 1
