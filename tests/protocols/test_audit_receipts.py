"""Audit receipts: both sides sign the same, once, soon, and about what was answered; and few are kept of each peer."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols import audit_receipts as module
from p2pnode.protocols.audit_receipts import (
    COUNTERSIGN_WITHIN_S,
    RECEIPT_SECONDS,
    RECEIPTS_PER_PEER_MAX,
    AnswerNotKnownError,
    Countersigned,
    GivenAnswers,
    ReceiptBook,
    Tally,
    join,
    open_statement,
    receipt_of,
)
from p2pnode.protocols.repair.exchange import bytes_of_pair
from p2pnode.protocols.retractions import make_retraction
from tests import factories
from tests.factories import NETWORK, TIME, key, peer_id
from tests.protocols.test_challenge import ASKER, HOLDER, SHARD, answer_of, example
from wire import limits
from wire.audit_receipts import AuditReceipt, Outcome
from wire.challenges import Absent
from wire.ids import PairIndex, Signature
from wire.records import Envelope
from wire.signed import Signed, digest_of

OWN = 1


def a_receipt(number: int = 1, *, time: int = TIME, **fields: object) -> AuditReceipt:
    """Return what ASKER and HOLDER agree on about answer `number`."""
    base = AuditReceipt(
        auditor=peer_id(ASKER),
        holder=peer_id(HOLDER),
        time=time,
        blob_id=factories.blob_id(),
        shard=SHARD,
        lease=factories.digest(1),
        base=factories.digest(2),
        answer=factories.digest(100 + number),
        outcome=Outcome.PROVEN,
        pair_bytes=700,
    )
    return replace(base, **fields)  # type: ignore[arg-type]  # fields of it


def stated(record: AuditReceipt, by: int = ASKER) -> Signed[AuditReceipt]:
    """Return it signed by one side."""
    return factories.signed(record, key(by))


def countersign(given: GivenAnswers, statement: Envelope, *, by: int = ASKER, at: float = 1.0) -> Countersigned:
    """Let the holder sign what a peer brings."""
    return given.countersign(statement, asker=peer_id(by), key=key(HOLDER), network=NETWORK, now=at, wall=TIME + at)


def between(auditor: int, holder: int, number: int, *, time: int = TIME) -> Countersigned:
    """Return a receipt of two nodes with both signatures."""
    record = a_receipt(number, auditor=peer_id(auditor), holder=peer_id(holder), time=time)
    ours = stated(record, holder).envelope.signature
    return Countersigned(record=record, statement=stated(record, auditor).envelope, countersignature=ours)


def test_both_sides_say_the_same_of_an_answer_and_end_with_both_signatures(rng: random.Random) -> None:
    question, blob = example(rng)
    answer = answer_of(question, blob)
    pair_bytes = bytes_of_pair(blob.metadata.length, 7)
    assert pair_bytes == sum(len(sliver.data) for sliver in blob.pair(PairIndex(0)))
    given = GivenAnswers()
    given.note(receipt_of(question, answer, pair_bytes=pair_bytes, time=TIME - 3), now=0.0)
    record = receipt_of(question, answer, pair_bytes=pair_bytes, time=TIME)
    statement = stated(record)
    signed = countersign(given, statement.envelope)
    assert (record.outcome, record.pair_bytes) == (Outcome.PROVEN, pair_bytes)
    assert (record.auditor, record.holder) == (peer_id(ASKER), peer_id(HOLDER))
    assert (record.base, record.lease) == (question.base, question.batch.record.lease)
    assert join(statement, signed.by_holder, network=NETWORK) == signed
    assert open_statement(signed.by_holder, network=NETWORK).signer_peer == peer_id(HOLDER)
    assert open_statement(signed.statement, network=NETWORK).signer_peer == peer_id(ASKER)


def test_of_a_pair_that_is_lost_the_receipt_says_so_and_counts_no_bytes(rng: random.Random) -> None:
    question, blob = example(rng)
    retraction = make_retraction(key(HOLDER), (blob.blob_id, SHARD), network=NETWORK, time=TIME, sequence=9)
    record = receipt_of(question, Absent(retraction=retraction.envelope), pair_bytes=700, time=TIME)
    assert (record.outcome, record.pair_bytes) == (Outcome.LOST, 0)
    assert record.answer == digest_of(retraction.envelope)


def refuse(
    given: GivenAnswers,
    statement: Envelope,
    match: str,
    kind: type[PeerFaultError] = PeerFaultError,
    *,
    by: int = ASKER,
    at: float = 1.0,
) -> None:
    """Check that the holder signs nothing."""
    with pytest.raises(PeerFaultError, match=match) as refused:
        countersign(given, statement, by=by, at=at)
    assert refused.type is kind


def test_a_holder_signs_once_and_only_what_it_has_answered_to_who_asked() -> None:
    given = GivenAnswers()
    given.note(a_receipt(), now=0.0)
    good = stated(a_receipt(time=TIME + 60))
    refuse(given, stated(a_receipt(2)).envelope, "no answer of the last minutes", AnswerNotKnownError)
    refuse(given, replace(good.envelope, signature=Signature(bytes(64))), "nobody signed")
    refuse(given, replace(good.envelope, body=b"\x90"), "nobody signed")
    refuse(given, good.envelope, "of another than", by=2)
    refuse(given, stated(a_receipt(), by=2).envelope, "of another than", by=2)
    for changed in (
        {"pair_bytes": 701},
        {"outcome": Outcome.LOST},
        {"shard": SHARD + 1},
        {"lease": factories.digest(9)},
        {"base": factories.digest(9)},
        {"blob_id": factories.blob_id(9)},
        {"holder": peer_id(2)},
    ):
        refuse(given, stated(a_receipt(**changed)).envelope, "no answer of the last minutes", AnswerNotKnownError)
    countersign(given, good.envelope)
    refuse(given, good.envelope, "no answer of the last minutes", AnswerNotKnownError)
    assert len(given) == 0


def test_what_is_put_off_or_of_another_time_is_not_signed() -> None:
    given = GivenAnswers()
    given.note(a_receipt(), now=0.0)
    late = stated(a_receipt()).envelope
    refuse(given, late, "no answer of the last minutes", AnswerNotKnownError, at=COUNTERSIGN_WITHIN_S + 1)
    for time in (TIME - limits.CLOCK_SKEW_SECONDS, TIME + limits.CLOCK_SKEW_SECONDS + 2):
        refuse(given, stated(a_receipt(time=time)).envelope, "of another time")
    countersign(given, stated(a_receipt(time=TIME + 1 - limits.CLOCK_SKEW_SECONDS)).envelope)


def test_two_that_are_told_of_the_same_retraction_both_have_a_receipt() -> None:
    """The answer to both is one and the same."""
    given = GivenAnswers()
    others = a_receipt(auditor=peer_id(2))
    given.note(a_receipt(), now=0.0)
    given.note(others, now=0.0)
    countersign(given, stated(a_receipt()).envelope)
    countersign(given, stated(others, by=2).envelope, by=2)


def test_a_holder_remembers_few_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERS_MAX", 3)
    given = GivenAnswers()
    for number in range(5):
        given.note(a_receipt(number), now=0.0)
    assert len(given) == 3
    refuse(given, stated(a_receipt(1)).envelope, "no answer of the last minutes", AnswerNotKnownError)
    countersign(given, stated(a_receipt(2)).envelope)


def test_an_auditor_takes_no_other_signature_than_the_holders_on_what_it_has_signed() -> None:
    statement = stated(a_receipt())
    with pytest.raises(PeerFaultError, match="signed something else"):
        join(statement, stated(a_receipt(), by=2).envelope, network=NETWORK)
    with pytest.raises(PeerFaultError, match="signed something else"):
        join(statement, stated(a_receipt(2), by=HOLDER).envelope, network=NETWORK)
    with pytest.raises(PeerFaultError, match="nobody signed"):
        join(statement, replace(statement.envelope, signer=factories.public_key(HOLDER)), network=NETWORK)


def test_the_latest_receipts_of_each_peer_and_direction_are_kept() -> None:
    book = ReceiptBook(peer_id(OWN))
    for number in range(RECEIPTS_PER_PEER_MAX + 3):
        book.keep(between(OWN, 2, number, time=TIME + number))
    book.keep(between(2, OWN, 1_000))
    assert book.tally(peer_id(2)) == Tally(of_it=RECEIPTS_PER_PEER_MAX, by_it=1)
    assert book.tally(peer_id(3)) == Tally(of_it=0, by_it=0)
    kept = book.all()
    assert len(book) == len(kept) == RECEIPTS_PER_PEER_MAX + 1
    assert [each.record.time for each in kept] == [TIME, *range(TIME + 3, TIME + RECEIPTS_PER_PEER_MAX + 3)]


def test_who_was_heard_of_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEERS_MAX", 2)
    book = ReceiptBook(peer_id(OWN))
    for other in (2, 3, 2, 4):
        book.keep(between(OWN, other, other + len(book)))
    assert [book.tally(peer_id(other)).of_it for other in (2, 3, 4)] == [2, 0, 1]


def test_a_receipt_goes_when_its_lease_is_over_for_certain() -> None:
    book = ReceiptBook(peer_id(OWN))
    book.remember([between(OWN, 2, 1), between(OWN, 3, 2, time=TIME + 9), between(OWN, 2, 3, time=TIME + 10)])
    book.forget(wall=TIME + RECEIPT_SECONDS)
    assert len(book) == 3
    book.forget(wall=TIME + RECEIPT_SECONDS + 10)
    assert [each.record.time for each in book.all()] == [TIME + 10]
    assert book.tally(peer_id(3)) == Tally(of_it=0, by_it=0)


def test_the_disk_is_told_what_came_and_what_went_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECEIPTS_PER_PEER_MAX", 2)
    book = ReceiptBook(peer_id(OWN))
    receipts = [between(OWN, 2, number) for number in range(6)]
    book.remember(receipts[:1])
    assert not book.changes
    book.keep(receipts[1])
    book.keep(receipts[2])
    first = book.changes
    assert (set(first.new), first.gone) == ({receipts[1].name, receipts[2].name}, {receipts[0].name})
    book.keep(receipts[3])  # While that is being saved: one of what is saved goes again.
    book.saved(first)
    second = book.changes
    assert (set(second.new), second.gone) == ({receipts[3].name}, {receipts[1].name})
    book.saved(second)
    assert not book.changes
    for receipt in (receipts[4], receipts[5], receipts[0]):  # What comes and goes between two looks is never told.
        book.keep(receipt)
    third = book.changes
    assert (set(third.new), third.gone) == (
        {receipts[5].name, receipts[0].name},
        {receipts[2].name, receipts[3].name},
    )
