"""Audit receipts: both sides sign the same, once, soon, and about what was answered; and few are kept of each peer."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols import audit_receipts as module
from p2pnode.protocols.audit_receipts import (
    GATHERED_EPOCHS,
    RECEIPT_SECONDS,
    RECEIPTS_PER_PEER_MAX,
    REMEMBERED_EPOCHS,
    AnswerNotKnownError,
    Countersigned,
    GatheredAudits,
    GivenAnswers,
    ReceiptBook,
    Tally,
    join,
    shown_by,
)
from p2pnode.protocols.repair.exchange import bytes_of_pair
from p2pnode.protocols.retractions import make_retraction
from tests import factories
from tests.factories import NETWORK, TIME, key, peer_id
from tests.protocols.test_challenge import ASKER, HOLDER, SHARD, answer_of, example
from wire import limits
from wire.audit_receipts import AuditedPair, AuditReceipt, Outcome
from wire.challenges import Absent
from wire.ids import PairIndex, Signature
from wire.records import Envelope
from wire.signed import Signed, digest_of, open_envelope

OWN = 1
EPOCH_S = 60.0


def an_audit(number: int = 1, *, time: int = TIME, **fields: object) -> AuditedPair:
    """Return what answer `number` has shown."""
    base = factories.audited_pair(number, time=time)
    return replace(base, **fields)  # type: ignore[arg-type]  # fields of it


def stated(*audits: AuditedPair, by: int = ASKER, auditor: int = ASKER, holder: int = HOLDER) -> Signed[AuditReceipt]:
    """Return what two agree on, signed by one side."""
    record = AuditReceipt(auditor=peer_id(auditor), holder=peer_id(holder), audits=audits or (an_audit(),))
    return factories.signed(record, key(by))


def giving(*audits: AuditedPair, to: int = ASKER) -> GivenAnswers:
    """Return the memory of a holder that has given some answers."""
    given = GivenAnswers(epoch_s=EPOCH_S)
    for each in audits or (an_audit(),):
        given.note(peer_id(to), each, now=0.0)
    return given


def countersign(given: GivenAnswers, statement: Envelope, *, by: int = ASKER, at: float = 1.0) -> Countersigned:
    """Let the holder sign what a peer brings."""
    return given.countersign(statement, asker=peer_id(by), key=key(HOLDER), network=NETWORK, now=at)


def between(auditor: int, holder: int, number: int, *, time: int = TIME) -> Countersigned:
    """Return a receipt of two nodes with both signatures."""
    statement = stated(an_audit(number, time=time), by=auditor, auditor=auditor, holder=holder)
    ours = factories.signed(statement.record, key(holder)).envelope.signature
    return Countersigned(record=statement.record, statement=statement.envelope, countersignature=ours)


def test_both_sides_say_the_same_of_an_answer_and_end_with_both_signatures(rng: random.Random) -> None:
    question, blob = example(rng)
    answer = answer_of(question, blob)
    pair_bytes = bytes_of_pair(blob.metadata.length, 7)
    assert pair_bytes == sum(len(sliver.data) for sliver in blob.pair(PairIndex(0)))
    given = giving(shown_by(question, answer, pair_bytes=pair_bytes, time=TIME - 3))
    shown = shown_by(question, answer, pair_bytes=pair_bytes, time=TIME)
    statement = stated(shown)
    signed = countersign(given, statement.envelope)
    assert (shown.outcome, shown.pair_bytes) == (Outcome.PROVEN, pair_bytes)
    assert (shown.base, shown.lease) == (question.base, question.batch.record.lease)
    assert join(statement, signed.countersignature, network=NETWORK) == signed
    for envelope, signer in ((signed.by_holder, HOLDER), (signed.statement, ASKER)):
        opened = open_envelope(envelope, AuditReceipt, network=NETWORK)
        assert (opened.signer_peer, opened.record) == (peer_id(signer), statement.record)


def test_of_a_pair_that_is_lost_the_receipt_says_so_and_counts_no_bytes(rng: random.Random) -> None:
    question, blob = example(rng)
    retraction = make_retraction(key(HOLDER), (blob.blob_id, SHARD), network=NETWORK, time=TIME, sequence=9)
    shown = shown_by(question, Absent(retraction=retraction.envelope), pair_bytes=700, time=TIME)
    assert (shown.outcome, shown.pair_bytes) == (Outcome.LOST, 0)
    assert shown.answer == digest_of(retraction.envelope)


def test_one_signature_of_each_side_is_for_all_that_a_holder_has_answered() -> None:
    audits = tuple(an_audit(number, time=TIME + number) for number in range(limits.AUDITS_PER_RECEIPT_MAX))
    given = giving(*audits, an_audit(99))
    statement = stated(*audits)
    signed = join(statement, countersign(given, statement.envelope).countersignature, network=NETWORK)
    assert signed.record.audits == audits
    assert signed.time == TIME + limits.AUDITS_PER_RECEIPT_MAX - 1
    assert len(given) == 1


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
    given = giving(an_audit(), an_audit(3))
    good = stated(an_audit(time=TIME + 60), an_audit(3))
    refuse(given, stated(an_audit(2)).envelope, "no answers of the last two epochs", AnswerNotKnownError)
    refuse(given, stated(an_audit(), an_audit(2)).envelope, "no answers of the last two epochs", AnswerNotKnownError)
    refuse(given, stated(an_audit(), an_audit(time=TIME + 1)).envelope, "the same answer twice")
    refuse(given, replace(good.envelope, body=b"\x90"), "not an audit receipt")
    refuse(given, good.envelope, "of others than", by=2)
    refuse(given, stated(by=2).envelope, "of others than")
    refuse(given, stated(auditor=2).envelope, "of others than")
    refuse(given, stated(holder=2).envelope, "of others than")
    refuse(given, stated(by=2, auditor=2).envelope, "no answers of the last", AnswerNotKnownError, by=2)
    for changed in (
        {"pair_bytes": 701},
        {"outcome": Outcome.LOST},
        {"shard": SHARD + 1},
        {"lease": factories.digest(9)},
        {"base": factories.digest(9)},
        {"blob_id": factories.blob_id(9)},
    ):
        bad = stated(an_audit(3), an_audit(**changed))
        refuse(given, bad.envelope, "no answers of the last two epochs", AnswerNotKnownError)
    countersign(given, good.envelope)
    refuse(given, good.envelope, "no answers of the last two epochs", AnswerNotKnownError)
    assert len(given) == 0


def test_each_check_of_a_signature_was_paid_for_by_a_question() -> None:
    given = giving()
    good = stated().envelope
    refuse(given, replace(good, signature=Signature(bytes(64))), "did not sign")
    refuse(given, good, "no answers of the last two epochs", AnswerNotKnownError)
    assert len(given) == 0


def test_what_is_put_off_or_of_another_time_is_not_signed() -> None:
    given = giving()
    late = REMEMBERED_EPOCHS * EPOCH_S + 1
    unknown = "no answers of the last two epochs"
    refuse(given, stated().envelope, unknown, AnswerNotKnownError, at=late)
    for time in (TIME - limits.CLOCK_SKEW_SECONDS - 1, TIME + limits.CLOCK_SKEW_SECONDS + 1):
        refuse(given, stated(an_audit(time=time)).envelope, unknown, AnswerNotKnownError)
    countersign(given, stated(an_audit(time=TIME - limits.CLOCK_SKEW_SECONDS)).envelope, at=late - 1)


def test_two_that_are_told_of_the_same_retraction_both_have_a_receipt() -> None:
    """The answer to both is one and the same."""
    given = giving()
    given.note(peer_id(2), an_audit(), now=0.0)
    countersign(given, stated().envelope)
    countersign(given, stated(by=2, auditor=2).envelope, by=2)


def test_a_holder_remembers_few_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERS_MAX", 3)
    given = giving(*map(an_audit, range(5)))
    assert len(given) == 3
    refuse(given, stated(an_audit(1)).envelope, "no answers of the last two epochs", AnswerNotKnownError)
    countersign(given, stated(an_audit(2)).envelope)


def test_an_answer_that_is_given_again_is_remembered_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds nothing any more answers two questions with the same retraction."""
    monkeypatch.setattr(module, "ANSWERS_MAX", 2)
    given = giving(an_audit(1), an_audit(2))
    again = REMEMBERED_EPOCHS * EPOCH_S
    given.note(peer_id(ASKER), an_audit(1), now=again)
    given.note(peer_id(ASKER), an_audit(3), now=again)
    refuse(given, stated(an_audit(2)).envelope, "no answers of the last two epochs", AnswerNotKnownError)
    countersign(given, stated(an_audit(1)).envelope, at=2 * again)


