"""How a blob is doing as one node sees it: h, a, and how urgent it is to rebuild what is missing (PROTOCOL section 7).

Three levels, each with its own patience. What is lost for good is rebuilt at leisure. A blob whose certificate would
not be given any more does not wait for that: after the short grace whoever is away counts as missing. And one that can
hardly be read does not wait at all. So a machine that restarts costs nothing, and a bad night costs no data.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from p2pnode import bft
from p2pnode.config import Profile
from p2pnode.membership.liveness import Liveness
from wire.ids import ShardIndex

SMALL_SHARDS = 7
"""From so many shards on a blob is urgent before its last spare pair is gone: below, that would be nearly always."""


class Presence(enum.IntEnum):
    """What is believed of a holder, the best first; each worse one has been silent for longer."""

    HERE = 0
    SUSPECT = 1
    """Silent for the suspect time."""
    ABSENT = 2
    """Silent for the short grace, beyond the maintenance that it announced."""
    LOST = 3
    """It counts as lost, or there is no holder."""


class Level(enum.IntEnum):
    """How urgent repair is."""

    WHOLE = 0
    NORMAL = 1
    SHORT_GRACE = 2
    URGENT = 3


def presence_of(liveness: Liveness, *, silence_s: float, overdue_s: float, profile: Profile) -> Presence:
    """Return what counts of a holder in this state that was heard so long ago; `overdue_s` of it was not announced."""
    if liveness.counts_as_lost:
        return Presence.LOST
    if overdue_s >= profile.short_grace_s:
        return Presence.ABSENT
    return Presence.SUSPECT if silence_s >= profile.suspect_after_s else Presence.HERE


def urgent_at(n: int) -> int:
    """Return how few reachable pairs make a blob urgent: 2, 4, 5, 15, 50 at n = 4, 7, 10, 31, 100."""
    needed, f = bft.primary_source(n), bft.faulty(n)
    return needed if n < SMALL_SHARDS else needed + max(1, -(-f // 2) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One blob's figures."""

    n: int
    healthy: int
    """h: shards whose holder is not lost."""
    reachable: int
    """a: those whose holder was heard lately."""
    level: Level
    missing: tuple[ShardIndex, ...]
    """The shards that are to be rebuilt at this level."""

    @property
    def first_of_whole(self) -> ShardIndex | None:
        """The first missing shard, when too few pairs are here to rebuild one alone, and enough to read the blob.

        Whoever comes first for it reads the blob and makes all missing pairs. What is lost at leisure waits for those
        that are away for a moment instead.
        """
        is_readable = bft.primary_source(self.n) <= self.reachable < bft.secondary_source(self.n)
        return self.missing[0] if is_readable and self.missing and self.level > Level.NORMAL else None

    @property
    def margin(self) -> int:
        """How many more pairs may go before the blob cannot be read; negative when that is so now."""
        return self.reachable - bft.primary_source(self.n)


_MISSING_FROM = {Level.NORMAL: Presence.LOST, Level.SHORT_GRACE: Presence.ABSENT, Level.URGENT: Presence.SUSPECT}


def health_of(presences: Sequence[Presence], *, missing_min: int = 1) -> Health:
    """Judge a blob by the best holder of each shard; at leisure repair begins with `missing_min` lost shards."""
    n = len(presences)
    healthy = sum(each < Presence.LOST for each in presences)
    not_absent = sum(each < Presence.ABSENT for each in presences)
    reachable = sum(each is Presence.HERE for each in presences)
    level = Level.WHOLE
    if reachable <= urgent_at(n):
        level = Level.URGENT
    elif not_absent <= bft.quorum(n):  # h is never below it.
        level = Level.SHORT_GRACE
    elif healthy <= n - missing_min:
        level = Level.NORMAL
    worst = _MISSING_FROM.get(level)
    missing = () if worst is None else tuple(ShardIndex(at) for at, each in enumerate(presences) if each >= worst)
    return Health(n=n, healthy=healthy, reachable=reachable, level=level, missing=missing)
