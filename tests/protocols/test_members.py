"""Claims about member records: what is signed, how they are paged, and who is a candidate."""

from __future__ import annotations

import dataclasses

import pytest

from crypto.signing import BadSignatureError
from crypto.work import BadWorkError, Task, attempts, key_of_work
from p2pnode.config import TESTNET
from p2pnode.membership.table import MemberTable
from p2pnode.placement.rendezvous import Candidate
from p2pnode.protocols.members import (
    OwnFacts,
    check_admission,
    check_admission_claim,
    check_member_record,
    make_candidates,
    make_member_record,
    members_page,
)
from tests.factories import NETWORK, TIME, address, key, member_record, peer_id, public_key, signed, signed_member
from wire import limits
from wire.ids import PeerId
from wire.records import Envelope, MemberRecord
from wire.signed import Signed


def records(count: int) -> list[tuple[PeerId, Envelope]]:
    """Return the records of some nodes in the order of their ids."""
    return sorted((peer_id(number), signed_member(number).envelope) for number in range(count))


def record_of(number: int, **changes: object) -> Envelope:
    """Return a record as a node makes it."""
    fields: dict[str, object] = {
        "sequence": 1,
        "time": TIME,
        "addresses": [address(number)],
        "capacity_bytes": 100,
        "free_bytes": 50,
    }
    facts = OwnFacts(network=NETWORK, owner=public_key(number), work=b"", domain_tag="", software="test")
    return make_member_record(key(number), facts, **(fields | changes)).envelope  # type: ignore[arg-type] # one table of fields


def test_what_a_node_says_of_itself_can_be_checked_by_anyone() -> None:
    checked = check_member_record(record_of(3), network=NETWORK)
    assert checked.signer_peer == peer_id(3)
    assert checked.record.addresses == (address(3),)


def test_a_record_of_another_network_is_refused() -> None:
    with pytest.raises(BadSignatureError):
        check_member_record(record_of(3), network="other")


def test_surplus_addresses_are_left_out_and_free_space_is_never_negative() -> None:
    envelope = record_of(3, addresses=[address(i) for i in range(20)], free_bytes=-5)
    record = check_member_record(envelope, network=NETWORK).record
    assert len(record.addresses) == limits.ADDRESSES_MAX
    assert record.free_bytes == 0


def test_pages_give_every_record_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_PER_MESSAGE_MAX", 4)
    everyone = records(10)
    after: PeerId | None = None
    seen: list[Envelope] = []
    has_more = True
    for _ in range(3):
        page = members_page(everyone, after=after)
        seen += page.records
        has_more = page.has_more
        after = everyone[len(seen) - 1][0]
    assert not has_more
    assert seen == [envelope for _, envelope in everyone]


def test_a_page_stays_within_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MESSAGE_BYTES_MAX", 1000)
    page = members_page(records(10), after=None)
    assert page.has_more
    assert 1 <= len(page.records) <= 5


def candidates_of(table: MemberTable) -> list[Candidate]:
    """Return node 0 and its fresh members as candidates."""
    return make_candidates(signed_member(0), table.fresh(now=0), domains=table.domains(wall=TIME))


def test_candidates_are_ourselves_and_the_others_in_id_order() -> None:
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in (1, 2, 3):
        table.consider(signed_member(number), now=0, wall=TIME)
    candidates = candidates_of(table)
    assert [each.peer_id for each in candidates] == sorted(peer_id(number) for number in range(4))
    assert {each.weight for each in candidates} == {1.0}
    assert len({each.domain for each in candidates}) == 4


def test_members_that_dialled_us_from_one_network_are_one_failure_domain() -> None:
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in (1, 2, 3):
        table.consider(signed_member(number), now=0, wall=TIME)
        table.contact(peer_id(number), now=0, wall=TIME, source=f"/ip4/8.8.{number // 3}.{number}")
    domains = {each.peer_id: each.domain for each in candidates_of(table)}
    assert domains[peer_id(1)] == domains[peer_id(2)] != domains[peer_id(3)]


def test_a_crowd_that_we_never_met_is_one_failure_domain_when_it_says_to_be_in_one_network() -> None:
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in (1, 2, 3):
        envelope = record_of(number, addresses=[f"/ip4/8.8.{number // 3}.{number}/tcp/4710"])
        table.consider(check_member_record(envelope, network=NETWORK), now=0, wall=TIME)
    domains = {each.peer_id: each.domain for each in candidates_of(table)}
    assert domains[peer_id(1)] == domains[peer_id(2)] != domains[peer_id(3)]


def test_where_a_member_says_to_be_counts_for_less_than_where_it_was_met() -> None:
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in (1, 2):
        envelope = record_of(number, addresses=[f"/ip4/8.8.{number}.1/tcp/4710"])
        table.consider(check_member_record(envelope, network=NETWORK), now=0, wall=TIME)
        table.contact(peer_id(number), now=0, wall=TIME, source="/ip4/9.9.9.9")
    domains = {each.peer_id: each.domain for each in candidates_of(table)}
    assert domains[peer_id(1)] == domains[peer_id(2)]


def test_a_member_that_names_no_address_and_was_never_met_is_a_failure_domain_of_its_own() -> None:
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in (1, 2):
        envelope = record_of(number, addresses=[])
        table.consider(check_member_record(envelope, network=NETWORK), now=0, wall=TIME)
    assert len({each.domain for each in candidates_of(table)}) == 3


def signed_with_work(number: int, work: bytes) -> Signed[MemberRecord]:
    """Return a member's record with this solution."""
    return signed(dataclasses.replace(member_record(number), work=work), key(number))


def solution(number: int, *, cost: int = 1) -> bytes:
    """Return the admission work of a node."""
    steps = attempts(Task(key(number).public, NETWORK, cost), start=0)
    return next(step for step in steps if step is not None)


def test_where_work_is_asked_only_that_of_the_signer_is_good() -> None:
    good = signed_with_work(1, solution(1))
    check_admission_claim(good, network=NETWORK, cost=1)
    check_admission(good, network=NETWORK, cost=1)
    borrowed = signed_with_work(2, solution(1))
    with pytest.raises(BadWorkError):
        check_admission(borrowed, network=NETWORK, cost=1)
    with pytest.raises(BadWorkError):
        check_admission_claim(signed_with_work(1, b""), network=NETWORK, cost=1)


def test_where_no_work_is_asked_none_is_told() -> None:
    check_admission_claim(signed_with_work(1, b""), network=NETWORK, cost=0)
    with pytest.raises(BadWorkError, match="does not ask for"):
        check_admission_claim(signed_with_work(1, solution(1)), network=NETWORK, cost=0)


def test_the_placement_key_is_made_from_the_work_and_is_the_peer_id_where_none_is_asked() -> None:
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    table.consider(signed_with_work(1, solution(1)), now=0, wall=TIME)
    keys = {each.peer_id: each.placement_key for each in candidates_of(table)}
    assert keys == {peer_id(0): bytes(peer_id(0)), peer_id(1): key_of_work(solution(1))}
