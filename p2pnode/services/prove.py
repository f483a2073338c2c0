"""Answering challenges: proving that what we signed for is here, or ending the receipt where it is not.

Nothing false is ever signed: an answer that does not fold to the blob's own id is no answer.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from p2pnode.errors import CorruptSliverError, LocalStorageError, NotFoundError, PeerFaultError
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.audit_targets import may_ask, named_batch
from p2pnode.protocols.challenge import Question, make_proof, open_challenge, sliver_of
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.prover_budget import ProverBudget
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair.exchange import bytes_of_pair
from p2pnode.protocols.store import open_metadata
from p2pnode.services.audit_receipts import AuditReceipts
from p2pnode.services.commitments import CommitmentService
from p2pnode.services.context import Context
from p2pnode.services.peers import Answer
from p2pnode.services.retract import Retractor
from wire.audit_receipts import SignedAudit
from wire.challenges import Absent, Challenge, NamedReceipt, Proven
from wire.ids import Axis, PeerId
from wire.messages import RefusalCode
from wire.records import MetadataRecord

REQUESTS = Challenge, SignedAudit
"""The requests of the `audit` protocol."""

log = logging.getLogger(__name__)


class Prover:
    """Answers the requests of the `audit` protocol."""

    def __init__(
        self,
        context: Context,
        table: MemberTable,
        retractor: Retractor,
        commitments: CommitmentService,
        receipts: AuditReceipts,
    ) -> None:
        """Prove from the node's own store; `table` tells whose leases an asker's are, `receipts` hears of answers."""
        self._context = context
        self._table = table
        self._retractor = retractor
        self._commitments = commitments
        self._receipts = receipts
        self._budget = ProverBudget(epoch_s=context.profile.epoch_s)

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        del payload
        match message:
            case SignedAudit():
                return self._receipts.countersign(peer_id, message), ()
            case Challenge():
                return await self._answer(peer_id, message)
            case _:
                raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no challenge")

    async def _answer(self, peer_id: PeerId, message: Challenge) -> Answer:
        if not self._budget.take_question(peer_id, now=self._context.clock.monotonic()):
            raise RefusalError(RefusalCode.BUSY, "too many challenges of this peer in one epoch")
        tree = self._commitments.tree_for(peer_id, message)
        try:
            question, records = await self._open(peer_id, message)
            answer = await self._prove_or_retract(question, records)
        except (
            LocalStorageError
        ) as error:  # A full disk too: it cannot note that the pair is lost, so nothing is signed.
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error
        if tree is not None:
            answer = replace(answer, bucket=tree.show((question.blob_id, question.shard)))
        return answer, ()

    async def _prove_or_retract(self, question: Question, records: PageRecords) -> Proven | Absent:
        try:
            return await self._prove(question, records)
        except (NotFoundError, CorruptSliverError) as error:
            log.warning("a challenge finds that a pair is lost: %s", error)
            return await self._retract(question)

    async def _open(self, peer_id: PeerId, challenge: Challenge) -> tuple[Question, PageRecords]:
        """Return the question, and what is known here of receipts for the blob. Raises `RefusalError`."""
        context = self._context
        if isinstance(challenge.receipt, NamedReceipt):
            records = await context.store.receipts.records_of_pages(challenge.receipt.blob_id)
            batch = named_batch(records, context.own, challenge.receipt)
            if batch is None:  # Of an older disk that was put back, for one: asked on the receipt, it can retract.
                raise RefusalError(RefusalCode.NOT_HELD, "no such receipt of this node is known here")
            question = Question(challenge=challenge, batch=batch, challenger=peer_id, network=context.network_name)
        else:
            try:
                question = open_challenge(challenge, challenger=peer_id, network=context.network_name)
            except PeerFaultError as error:
                raise RefusalError(RefusalCode.INVALID, str(error)) from error
            if question.prover != context.own:
                raise RefusalError(RefusalCode.INVALID, "a challenge on the receipt of another node")
            records = await context.store.receipts.records_of_pages(question.blob_id)
        if question.batch.record.lease_end < context.clock.wall():
            raise RefusalError(RefusalCode.LEASE, "the lease of this receipt is over")
        return question, records

    def _check_standing(self, question: Question, records: PageRecords) -> None:
        """Let only those ask that hold a pair or a lease of the blob: each question costs us a sliver's reading."""
        member = self._table.get(question.challenger)
        owner = None if member is None else member.record.owner
        if not may_ask(records, question.challenger, owner):
            raise RefusalError(RefusalCode.INVALID, "a challenge of one that has no part in the blob")

    async def _prove(self, question: Question, records: PageRecords) -> Proven:
        context = self._context
        held = await context.store.held(question.blob_id)
        if held is None:  # Whoever asks: a disk that was put back knows of no certificate, and reading costs nothing.
            raise NotFoundError(f"nothing of blob {question.blob_id} is here")
        self._check_standing(question, records)
        axis, index, sliver_bytes = await context.offload.run(_wanted, question, held.metadata)
        if not self._budget.take_bytes(sliver_bytes, now=context.clock.monotonic()):
            raise RefusalError(RefusalCode.BUSY, "too much was read for challenges lately")
        data = await context.store.read_sliver(question.blob_id, axis, index)
        answer = await context.offload.run(self._make_proof, question, held.metadata, data)
        pair_bytes = bytes_of_pair(held.metadata.length, held.metadata.n)
        self._receipts.answered(question, answer, pair_bytes=pair_bytes)
        return answer

    def _make_proof(self, question: Question, metadata: MetadataRecord, data: bytes) -> Proven:
        return make_proof(question, open_metadata(question.blob_id, metadata), data, key=self._context.identity)

    async def _retract(self, question: Question) -> Absent:
        pair = (question.blob_id, question.shard)
        ended = await self._retractor.answer({pair: question.batch.record.sequence}, ())
        if not ended:  # It was stored anew by now, or what is there is wrong in a way that the store does not see.
            raise RefusalError(RefusalCode.BUSY, "the pair cannot be proven just now")
        answer = Absent(retraction=ended[0].envelope)
        self._receipts.answered(question, answer, pair_bytes=0)
        return answer


def _wanted(question: Question, metadata: MetadataRecord) -> tuple[Axis, int, int]:
    return sliver_of(question, open_metadata(question.blob_id, metadata))
