"""Claims about the member table: what is taken, what is refused, who is fresh, and what silence means."""

from __future__ import annotations

import dataclasses

import pytest

from p2pnode.config import PUBLIC, TESTNET
from p2pnode.membership.contact import WORKED_ADDRESSES_MAX, Contact
from p2pnode.membership.liveness import MAINTENANCE_S_MAX, Liveness
from p2pnode.membership.table import MemberTable
from tests.factories import TIME, key, member_record, peer_id, signed, signed_member
from wire import limits
from wire.records import MemberRecord, MemberState
from wire.signed import Signed

OWN = peer_id(100)
NOW = 1000.0


def table() -> MemberTable:
    """Return an empty table of a node that started at NOW."""
    return MemberTable(OWN, TESTNET, started_at=NOW)


def test_a_newer_record_replaces_an_older_one_and_never_the_other_way() -> None:
    members = table()
    assert members.consider(signed_member(1, sequence=5), now=NOW, wall=TIME)
    assert not members.consider(signed_member(1, sequence=5), now=NOW, wall=TIME)
    assert not members.consider(signed_member(1, sequence=4), now=NOW, wall=TIME)
    assert members.consider(signed_member(1, sequence=6), now=NOW, wall=TIME)
    known = members.get(peer_id(1))
    assert known is not None
    assert known.record.sequence == 6
    assert len(members) == 1


def test_our_own_record_is_no_other_member() -> None:
    members = table()
    assert not members.consider(signed_member(100), now=NOW, wall=TIME)
    assert members.members() == []
    assert members.silence(OWN, now=NOW + 5000) == 0
    assert members.liveness(OWN, now=NOW + 5000) is Liveness.ACTIVE


def test_a_record_from_beyond_the_tolerated_future_is_refused() -> None:
    late = signed_member(1, time=TIME + limits.CLOCK_SKEW_SECONDS)
    too_late = signed_member(2, time=TIME + limits.CLOCK_SKEW_SECONDS + 1)
    members = table()
    assert members.consider(late, now=NOW, wall=TIME)
    assert not members.consider(too_late, now=NOW, wall=TIME)


def test_skew_within_half_an_hour_makes_nobody_stale() -> None:
    members = table()
    members.consider(signed_member(1, time=TIME - limits.CLOCK_SKEW_SECONDS), now=NOW, wall=TIME)
    assert members.is_fresh(peer_id(1), now=NOW + TESTNET.member_stale_after_s)
    assert not members.is_fresh(peer_id(1), now=NOW + TESTNET.member_stale_after_s + 1)


def test_to_a_clock_that_is_ahead_as_far_as_tolerated_records_that_are_renewed_in_time_never_go_stale() -> None:
    """A record comes with the age that it had where it was asked for: up to the period of renewal."""
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    wall = TIME + limits.CLOCK_SKEW_SECONDS
    for age in (0.02, 1.0, PUBLIC.member_record_every_s):
        members.consider(signed_member(1, sequence=int(age) + 1), now=NOW, wall=wall + age)
        assert members.is_fresh(peer_id(1), now=NOW + PUBLIC.member_stale_after_s - age)
        assert not members.is_fresh(peer_id(1), now=NOW + PUBLIC.member_stale_after_s - age + 1)


def test_records_that_came_while_our_clock_was_a_week_ahead_are_fresh_once_it_is_right() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    week = 7 * 24 * 3600
    members.consider(signed_member(1), now=NOW, wall=TIME + week)
    members.consider(signed_member(2, time=TIME - week), now=NOW, wall=TIME + week)
    assert members.fresh(now=NOW) == []
    members.clock_was_set(now=NOW + 60, wall=TIME + 60)
    assert [each for each, _ in members.fresh(now=NOW + 60)] == [peer_id(1)]
    assert not members.is_fresh(peer_id(1), now=NOW + PUBLIC.member_stale_after_s + 1)


def test_a_clock_that_was_set_makes_no_fresh_record_old() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    members.consider(signed_member(1), now=NOW, wall=TIME)
    members.clock_was_set(now=NOW + 60, wall=TIME + 7 * 24 * 3600)
    assert members.is_fresh(peer_id(1), now=NOW + 60)


