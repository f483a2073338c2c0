"""Audit receipts: what the two sides of an audit sign together, when each of them does, and how long they keep it.

Rules: the auditor signs first, for a receipt speaks for the holder: one that does not countersign has nothing, one that
keeps its own signature back has what it would have had anyway, and the score of nobody depends on it. A holder signs
only what it has answered itself in this life, once, to who asked it, and soon: so nothing is signed that was forged,
replayed or put off. Times are in seconds: `now` monotonic, `wall` since 1970.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.peer_id import public_key_of
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.challenge import Question
from wire import limits
from wire.audit_receipts import AuditReceipt, Outcome
from wire.challenges import Absent, Proven
from wire.errors import WireError
from wire.ids import Digest, PeerId, PublicKey, Signature
from wire.records import Envelope
from wire.signed import Signed, digest_of, open_envelope, sign_record

COUNTERSIGN_WITHIN_S = 120.0
"""How long a holder remembers what it has answered: several times what a question may take."""

ANSWERS_MAX = 1_024
"""Answers that a holder remembers, about 500 bytes each; the oldest make room, and have no receipt then."""

RECEIPTS_PER_PEER_MAX = 32
"""Receipts that are kept of audits of one peer by us, and as many of its audits of us: about a day of regular audits
of one that shares pages with us. A ledger takes each in when it comes, and looks here after a restart."""

PEERS_MAX = 1_024
"""Peers times directions of which receipts are kept: 20 MB in all at worst; who was heard of longest ago makes room."""

RECEIPTS_MAX = RECEIPTS_PER_PEER_MAX * PEERS_MAX
"""Receipts that are kept in all."""

RECEIPT_SECONDS = limits.LEASE_SECONDS_MAX + 2 * limits.CLOCK_SKEW_SECONDS
"""How long a receipt is kept: by then every lease is over that the pair was kept for when it was audited."""


def receipt_of(question: Question, answer: Proven | Absent, *, pair_bytes: int, time: int) -> AuditReceipt:
    """Return what both sides say of an audit: `pair_bytes` of a pair that was proven, of one that is lost nothing."""
    is_proven = isinstance(answer, Proven)
    return AuditReceipt(
        auditor=question.challenger,
        holder=question.prover,
        time=time,
        blob_id=question.blob_id,
        shard=question.shard,
        lease=question.batch.record.lease,
        base=question.base,
        answer=digest_of(answer.proof if isinstance(answer, Proven) else answer.retraction),
        outcome=Outcome.PROVEN if is_proven else Outcome.LOST,
        pair_bytes=pair_bytes if is_proven else 0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersigned:
    """An audit receipt with both signatures."""

    record: AuditReceipt
    statement: Envelope
    """As the auditor has signed it."""
    countersignature: Signature
    """The holder's, over the same bytes."""

    @property
    def by_holder(self) -> Envelope:
        """As the holder has signed it."""
        key = PublicKey(public_key_of(self.record.holder))
        return Envelope(body=self.statement.body, signer=key, signature=self.countersignature)

    @property
    def name(self) -> Digest:
        """What it is known by: a hash over the bytes that both have signed."""
        return Digest(tagged_hash(b"p2pnode/audit receipt", self.statement.body))


def join(statement: Signed[AuditReceipt], answer: Envelope, *, network: str) -> Countersigned:
    """Put the auditor's signature and the holder's together. Raises `PeerFaultError` for anything but that one."""
    signed = open_statement(answer, network=network)
    if signed.signer_peer != statement.record.holder or signed.envelope.body != statement.envelope.body:
        message = f"{signed.signer_peer} signed something else than the audit of {statement.record.holder}"
        raise PeerFaultError(message)
    signature = signed.envelope.signature
    return Countersigned(record=statement.record, statement=statement.envelope, countersignature=signature)


def open_statement(envelope: Envelope, *, network: str) -> Signed[AuditReceipt]:
    """Open what one side has signed. Raises `PeerFaultError`."""
    try:
        return open_envelope(envelope, AuditReceipt, network=network)
    except (WireError, BadSignatureError) as error:
        message = f"an audit receipt that nobody signed: {error}"
        raise PeerFaultError(message) from error


class AnswerNotKnownError(PeerFaultError):
    """We know nothing of the answer, which is nobody's fault: an earlier life of ours may have given it."""


