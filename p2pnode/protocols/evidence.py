"""Evidence: which signed statements convict their signer, and what a node takes of the evidence that others bring.

Rules: evidence convicts by its bytes alone, whoever brings it, without a clock and without anything that the checker
has; and no honest node ever signs what convicts. A false proof is of that kind, because a prover checks its own answer,
as every asker will, before it signs. One piece of evidence for a signer and a kind says all that there is to say:
further ones are neither kept nor passed on, so nobody makes the network carry more by signing more. Two commitments
for one epoch are of that kind too: a node makes sure that it signs one (`commitments.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from crypto.hashing import tagged_hash
from crypto.peer_id import peer_id_of
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.challenge import check_proof
from p2pnode.seams import Verdict
from wire import limits
from wire.challenges import Proven, StorageProof
from wire.codec import decode, encode
from wire.commitments import Commitment
from wire.errors import WireError
from wire.evidence import Evidence, EvidenceKind, EvidenceList
from wire.ids import BlobId, Digest, PeerId, ShardIndex
from wire.records import Envelope
from wire.signed import Signed, open_envelope

R = TypeVar("R", StorageProof, Commitment)

_TWO = 2

EVIDENCE_SECONDS = limits.LEASE_SECONDS_MAX + 2 * limits.CLOCK_SKEW_SECONDS
"""How long evidence counts after it came: by then whatever its signer had promised before is over by itself. Nothing is
for ever."""

CHECKS_BURST = 20
"""Pieces from gossip that are checked in one go, at about a millisecond each; others come with the next comparison."""

CHECKS_PER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conviction:
    """What a piece of evidence shows."""

    accused: PeerId
    kind: EvidenceKind
    about: str
    """What was signed about, in words."""
    signed_about: int
    """When the accused signed, in seconds since 1970, by the clock of who asked it, or by its own."""
    reason: str
    blob_id: BlobId | None = None
    shard: ShardIndex | None = None
    """The pair that a false proof was about."""

    @property
    def kind_text(self) -> str:
        """The kind, in words."""
        return self.kind.name.lower().replace("_", " ")

    @property
    def name(self) -> Digest:
        """What the evidence is known by: its kind and whom it convicts."""
        return conviction_name(self.accused, self.kind)


def conviction_name(accused: PeerId, kind: EvidenceKind) -> Digest:
    """Return what all evidence of one kind against one signer is known by."""
    return Digest(tagged_hash(b"p2pnode/conviction", accused, bytes([kind])))


def name_of(evidence: Evidence) -> Digest:
    """Return what a piece would be known by, unchecked."""
    accused = PeerId(peer_id_of(evidence.statements[0].signer))
    return conviction_name(accused, EvidenceKind(evidence.kind))


def open_evidence(evidence: Evidence, *, network: str) -> Conviction:
    """Check a piece of evidence by itself. Raises `PeerFaultError` when it convicts nobody."""
    if evidence.kind == EvidenceKind.TWO_COMMITMENTS:
        return _open_two_commitments(evidence, network)
    return _open_false_proof(evidence, network)


def _open_false_proof(evidence: Evidence, network: str) -> Conviction:
    if len(evidence.statements) != 1:
        message = f"evidence of a false proof with {len(evidence.statements)} statements"
        raise PeerFaultError(message)
    signed = _opened(evidence.statements[0], StorageProof, network)
    proof = signed.record
    try:
        check_proof(proof, prover=signed.signer_peer, network=network)
    except PeerFaultError as error:
        return Conviction(
            accused=signed.signer_peer,
            kind=EvidenceKind.FALSE_PROOF,
            about=f"shard {proof.shard} of {proof.blob_id.text()}",
            signed_about=proof.deadline,
            reason=str(error),
            blob_id=proof.blob_id,
            shard=ShardIndex(proof.shard),
        )
    message = f"evidence against {signed.signer_peer} whose proof is true"
    raise PeerFaultError(message)


def _open_two_commitments(evidence: Evidence, network: str) -> Conviction:
    if len(evidence.statements) != _TWO:
        message = f"evidence of two commitments with {len(evidence.statements)} statement"
        raise PeerFaultError(message)
    one, other = (_opened(each, Commitment, network) for each in evidence.statements)
    # In this order, so that one contradiction is one piece of evidence, byte for byte.
    if one.signer != other.signer or one.record.epoch != other.record.epoch or one.digest >= other.digest:
        message = f"evidence against {one.signer_peer} whose commitments do not contradict each other"
        raise PeerFaultError(message)
    epoch = one.record.epoch
    return Conviction(
        accused=one.signer_peer,
        kind=EvidenceKind.TWO_COMMITMENTS,
        about=f"epoch {epoch}",
        signed_about=max(one.record.time, other.record.time),
        reason=(
            f"two commitments of {one.signer_peer} for epoch {epoch}: {one.record.count} pairs under root"
            f" {one.record.root}, {other.record.count} pairs under root {other.record.root}"
        ),
    )


def _opened(envelope: Envelope, kind: type[R], network: str) -> Signed[R]:
    try:
        return open_envelope(envelope, kind, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"evidence that nobody signed: {error}"
        raise PeerFaultError(message) from error


def evidence_in(answer: Proven, *, network: str) -> Evidence | None:
    """Return the evidence that an answer is; None when nobody signed it, or it is true and answers another question.

    What is too long to be told to others is none: they would have to read it.
    """
    evidence = Evidence(kind=EvidenceKind.FALSE_PROOF, statements=(answer.proof,))
    try:
        open_evidence(evidence, network=network)
    except PeerFaultError:
        return None
    return evidence if len(encode(evidence)) <= limits.EVIDENCE_BYTES_MAX else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A piece of evidence that this node keeps, without its bytes."""

    conviction: Conviction
    heard_at: int
    """Our wall clock when it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What becomes of evidence that somebody brought."""

    verdict: Verdict
    reason: str
    """For the log."""
    news: tuple[Conviction, Evidence] | None = None
    """What is to be kept, when the verdict is ACCEPT."""