def test_a_record_of_yesterday_is_known_but_not_fresh() -> None:
    members = table()
    members.consider(signed_member(1, time=TIME - 24 * 3600), now=NOW, wall=TIME)
    assert members.get(peer_id(1)) is not None
    assert not members.is_fresh(peer_id(1), now=NOW)
    assert members.fresh(now=NOW) == []
    assert not members.is_fresh(peer_id(2), now=NOW)


def test_only_active_members_are_chosen_for_new_data() -> None:
    members = table()
    members.consider(signed_member(1), now=NOW, wall=TIME)
    draining = dataclasses.replace(member_record(2), state=MemberState.DRAINING)
    members.consider(signed(draining, key(2)), now=NOW, wall=TIME)
    assert [each for each, _ in members.fresh(now=NOW)] == [peer_id(1)]
    assert [each for each, _ in members.members()] == sorted([peer_id(1), peer_id(2)])
    assert [members.is_draining(peer_id(number)) for number in (1, 2, 3)] == [False, True, False]


def test_members_are_in_order_whoever_comes_and_a_list_that_was_given_stays_as_it_was() -> None:
    members = table()
    for number in (5, 3, 9, 1, 7):
        given = members.members()
        before = list(given)
        members.consider(signed_member(number), now=NOW, wall=TIME)
        assert given == before
    assert [each for each, _ in members.members()] == sorted(peer_id(number) for number in (1, 3, 5, 7, 9))
    assert dict(members.members())[peer_id(9)] is members.get(peer_id(9))


def test_silence_counts_from_the_last_contact_and_else_from_our_start() -> None:
    members = table()
    members.contact(peer_id(9), now=NOW + 56, wall=TIME)  # A stranger leaves no trace.
    assert members.silence(peer_id(9), now=NOW + 60) == 60
    assert members.liveness(peer_id(9), now=NOW + 60) is Liveness.LOST
    members.consider(signed_member(1), now=NOW + 50, wall=TIME)
    members.contact(peer_id(1), now=NOW + 55, wall=TIME, address="/ip4/127.0.0.1/tcp/1")
    members.contact(peer_id(1), now=NOW + 56, wall=TIME)
    assert members.silence(peer_id(1), now=NOW + 60) == 4
    known = members.get(peer_id(1))
    assert known is not None
    assert known.worked == ("/ip4/127.0.0.1/tcp/1",)


def test_a_new_record_is_a_sign_of_life_as_old_as_the_record_whoever_brings_it() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    now, wall = NOW + 10 * PUBLIC.long_grace_s, TIME
    members.consider(signed_member(1, time=wall), now=now, wall=wall)
    assert members.silence(peer_id(1), now=now + 5) == 5
    members.consider(signed_member(1, sequence=1, time=wall), now=now + 6, wall=wall)  # The same again says nothing.
    assert members.silence(peer_id(1), now=now + 7) == 7
    old = wall - limits.CLOCK_SKEW_SECONDS - 3600
    members.consider(signed_member(2, time=old), now=now, wall=wall)
    assert members.silence(peer_id(2), now=now) == 3600
    members.consider(signed_member(3, time=0), now=now, wall=wall)
    assert members.silence(peer_id(3), now=now) == 10 * PUBLIC.long_grace_s  # Never more than we run.


def away(
    number: int, seconds: int, *, sequence: int = 1, state: MemberState = MemberState.MAINTENANCE
) -> Signed[MemberRecord]:
    """Return a record that says what its signer does for so many seconds."""
    record = member_record(number, sequence=sequence)
    return signed(dataclasses.replace(record, state=state, state_until=TIME + seconds), key(number))


