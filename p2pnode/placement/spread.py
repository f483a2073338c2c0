"""How far the shards of a blob are spread: what one prefix and the newcomers may hold at most, and which n that allows.

A blob survives the loss of any f of its n shards with f more to spare. So the largest group that may vanish at once
should hold f shards at most: a failure domain, a wide prefix (the /16 or /32 of one provider or region), and whoever is
not vetted. For newcomers the cap is ceil(f / 3), a third of that: they are the only group that an enemy makes at will.

Rules: caps on domains and wide prefixes are soft, they give way when nobody else is left. The cap on newcomers binds
while at least n - ceil(f / 3) vetted members may be given shards, and gives way to nothing then; a network that is
younger than the vetting time has none. A view of who is vetted, and of where somebody is, only filters: it never ranks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from p2pnode import bft
from p2pnode.placement.shape import MEMBERS_MIN, SMALL_SHARDS, default_shards


class Spread(Protocol):
    """What decides how far shards are spread over a candidate and its like."""

    @property
    def domain(self) -> str:
        """Its failure domain."""

    @property
    def wide(self) -> str:
        """Its wide prefix; empty when it has none."""

    @property
    def is_vetted(self) -> bool:
        """Whether we rely on it."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How many shards of one blob a group may hold."""

    prefix_max: int
    """A failure domain, and a wide prefix: f. Soft."""
    unvetted_max: int | None
    """All newcomers together; None while this does not bind."""


@dataclass(frozen=True, slots=True)
class DefaultShards:
    """The default n, and why it is not larger."""

    n: int
    limited_by: str


def newcomers_max(n: int) -> int:
    """Return how many shards of a blob newcomers may hold where the cap binds: ceil(f / 3)."""
    return -(-bft.faulty(n) // 3)


def are_enough_vetted(n: int, *, vetted: int) -> bool:
    """Tell whether there are so many vetted members that newcomers may be capped for n shards."""
    return vetted >= n - newcomers_max(n)


def caps_of(n: int, candidates: Sequence[Spread]) -> Caps:
    """Return the caps for n shards on these candidates."""
    vetted = sum(each.is_vetted for each in candidates)
    binds = vetted < len(candidates) and are_enough_vetted(n, vetted=vetted)
    return Caps(bft.faulty(n), newcomers_max(n) if binds else None)


def default_for(candidates: Sequence[Spread], *, size: int) -> DefaultShards:
    """Return the default n for a blob of `size` bytes: the largest at which every cap can be kept, if there is one.

    Else members decide alone. While fewer vetted members exist than the cap on newcomers needs at SMALL_SHARDS, it is
    left out of account: a young network would else store at n = 4 for as long as it has three vetted members. Raises
    `ValueError` below MEMBERS_MIN candidates.
    """
    most = default_shards(members=len(candidates), size=size)
    everybody, vetted = _groups(candidates), _groups([each for each in candidates if each.is_vetted])
    by_prefix = _largest(most, everybody, less=0)
    if by_prefix is None:
        return DefaultShards(most, "members: they are in too few failure domains for any n to survive the loss of one")
    by_vetting = _largest(by_prefix, vetted, less=1)
    if by_vetting is not None and (by_vetting >= SMALL_SHARDS or by_vetting == by_prefix):
        if by_vetting < by_prefix:
            return DefaultShards(by_vetting, "vetting: with more shards newcomers would hold more than a few of them")
        by_prefix = by_vetting
    if by_prefix < most:
        return DefaultShards(by_prefix, "failure domains: with more shards one network would hold more than may fail")
    if default_shards(members=len(candidates), size=1 << 60) > most:
        return DefaultShards(most, "size: with more shards the hashes that each holder keeps would outgrow the data")
    if default_shards(members=10 * len(candidates), size=size) > most:
        return DefaultShards(most, "members: each of them holds one shard, and some are left to take over")
    return DefaultShards(most, "the most that is worth its metadata")


_Groups = Counter[tuple[str, str]]
"""How many candidates there are of each wide prefix and failure domain."""


def _groups(candidates: Sequence[Spread]) -> _Groups:
    return Counter((each.wide, each.domain) for each in candidates)


def _largest(most: int, groups: _Groups, *, less: int) -> int | None:
    """Return the largest n up to `most` at which the groups can take all shards within the caps; None if there is none.

    With `less` the groups need not take what newcomers may.
    """
    for n in range(most, MEMBERS_MIN - 1, -3):
        if _room(groups, bft.faulty(n)) >= n - less * newcomers_max(n):
            return n
    return None


def _room(groups: _Groups, most: int) -> int:
    """Return how many shards fit when no domain and no wide prefix may hold more than `most`."""
    in_wide = Counter[str]()
    in_domain = Counter[str]()
    room = 0
    for (wide, domain), count in groups.items():
        taken = min(count, most - in_domain[domain])
        if wide:
            taken = min(taken, most - in_wide[wide])
            in_wide[wide] += taken
        in_domain[domain] += taken
        room += taken
    return room
