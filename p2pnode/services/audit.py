"""Auditing: asking holders for what they signed, and scoring what comes of it (PROTOCOL sections 8 and 9).

New receipts are asked about soon, by the writer and by one of the other holders each; then everybody who shares pages
with us about once in an interval, about a pair drawn at random. Only our own questions count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from p2pnode.errors import (
    CallerError,
    LocalStorageError,
    NotFoundError,
    PeerFaultError,
    PeerRefusedError,
    PeerSilentError,
    PeerUnavailableError,
)
from p2pnode.membership.liveness import Liveness
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.audit_schedule import AuditSchedule, Due, whom_to_ask
from p2pnode.protocols.audit_targets import Promised, choose_promise, holders_of, may_ask
from p2pnode.protocols.challenge import Question, check_absence, check_answer, check_shown
from p2pnode.protocols.page_digests import EMPTY, differing_buckets
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.repair.exchange import bytes_of_pair
from p2pnode.reputation.scores import Verdict
from p2pnode.services.audit_receipts import AuditReceipts
from p2pnode.services.commitments import CommitmentService
from p2pnode.services.context import Context
from p2pnode.services.evidence import FAILURES, EvidenceService
from p2pnode.services.nursery import open_nursery
from p2pnode.services.results import Audited
from wire import limits
from wire.challenges import Absent, Challenge, Proven
from wire.codec import encode
from wire.ids import Digest, PeerId, PublicKey
from wire.messages import GetOwnRecord, OwnRecord, RefusalCode
from wire.records import Certificate
from wire.signed import Signed

log = logging.getLogger(__name__)

AUDIT = "audit"

AUDITS_AT_ONCE_MAX = 4
"""Questions under way at a time: a silent peer holds its place until its request has timed out."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of one question."""

    question: Question
    verdict: Verdict
    reason: str
    answer: Proven | Absent | None
    is_unanswered: bool = False
    """Whether the peer does not answer for the commitment that it was asked on."""
    pair_bytes: int = 0
    """Of what was proven."""


