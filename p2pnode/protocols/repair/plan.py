"""Whether this node rebuilds a missing shard now, and if not, what it waits for: the planner's one decision.

The order in which the reasons are asked for is the order in which a person wants to hear them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pnode.config import Profile
from p2pnode.protocols.repair.health import Level
from p2pnode.protocols.repair.survey import LostShard
from wire.ids import ShardIndex


class Wait(enum.StrEnum):
    """Why a missing shard is not rebuilt here now."""

    NO_CANDIDATE = "other nodes are to rebuild it"
    FROZEN = "this node's own link seems to be down"
    FEW_HERE = "this node sees fewer than half of the members that it relies on"
    WHOLE = "too few pairs are here to rebuild one alone: one node reads the blob and makes all of them"
    RETRY = "the last try failed"
    TURN = "nodes that come before this one have their turn"
    INTENT = "another node is at work on it"
    CREDIT = "the bandwidth or processor time for repair is used up for now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What holds for everything that this node may repair."""

    is_frozen: bool
    sees_few: bool
    """Whether fewer than half of the vetted members are here."""
    has_credit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """This node's own part in one missing shard."""

    rank: int | None
    """None when its intent would not be honoured."""
    shards_held: int
    """How many shards of the blob it holds already."""
    waited_s: float
    """Since it has seen that the shard is missing."""
    retry_in_s: float
    is_busy: bool
    """Whether another's intent counts."""


def why_not(lost: LostShard, mine: Candidacy, situation: Situation, profile: Profile) -> Wait | None:
    """Return why a missing shard is not rebuilt here now; None when it is."""
    is_urgent = lost.level is Level.URGENT
    if mine.rank is None:
        return Wait.NO_CANDIDATE
    if situation.is_frozen and not is_urgent:
        return Wait.FROZEN
    if situation.sees_few and not (is_urgent and not mine.shards_held):
        return Wait.FEW_HERE
    if lost.first not in (None, lost.shard):
        return Wait.WHOLE
    if mine.retry_in_s > 0:
        return Wait.RETRY
    steps = mine.rank if lost.first is None else mine.rank * WHOLE_STEPS
    if mine.waited_s < steps * profile.repair_rank_step_s:
        return Wait.TURN
    if mine.is_busy:
        return Wait.INTENT
    return None if situation.has_credit or is_urgent else Wait.CREDIT


WHOLE_STEPS = 4
"""To read a blob and hand its pairs on takes longer than to rebuild one: so many times as long the next node waits."""


def turns_begin_at(
    losses: Sequence[LostShard],
    before: Sequence[LostShard],
    noticed_at: Mapping[ShardIndex, float],
    *,
    now: float,
    profile: Profile,
) -> dict[ShardIndex, float]:
    """Return from when on the ranks of each loss of a page wait, in monotonic seconds: since it was noticed.

    Of a blob that is read whole the first missing shard counts. When that is missing no more, and another has become
    the first, somebody has the blob in memory and makes the others too: even who comes next then waits for as long as
    one rank does. `before` are the losses at the last look, with what this returned for them.
    """
    missing = {each.shard for each in losses}
    is_being_made = any(each.first == each.shard and each.shard not in missing for each in before)
    later = now + WHOLE_STEPS * profile.repair_rank_step_s
    return {
        each.shard: later if is_being_made and each.first == each.shard else noticed_at.get(each.shard, now)
        for each in losses
    }


def retry_after_s(failures: int, profile: Profile) -> float:
    """Return how long to wait after so many failures in a row: twice as long each time, an hour at most.

    The first wait is shorter than a rank step: mostly some holders have not yet seen that the pair is missing.
    """
    return min(RETRY_S_MAX, profile.repair_rank_step_s * 2.0 ** min(failures - 1, 16))


RETRY_S_MAX = 3600.0
"""The longest wait after failures: by then disks are mended and members are back."""
