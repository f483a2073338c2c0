"""Challenges: a true answer convinces anybody, a false one nobody, and an honest prover signs no false one."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.proofs import GATE_BYTES, cases
from crypto.merkle import MerkleTree
from p2pnode.coding import EncodedBlob, Sliver, encode, pair_of_shard
from p2pnode.errors import CorruptSliverError, PeerFaultError
from p2pnode.protocols.audit_targets import Promised
from p2pnode.protocols.challenge import (
    SHORT_SYMBOL_BYTES,
    Question,
    asked_of,
    check_absence,
    check_answer,
    check_proof,
    check_shown,
    draw,
    make_proof,
    open_challenge,
    seed_of,
    sliver_of,
)
from p2pnode.protocols.entry_tree import Entry, EntryTree
from p2pnode.protocols.receipts import receipt_for
from p2pnode.protocols.retractions import make_retraction
from tests import factories
from tests.factories import NETWORK, key, peer_id
from wire import limits
from wire.challenges import Absent, Challenge, Proven, StorageProof
from wire.ids import Axis, BlobId, Digest, PairIndex, ShardIndex
from wire.records import Receipt
from wire.signed import open_envelope

ASKER, HOLDER = 50, 1
SHARD = ShardIndex(2)


def question_of(blob: BlobId, *, n: int, number: int = 1, shard: ShardIndex = SHARD) -> Question:
    """Return a challenge of node ASKER on the receipt of node HOLDER."""
    holder = factories.holder_receipts(factories.signed_lease(blob, n=n), factories.page(blob), (shard,), HOLDER)
    receipt = receipt_for(factories.page(blob), holder, blob, shard)
    secret = Digest(factories.seed_bytes("secret", number))
    challenge = Challenge(receipt=receipt, number=number, secret=secret, deadline=factories.TIME + 20)
    return open_challenge(challenge, challenger=peer_id(ASKER), network=NETWORK)


def sliver_for(question: Question, blob: EncodedBlob) -> Sliver:
    """Return the sliver that is asked about."""
    primary, secondary = blob.pair(pair_of_shard(question.blob_id, question.shard, blob.metadata.n))
    return primary if sliver_of(question, blob.metadata)[0] is Axis.PRIMARY else secondary


def answer_of(question: Question, blob: EncodedBlob) -> Proven:
    """Return the true answer."""
    return make_proof(question, blob.metadata, sliver_for(question, blob).data, key=key(HOLDER))


def proof_of(answer: Proven) -> StorageProof:
    """Return what an answer says."""
    return open_envelope(answer.proof, StorageProof, network=NETWORK).record


def resigned(proof: StorageProof) -> Proven:
    """Return a statement signed by the holder, true or not."""
    return Proven(proof=factories.signed(proof, key(HOLDER)).envelope)


def example(rng: random.Random, *, n: int = 7, size: int = 5_000) -> tuple[Question, EncodedBlob]:
    """Return a question about a random blob."""
    blob = encode(rng.randbytes(size), n=n)
    return question_of(blob.blob_id, n=n), blob


def refuse(proof: StorageProof, match: str) -> None:
    """Check that nobody believes a proof, whoever sees it."""
    with pytest.raises(PeerFaultError, match=match):
        check_proof(proof, prover=peer_id(HOLDER), network=NETWORK)


@pytest.mark.parametrize(("n", "size"), [(4, 0), (4, 1_000), (5, 900), (7, 5_000), (10, 300_000), (100, 20_000)])
def test_a_holder_of_the_sliver_proves_it_to_anybody(rng: random.Random, n: int, size: int) -> None:
    blob = encode(rng.randbytes(size), n=n)
    axes = set()
    for number in range(24):  # Of so many about one axis alone: once in eight million.
        question = question_of(blob.blob_id, n=n, number=number)
        signed = check_answer(answer_of(question, blob), question)
        proof = signed.record
        check_proof(proof, prover=signed.signer_peer, network=NETWORK)  # Without the question, and without metadata.
        axes.add(sliver_of(question, blob.metadata)[0])
        assert len(proof.symbols) == (1 if blob.metadata.symbol_bytes > SHORT_SYMBOL_BYTES else 4)
    assert axes == set(Axis)


def test_a_question_on_a_commitment_has_another_seed_and_its_answer_shows_the_entry(rng: random.Random) -> None:
    question, blob = example(rng)
    entry = Entry(blob_id=blob.blob_id, shard=SHARD, pair_bytes=1, lease_end=factories.TIME)
    tree = EntryTree().changed({(blob.blob_id, SHARD): entry})
    commitment = factories.signed(factories.commitment(root=tree.root), key(HOLDER))
    assert isinstance(question.challenge.receipt, Receipt)
    named = Promised(question.challenge.receipt, question.batch).named(commitment.digest)
    on_it = replace(question, challenge=replace(question.challenge, receipt=named), commitment=commitment.record)
    with pytest.raises(PeerFaultError, match="does not bring its receipt"):
        open_challenge(on_it.challenge, challenger=peer_id(ASKER), network=NETWORK)
    assert (question.base, on_it.base) == (question.batch.digest, commitment.digest)
    assert on_it.seed != question.seed
    answer = answer_of(on_it, blob)
    check_answer(answer, on_it)
    with pytest.raises(PeerFaultError, match="answers another question"):
        check_answer(answer, question)
    with pytest.raises(PeerFaultError, match="does not show what its commitment"):
        check_shown(answer, on_it)
    assert check_shown(replace(answer, bucket=tree.show((blob.blob_id, SHARD))), on_it) == entry
    other = EntryTree().changed({(blob.blob_id, SHARD): None})
    with pytest.raises(PeerFaultError, match="does not say this"):
        check_shown(replace(answer, bucket=other.show((blob.blob_id, SHARD))), on_it)


def test_what_is_asked_is_spread_over_both_slivers_and_all_n_symbols() -> None:
    axes: Counter[Axis] = Counter()
    indices: Counter[int] = Counter()
    for number in range(2_000):
        asked = draw(factories.seed_bytes("seed", number), n=10, symbol_size=2)
        assert len(set(asked.indices)) == limits.CHALLENGE_SYMBOLS_MAX
        axes[asked.axis] += 1
        indices.update(asked.indices)
    assert min(axes.values()) > 900
    assert sorted(indices) == list(range(10))
    assert min(indices.values()) > 700  # Of 800 on average: symbols beyond those that a sliver is made of, too.


def test_long_symbols_are_asked_for_one_at_a_time() -> None:
    seed = factories.seed_bytes("seed", 1)
    assert len(draw(seed, n=4, symbol_size=SHORT_SYMBOL_BYTES).indices) == 4
    assert len(draw(seed, n=4, symbol_size=SHORT_SYMBOL_BYTES + 2).indices) == 1


def test_every_part_of_a_question_changes_what_is_asked(rng: random.Random) -> None:
    question, blob = example(rng)
    proof = proof_of(answer_of(question, blob))
    changes: list[StorageProof] = [
        replace(proof, challenger=peer_id(51)),
        replace(proof, base=factories.digest(9)),
        replace(proof, blob_id=factories.blob_id(9)),
        replace(proof, shard=3),
        replace(proof, number=2),
        replace(proof, secret=factories.digest(9)),
    ]
    seeds = {seed_of(each, prover=peer_id(HOLDER), network=NETWORK) for each in [proof, *changes]}
    seeds |= {
        seed_of(proof, prover=peer_id(2), network=NETWORK),
        seed_of(proof, prover=peer_id(HOLDER), network="other"),
    }
    assert len(seeds) == len(changes) + 3
    assert question.seed in seeds


def test_an_honest_prover_signs_nothing_when_any_bit_of_its_sliver_is_wrong(rng: random.Random) -> None:
    """The symbols that are asked for may be whole: the paths are not, for they come from all of the sliver."""
    question, blob = example(rng)
    good = bytes(sliver_for(question, blob).data)
    for _ in range(30):
        rotten = bytearray(good)
        rotten[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        with pytest.raises(CorruptSliverError, match="proves nothing any more"):
            make_proof(question, blob.metadata, rotten, key=key(HOLDER))
    with pytest.raises(CorruptSliverError, match="bytes"):
        make_proof(question, blob.metadata, good[:-2], key=key(HOLDER))


def test_an_answer_to_another_question_does_not_count(rng: random.Random) -> None:
    question, blob = example(rng)
    for other in (
        question_of(blob.blob_id, n=7, number=2),
        replace(question, challenger=peer_id(51)),
        replace(question, challenge=replace(question.challenge, deadline=1)),
        question_of(blob.blob_id, n=7, shard=ShardIndex(3)),
    ):
        with pytest.raises(PeerFaultError, match="another question"):
            check_answer(answer_of(other, blob), question)


def test_nobody_answers_for_another_and_a_forged_signature_counts_for_nothing(rng: random.Random) -> None:
    question, blob = example(rng)
    answer = answer_of(question, blob)
    by_another = Proven(proof=factories.signed(proof_of(answer), key(2)).envelope)
    with pytest.raises(PeerFaultError, match="another question"):
        check_answer(by_another, question)
    forged = Proven(proof=replace(answer.proof, signature=by_another.proof.signature))
    with pytest.raises(PeerFaultError, match="nobody signed"):
        check_answer(forged, question)


def test_a_symbol_or_path_that_is_wrong_is_refused(rng: random.Random) -> None:
    question, blob = example(rng)
    proof = proof_of(answer_of(question, blob))
    first, *others = proof.symbols
    wrong = bytes([first[0] ^ 1]) + first[1:]
    refuse(replace(proof, symbols=(wrong, *others)), "ends at")
    refuse(replace(proof, symbol_proof=(factories.digest(), *proof.symbol_proof[1:])), "ends at")
    refuse(replace(proof, symbol_proof=proof.symbol_proof[1:]), "siblings")
    refuse(replace(proof, symbol_proof=(*proof.symbol_proof, factories.digest())), "siblings")
    refuse(replace(proof, symbols=(first[:-2], *others)), "a symbol of")
    refuse(replace(proof, symbols=(*others, first)), "ends at")
    refuse(replace(proof, symbols=tuple(others)), "3 symbols, 4 were asked for")
    assert check_answer(resigned(proof), question).record == proof
    with pytest.raises(PeerFaultError, match="false proof"):
        check_answer(resigned(replace(proof, symbols=tuple(others))), question)


def test_a_pair_that_is_not_of_the_blob_is_refused(rng: random.Random) -> None:
    _, blob = example(rng)
    shard = next(shard for shard in map(ShardIndex, range(7)) if pair_of_shard(blob.blob_id, shard, 7) != 6)
    proof = proof_of(answer_of(question_of(blob.blob_id, n=7, shard=shard), blob))  # The last pair would be shown once.
    refuse(replace(proof, pair_hashes=bytes(64)), "has this id")
    refuse(replace(proof, pair_proof=proof.pair_proof[::-1]), "has this id")
    refuse(replace(proof, pair_proof=proof.pair_proof[1:]), "siblings")
    refuse(replace(proof, pair_proof=(*proof.pair_proof, factories.digest())), "siblings")
    refuse(replace(proof, last_pair_hashes=bytes(64)), "has this id")
    refuse(replace(proof, last_pair_hashes=None), "not at all")
    refuse(replace(proof, length=proof.length - 1), "has this id")
    refuse(replace(proof, blob_id=factories.blob_id(9)), "has this id|siblings|at all|twice")
    refuse(replace(proof, shard=7), "shard 7 of a blob on n = 7")
    refuse(replace(proof, n=4, length=limits.BLOB_BYTES_MAX), "at most")


def test_the_pair_of_another_shard_is_refused(rng: random.Random) -> None:
    """A holder of two shards keeps one and answers for both."""
    question, blob = example(rng)
    kept = ShardIndex(3)
    other = proof_of(answer_of(question_of(blob.blob_id, n=7, shard=kept), blob))
    refuse(replace(other, shard=question.shard, base=question.batch.digest), "has this id|siblings|not at all|twice")


def test_the_holder_of_the_last_pair_shows_it_once(rng: random.Random) -> None:
    blob = encode(rng.randbytes(900), n=7)
    shards = {pair_of_shard(blob.blob_id, ShardIndex(shard), 7): ShardIndex(shard) for shard in range(7)}
    for pair, shard in shards.items():
        question = question_of(blob.blob_id, n=7, shard=shard)
        proof = check_answer(answer_of(question, blob), question).record
        assert (proof.last_pair_hashes is None) == (pair == 6)
        if pair == 6:
            refuse(replace(proof, last_pair_hashes=proof.pair_hashes), "twice")


@pytest.mark.parametrize("n", [5, 7, 10, 13, 100])
def test_no_other_n_is_claimed_for_a_blob(rng: random.Random, n: int) -> None:
    """Whoever chooses n chooses which pair is that of its shard, and answers from one that it kept."""
    blob = encode(rng.randbytes(900), n=n)
    metadata = blob.metadata
    leaves = [metadata.pair_hash(PairIndex(pair)) for pair in range(n)]
    tree = MerkleTree.from_leaves(leaves)
    proof = proof_of(answer_of(question_of(blob.blob_id, n=n), blob))
    height = math.ceil(math.log2(n))
    for claimed in set(range(max(4, 2 ** (height - 1) + 1), 2**height + 1)) - {n}:
        last = min(claimed, n) - 1
        pair = min(pair_of_shard(blob.blob_id, SHARD, claimed), n - 1)
        siblings = tuple(map(Digest, tree.prove_leaves({pair, last}).siblings))
        made_up = replace(
            proof, n=claimed, pair_hashes=leaves[pair], last_pair_hashes=leaves[last], pair_proof=siblings
        )
        for each in (made_up, replace(made_up, last_pair_hashes=None), replace(made_up, pair_proof=proof.pair_proof)):
            refuse(each, "siblings|has this id|at most|not at all|twice")


def test_a_challenge_without_a_good_receipt_is_no_question(rng: random.Random) -> None:
    question, _ = example(rng)
    receipt = replace(question.challenge.receipt, shard=3)
    with pytest.raises(PeerFaultError, match="proves nothing"):
        open_challenge(replace(question.challenge, receipt=receipt), challenger=peer_id(ASKER), network=NETWORK)


def test_a_retraction_answers_only_for_the_receipt_that_it_ends(rng: random.Random) -> None:
    question, _ = example(rng)
    pair = (question.blob_id, question.shard)

    def absent(by: int = HOLDER, of: tuple[BlobId, ShardIndex] = pair, sequence: int = 2) -> Absent:
        made = make_retraction(key(by), of, network=NETWORK, sequence=sequence, time=factories.TIME)
        return Absent(retraction=made.envelope)

    assert check_absence(absent(), question).record.sequence == 2
    for wrong, match in [
        (absent(by=2), "something else"),
        (absent(of=(question.blob_id, ShardIndex(3))), "something else"),
        (absent(sequence=1), "does not end"),
        (Absent(retraction=factories.envelope()), "ends nothing"),
    ]:
        with pytest.raises(PeerFaultError, match=match):
            check_absence(wrong, question)


def test_an_audit_of_twenty_slivers_at_n_100_takes_less_than_50_kb_besides_the_symbols() -> None:
    found = cases(seed=0, rounds=1)
    assert [(each.asked_on, each.slivers) for each in found] == [("receipts", 20), ("commitment", 20)]
    assert max(each.bytes_of_both for each in found) < GATE_BYTES == 50_000


def test_whoever_keeps_half_of_a_sliver_answers_few_challenges(rng: random.Random) -> None:
    """Of n = 100, half of a primary are 33 symbols, half of a secondary 17: of both ways together one in 150."""
    kept = {Axis.PRIMARY: 33, Axis.SECONDARY: 17}
    passed = 0
    for _ in range(20_000):
        asked = draw(rng.randbytes(32), n=100, symbol_size=100)
        passed += all(index < kept[asked.axis] for index in asked.indices)
    assert passed < 20_000 / 100
    assert asked_of(question_of(factories.blob_id(), n=4), encode(b"x", n=4).metadata).indices