class GivenAnswers:
    """What a holder has answered lately, and has signed no receipt for yet."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._answers: OrderedDict[AuditReceipt, float] = OrderedDict()
        """When each was given, by what its receipt will say but for the time. One retraction may answer several."""

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._answers)

    def note(self, answered: AuditReceipt, *, now: float) -> None:
        """Remember an answer by what its receipt will say; its time is still open."""
        self._answers[replace(answered, time=0)] = now
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    def countersign(
        self, statement: Envelope, *, asker: PeerId, key: SigningKey, network: str, now: float, wall: float
    ) -> Countersigned:
        """Sign what an asker has signed about an answer of ours.

        Raises `AnswerNotKnownError` for what is not remembered, `PeerFaultError` for what can be of no answer of ours;
        then nothing is signed.
        """
        signed = open_statement(statement, network=network)
        said = signed.record
        if {signed.signer_peer, said.auditor} != {asker} or abs(said.time - wall) > limits.CLOCK_SKEW_SECONDS:
            message = f"an audit receipt of another than {asker}, or of another time"
            raise PeerFaultError(message)
        answered = replace(said, time=0)
        if now - self._answers.get(answered, -math.inf) > COUNTERSIGN_WITHIN_S:
            message = f"no answer of the last minutes is known that says this to {asker}, and has no receipt"
            raise AnswerNotKnownError(message)
        del self._answers[answered]
        ours = sign_record(said, key=key, network=network).envelope
        return Countersigned(record=said, statement=statement, countersignature=ours.signature)


@dataclass(slots=True)
class ReceiptChanges:
    """What the disk does not know yet."""

    new: dict[Digest, Countersigned] = field(default_factory=dict)
    gone: set[Digest] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.new or self.gone)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many receipts are kept that a peer has a part in."""

    of_it: int
    """Of audits of it, by us."""
    by_it: int
    """Of its audits of us."""


class ReceiptBook:
    """The audit receipts of one node, the latest of each peer."""

    def __init__(self, own: PeerId) -> None:
        """Keep those that `own` has a part in."""
        self._own = own
        self._kept: OrderedDict[tuple[PeerId, bool], deque[Countersigned]] = OrderedDict()
        """By the other side, and whether that is the holder."""
        self._changes = ReceiptChanges()

    def __len__(self) -> int:
        """Return how many are kept."""
        return sum(map(len, self._kept.values()))

    def tally(self, peer_id: PeerId) -> Tally:
        """Return how many are kept that a peer has a part in."""
        return Tally(len(self._kept.get((peer_id, True), ())), len(self._kept.get((peer_id, False), ())))

    def all(self) -> list[Countersigned]:
        """Return what is kept, by time."""
        found = [each for receipts in self._kept.values() for each in receipts]
        return sorted(found, key=lambda each: (each.record.time, each.name))

    def keep(self, receipt: Countersigned) -> None:
        """Keep a receipt that we have signed one side of; the oldest of its peer makes room."""
        self._put(receipt)
        self._changes.new[receipt.name] = receipt

    def remember(self, receipts: Iterable[Countersigned]) -> None:
        """Take in what an earlier life kept, by time."""
        for each in receipts:
            self._put(each)

    def _put(self, receipt: Countersigned) -> None:
        is_of_it = receipt.record.auditor == self._own
        side = (receipt.record.holder if is_of_it else receipt.record.auditor, is_of_it)
        receipts = self._kept.pop(side, deque())
        self._kept[side] = receipts
        receipts.append(receipt)
        if len(receipts) > RECEIPTS_PER_PEER_MAX:
            self._drop(receipts.popleft())
        if len(self._kept) > PEERS_MAX:
            _, gone = self._kept.popitem(last=False)
            for each in gone:
                self._drop(each)

    def forget(self, *, wall: float) -> None:
        """Let go of what is over."""
        for side, receipts in list(self._kept.items()):
            over = [each for each in receipts if each.record.time + RECEIPT_SECONDS < wall]
            for each in over:
                receipts.remove(each)
                self._drop(each)
            if not receipts:
                del self._kept[side]

    def _drop(self, receipt: Countersigned) -> None:
        if self._changes.new.pop(receipt.name, None) is None:
            self._changes.gone.add(receipt.name)

    @property
    def changes(self) -> ReceiptChanges:
        """What was kept and dropped since the last `saved`."""
        return ReceiptChanges(dict(self._changes.new), set(self._changes.gone))

    def saved(self, changes: ReceiptChanges) -> None:
        """Take note that the disk knows some changes now; what came meanwhile is still to be told."""
        for name in changes.new:
            if self._changes.new.pop(name, None) is None:
                self._changes.gone.add(name)  # Dropped while it was being saved.
        self._changes.gone -= changes.gone
