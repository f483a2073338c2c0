"""Evidence: a false proof convicts its signer before anybody, a true one and what nobody signed convict nobody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from p2pnode.coding import encode as encode_blob
from p2pnode.errors import PeerFaultError
from p2pnode.protocols import evidence as module
from p2pnode.protocols.challenge import check_answer
from p2pnode.protocols.evidence import (
    EVIDENCE_SECONDS,
    Conviction,
    Convictions,
    Heard,
    conviction_name,
    evidence_in,
    evidence_page,
    open_evidence,
)
from p2pnode.seams import Verdict
from tests import factories
from tests.factories import NETWORK, key, peer_id
from tests.protocols.test_challenge import HOLDER, answer_of, example, proof_of, question_of, resigned
from wire import limits
from wire.challenges import Proven, StorageProof
from wire.codec import encode
from wire.evidence import Evidence, EvidenceKind
from wire.ids import Digest, PeerId, Signature

WALL = factories.TIME


def falsified(proof: StorageProof) -> StorageProof:
    """Return a proof with one symbol that is not the blob's."""
    first, *others = proof.symbols
    return replace(proof, symbols=(bytes(len(first)), *others))


def evidence_of(answer: Proven) -> Evidence:
    """Return what says that an answer is false, whether it is or not."""
    return Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(answer.proof,))


def false_answer(rng: random.Random, signer: int = HOLDER) -> Proven:
    """Return a false proof that node `signer` has signed."""
    question, blob = example(rng)
    false = falsified(proof_of(answer_of(question, blob)))
    return Proven(proof=factories.signed(false, key(signer)).envelope)


@pytest.fixture
def convictions() -> Convictions:
    """A node that knows nothing."""
    return Convictions(network=NETWORK)


def hear(
    convictions: Convictions, evidence: Evidence, *, members: frozenset[PeerId] | None = None, now: float = 0.0
) -> Heard:
    """Let a node hear of evidence; by default everybody is a member."""
    return convictions.hear(
        encode(evidence), is_member=lambda each: members is None or each in members, now=now, wall=WALL
    )


def test_a_false_proof_convicts_its_signer_and_says_of_what(rng: random.Random) -> None:
    question, blob = example(rng)
    answer = resigned(falsified(proof_of(answer_of(question, blob))))
    with pytest.raises(PeerFaultError):
        check_answer(answer, question)
    evidence = evidence_in(answer, network=NETWORK)
    assert evidence is not None
    found = open_evidence(evidence, network=NETWORK)
    assert (found.accused, found.blob_id, found.shard) == (peer_id(HOLDER), blob.blob_id, question.shard)
    assert found.signed_about == question.challenge.deadline
    assert "a false proof" in found.reason
    assert found.name == conviction_name(peer_id(HOLDER), EvidenceKind.FALSE_PROOF)


def test_a_true_proof_convicts_nobody_even_if_it_answers_another_question(rng: random.Random) -> None:
    question, blob = example(rng)
    answer = answer_of(question, blob)
    other = question_of(blob.blob_id, n=7, number=2)
    with pytest.raises(PeerFaultError, match="answers another question"):
        check_answer(answer, other)
    assert evidence_in(answer, network=NETWORK) is None
    with pytest.raises(PeerFaultError, match="whose proof is true"):
        open_evidence(evidence_of(answer), network=NETWORK)


def test_what_the_accused_has_not_signed_convicts_nobody(rng: random.Random) -> None:
    envelope = false_answer(rng).proof
    forged = [
        replace(envelope, signature=Signature(bytes(64))),
        replace(envelope, signer=factories.public_key(2)),
        replace(envelope, body=factories.envelope().body),
    ]
    for each in forged:
        with pytest.raises(PeerFaultError, match="nobody signed"):
            open_evidence(evidence_of(Proven(proof=each)), network=NETWORK)
        assert evidence_in(Proven(proof=each), network=NETWORK) is None
    with pytest.raises(PeerFaultError, match="nobody signed"):
        open_evidence(evidence_of(Proven(proof=envelope)), network="another")


def test_evidence_of_a_false_proof_is_one_statement(rng: random.Random) -> None:
    envelope = false_answer(rng).proof
    with pytest.raises(PeerFaultError, match="with 2 statements"):
        open_evidence(Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(envelope, envelope)), network=NETWORK)


def test_a_false_proof_that_is_too_long_to_be_told_is_no_evidence(rng: random.Random) -> None:
    question, blob = example(rng)
    proof = proof_of(answer_of(question, blob))
    long = bytes(limits.SYMBOL_BYTES_MAX - 1)
    short = resigned(replace(proof, symbols=(long,)))
    assert evidence_in(short, network=NETWORK) is not None
    assert evidence_in(resigned(replace(proof, symbols=(long, long, long))), network=NETWORK) is None


