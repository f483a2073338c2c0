"""Claims about newcomers: whose work is checked next, who waits in vain, and that a flood starves nobody for long."""

from __future__ import annotations

import dataclasses
import random

import pytest

from p2pnode.membership import newcomers as module
from p2pnode.membership.newcomers import BARRED_S, Bringer, Newcomers
from p2pnode.membership.summary import Summary
from tests.factories import key, member_record, peer_id, signed
from wire.ids import MembersSummary, PeerId
from wire.records import MemberRecord
from wire.signed import Signed

CHOSEN = Bringer("a member", is_chosen=True)
STRANGER = Bringer("8.8.8.0/24", is_chosen=False)


def record(number: int, *, work: bytes = b"w", sequence: int = 1) -> Signed[MemberRecord]:
    """Return a newcomer's record."""
    return signed(dataclasses.replace(member_record(number, sequence=sequence), work=work), key(number))


def block(number: int) -> Bringer:
    """Return strangers of one failure domain."""
    return Bringer(f"8.8.{number}.0/24", is_chosen=False)


def _oldest(_count: int) -> int:
    return 0


def order(waiting: Newcomers) -> list[PeerId]:
    """Return who is checked one after the other, until nobody waits."""
    turns = []
    while (newcomer := waiting.next()) is not None:
        turns.append(newcomer.signed.signer_peer)
    assert len(waiting) == 0
    return turns


def test_nobody_is_next_while_nobody_waits() -> None:
    assert Newcomers(_oldest).next() is None


def test_those_whom_we_chose_and_strangers_take_turns_and_so_do_bringers() -> None:
    waiting = Newcomers(_oldest)
    for number in (1, 2, 3):
        assert waiting.offer(record(number), CHOSEN, now=0)
    assert waiting.offer(record(4), Bringer("another member", is_chosen=True), now=0)
    assert waiting.offer(record(11), block(1), now=0)
    assert waiting.offer(record(12), block(1), now=0)
    assert waiting.offer(record(13), block(2), now=0)
    assert order(waiting) == [peer_id(number) for number in (1, 11, 4, 13, 2, 12, 3)]


def test_of_those_that_one_brought_a_random_one_is_next(rng: random.Random) -> None:
    """Else who has a small id would be everybody's neighbour, because answers are in the order of ids."""
    waiting = Newcomers(rng.randrange)
    for number in range(200):
        assert waiting.offer(record(number), CHOSEN, now=0)
    turns = order(waiting)
    assert sorted(turns) == sorted(peer_id(number) for number in range(200))
    earliest = {peer_id(number) for number in range(100)} & set(turns[:100])
    assert 25 < len(earliest) < 75  # Fifty, if chance decides: this is seven standard deviations.


def test_a_newer_record_with_the_same_solution_keeps_the_place_and_is_passed_on_when_one_of_them_is() -> None:
    waiting = Newcomers(_oldest)
    assert waiting.offer(record(1), CHOSEN, now=0)
    assert waiting.offer(record(1, sequence=3), STRANGER, now=0, is_for_others=True)
    assert waiting.offer(record(1, sequence=2), STRANGER, now=0)
    assert len(waiting) == 1
    newcomer = waiting.next()
    assert newcomer is not None
    assert newcomer.signed.record.sequence == 3
    assert newcomer.bringer == CHOSEN
    assert newcomer.is_for_others


def test_a_signer_who_changes_its_solution_gets_nobody_else_barred() -> None:
    waiting = Newcomers(_oldest)
    assert waiting.offer(record(1, work=b"good"), CHOSEN, now=0)
    assert waiting.offer(record(1, work=b"false", sequence=2), STRANGER, now=0)
    first, second = waiting.next(), waiting.next()
    assert first is not None
    assert second is not None
    assert (first.signed.record.work, first.bringer) == (b"good", CHOSEN)
    assert (second.signed.record.work, second.bringer) == (b"false", STRANGER)