@pytest.mark.parametrize("skew", [-limits.CLOCK_SKEW_SECONDS, 0, limits.CLOCK_SKEW_SECONDS])
def test_who_announced_maintenance_is_lost_no_earlier_than_its_end_and_the_grace(skew: int) -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    hours = 6 * 3600
    members.consider(away(1, hours), now=NOW, wall=TIME + skew)
    members.consider(away(2, hours, state=MemberState.ACTIVE), now=NOW, wall=TIME + skew)
    assert members.liveness(peer_id(1), now=NOW + PUBLIC.suspect_after_s) is Liveness.SUSPECT
    assert members.liveness(peer_id(1), now=NOW + hours + PUBLIC.offline_after_s - 1) is Liveness.SUSPECT
    assert members.liveness(peer_id(2), now=NOW + hours) is Liveness.OFFLINE
    assert members.liveness(peer_id(2), now=NOW + PUBLIC.long_grace_s) is Liveness.LOST
    assert members.liveness(peer_id(1), now=NOW + hours + PUBLIC.long_grace_s - 1) is Liveness.OFFLINE
    assert members.liveness(peer_id(1), now=NOW + hours + PUBLIC.long_grace_s) is Liveness.LOST


def test_silence_that_was_announced_is_not_overdue() -> None:
    table = MemberTable(OWN, PUBLIC, started_at=NOW)
    known = away(1, 3600)
    table.consider(known, now=NOW, wall=TIME)
    overdue = [table.overdue(known.signer_peer, now=NOW + each) for each in (1800, 3600, 4000)]
    assert overdue == [0.0, 0.0, 400.0]
    assert table.silence(known.signer_peer, now=NOW + 1800) == 1800
    assert table.overdue(OWN, now=NOW + 9000) == 0.0


def test_nobody_is_excused_for_ever() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    members.consider(away(1, 10**9), now=NOW, wall=TIME)
    end = NOW + MAINTENANCE_S_MAX + PUBLIC.long_grace_s
    assert members.liveness(peer_id(1), now=end - 1) is Liveness.OFFLINE
    assert members.liveness(peer_id(1), now=end) is Liveness.LOST


def test_a_record_that_says_active_ends_the_maintenance() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    members.consider(away(1, 6 * 3600), now=NOW, wall=TIME)
    members.consider(away(1, 6 * 3600, sequence=2, state=MemberState.ACTIVE), now=NOW, wall=TIME)
    assert members.liveness(peer_id(1), now=NOW + PUBLIC.long_grace_s) is Liveness.LOST


def test_a_node_with_a_dead_link_declares_nobody_lost_until_the_short_grace_is_over() -> None:
    """All but one of nine domains fall silent at one moment; a tenth peer had fallen silent long before."""
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    wall = TIME + int(PUBLIC.vetting_s)
    for number in range(1, 11):
        members.consider(signed_member(number), now=NOW, wall=TIME)
        members.contact(peer_id(number), now=NOW, wall=TIME, address=f"/ip4/8.8.{number}.4/tcp/1")
    cut = NOW + PUBLIC.long_grace_s - PUBLIC.suspect_after_s
    for number in range(1, 10):
        members.contact(peer_id(number), now=cut, wall=wall)
    members.look_for_own_silence(now=cut + PUBLIC.suspect_after_s - 1, wall=wall)
    assert not members.freeze.is_frozen(cut + PUBLIC.suspect_after_s - 1)
    start = cut + PUBLIC.suspect_after_s
    members.look_for_own_silence(now=start, wall=wall)
    assert members.liveness(peer_id(10), now=start) is Liveness.OFFLINE
    assert members.liveness(peer_id(10), now=start + PUBLIC.short_grace_s - 1) is Liveness.OFFLINE
    assert members.liveness(peer_id(10), now=start + PUBLIC.short_grace_s) is Liveness.LOST


def test_newcomers_and_many_peers_of_one_domain_start_no_freeze() -> None:
    for vetted_for, block in ((PUBLIC.vetting_s - 1, "8.8.{}"), (PUBLIC.vetting_s, "8.8.8")):
        members = MemberTable(OWN, PUBLIC, started_at=NOW)
        for number in range(1, 20):
            members.consider(signed_member(number), now=NOW, wall=TIME)
            members.contact(peer_id(number), now=NOW, wall=TIME, address=f"/ip4/{block.format(number)}.4/tcp/1")
        later = NOW + PUBLIC.suspect_after_s
        members.look_for_own_silence(now=later, wall=TIME + vetted_for)
        assert not members.freeze.is_frozen(later)