class Convictions:
    """Whom the evidence that we know convicts. Times are in seconds: `now` monotonic, `wall` since 1970."""

    def __init__(self, *, network: str) -> None:
        """Nobody is convicted."""
        self._network = network
        self._kept: OrderedDict[Digest, Kept] = OrderedDict()
        self._allowance = float(CHECKS_BURST)
        self._at = 0.0

    def __len__(self) -> int:
        """Return how many pieces are kept."""
        return len(self._kept)

    def all(self) -> list[Kept]:
        """Return everything that is kept, the earliest first."""
        return list(self._kept.values())

    def against(self, peer_id: PeerId) -> list[Kept]:
        """Return what is kept against one signer."""
        return [each for each in self._kept.values() if each.conviction.accused == peer_id]

    def names(self) -> tuple[Digest, ...]:
        """Return what the kept evidence is known by."""
        return tuple(self._kept)

    def hear(self, data: bytes, *, is_member: Callable[[PeerId], bool], now: float, wall: float) -> Heard:
        """Decide on gossip, from cheap to dear. Rejected is only what no honest peer can have passed on. Never raises.

        Evidence against strangers is no news: anybody makes as many signers as they like.
        """
        if len(data) > limits.EVIDENCE_BYTES_MAX:
            return Heard(verdict=Verdict.REJECT, reason=f"{len(data)} bytes, {limits.EVIDENCE_BYTES_MAX} are allowed")
        try:
            evidence = decode(data, Evidence, bytes_max=limits.EVIDENCE_BYTES_MAX)
        except WireError as error:
            return Heard(verdict=Verdict.REJECT, reason=str(error))
        accused = PeerId(peer_id_of(evidence.statements[0].signer))
        if name_of(evidence) in self._kept:
            return Heard(verdict=Verdict.IGNORE, reason="known already")
        if not is_member(accused):
            return Heard(verdict=Verdict.IGNORE, reason=f"{accused} is no member")
        if not self._may_check(now):
            return Heard(verdict=Verdict.IGNORE, reason="more evidence than is checked at a time")
        try:
            conviction = self.take(evidence, wall=wall)
        except PeerFaultError as error:
            return Heard(verdict=Verdict.REJECT, reason=str(error))
        assert conviction is not None, "neither known nor too long"
        return Heard(verdict=Verdict.ACCEPT, reason="news", news=(conviction, evidence))

    def take(self, evidence: Evidence, *, wall: float) -> Conviction | None:
        """Check and keep a piece; None when one of its name is kept. Raises `PeerFaultError` when it convicts nobody.

        `forget` makes room afterwards.
        """
        conviction = open_evidence(evidence, network=self._network)
        if conviction.name in self._kept:
            return None
        self._kept[conviction.name] = Kept(conviction=conviction, heard_at=int(wall))
        return conviction

    def forget(self, *, wall: float) -> list[Conviction]:
        """Let go of what is over, or too much; return it."""
        kept = self.all()
        over = [each for each in kept if each.heard_at + EVIDENCE_SECONDS < wall]
        rest = [each for each in kept if each.heard_at + EVIDENCE_SECONDS >= wall]
        gone = [*over, *rest[: max(0, len(rest) - limits.EVIDENCE_KEPT_MAX)]]
        for each in gone:
            del self._kept[each.conviction.name]
        return [each.conviction for each in gone]

    def _may_check(self, now: float) -> bool:
        self._allowance = min(float(CHECKS_BURST), self._allowance + (now - self._at) * CHECKS_PER_S)
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def evidence_page(kept: Iterable[tuple[Digest, int, Evidence]], known: Iterable[Digest]) -> EvidenceList:
    """Return some of the kept pieces that an asker does not know; each with its name and when it came."""
    skipped = frozenset(known)
    unknown = [evidence for name, _, evidence in kept if name not in skipped]
    return EvidenceList(evidence=tuple(unknown[: limits.EVIDENCE_PER_MESSAGE_MAX]))
