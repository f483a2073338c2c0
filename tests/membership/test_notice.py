"""Claims about what a node says of its own comings and goings."""

from __future__ import annotations

import pytest

from p2pnode.errors import CallerError
from p2pnode.membership.liveness import MAINTENANCE_S_MAX
from p2pnode.membership.notice import Notice, maintenance
from wire.records import MemberState

WALL = 1_800_000_000


def test_without_a_notice_it_is_active() -> None:
    assert Notice().said(wall=WALL) == (MemberState.ACTIVE, 0)


def test_maintenance_is_announced_until_its_end_and_not_beyond() -> None:
    notice = maintenance(6 * 3600, wall=WALL)
    end = WALL + 6 * 3600
    assert notice.said(wall=WALL) == (MemberState.MAINTENANCE, end)
    assert notice.said(wall=end - 1) == (MemberState.MAINTENANCE, end)
    assert notice.said(wall=end) == (MemberState.ACTIVE, 0)


def test_one_that_leaves_is_excused_for_what_it_announced_before_and_nothing_more() -> None:
    assert Notice(is_leaving=True).said(wall=WALL) == (MemberState.MAINTENANCE, WALL)
    assert Notice(until=WALL + 60, is_leaving=True).said(wall=WALL) == (MemberState.MAINTENANCE, WALL + 60)


def test_one_that_hands_over_for_good_asks_nobody_to_wait_whatever_it_announced() -> None:
    assert Notice(until=WALL + 60, is_draining=True).said(wall=WALL) == (MemberState.DRAINING, 0)


@pytest.mark.parametrize("for_s", [0, -1, MAINTENANCE_S_MAX + 1])
def test_longer_than_anybody_waits_is_refused_with_the_reason(for_s: int) -> None:
    with pytest.raises(CallerError, match="at most 24 h: after that the others rebuild"):
        maintenance(for_s, wall=WALL)
    assert maintenance(MAINTENANCE_S_MAX, wall=WALL).until == WALL + MAINTENANCE_S_MAX
