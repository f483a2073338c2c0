"""Weighted rendezvous hashing: every node ranks the same candidates in the same order, without talking to anybody.

For a seed (a blob id, or a file's salt) and a shard each candidate draws a number from a hash; the smallest wins. A
candidate of weight w wins w times as often, and when one joins or leaves only the shards that it wins or held move.
The inputs are signed and common to all members (PROTOCOL section 3): what a node has seen of a peer never ranks it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wire.ids import PeerId, ShardIndex

_DRAW_BYTES = 8
_DRAWS = 1 << (8 * _DRAW_BYTES)

LOOKUP_SHARDS = 16
"""A reader who knows no n asks the first holders of this many shards first: whatever n is, most of them hold one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that may keep shards, with the common inputs of its rank."""

    peer_id: PeerId
    placement_key: bytes
    weight: float
    domain: str
    """The failure domain; two candidates of one domain are not used for one blob while there are enough others."""


@dataclass(frozen=True, slots=True)
class Committee:
    """The holders that placement proposes for one seed: shard s belongs to `holders[s]`."""

    seed: bytes
    holders: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]

    @property
    def n(self) -> int:
        """The number of shards."""
        return len(self.holders)

    def spares(self, shard: ShardIndex, *, taken: Collection[PeerId]) -> list[Candidate]:
        """Return who comes next for a shard, best first, leaving out those that are taken."""
        return [each for each in rank(self.seed, shard, self.candidates) if each.peer_id not in taken]


def capacity_weights(capacities: Sequence[int]) -> list[float]:
    """Return a weight per capacity in bytes: its power-of-two class, clamped to [1/4, 4] of the median class."""
    classes = [max(capacity, 1).bit_length() for capacity in capacities]
    median = sorted(classes)[len(classes) // 2] if classes else 0
    return [2.0 ** max(-2, min(2, each - median)) for each in classes]


def draw(seed: bytes, shard: ShardIndex, candidate: Candidate) -> float:
    """Return the candidate's number for a shard; the smallest wins. Exponentially distributed with rate `weight`."""
    digest = hashlib.blake2b(
        seed + shard.to_bytes(4, "big") + candidate.placement_key, digest_size=_DRAW_BYTES, person=b"p2pnode/placem"
    ).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (_DRAWS + 1)
    return -math.log(uniform) / candidate.weight


def rank(seed: bytes, shard: ShardIndex, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return all candidates for one shard, best first; equal numbers are ordered by peer id."""
    return sorted(candidates, key=lambda each: (draw(seed, shard, each), each.peer_id))


def assign(seed: bytes, n: int, candidates: Sequence[Candidate]) -> Committee:
    """Propose a holder for each of n shards.

    One shard per node and per domain while there are enough of them; beyond, nodes first and then shards per node are
    kept even. Raises `ValueError` when there is no candidate at all.
    """
    if not candidates:
        message = "placement needs at least one candidate"
        raise ValueError(message)
    per_node = math.ceil(n / len(candidates))
    per_domain = max(per_node, math.ceil(n / len({each.domain for each in candidates})))
    in_node: Counter[PeerId] = Counter()
    in_domain: Counter[str] = Counter()
    holders = []
    for shard in map(ShardIndex, range(n)):
        open_nodes = [each for each in candidates if in_node[each.peer_id] < per_node]
        # Domains are of uneven size: the small ones run out, and then the even share of nodes decides alone.
        preferred = [each for each in open_nodes if in_domain[each.domain] < per_domain]
        fewest = min(in_node[each.peer_id] for each in (preferred or open_nodes))
        pool = [each for each in (preferred or open_nodes) if in_node[each.peer_id] == fewest]
        winner = min(pool, key=lambda each: (draw(seed, shard, each), each.peer_id))
        in_node[winner.peer_id] += 1
        in_domain[winner.domain] += 1
        holders.append(winner)
    return Committee(seed, tuple(holders), tuple(candidates))


def lookup_order(seed: bytes, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates in the order in which a reader who knows only the seed asks them.

    The first holder of shard s does not depend on n, so the first holders of the lowest shards come first.
    """
    if not candidates:
        return []
    first = assign(seed, min(LOOKUP_SHARDS, len(candidates)), candidates).holders
    chosen = {each.peer_id for each in first}
    return [*first, *(each for each in rank(seed, ShardIndex(0), candidates) if each.peer_id not in chosen)]