def test_every_true_proof_of_random_blobs_convicts_nobody(rng: random.Random) -> None:
    for number in range(30):
        n = rng.choice((4, 5, 7, 10))
        blob = encode_blob(rng.randbytes(rng.randrange(4_000)), n=n)
        question = question_of(blob.blob_id, n=n, number=number)
        assert evidence_in(answer_of(question, blob), network=NETWORK) is None


# ------------------------------------------------------------------------------------ what is heard


def test_evidence_is_news_once(rng: random.Random, convictions: Convictions) -> None:
    evidence = evidence_of(false_answer(rng))
    heard = hear(convictions, evidence)
    assert heard.verdict is Verdict.ACCEPT
    assert heard.news == (open_evidence(evidence, network=NETWORK), evidence)
    again = hear(convictions, evidence)
    assert (again.verdict, again.news) == (Verdict.IGNORE, None)
    other = hear(convictions, evidence_of(false_answer(rng)))  # Of the same signer and kind.
    assert (other.verdict, other.news, len(convictions)) == (Verdict.IGNORE, None, 1)
    assert convictions.take(evidence, wall=WALL) is None


def test_only_what_no_honest_peer_passes_on_is_rejected(rng: random.Random, convictions: Convictions) -> None:
    question, blob = example(rng)
    true = encode(evidence_of(answer_of(question, blob)))
    for data in (true, b"", b"\x93", bytes(limits.EVIDENCE_BYTES_MAX + 1)):
        heard = convictions.hear(data, is_member=lambda _: True, now=0.0, wall=WALL)
        assert (heard.verdict, heard.news) == (Verdict.REJECT, None)
    assert len(convictions) == 0
    of_a_stranger = hear(convictions, evidence_of(false_answer(rng)), members=frozenset())
    assert (of_a_stranger.verdict, len(convictions)) == (Verdict.IGNORE, 0)


def test_evidence_is_checked_at_a_bounded_rate(
    rng: random.Random, convictions: Convictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKS_BURST", 2)
    convictions = Convictions(network=NETWORK)
    pieces = [evidence_of(false_answer(rng, signer)) for signer in range(1, 5)]
    verdicts = [hear(convictions, each, now=100.0).verdict for each in pieces[:3]]
    assert verdicts == [Verdict.ACCEPT, Verdict.ACCEPT, Verdict.IGNORE]
    assert hear(convictions, pieces[2], now=101.0).verdict is Verdict.ACCEPT
    assert hear(convictions, pieces[3], now=101.5).verdict is Verdict.IGNORE


def take_some(rng: random.Random, convictions: Convictions, times: Iterator[int]) -> list[Conviction]:
    """Let a node take evidence against one signer after another, at these times."""
    taken = [
        convictions.take(evidence_of(false_answer(rng, signer)), wall=wall) for signer, wall in enumerate(times, 1)
    ]
    return [each for each in taken if each is not None]


def test_evidence_ends_with_all_that_its_signer_had_promised(rng: random.Random, convictions: Convictions) -> None:
    first, second = take_some(rng, convictions, iter((WALL, WALL + 10)))
    assert convictions.forget(wall=WALL + EVIDENCE_SECONDS) == []
    assert [each.conviction for each in convictions.against(first.accused)] == [first]
    assert convictions.forget(wall=WALL + EVIDENCE_SECONDS + 1) == [first]
    assert convictions.against(first.accused) == []
    assert [each.conviction for each in convictions.all()] == [second]
    assert convictions.names() == (second.name,)


def test_beyond_the_most_that_is_kept_the_earliest_goes(
    rng: random.Random, convictions: Convictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EVIDENCE_KEPT_MAX", 2)
    taken = take_some(rng, convictions, iter((WALL, WALL, WALL)))
    assert convictions.forget(wall=WALL) == taken[:1]
    assert len(convictions) == 2


def test_a_page_has_what_the_asker_does_not_know_and_no_more_than_fits(rng: random.Random) -> None:
    pieces = [evidence_of(false_answer(rng, signer)) for signer in range(1, 7)]
    names = [open_evidence(each, network=NETWORK).name for each in pieces]
    kept = [(name, WALL, piece) for name, piece in zip(names, pieces, strict=True)]
    assert evidence_page(kept, ()).evidence == tuple(pieces[: limits.EVIDENCE_PER_MESSAGE_MAX])
    assert evidence_page(kept, names[:5]).evidence == (pieces[5],)
    assert evidence_page(kept, [*names, Digest(bytes(32))]).evidence == ()