def test_who_brought_a_false_solution_is_not_heard_for_a_while_and_what_it_brought_goes() -> None:
    waiting = Newcomers(_oldest)
    for number in (1, 2, 3):
        waiting.offer(record(number), STRANGER, now=0)
    false = waiting.next()
    assert false is not None
    waiting.failed(false, now=10)
    assert len(waiting) == 0
    assert not waiting.offer(record(4), STRANGER, now=10 + BARRED_S - 1)
    assert waiting.offer(record(4), block(1), now=10)
    assert waiting.offer(record(5), STRANGER, now=10 + BARRED_S)
    assert order(waiting) == [peer_id(4), peer_id(5)]


def test_one_peer_and_one_block_bring_a_bounded_number() -> None:
    waiting = Newcomers(_oldest)
    for bringer, most in ((CHOSEN, module.BROUGHT_BY_CHOSEN_MAX), (STRANGER, module.BROUGHT_BY_BLOCK_MAX)):
        taken = [
            waiting.offer(record(1, work=f"{bringer.name} {number}".encode()), bringer, now=0)
            for number in range(most + 1)
        ]
        assert taken == [True] * most + [False]


def test_when_all_places_are_taken_the_longest_queue_makes_room_for_a_shorter_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STRANGERS_WAITING_MAX", 4)
    waiting = Newcomers(_oldest)
    for number in (1, 2, 3):
        assert waiting.offer(record(number), block(1), now=0)
    assert waiting.offer(record(4), block(2), now=0)
    assert waiting.offer(record(5), block(3), now=0)
    assert len(waiting) == 4
    assert not waiting.offer(record(6), block(1), now=0)
    assert waiting.offer(record(3), block(1), now=0) is False
    assert order(waiting) == [peer_id(number) for number in (1, 4, 5, 2)]


def test_of_too_many_barred_the_first_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BARRED_MAX", 2)
    waiting = Newcomers(_oldest)
    for number in (1, 2, 3):
        waiting.offer(record(number), block(number), now=0)
        false = waiting.next()
        assert false is not None
        waiting.failed(false, now=0)
    assert waiting.offer(record(4), block(1), now=1)
    assert not waiting.offer(record(5), block(2), now=1)
    assert not waiting.offer(record(5), block(3), now=1)


def test_an_honest_newcomer_waits_for_as_many_checks_as_there_are_hostile_blocks_and_no_more() -> None:
    """Each hostile block is barred after its first false solution, however often it comes back."""
    waiting = Newcomers(_oldest)
    for number in range(100):
        waiting.offer(record(number, work=b"false"), block(number), now=0)
    assert waiting.offer(record(200), block(200), now=0)
    checks = 0
    while True:
        newcomer = waiting.next()
        assert newcomer is not None
        checks += 1
        if newcomer.signed.signer_peer == peer_id(200):
            break
        waiting.failed(newcomer, now=checks)
        assert not waiting.offer(record(checks, work=b"false again"), newcomer.bringer, now=checks)
    assert checks == 101
    assert len(waiting) == 0


def test_the_summary_is_of_those_that_wait_whoever_comes_goes_or_has_to_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def expected(rows: dict[int, int]) -> MembersSummary:
        summary = Summary()
        for number, sequence in rows.items():
            summary.flip(peer_id(number), sequence)
        return summary.digests()

    monkeypatch.setattr(module, "CHOSEN_WAITING_MAX", 3)
    waiting = Newcomers(_oldest)
    for number in (1, 2, 3):
        assert waiting.offer(record(number), CHOSEN, now=0)
    assert waiting.summary.digests() == expected({1: 1, 2: 1, 3: 1})
    assert waiting.offer(record(2, sequence=4), STRANGER, now=0)
    assert waiting.summary.digests() == expected({1: 1, 2: 4, 3: 1})
    assert waiting.offer(record(4), Bringer("another member", is_chosen=True), now=0)
    assert waiting.summary.digests() == expected({1: 1, 2: 4, 4: 1}), "the last of the longest queue has left"
    first = waiting.next()
    assert first is not None
    assert first.bringer == CHOSEN
    assert waiting.summary.digests() == expected({2: 4, 4: 1})
    waiting.failed(first, now=0)
    assert waiting.summary.digests() == expected({4: 1})
    assert order(waiting) == [peer_id(4)]
    assert waiting.summary.digests() == expected({})