def test_a_full_table_gives_room_only_by_forgetting_the_longest_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 3)
    members = table()
    for number in (1, 2, 3):
        assert members.consider(signed_member(number), now=NOW, wall=TIME)
        members.contact(peer_id(number), now=NOW + number, wall=TIME)
    assert not members.consider(signed_member(4), now=NOW + 10, wall=TIME)
    assert members.consider(signed_member(2, sequence=2), now=NOW + 10, wall=TIME)
    lost_by_then = NOW + 3 + TESTNET.long_grace_s
    assert members.consider(signed_member(4), now=lost_by_then, wall=TIME)
    assert members.get(peer_id(1)) is None
    assert len(members) == 3


def test_a_full_table_never_forgets_an_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 2)
    members = table()
    members.consider(signed_member(1), now=NOW, wall=TIME)
    members.consider(signed_member(2), now=NOW, wall=TIME)
    members.contact(peer_id(2), now=NOW + 1, wall=TIME)
    members.anchors = frozenset({peer_id(1)})
    long_after = NOW + 100 * TESTNET.long_grace_s
    assert members.consider(signed_member(3), now=long_after, wall=TIME)  # In the place of 2, which was heard later.
    members.contact(peer_id(3), now=long_after, wall=TIME)
    assert not members.consider(signed_member(4), now=long_after, wall=TIME)
    assert [each for each, _ in members.members()] == sorted([peer_id(1), peer_id(3)])


def test_every_coming_and_going_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 1)
    members = table()
    counts = [members.changes]
    members.consider(signed_member(1), now=NOW, wall=TIME)
    counts.append(members.changes)
    members.consider(signed_member(1, sequence=2), now=NOW, wall=TIME)
    assert members.changes == counts[-1]
    members.consider(signed_member(2), now=NOW + TESTNET.long_grace_s, wall=TIME)
    assert counts[0] < counts[1] < members.changes


def test_addresses_that_worked_come_first_and_are_bounded() -> None:
    members = table()
    members.consider(signed_member(1), now=NOW, wall=TIME)
    claimed = member_record(1).addresses[0]
    worked = [f"/ip4/8.8.{number}.4/tcp/1" for number in range(WORKED_ADDRESSES_MAX + 1)]
    for address in worked:
        assert members.contact(peer_id(1), now=NOW, wall=TIME, address=address)
        assert not members.contact(peer_id(1), now=NOW, wall=TIME, address=address)  # No news.
    assert members.addresses(peer_id(1)) == (*reversed(worked[1:]), claimed)
    assert members.contact(peer_id(1), now=NOW, wall=TIME, address=claimed)
    assert members.addresses(peer_id(1)) == (claimed, *reversed(worked[2:]))  # Said and worked: once.
    assert members.addresses(peer_id(9)) == ()


def test_an_address_that_worked_in_an_earlier_life_is_no_news_when_it_works_again() -> None:
    members = table()
    members.consider(signed_member(1), now=NOW, wall=TIME)
    where = "/ip4/8.8.8.4/tcp/1"
    members.remember([Contact(peer_id=peer_id(1), met_at=TIME, seen_at=TIME, is_anchor=False, addresses=(where,))])
    assert not members.contact(peer_id(1), now=NOW, wall=TIME, address=where)
    assert members.addresses(peer_id(1))[0] == where


def test_what_one_life_knew_of_a_member_the_next_one_knows_but_it_is_no_contact() -> None:
    members = table()
    for number in (1, 2):
        members.consider(signed_member(number), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW, wall=TIME, address="/ip4/8.8.4.4/tcp/1")
    members.contact(peer_id(1), now=NOW, wall=TIME + 9.5)
    members.anchors = frozenset({peer_id(1)})
    (saved,) = members.contacts()
    assert (saved.met_at, saved.seen_at, saved.is_anchor) == (TIME, TIME + 9, True)

    later = table()
    later.remember([saved])  # Of a peer without a record nothing is remembered.
    assert later.contacts() == []
    later.consider(signed_member(1), now=NOW, wall=TIME)
    later.remember([saved])
    later.consider(signed_member(2), now=NOW, wall=TIME)
    later.remember([dataclasses.replace(saved, peer_id=peer_id(2), is_anchor=False)])
    assert later.anchors == {peer_id(1)}
    assert later.contacts()[0] in (saved, dataclasses.replace(saved, peer_id=peer_id(2), is_anchor=False))
    assert later.addresses(peer_id(1))[0] == "/ip4/8.8.4.4/tcp/1"
    assert later.silence(peer_id(1), now=NOW + 5) == 5
    later.contact(peer_id(1), now=NOW, wall=TIME + 10**6)
    assert {each.peer_id: each.met_at for each in later.contacts()}[peer_id(1)] == TIME  # The first contact of all.