def test_an_auditor_takes_no_other_signature_than_the_holders_on_what_it_has_signed() -> None:
    statement = stated()
    for other in (stated(by=2), stated(an_audit(2), by=HOLDER), stated()):
        with pytest.raises(PeerFaultError, match="did not sign what its audits have shown"):
            join(statement, other.envelope.signature, network=NETWORK)


def test_an_auditor_gathers_what_a_holder_has_shown_for_an_epoch_or_until_a_receipt_is_full() -> None:
    gathered = GatheredAudits(epoch_s=EPOCH_S)
    most = limits.AUDITS_PER_RECEIPT_MAX
    fills = [gathered.add(peer_id(2), an_audit(number), now=0.0) for number in range(most)]
    assert fills == [False] * (most - 1) + [True]
    assert gathered.take(peer_id(2)) == tuple(map(an_audit, range(most)))
    assert not gathered.add(peer_id(2), an_audit(1), now=5.0)
    assert not gathered.add(peer_id(3), an_audit(2), now=6.0)
    assert not gathered.add(peer_id(2), an_audit(3), now=7.0)
    end = GATHERED_EPOCHS * EPOCH_S
    assert gathered.due(now=end + 4.9) == []
    assert gathered.due(now=end + 5.9) == [peer_id(2)]
    assert gathered.due(now=end + 6.0) == [peer_id(2), peer_id(3)]
    assert gathered.take(peer_id(2)) == (an_audit(1), an_audit(3))
    assert gathered.take(peer_id(2)) == ()
    assert gathered.due(now=end + 6.0) == [peer_id(3)]
    assert len(gathered) == 1


