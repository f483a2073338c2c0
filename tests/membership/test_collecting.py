"""Claims about when a node may collect: after enough contact, and with a clock that the others agree with."""

from __future__ import annotations

import pytest

from p2pnode.config import PUBLIC, TESTNET, Profile
from p2pnode.membership.clock_watch import NAP_S
from p2pnode.membership.collecting import CollectionGate
from p2pnode.membership.table import MemberTable
from tests.factories import TIME, peer_id, signed_member
from wire import limits

OWN = peer_id(100)
NOW = 1000.0
WAIT_S = PUBLIC.collection_after_uptime_s


def test_nothing_is_collected_before_contact_has_lasted_long_enough() -> None:
    gate = CollectionGate(PUBLIC)
    assert not gate.may_collect(None, now=NOW, asleep=0.0)
    assert not gate.may_collect(0.0, now=NOW + 2 * WAIT_S, asleep=0.0)
    assert not gate.may_collect(0.0, now=NOW + 3 * WAIT_S - 1, asleep=0.0)
    assert gate.may_collect(0.0, now=NOW + 3 * WAIT_S, asleep=0.0)


@pytest.mark.parametrize("lead_s", [None, limits.CLOCK_SKEW_SECONDS + 1.0, -limits.CLOCK_SKEW_SECONDS - 1.0])
def test_without_contact_or_with_a_wrong_clock_the_wait_starts_anew(lead_s: float | None) -> None:
    gate = CollectionGate(PUBLIC)
    gate.may_collect(0.0, now=NOW, asleep=0.0)
    assert gate.may_collect(0.0, now=NOW + WAIT_S, asleep=0.0)
    assert not gate.may_collect(lead_s, now=NOW + WAIT_S + 1, asleep=0.0)
    assert not gate.may_collect(0.0, now=NOW + WAIT_S + 2, asleep=0.0)
    assert gate.may_collect(0.0, now=NOW + 2 * WAIT_S + 2, asleep=0.0)


@pytest.mark.parametrize("lead_s", [-float(limits.CLOCK_SKEW_SECONDS), float(limits.CLOCK_SKEW_SECONDS)])
def test_the_tolerated_skew_holds_up_nothing(lead_s: float) -> None:
    gate = CollectionGate(PUBLIC)
    gate.may_collect(lead_s, now=NOW, asleep=0.0)
    assert gate.may_collect(lead_s, now=NOW + WAIT_S, asleep=0.0)


def _met(*times: int, profile: Profile = TESTNET, wall: float = TIME) -> MemberTable:
    """Return a table with a member in contact for each record time."""
    members = MemberTable(OWN, profile, started_at=NOW)
    for number, time in enumerate(times):
        assert members.consider(signed_member(number, time=time), now=NOW, wall=wall)
        members.contact(peer_id(number), now=NOW, wall=wall)
    return members


def test_with_nobody_in_contact_there_is_no_other_clock() -> None:
    members = MemberTable(OWN, TESTNET, started_at=NOW)
    assert members.clock_lead(now=NOW, wall=TIME) is None
    members.consider(signed_member(1), now=NOW, wall=TIME)
    assert members.clock_lead(now=NOW, wall=TIME) is None
    members.contact(peer_id(1), now=NOW, wall=TIME)
    assert members.clock_lead(now=NOW, wall=TIME) == 0


def test_silent_members_and_old_records_tell_no_time() -> None:
    members = _met(TIME)
    later = NOW + TESTNET.suspect_after_s
    assert members.is_fresh(peer_id(0), now=later)
    assert members.clock_lead(now=later, wall=TIME) is None
    stale = NOW + TESTNET.member_stale_after_s + 1
    members.contact(peer_id(0), now=stale, wall=TIME)
    assert members.clock_lead(now=stale, wall=TIME) is None


def test_a_lead_is_the_median_so_that_one_wrong_clock_among_three_says_nothing() -> None:
    members = _met(TIME - 3, TIME - 1500, TIME)
    assert members.clock_lead(now=NOW, wall=TIME) == 3


def test_a_jump_of_our_own_clock_shows_at_once() -> None:
    members = _met(TIME, TIME, TIME)
    assert members.clock_lead(now=NOW + 5, wall=TIME + 5) == 0
    assert members.clock_lead(now=NOW + 5, wall=TIME + 5 + 86_400) == 86_400
    assert members.clock_lead(now=NOW + 5, wall=TIME + 5 - 86_400) == -86_400


def test_newcomers_have_no_say_about_the_time_once_somebody_is_vetted() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    for number, time in ((1, TIME), (2, TIME - 900), (3, TIME - 900)):
        members.consider(signed_member(number, time=time), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW, wall=TIME - PUBLIC.vetting_s)
    members.contact(peer_id(2), now=NOW, wall=TIME)
    members.contact(peer_id(3), now=NOW, wall=TIME)
    for _ in range(PUBLIC.vetting_audits):
        members.audit_passed(peer_id(1))
    assert members.clock_lead(now=NOW, wall=TIME) == 0


def test_a_machine_that_slept_waits_anew_though_nobody_contradicts_its_clock() -> None:
    """What was renewed while it slept has to come first: what is only provisional is not even put into the trash."""
    gate = CollectionGate(PUBLIC)
    gate.may_collect(0.0, now=NOW, asleep=5.0)
    assert gate.may_collect(0.0, now=NOW + WAIT_S, asleep=5.0 + NAP_S - 1)
    assert not gate.may_collect(0.0, now=NOW + WAIT_S + 1, asleep=5.0 + NAP_S)
    assert not gate.may_collect(0.0, now=NOW + 2 * WAIT_S, asleep=5.0 + NAP_S)
    assert gate.may_collect(0.0, now=NOW + 2 * WAIT_S + 1, asleep=5.0 + NAP_S)
