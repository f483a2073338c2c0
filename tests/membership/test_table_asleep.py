"""Claims about what the member table believes after a sleep of our own machine."""

from __future__ import annotations

import dataclasses

from p2pnode.config import PUBLIC
from p2pnode.membership.table import MemberTable
from tests.factories import TIME, key, member_record, peer_id, signed, signed_member
from wire.records import MemberState

OWN = peer_id(100)
NOW = 1000.0


def test_after_a_sleep_records_are_older_by_it_and_nobody_is_silent() -> None:
    members, night = MemberTable(OWN, PUBLIC, started_at=NOW), 8 * 3600
    members.consider(signed_member(1), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW, wall=TIME)
    members.slept(night, now=NOW + 60)
    assert not members.is_fresh(peer_id(1), now=NOW + 60)
    assert members.silence(peer_id(1), now=NOW + 60) == members.silence(peer_id(2), now=NOW + 60) == 0
    woke = TIME + 60 + night
    assert members.clock_lead(now=NOW + 60, wall=woke) is None
    members.consider(signed_member(1, sequence=2, time=woke), now=NOW + 61, wall=woke + 1)
    members.contact(peer_id(1), now=NOW + 61, wall=woke + 1)
    assert members.is_fresh(peer_id(1), now=NOW + 61)
    assert members.clock_lead(now=NOW + 61, wall=woke + 1) == 1


def test_a_nap_takes_from_what_is_left_of_a_records_freshness_and_of_a_maintenance() -> None:
    members, nap = MemberTable(OWN, PUBLIC, started_at=NOW), 600
    notice = dataclasses.replace(member_record(1), state=MemberState.MAINTENANCE, state_until=TIME + 7200)
    members.consider(signed(notice, key(1)), now=NOW, wall=TIME)
    members.slept(nap, now=NOW)
    assert members.is_fresh(peer_id(1), now=NOW + PUBLIC.member_stale_after_s - nap)
    assert not members.is_fresh(peer_id(1), now=NOW + PUBLIC.member_stale_after_s - nap + 1)
    assert members.overdue(peer_id(1), now=NOW + 7200 - nap) == 0
    assert members.overdue(peer_id(1), now=NOW + 7200 - nap + 5) == 5
