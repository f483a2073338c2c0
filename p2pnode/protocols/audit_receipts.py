"""Audit receipts: what the two sides of audits sign together, when each of them does, and how long they keep it.

Rules: one receipt speaks of several questions to one holder, which an auditor gathers. The auditor signs first, for a
receipt speaks for the holder: one that does not countersign has nothing, one that keeps its own signature back has what
it would have had anyway, and the score of nobody depends on it. A holder signs only what it has answered itself in this
life, once, to who asked it, and within two epochs: so nothing is signed that was forged, replayed or put off. Times are
in seconds: `now` monotonic, others since 1970.
"""

from __future__ import annotations

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
from wire.audit_receipts import AuditedPair, AuditReceipt, Outcome
from wire.challenges import Absent, Proven
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Digest, PeerId, PublicKey, Signature
from wire.records import Envelope
from wire.signed import Signed, digest_of, open_decoded, peer_of, sign_record

GATHERED_EPOCHS = 1
"""So many epochs after the first answer of a holder its receipt is asked for, unless it is full earlier. At leisure two
questions come together; of who holds pairs of a large file that was written just now, as many as a receipt has room
for. What is gathered is lost when either side stops, so more than that costs more than it saves."""

REMEMBERED_EPOCHS = 2
"""How long a holder remembers what it has answered: what an auditor gathers, and as long again for one that is late."""

ANSWERS_MAX = 4_096
"""Answers that a holder remembers, about 600 bytes each; the oldest make room, and have no receipt then. One asker has
no more than its questions of two epochs."""

RECEIPTS_PER_PEER_MAX = 8
"""Receipts that are kept of audits of one peer by us, and as many of its audits of us: of regular audits of one that
shares pages with us, a third of a day. A ledger takes each in when it comes, and looks here after a restart."""

PEERS_MAX = 1_024
"""Peers times directions of which receipts are kept: 26 MB in all at worst; who was heard of longest ago makes room. As
many holders have answers that wait for their receipt."""

RECEIPTS_MAX = RECEIPTS_PER_PEER_MAX * PEERS_MAX
"""Receipts that are kept in all."""

RECEIPT_SECONDS = limits.LEASE_SECONDS_MAX + 2 * limits.CLOCK_SKEW_SECONDS
"""How long a receipt is kept: by then every lease is over that a pair was kept for when it was audited."""


