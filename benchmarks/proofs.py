"""`make bench-proofs`: what an audit of twenty slivers costs who asks, and both sides in bytes, receipt included.

One holder is asked about a pair of each of twenty blobs of n = 100, and both sides sign one receipt over all of it. The
clock runs while the asker makes and signs, checks and unpacks; what the holder does is not in it. Counted are all bytes
of both sides but for the symbols themselves. Prints JSON, medians, one object for questions on receipts and one for
questions on a commitment, whose answers show its entry too; ends with 1 when one of them falls short of the gate.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace

from crypto.keys import SigningKey
from p2pnode.coding import EncodedBlob, encode, pair_of_shard
from p2pnode.protocols.audit_receipts import GivenAnswers, join, shown_by
from p2pnode.protocols.audit_targets import Promised
from p2pnode.protocols.challenge import Question, check_answer, check_shown, make_proof, open_challenge, sliver_of
from p2pnode.protocols.commitments import SecretSheet, make_commitment
from p2pnode.protocols.entry_tree import Entry, EntryTree
from p2pnode.protocols.leases import LeaseTerms, make_blob_lease
from p2pnode.protocols.receipts import make_batch, pairs_of, receipt_for, shard_set
from p2pnode.protocols.repair.exchange import bytes_of_pair
from wire import codec, limits
from wire.audit_receipts import AuditReceipt, Countersignature, SignedAudit
from wire.challenges import Challenge, Proven, StorageProof
from wire.commitments import Commitment, Reveal
from wire.ids import Axis, BlobId, Digest, PeerId, PublicKey, ShardIndex
from wire.records import GroupPage, HolderReceipts, LeaseKind, Receipt
from wire.signed import Signed, peer_of, sign_record

N = 100
BLOB_BYTES = 20_000
SLIVERS = limits.AUDITS_PER_RECEIPT_MAX
GATE_CPU_MS = 5.0
GATE_BYTES = 50_000
ROUNDS = 40

OTHER_PAIRS = 50_000
"""That the holder's commitment is over besides."""