def test_a_retraction_that_answered_twice_is_in_a_receipt_once_with_its_last_time() -> None:
    gathered = GatheredAudits(epoch_s=EPOCH_S)
    for number, time in ((1, TIME), (2, TIME + 1), (1, TIME + 2)):
        gathered.add(peer_id(2), an_audit(number, time=time), now=0.0)
    assert gathered.take(peer_id(2)) == (an_audit(1, time=TIME + 2), an_audit(2, time=TIME + 1))


def test_of_few_holders_something_is_gathered_and_who_has_waited_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PEERS_MAX", 2)
    gathered = GatheredAudits(epoch_s=EPOCH_S)
    for holder in (2, 3, 4):
        gathered.add(peer_id(holder), an_audit(holder), now=0.0)
    assert gathered.due(now=EPOCH_S) == [peer_id(3), peer_id(4)]
    assert len(gathered) == 2


def test_the_latest_receipts_of_each_peer_and_direction_are_kept() -> None:
    book = ReceiptBook(peer_id(OWN))
    for number in range(RECEIPTS_PER_PEER_MAX + 3):
        book.keep(between(OWN, 2, number, time=TIME + number))
    book.keep(between(2, OWN, 1_000))
    assert book.tally(peer_id(2)) == Tally(of_it=RECEIPTS_PER_PEER_MAX, by_it=1)
    assert book.tally(peer_id(3)) == Tally(of_it=0, by_it=0)
    kept = book.all()
    assert len(book) == len(kept) == RECEIPTS_PER_PEER_MAX + 1
    assert [each.time for each in kept] == [TIME, *range(TIME + 3, TIME + RECEIPTS_PER_PEER_MAX + 3)]


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
    assert [each.time for each in book.all()] == [TIME + 10]
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
