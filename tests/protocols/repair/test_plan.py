"""The planner's decision: rebuild now, or what it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.config import PUBLIC
from p2pnode.protocols.repair.health import Level
from p2pnode.protocols.repair.plan import (
    RETRY_S_MAX,
    WHOLE_STEPS,
    Candidacy,
    Situation,
    Wait,
    retry_after_s,
    turns_begin_at,
    why_not,
)
from p2pnode.protocols.repair.survey import LostShard
from tests.factories import blob_id
from wire.ids import ShardIndex

LOST = LostShard(
    shard=ShardIndex(2),
    level=Level.NORMAL,
    margin=5,
    missing=1,
    blob_ids=(blob_id(1),),
    former=frozenset(),
    holders=(None,) * 10,
)
URGENT = replace(LOST, level=Level.URGENT)
MINE = Candidacy(rank=2, shards_held=0, waited_s=2 * PUBLIC.repair_rank_step_s, retry_in_s=0, is_busy=False)
CALM = Situation(is_frozen=False, sees_few=False, has_credit=True)
TROUBLED = Situation(is_frozen=True, sees_few=True, has_credit=False)


def test_whoever_has_waited_for_its_turn_rebuilds() -> None:
    assert why_not(LOST, MINE, CALM, PUBLIC) is None
    assert why_not(URGENT, MINE, CALM, PUBLIC) is None


@pytest.mark.parametrize(
    ("mine", "situation", "why"),
    [
        (replace(MINE, rank=None), CALM, Wait.NO_CANDIDATE),
        (MINE, replace(CALM, is_frozen=True), Wait.FROZEN),
        (MINE, replace(CALM, sees_few=True), Wait.FEW_HERE),
        (replace(MINE, retry_in_s=1), CALM, Wait.RETRY),
        (replace(MINE, rank=3), CALM, Wait.TURN),
        (replace(MINE, is_busy=True), CALM, Wait.INTENT),
        (MINE, replace(CALM, has_credit=False), Wait.CREDIT),
    ],
)
def test_what_a_repair_waits_for(mine: Candidacy, situation: Situation, why: Wait) -> None:
    assert why_not(LOST, mine, situation, PUBLIC) is why


def test_of_a_blob_that_is_read_whole_one_shard_has_the_turn_and_its_candidates_wait_longer() -> None:
    whole = replace(LOST, first=ShardIndex(2))
    assert why_not(replace(whole, first=ShardIndex(0)), MINE, CALM, PUBLIC) is Wait.WHOLE
    assert why_not(whole, MINE, CALM, PUBLIC) is Wait.TURN
    assert why_not(whole, replace(MINE, waited_s=WHOLE_STEPS * MINE.waited_s), CALM, PUBLIC) is None
    assert why_not(whole, replace(MINE, rank=0, waited_s=0.0), CALM, PUBLIC) is None


def test_turns_are_counted_since_a_loss_was_noticed() -> None:
    other = replace(LOST, shard=ShardIndex(5))
    assert turns_begin_at([LOST], [], {}, now=100, profile=PUBLIC) == {2: 100}
    assert turns_begin_at([LOST, other], [LOST], {ShardIndex(2): 100.0}, now=160, profile=PUBLIC) == {2: 100, 5: 160}


def test_while_the_pairs_of_a_blob_that_was_read_whole_are_made_nobody_joins_in() -> None:
    """With each pair that is made another shard is the first, whose candidates may have waited long enough."""
    shards = [ShardIndex(each) for each in (2, 5, 7)]
    before = [replace(LOST, shard=shard, first=shards[0]) for shard in shards]
    known = dict.fromkeys(shards, 100.0)
    left = [replace(LOST, shard=shard, first=shards[1]) for shard in shards[1:]]
    later = 400 + WHOLE_STEPS * PUBLIC.repair_rank_step_s
    assert turns_begin_at(left, before, known, now=400, profile=PUBLIC) == {5: later, 7: 100}
    assert turns_begin_at(left, left, {shards[1]: later, shards[2]: 100.0}, now=500, profile=PUBLIC)[shards[1]] == later


def test_a_further_loss_of_a_blob_that_is_read_whole_waits_for_nobody() -> None:
    before = [replace(LOST, shard=ShardIndex(5), first=ShardIndex(5))]
    now_lost = [replace(LOST, shard=ShardIndex(each), first=ShardIndex(2)) for each in (2, 5)]
    assert turns_begin_at(now_lost, before, {ShardIndex(5): 100.0}, now=400, profile=PUBLIC) == {2: 400, 5: 100}


def test_once_symbols_are_to_be_had_again_turns_are_as_they_were() -> None:
    before = [replace(LOST, shard=ShardIndex(each), first=ShardIndex(2)) for each in (2, 5)]
    left = [replace(LOST, shard=ShardIndex(5))]
    assert turns_begin_at(left, before, {ShardIndex(5): 100.0}, now=400, profile=PUBLIC) == {5: 100}


def test_an_urgent_repair_freezes_never_and_needs_no_credit() -> None:
    assert why_not(URGENT, MINE, TROUBLED, PUBLIC) is None


def test_a_side_that_sees_few_puts_no_second_shard_on_a_node() -> None:
    assert why_not(URGENT, replace(MINE, shards_held=1), TROUBLED, PUBLIC) is Wait.FEW_HERE


def test_each_failure_doubles_the_wait_up_to_an_hour() -> None:
    assert [retry_after_s(count, PUBLIC) for count in range(3)] == [15, 30, 60]
    assert retry_after_s(1000, PUBLIC) == RETRY_S_MAX
