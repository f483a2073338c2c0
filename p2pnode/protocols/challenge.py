"""Challenges on receipts and commitments: what is asked, how it is answered, how anybody checks it (PROTOCOL 8).

Rules: which sliver of the pair and which of its n symbols are asked follows from a hash over all that the two sides
bring, so neither steers it alone. A sliver has only S or P symbols of its own; the others come from extending it, so
that nearly all of it must be there for any of them. An answer proves itself against the blob id, and a wrong one
convicts its signer: so the prover checks its own answer, as the asker will, before it signs.
"""

from __future__ import annotations

from dataclasses import dataclass

from crypto.hashing import HASH_BYTES, Buffer, tagged_hash
from crypto.keys import SigningKey
from crypto.merkle import BadProofError, MerkleProof, root_of_leaves, verify_leaves
from crypto.signing import BadSignatureError
from p2pnode.bft import BadShardCountError
from p2pnode.coding import (
    BlobMetadata,
    CodingError,
    blob_id_of_root,
    jointly_claimed_symbols,
    pair_of_shard,
    symbol_bytes,
)
from p2pnode.errors import CorruptSliverError, PeerFaultError
from p2pnode.protocols.entry_tree import Entry, check_bucket
from p2pnode.protocols.receipts import check_receipt
from p2pnode.protocols.retractions import open_retraction, pair_of
from wire import limits
from wire.challenges import Absent, Challenge, Proven, StorageProof
from wire.commitments import Commitment
from wire.errors import WireError
from wire.ids import Axis, BlobId, Digest, PairIndex, PeerId, ShardIndex
from wire.records import Receipt, ReceiptBatch, Retraction
from wire.signed import Signed, open_envelope, sign_record

SHORT_SYMBOL_BYTES = 4096
"""Of longer symbols a challenge asks for one only: four of the longest would be a quarter of a megabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A challenge with all that its seed is made from."""

    challenge: Challenge
    batch: Signed[ReceiptBatch]
    """The checked batch that its receipt stands in, or a later one of the same pair and lease."""
    challenger: PeerId
    network: str
    commitment: Commitment | None = None
    """What the prover has committed to, where the asker asks on that and not on the receipt."""

    @property
    def blob_id(self) -> BlobId:
        """The blob that is asked about."""
        return self.challenge.receipt.blob_id

    @property
    def shard(self) -> ShardIndex:
        """The shard that is asked about."""
        return ShardIndex(self.challenge.receipt.shard)

    @property
    def prover(self) -> PeerId:
        """Who signed the receipt."""
        return self.batch.signer_peer

    @property
    def base(self) -> Digest:
        """The digest of what the prover has signed and is asked on."""
        return self.challenge.commitment or self.batch.digest

    @property
    def seed(self) -> bytes:
        """What decides on the sliver and its symbols."""
        return _seed(
            self.network,
            challenger=self.challenger,
            prover=self.prover,
            base=self.base,
            pair=(self.blob_id, self.shard),
            number=self.challenge.number,
            secret=self.challenge.secret,
        )


def open_challenge(challenge: Challenge, *, challenger: PeerId, network: str) -> Question:
    """Check that a challenge stands on a good receipt, which it brings. Raises `PeerFaultError`."""
    if not isinstance(challenge.receipt, Receipt):
        message = f"a challenge of {challenger} that does not bring its receipt"
        raise PeerFaultError(message)
    batch = check_receipt(challenge.receipt, network=network)
    return Question(challenge=challenge, batch=batch, challenger=challenger, network=network)


@dataclass(frozen=True, slots=True)
class Draw:
    """What a challenge asks for."""

    axis: Axis
    indices: tuple[int, ...]

    def sliver(self, pair: PairIndex, n: int) -> int:
        """Return the index of the sliver of this pair."""
        return pair if self.axis is Axis.PRIMARY else n - 1 - pair


def draw(seed: bytes, *, n: int, symbol_size: int) -> Draw:
    """Return the axis, and distinct indices among all n symbols, that follow from a seed."""
    count = 1 if symbol_size > SHORT_SYMBOL_BYTES else limits.CHALLENGE_SYMBOLS_MAX
    remaining = list(range(n))
    indices = []
    for place in range(count):
        number = int.from_bytes(tagged_hash(b"p2pnode/challenge symbol", seed, bytes([place])), "big")
        indices.append(remaining.pop(number % len(remaining)))
    return Draw(Axis(seed[0] & 1), tuple(indices))