class Auditor:
    """Asks others for what they promised."""

    def __init__(
        self,
        context: Context,
        table: MemberTable,
        evidence: EvidenceService,
        commitments: CommitmentService,
        *,
        is_frozen: Callable[[], bool],
    ) -> None:
        """Nothing is asked before `run`; while our own link seems to be down nothing is scored.

        Failures, and what convicts, go to `evidence`; `commitments` knows what a peer can be asked on.
        """
        profile = context.profile
        self._context = context
        self._table = table
        self._evidence = evidence
        self._commitments = commitments
        self.receipts = AuditReceipts(context)
        """What holders and askers have signed of audits, ours and those of us."""
        self._is_frozen = is_frozen
        self._schedule = AuditSchedule(every_s=profile.audit_every_s, soon_s=profile.asked_again_after_s)
        self._slots = trio.CapacityLimiter(AUDITS_AT_ONCE_MAX)

    async def load(self) -> None:
        """Take in the scores and the receipts of earlier lives."""
        self._context.scores.remember(await self._context.store.load_scores())
        await self.receipts.load()

    def certified(self, certificate: Signed[Certificate]) -> None:
        """Take note of new receipts, which are asked about soon."""
        context = self._context
        records = PageRecords(certificates=(certificate,))
        holders = [peer_id for peer_id, _, _ in holders_of(records)]
        is_writer = certificate.signer == PublicKey(context.owner.public)
        page = next(page for page, _ in records.pages())
        for peer_id in whom_to_ask(holders, own=context.own, is_writer=is_writer):
            self._schedule.signed(peer_id, page, now=context.clock.monotonic(), chance=self._chance())

    async def run(self) -> None:
        """Ask whom it is time to ask, and keep the scores, until cancelled."""
        context = self._context
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_regularly)
            while True:
                await context.clock.sleep(context.profile.reconnect_every_s)
                now = context.clock.monotonic()
                connected = [each.peer_id for each in context.network.connected()]
                try:
                    neighbours = await context.store.receipts.sharing(context.own, connected)
                except LocalStorageError as error:
                    log.warning("audits wait until the disk works again: %s", error)
                    continue
                self._schedule.meet(neighbours, now=now, chance=self._chance())
                for due in self._schedule.due(now=now, chance=self._chance()):
                    if due.peer_id in connected or self._is_worth_a_dial(due, now=now):
                        await nursery.start(self._audit_due, due)
                for holder in self.receipts.due():
                    await nursery.start(self._ask_for_receipt, holder)

    def _is_worth_a_dial(self, due: Due, *, now: float) -> bool:
        """Tell whether a holder is asked though it is not connected: soon after its receipt, while it seems to be here.

        In a large network most holders of a blob are not connected with each other, nor with its writer for long.
        """
        return due.page is not None and self._table.liveness(due.peer_id, now=now) is Liveness.ACTIVE

    async def _audit_due(self, due: Due, *, task_status: trio.TaskStatus[None]) -> None:
        async with self._slots:
            task_status.started()
            try:
                await self._audit(due.peer_id, await self._must_choose(due.peer_id, due.page), is_due=True)
            except (NotFoundError, LocalStorageError) as error:
                log.debug("no audit of %s: %s", due.peer_id, error)

    async def _ask_for_receipt(self, holder: PeerId, *, task_status: trio.TaskStatus[None]) -> None:
        async with self._slots:
            task_status.started()
            await self.receipts.ask_for(holder)

    async def audit(self, peer_id: PeerId) -> Audited:
        """Ask a peer about one pair that it has signed for, and score what comes of it.

        Raises `NotFoundError` when no live receipt of the peer is known here, or `LocalStorageError`.
        """
        return await self._audit(peer_id, await self._must_choose(peer_id, None))

    async def audit_pair(self, peer_id: PeerId, page: Digest, pair: Pair) -> Audited:
        """Ask a peer about one pair of a page; raises as `audit` does."""
        return await self._audit(peer_id, await self._must_choose(peer_id, page, pair), is_due=True)

    async def audit_holders(self, records: PageRecords) -> list[Audited]:
        """Ask everybody else who has a live receipt in these records about one of its pairs; return it by shards.

        Raises `CallerError` when we have no part in them: the holders would refuse each question.
        """
        context = self._context
        if not may_ask(records, context.own, PublicKey(context.owner.public)):
            raise CallerError("only who keeps a pair of a blob, or owns a lease on it, may ask its holders for proofs")
        end = context.clock.wall() + limits.CLOCK_SKEW_SECONDS
        found: list[Audited] = []

        async def ask(peer_id: PeerId) -> None:
            async with self._slots:
                promised = await context.offload.run(_choose_promise, records, peer_id, end, self._chance())
                if promised is not None:
                    found.append(await self._audit(peer_id, promised))

        async with open_nursery() as nursery:
            for peer_id in sorted({each for each, _, _ in holders_of(records)} - {context.own}):
                nursery.start_soon(ask, peer_id)
        return sorted(found, key=lambda each: (each.shard, each.peer_id))

    async def _audit(self, peer_id: PeerId, promised: Promised, *, is_due: bool = False) -> Audited:
        """Ask about a receipt. Who is too busy for an audit that is not due, but was asked for, loses nothing by it."""
        context = self._context
        started = context.clock.monotonic()
        asked = await self._ask(self._question(promised))
        if asked.is_unanswered:  # It does not answer for its commitment: then on the receipt, which never changes.
            self._commitments.not_answered(peer_id)
            self._score(peer_id, Verdict.BUSY, is_due=is_due)  # As a node that began anew may say now and then.
            asked = await self._ask(self._question(promised))
        verdict = asked.verdict
        if verdict is Verdict.TIMEOUT and await self._answers_others(peer_id):
            asked = await self._ask(self._question(promised))  # It may have begun anew: it has a second chance.
            verdict = asked.verdict
        elif verdict is Verdict.TIMEOUT:
            verdict = Verdict.OFFLINE
        now = context.clock.monotonic()
        question, reason, answer = asked.question, asked.reason, asked.answer
        receipt = "none"
        if not self._is_frozen():
            verdict = self._score(peer_id, verdict, is_due=is_due)
            if verdict is Verdict.OK:
                self._table.audit_passed(peer_id)
            if verdict in (Verdict.OK, Verdict.WRONG, Verdict.ABSENT):
                context.passed.note(question.blob_id, question.shard, peer_id, passed=verdict is Verdict.OK)
        if verdict is not Verdict.OK:
            log.warning("%s did not prove shard %d of %s: %s", peer_id, question.shard, question.blob_id, reason)
        if answer is not None and verdict in (Verdict.OK, Verdict.ABSENT):
            receipt = await self.receipts.proven(question, answer, pair_bytes=asked.pair_bytes, is_due=is_due)
        if verdict in FAILURES:
            await self._evidence.failed(question, verdict, answer)
        return Audited(
            peer_id=str(peer_id),
            verdict=verdict.value,
            reason=reason,
            asked_on=_words_of(question),
            blob_id=question.blob_id.text(),
            shard=question.shard,
            answer_bytes=0 if answer is None else len(encode(answer)),
            seconds=now - started,
            score=context.scores.of(peer_id).value,
            receipt=receipt,
        )

    def _score(self, peer_id: PeerId, verdict: Verdict, *, is_due: bool) -> Verdict:
        """Let a verdict count, and return what it counted as."""
        if self._is_frozen() or (verdict is Verdict.BUSY and not is_due):
            return verdict
        return self._context.scores.note(peer_id, verdict, now=self._context.clock.monotonic())

    def _question(self, promised: Promised) -> Question:
        """Make a challenge that nobody could foresee: on the peer's last commitment, where the pair should be in it."""
        context, batch = self._context, promised.batch
        base = self._commitments.base_for(batch.signer_peer, signed_at=batch.record.time)
        asked_with = self._commitments.asked_with(base)
        challenge = Challenge(
            receipt=promised.receipt if base is None else promised.named(base.digest),
            number=asked_with.number,
            secret=asked_with.secret,
            deadline=int(context.clock.wall() + context.profile.request_timeout_s),
            reveal=asked_with.reveal,
        )
        return Question(
            challenge=challenge,
            batch=batch,
            challenger=context.own,
            network=context.network_name,
            commitment=None if base is None else base.record,
        )

    async def _ask(self, question: Question) -> _Asked:
        context = self._context
        timeout_s = context.profile.request_timeout_s
        answer: Proven | Absent | None = None
        try:
            reply = await context.peers.ask(
                question.prover, AUDIT, question.challenge, expect=(Proven, Absent), timeout_s=timeout_s
            )
            assert isinstance(reply.message, Proven | Absent)
            answer = reply.message
            if isinstance(answer, Absent):
                check_absence(answer, question)
                return _Asked(question, Verdict.ABSENT, "it has lost the pair and ended its receipt", answer)
            proof = check_answer(answer, question).record
            # A pair that was away for a while, or came back from the trash, is held and was not committed to.
            is_committed = question.commitment is None or check_shown(answer, question) is not None
            reason = "proven" if is_committed else "proven, but not committed to"
            pair_bytes = bytes_of_pair(proof.length, proof.n)
            return _Asked(question, Verdict.OK, reason, answer, pair_bytes=pair_bytes)
        except PeerFaultError as error:
            return _Asked(question, Verdict.WRONG, str(error), answer)
        except PeerRefusedError as error:
            is_unanswered = question.commitment is not None and error.code == RefusalCode.NOT_HELD
            return _Asked(question, Verdict.BUSY, str(error), None, is_unanswered=is_unanswered)
        except PeerSilentError as error:
            return _Asked(question, Verdict.TIMEOUT, str(error), None)
        except PeerUnavailableError as error:
            return _Asked(question, Verdict.OFFLINE, str(error), None)

    async def _must_choose(self, peer_id: PeerId, page: Digest | None, only: Pair | None = None) -> Promised:
        promised = await self._choose(peer_id, page, only)
        if promised is None:
            raise NotFoundError(f"no live receipt of {peer_id} is known here, so there is nothing to ask it")
        return promised

    async def _choose(self, peer_id: PeerId, page: Digest | None, only: Pair | None = None) -> Promised | None:
        """Draw a live receipt of a peer; whose lease may be over by the peer's clock is not asked about."""
        context = self._context
        if page is None:
            page = await self._any_page(peer_id)
        if page is None:
            return None
        records = await context.store.receipts.records_of_page(page)
        end = context.clock.wall() + limits.CLOCK_SKEW_SECONDS
        return await context.offload.run(_choose_promise, records, peer_id, end, self._chance(), only)

    async def _any_page(self, peer_id: PeerId) -> Digest | None:
        """Draw one of the pages of which both we and a peer hold pairs; None when there is none."""
        context = self._context
        receipts = context.store.receipts
        buckets = differing_buckets(await receipts.page_digests(context.own, peer_id), EMPTY)
        if not buckets:
            return None
        chosen = context.rng.shuffled(buckets)[:1]
        pages, _ = await receipts.pages_shared(context.own, peer_id, chosen)
        return context.rng.shuffled(pages)[0].page if pages else None

    async def _save_regularly(self) -> None:
        while True:
            await self._context.clock.sleep(self._context.profile.member_record_every_s)
            await self.receipts.save()
            try:
                await self._context.store.save_scores(self._context.scores.known())
            except LocalStorageError as error:
                log.warning("the scores cannot be saved until the disk works again: %s", error)

    async def _answers_others(self, peer_id: PeerId) -> bool:
        """Tell whether a peer that was silent is alive: a dead one stays connected for half a minute."""
        try:
            await self._context.peers.ask(peer_id, "members", GetOwnRecord(), expect=(OwnRecord,))
        except (PeerUnavailableError, PeerFaultError):
            return False
        return True

    def _chance(self) -> float:
        return self._context.rng.uniform(0.0, 1.0)


def _words_of(question: Question) -> str:
    return "receipt" if question.commitment is None else f"commitment for epoch {question.commitment.epoch}"


def _choose_promise(
    records: PageRecords, holder: PeerId, wall: float, chance: float, only: Pair | None = None
) -> Promised | None:
    return choose_promise(records, holder, wall=wall, chance=chance, only=only)
