"""What storing so many bytes would mean: how many shards, how much room, what may then fail (PROTOCOL section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode import bft
from p2pnode.coding import primary_bytes, secondary_bytes
from p2pnode.errors import CallerError, TooFewHoldersError
from p2pnode.placement import shape
from p2pnode.placement.candidates import propose
from p2pnode.placement.rendezvous import Candidate
from p2pnode.placement.shape import StoragePlan
from p2pnode.placement.spread import DefaultShards, default_for
from p2pnode.protocols.manifest import ENTRY_BYTES_MAX, entries_max, segment_bytes
from wire import limits

PAIR_HASH_BYTES = 64
"""What a holder keeps of each pair of a blob besides its own: the hashes of both slivers."""

_SEEDS = [bytes([number]) * 32 for number in range(8)]
"""A committee differs from blob to blob; the plan tells of the weakest of these."""


def choose_shards(shards: int | None, candidates: Sequence[Candidate], *, size: int) -> DefaultShards:
    """Return n: what the user wants, else the default. Raises `TooFewHoldersError` or `CallerError`."""
    if len(candidates) < shape.MEMBERS_MIN:
        message = (
            f"members known, this node included: {len(candidates)}; at least {shape.MEMBERS_MIN} are needed to store "
            f"anything; wait until 'p2pnode peers' shows more, or give --bootstrap an address of the network"
        )
        raise TooFewHoldersError(message)
    if shards is None:
        return default_for(candidates, size=size)
    if not limits.SHARDS_MIN <= shards <= limits.SHARDS_MAX:
        message = f"--shards must be {limits.SHARDS_MIN} to {limits.SHARDS_MAX}, got {shards}"
        raise CallerError(message)
    return DefaultShards(shards, "your choice")


def plan_storage(size: int, candidates: Sequence[Candidate], *, shards: int | None) -> StoragePlan:
    """Return what storing `size` bytes on these candidates would mean. Raises as `choose_shards`."""
    if not 0 <= size <= limits.FILE_BYTES_MAX:
        message = f"a file has 0 to {limits.FILE_BYTES_MAX} bytes, got {size}"
        raise CallerError(message)
    chosen = choose_shards(shards, candidates, size=size)
    n = chosen.n
    segments = max(-(-size // segment_bytes(n)), 1)
    proposed = [propose(seed, n, candidates) for seed in _SEEDS]
    committees = [each.holders for each in proposed]
    needed = bft.primary_source(n)
    nodes = {each.peer_id for each in committees[0]}
    return StoragePlan(
        size=size,
        n=n,
        limited_by=chosen.limited_by,
        segments=segments,
        segment_bytes=segment_bytes(n),
        stored_bytes=stored_bytes(size, n=n),
        members=len(candidates),
        nodes=len(nodes),
        domains=min(len({each.domain for each in holders}) for holders in committees),
        spares=len(proposed[0].candidates) - len(nodes),
        shards_to_read=needed,
        shards_to_store=bft.quorum(n),
        nodes_that_may_fail=min(
            shape.nodes_that_may_fail([each.peer_id for each in holders], needed=needed) for holders in committees
        ),
        domains_that_may_fail=min(
            shape.nodes_that_may_fail([each.domain for each in holders], needed=needed) for holders in committees
        ),
    )


def stored_bytes(size: int, *, n: int) -> int:
    """Return what all holders together keep of `size` bytes when every shard has one: slivers, and hashes of pairs."""
    return _blobs_bytes(size, n=n) + _manifest_bytes(max(-(-size // segment_bytes(n)), 1), n=n)


def _blobs_bytes(size: int, *, n: int) -> int:
    """Return that of the blobs that bytes are cut into, the last of them shorter."""
    whole, rest = divmod(size, segment_bytes(n))
    return whole * _blob_bytes(segment_bytes(n), n=n) + (_blob_bytes(rest, n=n) if rest or not whole else 0)


def _manifest_bytes(parts: int, *, n: int) -> int:
    """Return the same of the manifests, level by level up to the one that is left."""
    stored = 0
    while parts > 1:
        stored += _blobs_bytes(parts * ENTRY_BYTES_MAX, n=n)
        parts = -(-parts // entries_max(n))
    return stored


def _blob_bytes(length: int, *, n: int) -> int:
    return n * (primary_bytes(length, n=n) + secondary_bytes(length, n=n) + n * PAIR_HASH_BYTES)