def _seed(
    network: str,
    *,
    challenger: PeerId,
    prover: PeerId,
    base: Digest,
    pair: tuple[BlobId, ShardIndex],
    number: int,
    secret: Digest,
) -> bytes:
    blob_id, shard = pair
    numbers = (shard.to_bytes(2, "big"), number.to_bytes(8, "big"))
    return tagged_hash(b"p2pnode/challenge", network.encode(), challenger, prover, base, blob_id, *numbers, secret)


def seed_of(proof: StorageProof, *, prover: PeerId, network: str) -> bytes:
    """Return the seed of the challenge that a proof answers; also of one that somebody else was sent."""
    return _seed(
        network,
        challenger=proof.challenger,
        prover=prover,
        base=proof.base,
        pair=(proof.blob_id, ShardIndex(proof.shard)),
        number=proof.number,
        secret=proof.secret,
    )


# --------------------------------------------------------------------------------------------- the prover


def asked_of(question: Question, metadata: BlobMetadata) -> Draw:
    """Return what a question asks of a blob with this metadata."""
    return draw(question.seed, n=metadata.n, symbol_size=metadata.symbol_bytes)


def sliver_of(question: Question, metadata: BlobMetadata) -> tuple[Axis, int, int]:
    """Return the axis, the index and the length in bytes of the sliver that is asked about."""
    asked = asked_of(question, metadata)
    index = asked.sliver(pair_of_shard(question.blob_id, question.shard, metadata.n), metadata.n)
    return asked.axis, index, metadata.shape.sliver_bytes(asked.axis)


def make_proof(question: Question, metadata: BlobMetadata, data: Buffer, *, key: SigningKey) -> Proven:
    """Answer from the bytes of the sliver that is asked for. Extends it: call it in a worker.

    Raises `CorruptSliverError`, and signs nothing, when the answer would be false.
    """
    axis, sliver, _ = sliver_of(question, metadata)
    try:
        shown = jointly_claimed_symbols(metadata, axis, sliver, data, asked_of(question, metadata).indices)
        proof = _statement(question, metadata, *shown)
        check_proof(proof, prover=question.prover, network=question.network)
    except (CodingError, PeerFaultError) as error:
        message = f"shard {question.shard} of blob {question.blob_id} proves nothing any more: {error}"
        raise CorruptSliverError(message) from error
    return Proven(proof=sign_record(proof, key=key, network=question.network).envelope)


def _statement(
    question: Question, metadata: BlobMetadata, symbols: tuple[bytes, ...], symbol_proof: MerkleProof
) -> StorageProof:
    pair = pair_of_shard(question.blob_id, question.shard, metadata.n)
    last = PairIndex(metadata.n - 1)
    challenge = question.challenge
    return StorageProof(
        challenger=question.challenger,
        base=question.base,
        number=challenge.number,
        secret=challenge.secret,
        deadline=challenge.deadline,
        blob_id=question.blob_id,
        shard=question.shard,
        n=metadata.n,
        length=metadata.length,
        pair_hashes=metadata.pair_hash(pair),
        last_pair_hashes=None if pair == last else metadata.pair_hash(last),
        pair_proof=_nodes(metadata.prove_pairs({pair, last})),
        symbols=symbols,
        symbol_proof=_nodes(symbol_proof),
    )


def _nodes(proof: MerkleProof) -> tuple[Digest, ...]:
    return tuple(map(Digest, proof.siblings))


# --------------------------------------------------------------------------------------------- the checker


