"""Audit receipts: what honest nodes sign of audits took place as they say, and is in one receipt at most.

Judged is what goes over the wire: the answers that a node gives, and what askers want to be signed about them. What a
receipt may say is made anew from question and answer by the specification, for a node's own may be what is broken.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from crypto import signing
from crypto.hashing import tagged_hash
from p2pnode.coding import primary_bytes, secondary_bytes
from testnet.sim.judges.judgement import Findings
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.world import NETWORK_NAME, World
from wire import limits
from wire.audit_receipts import AuditedPair, AuditReceipt, Countersignature, Outcome, SignedAudit
from wire.challenges import Absent, Challenge, NamedReceipt, Proven, StorageProof
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Digest, PeerId, PublicKey
from wire.records import Envelope, ReceiptBatch
from wire.signed import peer_of

NAME = "audits-took-place"

_TAG = "audit receipt"
"""The domain tag of the specification, whatever a node signs with."""


class AuditReceiptJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World, wiretap: Wiretap) -> None:
        """Watch all honest nodes from now on."""
        self._world = world
        self._findings = Findings(NAME)
        self._answers: Counter[tuple[str, str, AuditedPair]] = Counter()
        """How often a node has told an asker something that is in no receipt yet; at no time of day."""
        wiretap.listeners.append(self._hear)

    def check(self) -> int:
        """Tell what was found since the last time. Raises `JudgementError`."""
        return self._findings.deliver()

    def _hear(self, told: Told) -> None:
        match told.question, told.answer:
            case Challenge() as challenge, (Proven() | Absent()) as answer:
                if (shown := _shown(challenge, answer)) is not None:
                    self._answers[told.asker, told.node, shown] += 1
            case SignedAudit() as asked, answer:
                self._hear_statement(told, asked, answer)
            case _:
                pass

    def _hear_statement(self, told: Told, asked: SignedAudit, answer: object) -> None:
        self._findings.looked()
        is_signed = isinstance(answer, Countersignature) and self._world.is_honest(told.node)
        blamed = told.node if is_signed else told.asker
        if not is_signed and not self._world.is_honest(told.asker):
            return  # It may ask for whatever it likes.
        try:
            record = decode(asked.statement.body, AuditReceipt, bytes_max=limits.RECORD_BYTES_MAX)
            self._check_signature(asked.statement, record, record.auditor)
            if isinstance(answer, Countersignature) and is_signed:
                own = self._world.machines[told.node].peer_id
                ours = replace(asked.statement, signer=_key_of(own), signature=answer.signature)
                self._check_signature(ours, record, record.holder)
        except (WireError, signing.BadSignatureError) as error:
            self._findings.blame(f"it signed an audit receipt that is none: {error}", node=blamed)
            return
        for each in record.audits:
            said = (told.asker, told.node, replace(each, time=0))
            if said not in self._answers or (is_signed and not self._answers[said]):
                what = (
                    f"it signed an audit of {told.node} by {told.asker} that never was, or not so, or once only: {each}"
                )
                self._findings.blame(what, node=blamed, subject=each.blob_id.text())
            if is_signed:
                self._answers[said] -= 1

    def _check_signature(self, envelope: Envelope, record: AuditReceipt, by: PeerId) -> None:
        if peer_of(envelope.signer) != by:
            message = f"{by} is not who signed it"
            raise signing.BadSignatureError(message)
        domain = signing.Domain(_TAG, NETWORK_NAME, record.version)
        signing.verify(domain, envelope.body, public_key=envelope.signer, signature=envelope.signature)


def _shown(challenge: Challenge, answer: Proven | Absent) -> AuditedPair | None:
    """Return what a receipt may say of an answer but for the time; None where there is nothing in it."""
    receipt = challenge.receipt
    pair_bytes = 0
    try:
        if isinstance(receipt, NamedReceipt):
            base, lease = receipt.commitment, receipt.lease
        else:
            base = _digest(receipt.batch)
            lease = decode(receipt.batch.body, ReceiptBatch, bytes_max=limits.RECORD_BYTES_MAX).lease
        if isinstance(answer, Proven):
            proof = decode(answer.proof.body, StorageProof, bytes_max=limits.RECORD_BYTES_MAX)
            pair_bytes = primary_bytes(proof.length, n=proof.n) + secondary_bytes(proof.length, n=proof.n)
    except WireError:  # Of somebody with a bad habit; whoever is honest and signs for it is blamed.
        return None
    return AuditedPair(
        time=0,
        blob_id=receipt.blob_id,
        shard=receipt.shard,
        lease=lease,
        base=base,
        answer=_digest(answer.proof if isinstance(answer, Proven) else answer.retraction),
        outcome=Outcome.PROVEN if isinstance(answer, Proven) else Outcome.LOST,
        pair_bytes=pair_bytes,
    )


def _digest(envelope: Envelope) -> Digest:
    return Digest(tagged_hash(b"p2pnode/record", envelope.signer, envelope.body))


def _key_of(peer_id: PeerId) -> PublicKey:
    return PublicKey(peer_id[-PublicKey.length :])
