"""Claims about vetting: time and audits both count, in our own view only, and the table asks nobody else."""

from __future__ import annotations

import pytest

from p2pnode.config import PRIVATE, PUBLIC
from p2pnode.membership.contact import Contact
from p2pnode.membership.table import MemberTable
from p2pnode.membership.vetting import is_long_known, is_vetted, with_pass
from tests.factories import TIME, peer_id, signed_member

LONG = TIME + PUBLIC.vetting_s
ENOUGH = PUBLIC.vetting_audits


@pytest.mark.parametrize(
    ("met_at", "audits_passed", "wall", "expected"),
    [
        (TIME, ENOUGH, LONG, True),
        (TIME, ENOUGH - 1, LONG, False),
        (TIME, ENOUGH, LONG - 1, False),
        (None, ENOUGH, LONG, False),
        (TIME, ENOUGH, TIME - 10**6, False),
    ],
    ids=["both", "one-audit-too-few", "a-second-too-early", "never-met", "a-clock-set-back"],
)
def test_time_and_audits_both_count(met_at: float | None, audits_passed: int, wall: float, *, expected: bool) -> None:
    assert is_vetted(PUBLIC, met_at=met_at, audits_passed=audits_passed, wall=wall) is expected


def test_where_vetting_is_off_everybody_is_vetted() -> None:
    assert is_vetted(PRIVATE, met_at=None, audits_passed=0, wall=TIME)


def test_long_known_is_whom_we_met_a_vetting_time_ago_whatever_it_passed() -> None:
    assert is_long_known(PUBLIC, met_at=TIME, wall=LONG)
    assert not is_long_known(PUBLIC, met_at=TIME, wall=LONG - 1)
    assert not is_long_known(PUBLIC, met_at=None, wall=LONG)
    assert is_long_known(PRIVATE, met_at=TIME, wall=TIME - 5000)
    assert not is_long_known(PRIVATE, met_at=None, wall=TIME)


def test_no_more_audits_are_counted_than_vetting_asks_for() -> None:
    assert with_pass(PUBLIC, 0) == 1
    assert with_pass(PUBLIC, ENOUGH) == ENOUGH


def test_the_table_relies_on_ourselves_on_vetted_members_and_on_no_stranger() -> None:
    table = MemberTable(peer_id(0), PUBLIC, started_at=0)
    table.consider(signed_member(1), now=0, wall=TIME)
    table.contact(peer_id(1), now=0, wall=TIME)
    assert not table.is_vetted(peer_id(1), wall=LONG)
    for _ in range(ENOUGH):
        table.audit_passed(peer_id(1))
        table.audit_passed(peer_id(2))
    assert table.is_vetted(peer_id(1), wall=LONG)
    assert not table.is_vetted(peer_id(2), wall=LONG)
    assert table.is_vetted(peer_id(0), wall=TIME)


def test_what_a_peer_passed_counts_in_the_next_life() -> None:
    first, second = (MemberTable(peer_id(0), PUBLIC, started_at=0) for _ in range(2))
    for table in (first, second):
        table.consider(signed_member(1), now=0, wall=TIME)
    first.contact(peer_id(1), now=0, wall=TIME)
    for _ in range(ENOUGH):
        first.audit_passed(peer_id(1))
    (kept,) = first.contacts()
    assert kept == Contact(
        peer_id=peer_id(1), met_at=TIME, seen_at=TIME, is_anchor=False, addresses=(), audits_passed=ENOUGH
    )
    second.remember([kept])
    assert second.is_vetted(peer_id(1), wall=LONG)