NETWORK = "bench"
TIME = 1_800_000_000
ASKER, HOLDER, OWNER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one audit of `slivers` has cost."""

    asked_on: str
    slivers: int
    check_ms: float
    receipt_ms: float
    cpu_ms: float
    """Both together, of the asker."""
    proof_bytes: int
    receipt_bytes: int
    bytes_of_both: int


def peer(key: SigningKey) -> PeerId:
    """Return who signs with a key."""
    return peer_of(PublicKey(key.public))


def question_about(blob: EncodedBlob, shard: ShardIndex, secret: Digest) -> Question:
    """Return a question to the holder on its receipt."""
    terms = LeaseTerms(n=N, sequence=1, start=TIME, end=TIME + 1_000_000)
    lease = make_blob_lease(OWNER, blob.blob_id, terms, network=NETWORK, kind=LeaseKind.FINAL)
    page, sets = GroupPage(page_index=0, blob_ids=(blob.blob_id,), path=()), (shard_set(shard, (0,), blob_count=1),)
    batch = make_batch(HOLDER, lease, list(pairs_of(page, sets)), network=NETWORK, time=TIME, sequence=1)
    receipt = receipt_for(page, HolderReceipts(batch=batch.envelope, shard_sets=sets), blob.blob_id, shard)
    challenge = Challenge(receipt=receipt, number=1, secret=secret, deadline=TIME + 20)
    return open_challenge(challenge, challenger=peer(ASKER), network=NETWORK)


def answer_to(question: Question, blob: EncodedBlob) -> Proven:
    """Return the true answer."""
    axis, _, _ = sliver_of(question, blob.metadata)
    pair = blob.pair(pair_of_shard(question.blob_id, question.shard, N))
    data = pair[0 if axis is Axis.PRIMARY else 1].data
    return make_proof(question, blob.metadata, data, key=HOLDER)


def committed(rng: random.Random, questions: list[Question]) -> tuple[EntryTree, Signed[Commitment]]:
    """Return what the holder commits to: these pairs and many others."""
    pairs = [(each.blob_id, each.shard) for each in questions]
    pairs += [(BlobId(rng.randbytes(BlobId.length)), ShardIndex(rng.randrange(N))) for _ in range(OTHER_PAIRS)]
    entries = {
        key: Entry(blob_id=key[0], shard=key[1], pair_bytes=bytes_of_pair(BLOB_BYTES, N), lease_end=TIME)
        for key in pairs
    }
    tree = EntryTree().changed(entries)
    sheet = SecretSheet(rng.randbytes(32))
    return tree, make_commitment(tree, epoch=1, time=TIME, secrets=sheet.root, key=HOLDER, network=NETWORK)


def on_commitment(rng: random.Random, questions: list[Question], blobs: list[EncodedBlob]) -> list[Proven]:
    """Let the questions be on a commitment, with revealed secrets, and return the answers."""
    tree, commitment = committed(rng, questions)
    sheet = SecretSheet(rng.randbytes(32))
    answers = []
    for place, (question, blob) in enumerate(zip(questions, blobs, strict=True)):
        bound = sheet.take()
        assert bound is not None, "fewer questions than secrets"
        receipt = question.challenge.receipt
        assert isinstance(receipt, Receipt), "as it was made"
        challenge = replace(
            question.challenge,
            number=bound.number,
            secret=bound.secret,
            receipt=Promised(receipt, question.batch).named(commitment.digest),
            reveal=Reveal(commitment=sheet.root, path=bound.path),  # Any digest has the size of that of a commitment.
        )
        questions[place] = replace(question, challenge=challenge, commitment=commitment.record)
        answer = answer_to(questions[place], blob)
        answers.append(replace(answer, bucket=tree.show((question.blob_id, question.shard))))
    return answers


def symbol_bytes_of(answer: Proven) -> int:
    """Return the bytes of the symbols in an answer."""
    proof = codec.decode(answer.proof.body, StorageProof, bytes_max=limits.RECORD_BYTES_MAX)
    return sum(map(len, proof.symbols))


def check(questions: list[Question], answers: list[bytes]) -> list[Proven]:
    """Do what an asker does for each of its questions."""
    checked = []
    for question, data in zip(questions, answers, strict=True):
        codec.encode(question.challenge)
        answer = codec.decode(data, Proven, bytes_max=limits.MESSAGE_BYTES_MAX)
        check_answer(answer, question)
        if question.commitment is not None:
            check_shown(answer, question)
        checked.append(answer)
    return checked


def state(questions: list[Question], answers: list[Proven]) -> Signed[AuditReceipt]:
    """Sign what the answers have shown, as the asker does."""
    pair_bytes = bytes_of_pair(BLOB_BYTES, N)
    shown = [
        shown_by(question, answer, pair_bytes=pair_bytes, time=TIME)
        for question, answer in zip(questions, answers, strict=True)
    ]
    record = AuditReceipt(auditor=peer(ASKER), holder=peer(HOLDER), audits=tuple(shown))
    return sign_record(record, key=ASKER, network=NETWORK)


def countersign(statement: Signed[AuditReceipt]) -> bytes:
    """Answer as the holder does that remembers all of it."""
    given = GivenAnswers(epoch_s=3_600)
    for each in statement.record.audits:
        given.note(peer(ASKER), each, now=0.0)
    signed = given.countersign(statement.envelope, asker=peer(ASKER), key=HOLDER, network=NETWORK, now=1.0)
    return codec.encode(Countersignature(signature=signed.countersignature))


def measure(asked_on: str, questions: list[Question], answers: list[Proven], rounds: int) -> Case:
    """Measure one audit of all these slivers."""
    packed = [codec.encode(answer) for answer in answers]
    statement = state(questions, answers)
    request, reply = codec.encode(SignedAudit(statement=statement.envelope)), countersign(statement)
    checks, receipts = [], []
    for _ in range(rounds):
        started = time.process_time()
        checked = check(questions, packed)
        middle = time.process_time()
        ours = state(questions, checked)
        codec.encode(SignedAudit(statement=ours.envelope))
        join(ours, codec.decode(reply, Countersignature, bytes_max=limits.MESSAGE_BYTES_MAX).signature, network=NETWORK)
        checks.append(middle - started)
        receipts.append(time.process_time() - middle)
    asked = sum(len(codec.encode(question.challenge)) for question in questions)
    proof_bytes = asked + sum(map(len, packed)) - sum(map(symbol_bytes_of, answers))
    receipt_bytes = len(request) + len(reply)
    check_ms, receipt_ms = (round(1_000 * statistics.median(each), 2) for each in (checks, receipts))
    return Case(
        asked_on=asked_on,
        slivers=len(questions),
        check_ms=check_ms,
        receipt_ms=receipt_ms,
        cpu_ms=round(check_ms + receipt_ms, 2),
        proof_bytes=proof_bytes,
        receipt_bytes=receipt_bytes,
        bytes_of_both=proof_bytes + receipt_bytes,
    )


def cases(seed: int, rounds: int) -> list[Case]:
    """Measure questions on receipts, then the same on a commitment."""
    rng = random.Random(seed)  # noqa: S311 - figures must repeat
    blobs = [encode(rng.randbytes(BLOB_BYTES), n=N) for _ in range(SLIVERS)]
    questions = [question_about(blob, ShardIndex(rng.randrange(N)), Digest(rng.randbytes(32))) for blob in blobs]
    answers = [answer_to(question, blob) for question, blob in zip(questions, blobs, strict=True)]
    found = [measure("receipts", questions, answers, rounds)]
    answers = on_commitment(rng, questions, blobs)
    return [*found, measure("commitment", questions, answers, rounds)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = cases(arguments.seed, arguments.rounds)
    for case in found:
        sys.stdout.write(json.dumps(asdict(case)) + "\n")
    for case in found:
        if case.cpu_ms > GATE_CPU_MS or case.bytes_of_both > GATE_BYTES:
            sys.exit(
                f"an audit of {SLIVERS} slivers, asked on {case.asked_on}, takes more than {GATE_CPU_MS} ms of CPU,"
                f" or {GATE_BYTES} bytes"
            )


if __name__ == "__main__":
    main()