def test_who_was_silent_when_an_earlier_life_heard_others_last_had_been_so_since_its_last_contact_or_record() -> None:
    """A record tells of life too, where a node is connected with few of many."""
    seen = {1: TIME, 2: TIME - 500, 3: TIME - 500}
    recorded = {1: TIME - 5, 2: TIME - 600, 3: TIME - 100}
    members = table()
    for number, time in recorded.items():
        members.consider(signed_member(number, time=time), now=NOW, wall=TIME)
    members.remember(
        [
            Contact(peer_id=peer_id(number), met_at=TIME - 1000, seen_at=at, is_anchor=False, addresses=())
            for number, at in seen.items()
        ]
    )
    known = {number: members.get(peer_id(number)) for number in seen}
    assert {number: each.pulse.silent_before_s for number, each in known.items() if each is not None} == {
        1: 0,
        2: 500,
        3: 100,
    }


def test_who_was_never_met_is_no_acquaintance_and_who_was_met_lately_is_not_vetted() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    for number in (1, 2):
        members.consider(signed_member(number), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW, wall=TIME)
    for _ in range(PUBLIC.vetting_audits):
        members.audit_passed(peer_id(1))
    (young,) = members.acquaintances(now=NOW, wall=TIME + PUBLIC.vetting_s - 1)
    (old,) = members.acquaintances(now=NOW + PUBLIC.long_grace_s, wall=TIME + PUBLIC.vetting_s)
    assert (young.peer_id, young.is_vetted, young.is_lost) == (peer_id(1), False, False)
    assert (old.peer_id, old.is_vetted, old.is_lost) == (peer_id(1), True, True)


def test_where_vetting_is_off_a_clock_that_was_set_back_makes_nobody_a_newcomer() -> None:
    members = table()
    members.consider(signed_member(1), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW, wall=TIME)
    (known,) = members.acquaintances(now=NOW, wall=TIME - 5000)
    assert known.is_vetted


def test_absent_is_who_is_silent_to_us_and_whose_record_is_old() -> None:
    members = MemberTable(OWN, PUBLIC, started_at=NOW)
    members.consider(signed_member(1), now=NOW, wall=TIME)
    late = NOW + PUBLIC.offline_after_s
    assert not members.is_absent(peer_id(1), now=late - 1)
    assert members.is_absent(peer_id(1), now=late)
    members.consider(signed_member(1, sequence=2), now=late, wall=TIME)
    assert not members.is_absent(peer_id(1), now=late)


def test_who_is_condemned_counts_as_lost_until_it_is_pardoned_member_or_not() -> None:
    members = table()
    members.condemn(peer_id(1))
    assert members.liveness(peer_id(1), now=NOW) is Liveness.CONDEMNED
    members.consider(signed_member(1), now=NOW, wall=TIME)
    members.contact(peer_id(1), now=NOW + 1, wall=TIME)
    assert members.liveness(peer_id(1), now=NOW + 1) is Liveness.CONDEMNED
    members.condemn(peer_id(1))
    members.pardon(peer_id(1))
    members.contact(peer_id(1), now=NOW + 2, wall=TIME)
    assert members.liveness(peer_id(1), now=NOW + 2) is Liveness.ACTIVE
    members.condemn(peer_id(2))
    members.pardon(peer_id(2))
    assert members.liveness(peer_id(2), now=NOW) is Liveness.ACTIVE
    assert members.condemned == frozenset()
