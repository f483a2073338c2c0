"""Weighted rendezvous hashing: every node ranks the same candidates in the same order, without talking to anybody.

For a seed (a blob id, or a file's salt) and a shard each candidate draws a number from a hash; the smallest wins. A
candidate of weight w wins w times as often, and when one joins or leaves little more than the shards that it wins or
held move. The inputs are signed and common to all members (PROTOCOL section 3): what a node has seen of a peer never
ranks it, it only leaves peers out. How the ranks of all shards become one committee: `assignment.py`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from p2pnode.placement.assignment import NUMBER_BYTES, Assignment, exponential, numbers
from p2pnode.placement.shape import SHARDS_DEFAULT_MAX
from p2pnode.placement.spread import Caps, caps_of
from wire.ids import PeerId, ShardIndex
from wire.limits import SHARDS_MIN

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
    wide: str = ""
    """The wide prefix that its address is in; empty when it says nothing about shared fate."""
    is_vetted: bool = True
    """Whether we rely on it: newcomers get few shards of a blob."""


@dataclass(frozen=True, slots=True)
class Committee:
    """The holders that placement proposes for one seed: shard s belongs to `holders[s]`."""

    seed: bytes
    holders: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    caps: Caps

    @property
    def n(self) -> int:
        """The number of shards."""
        return len(self.holders)

    def spares(self, shard: ShardIndex, *, taken: Collection[PeerId]) -> list[Candidate]:
        """Return who comes next for a shard, best first, leaving out those that are taken.

        Domains that have fewest of the taken come first, so that a domain is used twice only when it must be, and a
        wide prefix that has its share comes last. Where newcomers have theirs, none of them is named. The holder that
        is to be replaced does not count for its own.
        """
        replaced = self.holders[shard].peer_id
        keep = [each for each in self.candidates if each.peer_id in taken and each.peer_id != replaced]
        in_domain, in_wide = Counter(each.domain for each in keep), Counter(each.wide for each in keep if each.wide)
        unvetted = sum(not each.is_vetted for each in keep)
        has_room = self.caps.unvetted_max is None or unvetted < self.caps.unvetted_max
        left = [each for each in self.candidates if each.peer_id not in taken and (each.is_vetted or has_room)]

        def order(each: Candidate) -> tuple[bool, int]:
            return in_wide[each.wide] >= self.caps.prefix_max, in_domain[each.domain]

        return sorted(rank(self.seed, shard, left), key=order)


def capacity_weights(capacities: Sequence[int]) -> list[float]:
    """Return a weight per capacity in bytes: its power-of-two class, clamped to [1/4, 4] of the median class."""
    classes = [max(capacity, 1).bit_length() for capacity in capacities]
    median = sorted(classes)[len(classes) // 2] if classes else 0
    return [2.0 ** max(-2, min(2, each - median)) for each in classes]


def draw(seed: bytes, shard: ShardIndex, candidate: Candidate) -> float:
    """Return the candidate's number for one shard; the smallest wins. Exponentially distributed with rate `weight`."""
    last = numbers(seed, candidate, count=shard + 1)[-NUMBER_BYTES:]
    return exponential(int.from_bytes(last, "big"), candidate.weight)


def rank(seed: bytes, shard: ShardIndex, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return all candidates for one shard, best first; equal numbers are ordered by peer id."""
    return sorted(candidates, key=lambda each: (draw(seed, shard, each), each.peer_id))


def assign(seed: bytes, n: int, candidates: Sequence[Candidate]) -> Committee:
    """Propose a holder for each of n shards.

    One shard per node and per domain while there are enough of them; beyond, nodes first and then shards per node are
    kept even. Wide prefixes and newcomers have no more than `spread.py` says. Raises `ValueError` when there is no
    candidate at all.
    """
    if not candidates:
        message = "placement needs at least one candidate"
        raise ValueError(message)
    ordered = sorted(candidates, key=lambda each: each.peer_id)  # So the first of equal numbers wins.
    caps = caps_of(n, ordered)
    holders = Assignment(seed, n, ordered, caps).holders()
    return Committee(seed, tuple(ordered[at] for at in holders), tuple(candidates), caps)


def lookup_order(seed: bytes, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates in the order in which a reader who knows only the seed asks them.

    With more shards no holder of fewer ceases to be one, as long as domains do not get in the way. So the holders for
    the largest default n have those for any smaller n among them, and those for a few shards come first: whatever n
    is, most of them hold one. Then come those with the best number for any shard, for such are next when one fails.
    """
    if not candidates:
        return []
    shards = max(len(candidates), SHARDS_MIN)  # Of few members some hold two.
    few, many = (assign(seed, min(n, shards), candidates).holders for n in (LOOKUP_SHARDS, SHARDS_DEFAULT_MAX))
    rest = sorted(candidates, key=lambda each: (_best(seed, each), each.peer_id))
    return list(dict.fromkeys((*few, *many, *rest)))


def _best(seed: bytes, candidate: Candidate) -> float:
    """Return the smallest of the candidate's draws for the shards of the largest default n."""
    row = numbers(seed, candidate, count=SHARDS_DEFAULT_MAX)
    return exponential(max(struct.unpack(f">{SHARDS_DEFAULT_MAX}I", row)), candidate.weight)