def check_answer(answer: Proven, question: Question) -> Signed[StorageProof]:
    """Check that an answer is the holder's own and true, and to this very question. Raises `PeerFaultError`."""
    try:
        signed = open_envelope(answer.proof, StorageProof, network=question.network)
    except (WireError, BadSignatureError) as error:
        message = f"a proof that nobody signed: {error}"
        raise PeerFaultError(message) from error
    proof, challenge = signed.record, question.challenge
    wanted = (question.prover, question.challenger, question.base, question.blob_id, question.shard)
    given = (signed.signer_peer, proof.challenger, proof.base, proof.blob_id, proof.shard)
    echoed = (proof.number, proof.secret, proof.deadline)
    if given != wanted or echoed != (challenge.number, challenge.secret, challenge.deadline):
        message = f"a proof of {signed.signer_peer} that answers another question"
        raise PeerFaultError(message)
    check_proof(proof, prover=question.prover, network=question.network)
    return signed


def check_shown(answer: Proven | Absent, question: Question) -> Entry | None:
    """Return what the commitment that was asked on has for the pair, None for no entry. Raises `PeerFaultError`."""
    assert question.commitment is not None, "asked on a commitment"
    if answer.bucket is None:
        message = f"{question.prover} does not show what its commitment for epoch {question.commitment.epoch} says"
        raise PeerFaultError(message)
    return check_bucket(answer.bucket, question.commitment, (question.blob_id, question.shard))


def check_proof(proof: StorageProof, *, prover: PeerId, network: str) -> None:
    """Check a proof by itself: it needs no metadata and no clock, so anybody can. Raises `PeerFaultError`."""
    try:
        _check_proof(proof, prover=prover, network=network)
    except (BadProofError, CodingError, BadShardCountError) as error:
        message = f"a false proof of shard {proof.shard} of blob {proof.blob_id} by {prover}: {error}"
        raise PeerFaultError(message) from error


def _check_proof(proof: StorageProof, *, prover: PeerId, network: str) -> None:
    size = symbol_bytes(proof.length, n=proof.n)
    if proof.shard >= proof.n:
        message = f"shard {proof.shard} of a blob on n = {proof.n} shards"
        raise BadProofError(message)
    pair = pair_of_shard(proof.blob_id, ShardIndex(proof.shard), proof.n)
    root = root_of_leaves(_pairs_in(proof, pair), leaf_count=proof.n, proof=MerkleProof(proof.pair_proof))
    if blob_id_of_root(root, proof.length) != proof.blob_id:
        message = f"no blob of {proof.length} bytes on n = {proof.n} shards that has these pairs has this id"
        raise BadProofError(message)
    asked = draw(seed_of(proof, prover=prover, network=network), n=proof.n, symbol_size=size)
    if len(proof.symbols) != len(asked.indices):
        message = f"{len(proof.symbols)} symbols, {len(asked.indices)} were asked for"
        raise BadProofError(message)
    for symbol in proof.symbols:
        if len(symbol) != size:
            message = f"a symbol of {len(symbol)} bytes, not {size}"
            raise BadProofError(message)
    start = HASH_BYTES * asked.axis
    sliver_hash = proof.pair_hashes[start : start + HASH_BYTES]
    symbols = dict(zip(asked.indices, proof.symbols, strict=True))
    verify_leaves(sliver_hash, symbols, leaf_count=proof.n, proof=MerkleProof(proof.symbol_proof))


def _pairs_in(proof: StorageProof, pair: PairIndex) -> dict[int, bytes]:
    """Return the leaves of the blob's tree that a proof shows: that of its pair, and the last, which says what n is."""
    last = proof.n - 1
    if (proof.last_pair_hashes is None) != (pair == last):
        message = f"pair {last} of {proof.n} is shown twice, or not at all"
        raise BadProofError(message)
    leaves = {int(pair): proof.pair_hashes}
    if proof.last_pair_hashes is not None:
        leaves[last] = proof.last_pair_hashes
    return leaves


def check_absence(answer: Absent, question: Question) -> Signed[Retraction]:
    """Check that the holder has ended the receipt that was asked about. Raises `PeerFaultError`."""
    signed = open_retraction(answer.retraction, network=question.network)
    is_of_pair = pair_of(signed.record) == (question.blob_id, question.shard)
    if signed.signer_peer != question.prover or not is_of_pair:
        message = f"a retraction of {signed.signer_peer} for something else than was asked about"
        raise PeerFaultError(message)
    if signed.record.sequence <= question.batch.record.sequence:
        message = f"a retraction of {signed.signer_peer} that does not end its receipt"
        raise PeerFaultError(message)
    return signed
