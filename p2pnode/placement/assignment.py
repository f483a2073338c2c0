"""The one rule by which shards find their holders: the smallest number of all pairs of shard and node wins first.

Every pair has a number from a hash (`numbers`). The pair with the smallest is taken first, then the smallest of those
that are still allowed, until each shard has its node. That is the stable matching in which shards and nodes prefer
each other by the pair's number, and it moves less than filling one shard after the other (docs/adr/0009).

Rules: what is allowed goes by levels. On one level each failure domain takes one shard at most, and of the nodes only
those that have fewest take part. So domains are distinct while there are enough of them, then nodes, and beyond both
the shares are even. Caps on what a group holds (`spread.py`) leave nodes out for as long as their group is full; the
soft ones end when nobody else is left. The outcome depends on the set of candidates only, not on their order.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

from p2pnode.placement.spread import Caps, Spread
from wire.ids import ShardIndex

NUMBER_BYTES = 4
_NUMBERS = 1 << (8 * NUMBER_BYTES)
_TAG = b"p2pnode/placement/1"

PAIRS_PER_SHARD = 8
"""Pairs that are looked at for each shard at first, on average; mostly the winner is among them."""

MORE_PAIRS = 4
"""By what factor more pairs are looked at, when all so far are taken or not allowed."""


class Ranked(Spread, Protocol):
    """What a node is ranked by: signed inputs that all members share; and what may leave it out."""

    @property
    def placement_key(self) -> bytes:
        """What its numbers are made from."""

    @property
    def weight(self) -> float:
        """It wins so many times as often as a node of weight one."""


def numbers(seed: bytes, ranked: Ranked, *, count: int) -> bytes:
    """Return the node's numbers for shards 0 to count - 1, NUMBER_BYTES each; more of them begin with the same.

    One call to a hash of any length makes them all: hashing is what placing a blob costs.
    """
    material = _TAG + len(seed).to_bytes(1, "big") + seed + ranked.placement_key
    return hashlib.shake_256(material).digest(NUMBER_BYTES * count)


def exponential(number: int, weight: float) -> float:
    """Return a number as a draw from the exponential distribution with rate `weight`; never zero."""
    return -math.log((number + 1) / (_NUMBERS + 1)) / weight


class Assignment:
    """Finds a holder for each of n shards."""

    def __init__(self, seed: bytes, n: int, ranked: Sequence[Ranked], caps: Caps) -> None:
        """`ranked` is not empty and has a fixed order: of equal numbers the first wins."""
        self._ranked = ranked
        self._pairs = _Pairs(seed, n, ranked)
        self._holders: dict[ShardIndex, int] = {}
        self._left = set(map(ShardIndex, range(n)))
        self._in_node = [0] * len(ranked)
        self._in_domain = Counter[str]()
        self._fewest = 0
        self._full = _FullGroups(ranked, caps)
        self._room = Counter[str]()
        """For each domain how many of its nodes have the fewest shards, and are in no full group."""
        self._find_room()

    def holders(self) -> list[int]:
        """Return for each shard the position of its holder in `ranked`."""
        while self._left:
            self._level()
        return [at for _, at in sorted(self._holders.items())]

    def _level(self) -> None:
        """Give one shard to each domain that has fewest, as far as there are shards."""
        while not any(self._room.values()):
            if not self._full.forgive():
                self._fewest += 1
            self._find_room()
        level = min(self._in_domain[domain] for domain, room in self._room.items() if room)
        waiting = {domain for domain, room in self._room.items() if room and self._in_domain[domain] == level}
        pairs = self._pairs.ascending(self._left)
        while waiting and self._left:
            shard, at = next(pairs)
            domain = self._ranked[at].domain
            if shard in self._left and domain in waiting and self._may_take(at):
                waiting.remove(domain)
                self._take(shard, at, domain)
                waiting = {each for each in waiting if self._room[each]}

    def _take(self, shard: ShardIndex, at: int, domain: str) -> None:
        self._holders[shard] = at
        self._left.remove(shard)
        self._in_node[at] += 1
        self._in_domain[domain] += 1
        self._room[domain] -= 1
        for other in self._full.take(at):
            if self._in_node[other] == self._fewest:
                self._room[self._ranked[other].domain] -= 1

    def _may_take(self, at: int) -> bool:
        return self._in_node[at] == self._fewest and at not in self._full.nodes

    def _find_room(self) -> None:
        self._room = Counter(each.domain for at, each in enumerate(self._ranked) if self._may_take(at))


class _FullGroups:
    """The groups that a cap holds for, and whose nodes are left out because theirs is full."""

    def __init__(self, ranked: Sequence[Ranked], caps: Caps) -> None:
        self._caps = caps
        self._groups_of = [_groups_of(each) for each in ranked]
        self._members: defaultdict[_Group, list[int]] = defaultdict(list)
        for at, groups in enumerate(self._groups_of):
            for group in groups:
                self._members[group].append(at)
        self._taken = Counter[_Group]()
        self._has_soft_caps = True
        self.nodes: set[int] = set()
        """The nodes that may take nothing now."""

    def take(self, at: int) -> list[int]:
        """Note that a node takes a shard; return the nodes that may take none from now on."""
        leaving = []
        for group in self._groups_of[at]:
            self._taken[group] += 1
            if self._taken[group] == self._most(group):
                leaving += [each for each in self._members[group] if each not in self.nodes]
                self.nodes.update(self._members[group])
        return leaving

    def forgive(self) -> bool:
        """Let the soft caps end, if they leave anybody out; return whether they did."""
        kept = {at for at in self.nodes if self._is_full(_NEWCOMERS) and _NEWCOMERS in self._groups_of[at]}
        is_of_use = self._has_soft_caps and kept != self.nodes
        self._has_soft_caps = False
        self.nodes = kept
        return is_of_use

    def _is_full(self, group: _Group) -> bool:
        return self._taken[group] == self._most(group)

    def _most(self, group: _Group) -> int | None:
        if group == _NEWCOMERS:
            return self._caps.unvetted_max
        return self._caps.prefix_max if self._has_soft_caps else None


_Group = tuple[str, str]
_NEWCOMERS: _Group = ("newcomers", "")


def _groups_of(each: Ranked) -> list[_Group]:
    groups = [("domain", each.domain)]
    if each.wide:
        groups.append(("wide", each.wide))
    if not each.is_vetted:
        groups.append(_NEWCOMERS)
    return groups


class _Pairs:
    """All pairs of a shard and a node, the smallest number first; worked out only as far as somebody asks."""

    def __init__(self, seed: bytes, n: int, ranked: Sequence[Ranked]) -> None:
        self._rows = [numbers(seed, each, count=n) for each in ranked]
        self._weights = [each.weight for each in ranked]
        self._format = struct.Struct(f">{n}I")
        self._found: list[tuple[float, ShardIndex, int]] = []
        """Every pair of a shard that is still left and whose number is below `_below`, in order."""
        self._below = 0.0
        self._step = PAIRS_PER_SHARD / sum(self._weights)
        """So far numbers must reach for that many pairs a shard: a node of weight w gives w times this on average."""

    def ascending(self, left: set[ShardIndex]) -> Iterator[tuple[ShardIndex, int]]:
        """Yield the pairs of all shards in `left`, and maybe others; `left` may shrink meanwhile.

        Ask only while there is a pair that may be taken: the search for one that is not there has no end.
        """
        self._found = [pair for pair in self._found if pair[1] in left]
        at = 0
        while True:
            while at == len(self._found):
                self._found += self._next(left)
            yield self._found[at][1:]
            at += 1

    def _next(self, left: set[ShardIndex]) -> list[tuple[float, ShardIndex, int]]:
        """Return the pairs of the next range of numbers, in order."""
        low, high = self._below, max(self._step, self._below * MORE_PAIRS)
        self._below = high
        # Logarithms are slow: what is surely out of range is told from the number itself.
        least = {weight: int(_NUMBERS * math.exp(-weight * high)) - 1 for weight in set(self._weights)}
        shards = sorted(left)
        found = []
        for at, (row, weight) in enumerate(zip(self._rows, self._weights, strict=True)):
            values = self._format.unpack(row)
            bound = least[weight]
            if max(values) < bound:
                continue
            for shard in shards:
                if values[shard] >= bound:
                    draw = exponential(values[shard], weight)
                    if low <= draw < high:
                        found.append((draw, shard, at))
        found.sort()
        return found