def shown_by(question: Question, answer: Proven | Absent, *, pair_bytes: int, time: int) -> AuditedPair:
    """Return what both sides say of an answer: `pair_bytes` of a pair that was proven, of one that is lost nothing."""
    is_proven = isinstance(answer, Proven)
    return AuditedPair(
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

    @property
    def time(self) -> int:
        """When the last of its audits was."""
        return max(each.time for each in self.record.audits)


def join(statement: Signed[AuditReceipt], signature: Signature, *, network: str) -> Countersigned:
    """Put the auditor's signature and the holder's together. Raises `PeerFaultError` for any but that one."""
    receipt = Countersigned(record=statement.record, statement=statement.envelope, countersignature=signature)
    try:
        open_decoded(receipt.by_holder, statement.record, network=network)
    except BadSignatureError as error:
        message = f"{statement.record.holder} did not sign what its audits have shown: {error}"
        raise PeerFaultError(message) from error
    return receipt


class AnswerNotKnownError(PeerFaultError):
    """We know nothing of an answer, which is nobody's fault: an earlier life of ours may have given it."""


class GatheredAudits:
    """What holders have shown an auditor, who has not asked for their receipts yet."""

    def __init__(self, *, epoch_s: float) -> None:
        """Nobody has shown anything."""
        self._gather_s = GATHERED_EPOCHS * epoch_s
        self._gathered: OrderedDict[PeerId, dict[AuditedPair, AuditedPair]] = OrderedDict()
        """Of each holder, in the order of their first ones, and by what each says but for the time: one retraction may
        answer twice. Never more of one holder than a receipt has room for."""
        self._since: dict[PeerId, float] = {}

    def __len__(self) -> int:
        """Return of how many holders there is something."""
        return len(self._gathered)

    def add(self, holder: PeerId, audited: AuditedPair, *, now: float) -> bool:
        """Take in what a holder has shown; tell whether it makes a full receipt, which must be taken at once."""
        if holder not in self._gathered:
            self._gathered[holder] = {}
            self._since[holder] = now
            if len(self._gathered) > PEERS_MAX:
                gone, _ = self._gathered.popitem(last=False)
                del self._since[gone]
        audits = self._gathered[holder]
        audits[replace(audited, time=0)] = audited
        return len(audits) == limits.AUDITS_PER_RECEIPT_MAX

    def due(self, *, now: float) -> list[PeerId]:
        """Return whose receipts it is time to ask for, who has waited longest first."""
        return [holder for holder, since in self._since.items() if now - since >= self._gather_s]

    def take(self, holder: PeerId) -> tuple[AuditedPair, ...]:
        """Return what a holder has shown, and let go of it."""
        self._since.pop(holder, None)
        return tuple(self._gathered.pop(holder, {}).values())


@dataclass(frozen=True, slots=True)
class _Given:
    at: float
    """Monotonic."""
    time: int
    """By our own wall clock."""


class GivenAnswers:
    """What a holder has answered lately, and has signed no receipt for yet."""

    def __init__(self, *, epoch_s: float) -> None:
        """Nobody has asked."""
        self._remember_s = REMEMBERED_EPOCHS * epoch_s
        self._answers: OrderedDict[tuple[PeerId, AuditedPair], _Given] = OrderedDict()
        """By who asked and what a receipt will say but for the time. One retraction may answer several."""

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._answers)

    def note(self, asker: PeerId, answered: AuditedPair, *, now: float) -> None:
        """Remember an answer to an asker by what a receipt will say, with the time of our own clock."""
        answer = (asker, replace(answered, time=0))
        self._answers[answer] = _Given(now, answered.time)
        self._answers.move_to_end(answer)  # It may be there: a lost pair that was asked about again.
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    def countersign(
        self, statement: Envelope, *, asker: PeerId, key: SigningKey, network: str, now: float
    ) -> Countersigned:
        """Sign what an asker has signed about answers of ours.

        Raises `AnswerNotKnownError` when one of them is not remembered, `PeerFaultError` for what can be of no answers
        of ours; then nothing is signed. A signature is checked after everything else, and uses up the answers though it
        is false: so each check of one was paid for by a question.
        """
        try:
            said = decode(statement.body, AuditReceipt, bytes_max=limits.RECORD_BYTES_MAX)
        except WireError as error:
            message = f"not an audit receipt: {error}"
            raise PeerFaultError(message) from error
        own = peer_of(PublicKey(key.public))
        if (peer_of(statement.signer), said.auditor, said.holder) != (asker, asker, own):
            message = f"an audit receipt of others than {asker} and {own}"
            raise PeerFaultError(message)
        answers = {(asker, replace(each, time=0)): each.time for each in said.audits}
        if len(answers) < len(said.audits):
            message = "an audit receipt that says the same answer twice"
            raise PeerFaultError(message)
        if not all(self._is_remembered(answer, time=time, now=now) for answer, time in answers.items()):
            message = f"no answers of the last two epochs are known that say all this to {asker}, and have no receipt"
            raise AnswerNotKnownError(message)
        for answer in answers:
            del self._answers[answer]
        try:
            open_decoded(statement, said, network=network)
        except BadSignatureError as error:
            message = f"an audit receipt that {asker} did not sign: {error}"
            raise PeerFaultError(message) from error
        ours = sign_record(said, key=key, network=network).envelope
        return Countersigned(record=said, statement=statement, countersignature=ours.signature)

    def _is_remembered(self, answer: tuple[PeerId, AuditedPair], *, time: int, now: float) -> bool:
        """Tell whether we gave an answer lately, and at this time, as far as clocks agree."""
        given = self._answers.get(answer)
        if given is None or now - given.at > self._remember_s:
            return False
        return abs(time - given.time) <= limits.CLOCK_SKEW_SECONDS


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
    """Of how many audits that a peer has a part in receipts are kept."""

    of_it: int
    """Audits of it, by us."""
    by_it: int
    """Its audits of us."""


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
        """Return of how many audits that a peer has a part in receipts are kept."""
        return Tally(of_it=self._audits((peer_id, True)), by_it=self._audits((peer_id, False)))

    def _audits(self, side: tuple[PeerId, bool]) -> int:
        return sum(len(each.record.audits) for each in self._kept.get(side, ()))

    def all(self) -> list[Countersigned]:
        """Return what is kept, by time."""
        found = [each for receipts in self._kept.values() for each in receipts]
        return sorted(found, key=lambda each: (each.time, each.name))

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
            over = [each for each in receipts if each.time + RECEIPT_SECONDS < wall]
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
