"""Claims about the cap on what newcomers may have kept: when it binds, for whom it does not, and how much it is."""

from __future__ import annotations

import dataclasses

from p2pnode.config import PRIVATE, PUBLIC, Profile
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.owners_cap import OwnersCap, owners_cap
from tests.factories import TIME, key, member_record, peer_id, public_key, signed
from wire.records import MemberState

OWN_OWNER = public_key(500)
QUOTA_BYTES = 1_000_000
LATER = TIME + int(PUBLIC.vetting_s)
ENOUGH = 8
"""With ourselves nine: as many as placement asks for at ten shards."""


def table_of(vetted: int, *, newcomers: int = 1, profile: Profile = PUBLIC) -> MemberTable:
    """Return a table of members 1 on, the first ones vetted at LATER; member m names the owner key 100 + m."""
    table = MemberTable(peer_id(0), profile, started_at=0)
    for number in range(1, vetted + newcomers + 1):
        record = dataclasses.replace(member_record(number), owner=public_key(100 + number))
        table.consider(signed(record, key(number)), now=0, wall=TIME)
        table.contact(peer_id(number), now=0, wall=TIME)
        for _ in range(PUBLIC.vetting_audits * (number <= vetted)):
            table.audit_passed(peer_id(number))
    return table


def cap_of(table: MemberTable, *, now: float = 0, wall: float = LATER) -> OwnersCap | None:
    """Return the cap of our node."""
    return owners_cap(table, own_owner=OWN_OWNER, quota_bytes=QUOTA_BYTES, now=now, wall=wall)


def test_all_but_ourselves_and_the_owners_that_vetted_members_name_share_a_twentieth_of_the_quota() -> None:
    known = {OWN_OWNER, *(public_key(100 + number) for number in range(1, ENOUGH + 1))}
    assert cap_of(table_of(ENOUGH)) == OwnersCap(frozenset(known), QUOTA_BYTES // 20)


def test_a_young_network_has_no_cap() -> None:
    assert cap_of(table_of(ENOUGH - 1, newcomers=50)) is None
    assert cap_of(table_of(ENOUGH), wall=LATER - 1) is None


def test_where_vetting_is_off_no_cap_binds() -> None:
    assert cap_of(table_of(50, profile=PRIVATE)) is None


def test_vetted_members_that_may_be_given_nothing_do_not_make_a_cap_bind_and_their_owners_stay_known() -> None:
    table = table_of(ENOUGH + 1)
    assert cap_of(table, now=PUBLIC.member_stale_after_s + 1) is None
    draining = dataclasses.replace(
        member_record(1), owner=public_key(101), sequence=2, state=MemberState.DRAINING, time=TIME
    )
    table.consider(signed(draining, key(1)), now=0, wall=TIME)
    cap = cap_of(table)
    assert cap is not None
    assert public_key(101) in cap.relied_on


def test_who_names_another_owner_takes_its_word_from_the_earlier_one() -> None:
    """One member stands for one owner: nobody lets in many by naming them in turns."""
    table = table_of(ENOUGH)
    renamed = dataclasses.replace(member_record(1), owner=public_key(900), sequence=2)
    table.consider(signed(renamed, key(1)), now=0, wall=TIME)
    cap = cap_of(table)
    assert cap is not None
    assert public_key(900) in cap.relied_on
    assert public_key(101) not in cap.relied_on
