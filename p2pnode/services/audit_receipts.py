"""Audit receipts: asking for the other side's signature after audits, giving ours, and keeping what both signed.

Nothing waits for them: an audit counts as it came out, whether or not there is a receipt for it.
"""

from __future__ import annotations

import logging

from p2pnode.errors import LocalStorageError, P2PNodeError, PeerFaultError, PeerRefusedError
from p2pnode.protocols.audit_receipts import (
    AnswerNotKnownError,
    Countersigned,
    GatheredAudits,
    GivenAnswers,
    ReceiptBook,
    Tally,
    join,
    shown_by,
)
from p2pnode.protocols.challenge import Question
from p2pnode.protocols.refusal import RefusalError
from p2pnode.services.context import Context
from wire.audit_receipts import AuditedPair, AuditReceipt, Countersignature, SignedAudit
from wire.challenges import Absent, Proven
from wire.ids import PeerId
from wire.messages import RefusalCode
from wire.signed import sign_record

log = logging.getLogger(__name__)

AUDIT = "audit"

BOTH_SIGNED = "signed by both"
"""What is said of a receipt that there is."""

GATHERED = "asked for later, with those of other audits of this peer"
"""What is said of one that is still to come."""


class AuditReceipts:
    """The audit receipts of this node: of its audits of others, and of theirs of it."""

    def __init__(self, context: Context) -> None:
        """Nothing is known before `load`."""
        self._context = context
        self._gathered = GatheredAudits(epoch_s=context.profile.epoch_s)
        self._given = GivenAnswers(epoch_s=context.profile.epoch_s)
        self._book = ReceiptBook(context.own)

    async def load(self) -> None:
        """Take in what earlier lives kept."""
        self._book.remember(await self._context.store.load_audit_receipts())

    async def save(self) -> None:
        """Forget what is over, and make the disk say what we know."""
        self._book.forget(wall=self._context.clock.wall())
        changes = self._book.changes
        if not changes:
            return
        try:
            await self._context.store.save_audit_receipts(list(changes.new.values()), changes.gone)
        except LocalStorageError as error:
            log.warning("audit receipts cannot be saved until the disk works again: %s", error)
        else:
            self._book.saved(changes)

    def tally(self, peer_id: PeerId) -> Tally:
        """Return of how many audits that a peer has a part in receipts are kept."""
        return self._book.tally(peer_id)

    # ------------------------------------------------------------------------------------------- the auditor

    async def proven(self, question: Question, answer: Proven | Absent, *, pair_bytes: int, is_due: bool) -> str:
        """Take in what an audit of ours has shown; return what came of its receipt, in words.

        What was due is gathered for a while, what somebody wants to see now is signed now with all that was gathered.
        """
        context = self._context
        holder = question.prover
        if holder == context.own:  # Nobody is a witness for itself.
            return "none: an audit of this node by itself"
        audited = shown_by(question, answer, pair_bytes=pair_bytes, time=context.wall_seconds())
        is_full = self._gathered.add(holder, audited, now=context.clock.monotonic())
        return await self.ask_for(holder) if is_full or not is_due else GATHERED

    def due(self) -> list[PeerId]:
        """Return whose receipts it is time to ask for."""
        return self._gathered.due(now=self._context.clock.monotonic())

    async def ask_for(self, holder: PeerId) -> str:
        """Sign what was gathered of a holder, and have it sign that too; return what came of it, in words."""
        audits = self._gathered.take(holder)
        outcome = GATHERED  # For where somebody else is asking for it just now.
        while audits:
            try:
                self._book.keep(await self._ask(holder, audits))
            except P2PNodeError as error:
                log.info("%s does not countersign %d audits: %s", holder, len(audits), error)
                outcome = f"none: {error}"
                has_forgotten = isinstance(error, PeerRefusedError) and error.code == RefusalCode.NOT_HELD
                audits = audits[(len(audits) + 1) // 2 :] if has_forgotten else ()  # The oldest, as after a restart.
            else:
                return BOTH_SIGNED
        return outcome

    async def _ask(self, holder: PeerId, audits: tuple[AuditedPair, ...]) -> Countersigned:
        context = self._context
        record = AuditReceipt(auditor=context.own, holder=holder, audits=audits)
        statement = sign_record(record, key=context.identity, network=context.network_name)
        request = SignedAudit(statement=statement.envelope)
        reply = await context.peers.ask(holder, AUDIT, request, expect=(Countersignature,))
        assert isinstance(reply.message, Countersignature)
        return join(statement, reply.message.signature, network=context.network_name)

    # -------------------------------------------------------------------------------------------- the holder

    def answered(self, question: Question, answer: Proven | Absent, *, pair_bytes: int) -> None:
        """Take note of an answer that we give, so that its asker may have our signature."""
        context = self._context
        answered = shown_by(question, answer, pair_bytes=pair_bytes, time=context.wall_seconds())
        self._given.note(question.challenger, answered, now=context.clock.monotonic())

    def countersign(self, asker: PeerId, asked: SignedAudit) -> Countersignature:
        """Sign what an asker says of answers of ours, and keep it. Raises `RefusalError`."""
        context = self._context
        try:
            receipt = self._given.countersign(
                asked.statement,
                asker=asker,
                key=context.identity,
                network=context.network_name,
                now=context.clock.monotonic(),
            )
        except AnswerNotKnownError as error:
            raise RefusalError(RefusalCode.NOT_HELD, str(error)) from error
        except PeerFaultError as error:
            raise RefusalError(RefusalCode.INVALID, str(error)) from error
        self._book.keep(receipt)
        return Countersignature(signature=receipt.countersignature)
