"""Intents hold others up once for each node and loss, three times in all, and never urgent first ranks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.config import PUBLIC
from p2pnode.protocols.repair import intents
from p2pnode.protocols.repair.intents import (
    INTENTS_PER_LOSS_MAX,
    YIELDS_SHARE,
    IntentBook,
    Loss,
    bytes_of_rescue,
    lasts_s,
    loss_of,
)
from p2pnode.protocols.repair.ranks import FIRST_RANKS
from tests import factories
from tests.factories import blob_id, digest, peer_id
from tests.protocols.repair.pages import BLOBS, CERTIFIED, GROUP, LEASE, N, look, retraction, with_records
from wire.ids import ShardIndex

LOSS: Loss = ((blob_id(1), ShardIndex(2)), digest(1))
NEXT_LOSS: Loss = (LOSS[0], digest(2))
ONE, TWO, THREE, FOUR = (peer_id(number) for number in range(1, 5))


def waits(
    book: IntentBook, node: object, *, now: float, loss: Loss = LOSS, is_urgent: bool = False, rank: int = 0
) -> bool:
    return book.busy_until(loss, node, now=now, is_urgent=is_urgent, rank=rank) is not None  # type: ignore[arg-type]


def test_an_intent_holds_others_up_until_its_time_is_over() -> None:
    book = IntentBook()
    assert not waits(book, ONE, now=0)
    assert book.begin(LOSS, ONE, now=0, until=10, rank=0)
    assert book.busy_until(LOSS, TWO, now=9, is_urgent=False, rank=0) == 10
    assert not waits(book, ONE, now=9)
    assert not waits(book, TWO, now=10)
    assert not waits(book, TWO, now=9, loss=NEXT_LOSS)


def test_who_has_begun_is_known_while_its_intent_counts() -> None:
    book = IntentBook()
    assert not book.is_at_work(LOSS, ONE, now=0)
    book.begin(LOSS, ONE, now=0, until=10, rank=0)
    assert book.is_at_work(LOSS, ONE, now=9)
    assert not book.is_at_work(LOSS, TWO, now=9)
    assert not book.is_at_work(LOSS, ONE, now=10)
    assert not book.is_at_work(NEXT_LOSS, ONE, now=9)


def test_an_intent_holds_others_up_once_for_each_loss() -> None:
    book = IntentBook()
    assert book.begin(LOSS, ONE, now=0, until=10, rank=0)
    assert not book.begin(LOSS, ONE, now=20, until=30, rank=0)
    assert not waits(book, TWO, now=21)
    assert book.begin(NEXT_LOSS, ONE, now=20, until=30, rank=0)
    assert waits(book, TWO, now=21, loss=NEXT_LOSS)


def test_while_one_counts_another_one_changes_nothing() -> None:
    book = IntentBook()
    book.begin(LOSS, ONE, now=0, until=10, rank=0)
    assert not book.begin(LOSS, TWO, now=5, until=100, rank=0)
    assert not waits(book, THREE, now=11)


def test_no_more_than_three_delay_one_repair() -> None:
    book = IntentBook()
    for number, node in enumerate((ONE, TWO, THREE, FOUR)):
        assert book.begin(LOSS, node, now=10 * number, until=10 * number + 5, rank=0) == (number < INTENTS_PER_LOSS_MAX)
    assert not waits(book, peer_id(9), now=31)


def test_the_first_ranks_of_an_urgent_blob_wait_for_nobody() -> None:
    book = IntentBook()
    book.begin(LOSS, ONE, now=0, until=10, rank=0)
    assert not waits(book, TWO, now=5, is_urgent=True, rank=FIRST_RANKS - 1)
    assert waits(book, TWO, now=5, is_urgent=True, rank=FIRST_RANKS)


def test_only_so_many_losses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intents, "LOSSES_MAX", 2)
    book = IntentBook()
    for number in range(4):
        book.begin((LOSS[0], digest(number)), ONE, now=0, until=10, rank=0)
    assert len(book) == 2
    assert waits(book, TWO, now=1, loss=(LOSS[0], digest(3)))
    assert not waits(book, TWO, now=1, loss=(LOSS[0], digest(0)))


def test_the_time_of_an_intent_follows_from_what_is_moved() -> None:
    assert lasts_s(PUBLIC, 10 * PUBLIC.bytes_per_s_min) == PUBLIC.request_timeout_s + 10


def test_who_ranks_before_another_does_not_wait_for_it_and_takes_its_place() -> None:
    book = IntentBook()
    book.begin(LOSS, TWO, now=0, until=10, rank=1)
    assert waits(book, THREE, now=10 * YIELDS_SHARE, rank=1)
    assert not waits(book, ONE, now=10 * YIELDS_SHARE, rank=0)
    assert book.begin(LOSS, ONE, now=10 * YIELDS_SHARE, until=20, rank=0)
    assert waits(book, TWO, now=2, rank=1)
    assert book.busy_until(LOSS, TWO, now=2, is_urgent=False, rank=1) == 20


def test_who_has_just_begun_is_not_overtaken_by_one_that_ranks_before_it() -> None:
    book = IntentBook(yields_after_s=5)
    book.begin(LOSS, TWO, now=0, until=10, rank=1)
    assert waits(book, ONE, now=4, rank=0)
    assert not book.begin(LOSS, ONE, now=4, until=20, rank=0)
    assert not waits(book, ONE, now=5, rank=0)
    assert book.begin(LOSS, ONE, now=5, until=20, rank=0)


def test_who_has_much_to_rebuild_is_overtaken_later() -> None:
    book = IntentBook(yields_after_s=5)
    book.begin(LOSS, TWO, now=100, until=100 + 5 / YIELDS_SHARE + 80, rank=1)
    later = 105 + 80 * YIELDS_SHARE
    assert waits(book, ONE, now=later - 0.1, rank=0)
    assert not book.begin(LOSS, ONE, now=later - 0.1, until=400, rank=0)
    assert book.begin(LOSS, ONE, now=later, until=400, rank=0)


def test_a_blob_that_is_read_whole_is_one_loss_whichever_of_its_pairs_are_missing() -> None:
    view, later = look(), look(with_records(retractions=(retraction(3, 2), retraction(5, 4))))
    whole = loss_of(view, BLOBS[0], ShardIndex(2), is_whole=True)
    assert {loss_of(each, BLOBS[0], ShardIndex(at), is_whole=True) for each in (view, later) for at in (2, 4)} == {
        whole
    }
    assert whole != loss_of(view, BLOBS[1], ShardIndex(2), is_whole=True)
    assert whole != loss_of(view, BLOBS[0], ShardIndex(0), is_whole=False)
    pairs = {loss_of(each, BLOBS[0], ShardIndex(at), is_whole=False) for each in (view, later) for at in (2, 4)}
    assert len(pairs) == 4


def test_after_a_renewal_reading_a_blob_whole_again_is_another_loss() -> None:
    lease = factories.signed(replace(LEASE.record, end=LEASE.record.end + 50, sequence=7), factories.owner_key())
    rows = {shard + 1: (shard,) for shard in range(N)}
    renewed = factories.signed(factories.certificate(lease, GROUP, rows), factories.owner_key())
    views = [look(), look(replace(CERTIFIED, certificates=(*CERTIFIED.certificates, renewed)))]
    assert len({loss_of(each, BLOBS[0], ShardIndex(2), is_whole=True) for each in views}) == 2


def test_reading_a_blob_whole_may_take_as_long_as_its_primaries_and_its_missing_pairs() -> None:
    assert bytes_of_rescue(1000, n=10, missing=4) == 8000
    assert bytes_of_rescue(0, n=10, missing=4) == 0
