"""Claims about a full member table: a crowd makes room for others, and displaces nobody itself."""

from __future__ import annotations

import dataclasses
import math

import pytest

from p2pnode.config import TESTNET
from p2pnode.membership.crowding import Seat, block_of, who_yields
from p2pnode.membership.table import MemberTable
from tests.factories import TIME, key, member_record, peer_id, signed
from wire import limits
from wire.records import MemberRecord
from wire.signed import Signed


def seats(*blocks: str) -> list[Seat]:
    """Return members of these blocks; the first was met last."""
    return [Seat(peer_id(at), block, 100.0 - at) for at, block in enumerate(blocks)]


def test_a_block_is_a_wide_prefix_else_what_the_failure_domain_is() -> None:
    assert block_of(peer_id(1), "/ip4/8.8.4.4/tcp/1") == "8.8.0.0/16"
    assert block_of(peer_id(1), "/ip4/10.0.0.1/tcp/1") != block_of(peer_id(2), "/ip4/10.0.0.1/tcp/1")


def test_the_latest_of_the_largest_crowd_yields_to_a_newcomer_of_another_block() -> None:
    assert who_yields("new", seats("a", "b", "b", "b")) == peer_id(1)
    never_met = Seat(peer_id(9), "b", math.inf)
    assert who_yields("new", [*seats("a", "b", "b"), never_met]) == peer_id(9)


@pytest.mark.parametrize(
    ("block", "known"),
    [("b", ["a", "b", "b", "b"]), ("new", ["a", "b", "c"]), ("a", ["a", "b", "b"]), ("new", [])],
    ids=["its-own-crowd", "no-crowd", "turn-about", "nobody"],
)
def test_nobody_yields_where_nothing_would_be_better_spread(block: str, known: list[str]) -> None:
    assert who_yields(block, seats(*known)) is None


def member_at(number: int, block: int) -> Signed[MemberRecord]:
    """Return a member that says to be in a block."""
    record = dataclasses.replace(member_record(number), addresses=(f"/ip4/8.{block}.4.{number}/tcp/1",))
    return signed(record, key(number))


def test_a_full_table_is_not_filled_by_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 4)
    table = MemberTable(peer_id(0), TESTNET, started_at=0)
    for number in (1, 2, 3, 4):
        assert table.consider(member_at(number, 1), now=0, wall=TIME)
        table.contact(peer_id(number), now=0, wall=TIME + number, address=f"/ip4/8.1.4.{number}/tcp/1")
    table.anchors = frozenset({peer_id(4)})
    assert not table.consider(member_at(5, 1), now=0, wall=TIME)
    assert table.consider(member_at(6, 2), now=0, wall=TIME)
    assert [table.get(peer_id(number)) is not None for number in (3, 4, 6)] == [False, True, True]
    assert len(table) == 4
