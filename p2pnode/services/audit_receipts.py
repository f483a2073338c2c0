"""Audit receipts: asking for the other side's signature after an audit, giving ours, and keeping what both signed.

Nothing waits for them: an audit counts as it came out, whether or not there is a receipt for it.
"""

from __future__ import annotations

import logging

from p2pnode.errors import LocalStorageError, P2PNodeError, PeerFaultError
from p2pnode.protocols.audit_receipts import AnswerNotKnownError, GivenAnswers, ReceiptBook, Tally, join, receipt_of
from p2pnode.protocols.challenge import Question
from p2pnode.protocols.refusal import RefusalError
from p2pnode.services.context import Context
from wire.audit_receipts import SignedAudit
from wire.challenges import Absent, Proven
from wire.ids import PeerId
from wire.messages import RefusalCode
from wire.signed import sign_record

log = logging.getLogger(__name__)

AUDIT = "audit"

BOTH_SIGNED = "signed by both"
"""What is said of a receipt that there is."""


class AuditReceipts:
    """The audit receipts of this node: of its audits of others, and of theirs of it."""

    def __init__(self, context: Context) -> None:
        """Nothing is known before `load`."""
        self._context = context
        self._given = GivenAnswers()
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
        """Return how many receipts are kept that a peer has a part in."""
        return self._book.tally(peer_id)

    # ------------------------------------------------------------------------------------------- the auditor

    async def ask_for(self, question: Question, answer: Proven | Absent, *, pair_bytes: int) -> str:
        """Sign what an audit of ours has shown and have its holder sign it too; return what came of it, in words."""
        context = self._context
        if question.prover == context.own:  # Nobody is a witness for itself.
            return "none: an audit of this node by itself"
        record = receipt_of(question, answer, pair_bytes=pair_bytes, time=context.wall_seconds())
        statement = sign_record(record, key=context.identity, network=context.network_name)
        request = SignedAudit(statement=statement.envelope)
        try:
            reply = await context.peers.ask(question.prover, AUDIT, request, expect=(SignedAudit,))
            assert isinstance(reply.message, SignedAudit)
            self._book.keep(join(statement, reply.message.statement, network=context.network_name))
        except P2PNodeError as error:
            log.info("%s does not countersign an audit: %s", question.prover, error)
            return f"none: {error}"
        return BOTH_SIGNED

    # -------------------------------------------------------------------------------------------- the holder

    def answered(self, question: Question, answer: Proven | Absent, *, pair_bytes: int) -> None:
        """Take note of an answer that we give, so that its asker may have our signature."""
        context = self._context
        record = receipt_of(question, answer, pair_bytes=pair_bytes, time=context.wall_seconds())
        self._given.note(record, now=context.clock.monotonic())

    def countersign(self, asker: PeerId, asked: SignedAudit) -> SignedAudit:
        """Sign what an asker says of an answer of ours, and keep it. Raises `RefusalError`."""
        context = self._context
        try:
            receipt = self._given.countersign(
                asked.statement,
                asker=asker,
                key=context.identity,
                network=context.network_name,
                now=context.clock.monotonic(),
                wall=context.clock.wall(),
            )
        except AnswerNotKnownError as error:
            raise RefusalError(RefusalCode.NOT_HELD, str(error)) from error
        except PeerFaultError as error:
            raise RefusalError(RefusalCode.INVALID, str(error)) from error
        self._book.keep(receipt)
        return SignedAudit(statement=receipt.by_holder)
