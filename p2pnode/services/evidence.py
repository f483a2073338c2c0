"""Evidence: kept, passed on, asked for, and what follows from it; and what others say of us, and of blobs.

Whoever is convicted counts as lost and gets nothing new (`MemberTable.condemn`), and hears of it at once. Gossip brings
evidence to those who are here, a comparison with one peer each epoch to those who were not.
"""

from __future__ import annotations

import base64
import logging

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import LocalStorageError, NotFoundError, P2PNodeError, PeerFaultError
from p2pnode.membership.refusals import Refused
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.challenge import Question
from p2pnode.protocols.commitments import is_envelope
from p2pnode.protocols.evidence import Conviction, Convictions, Kept, evidence_in, evidence_page, name_of
from p2pnode.protocols.refusal import RefusalError
from p2pnode.reputation.reproaches import Reproach, Reproaches
from p2pnode.reputation.scores import Verdict as AuditVerdict
from p2pnode.seams import Verdict
from p2pnode.services.commitments import TOPIC, CommitmentService
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.inconsistency import InconsistencyService
from p2pnode.services.peers import Answer
from p2pnode.services.results import Convicted, KnownEvidence
from wire import limits
from wire.challenges import Proven
from wire.codec import encode
from wire.evidence import Evidence, EvidenceList, Failure, ListEvidence, TellVerdict, VerdictHeard
from wire.ids import Digest, PeerId, ShardIndex
from wire.inconsistency import TellInconsistent
from wire.messages import RefusalCode

log = logging.getLogger(__name__)

AUDIT = "audit"

REQUESTS = TellVerdict, ListEvidence, TellInconsistent
"""The requests of the `audit` protocol that this service answers."""

UNSAVED_MAX = 64
"""Pieces that wait for the disk. Beyond it a piece counts in this life only, and is asked for in the next one."""

PAGES_MAX = limits.EVIDENCE_KEPT_MAX // limits.EVIDENCE_PER_MESSAGE_MAX
"""Pages of evidence taken from one peer in one comparison: as many as it may keep."""

FAILURES = {
    AuditVerdict.WRONG: Failure.WRONG,
    AuditVerdict.ABSENT: Failure.ABSENT,
    AuditVerdict.TIMEOUT: Failure.TIMEOUT,
}
"""The verdicts that speak against a peer, as it is told of them."""


class EvidenceService:
    """What this node knows of evidence."""

    def __init__(self, context: Context, table: MemberTable, events: Events, commitments: CommitmentService) -> None:
        """Nothing is known before `load`. Of two `commitments` for one epoch evidence is made here."""
        self._context = context
        self._table = table
        self._events = events
        self._commitments = commitments
        self._topic = context.names.topic(TOPIC)
        self._convictions = Convictions(network=context.network_name)
        self._reproaches = Reproaches()
        self._inconsistency = InconsistencyService(context, events)
        self._unsaved, self._to_save = trio.open_memory_channel[tuple[Conviction, Evidence]](UNSAVED_MAX)
        self._found: set[Digest] = set()
        """The names of what we have found in gossip and not told yet."""

    def subscribe(self) -> None:
        """Take part in the topic; call it before the network runs."""
        self._context.network.subscribe(self._topic, self._on_gossip)

    async def load(self) -> None:
        """Take in what earlier lives kept."""
        await self._inconsistency.load()
        for name, heard_at, evidence in await self._context.store.load_evidence():
            try:
                self._convictions.take(evidence, wall=heard_at)
            except PeerFaultError as error:
                log.warning("evidence %s is kept and convicts nobody: %s", name, error)
        for kept in self._convictions.all():
            self._condemn(kept.conviction)
        self._forget_what_is_over()

    async def run(self) -> None:
        """Save what comes until cancelled, and ask others for what we missed while audits are on."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save)
            nursery.start_soon(self._inconsistency.run)
            if self._context.profile.audit_every_s:
                nursery.start_soon(self._compare_regularly)

    # ---------------------------------------------------------------------------------------- what is known

    def listed(self) -> list[Convicted]:
        """Return what is known, the earliest first."""
        return [self._convicted(each) for each in self._convictions.all()]

    async def piece(self, evidence_id: str) -> KnownEvidence:
        """Return one piece, for whoever checks it. Raises `NotFoundError`."""
        for name, _, evidence in await self._context.store.load_evidence():
            if name.hex() == evidence_id:
                text = base64.b64encode(encode(evidence)).decode("ascii")
                return KnownEvidence(network=self._context.network_name, evidence=text)
        raise NotFoundError(f"no evidence {evidence_id} is kept here: 'p2pnode evidence' lists what is")

    def against_us(self) -> list[Convicted]:
        """Return what is known against this node itself."""
        return [self._convicted(each) for each in self._convictions.against(self._context.own)]

    def reproaches(self) -> list[Reproach]:
        """Return which audits we failed lately, as others say."""
        return self._reproaches.lately(wall=self._context.clock.wall())

    def _convicted(self, kept: Kept) -> Convicted:
        found = kept.conviction
        return Convicted(
            id=found.name.hex(),
            accused=peer_id_to_text(found.accused),
            kind=found.kind_text,
            about=found.about,
            reason=found.reason,
            blob_id=None if found.blob_id is None else found.blob_id.text(),
            shard=found.shard,
            signed_about=found.signed_about,
            heard_at=kept.heard_at,
            is_us=found.accused == self._context.own,
        )

    # ------------------------------------------------------------------------------------- our own audits

    async def failed(self, question: Question, verdict: AuditVerdict, answer: object) -> None:
        """Tell a holder that it failed our audit, and all others if its answer convicts it."""
        evidence = evidence_in(answer, network=self._context.network_name) if isinstance(answer, Proven) else None
        if evidence is not None:
            conviction = self._convictions.take(evidence, wall=self._context.clock.wall())
            if conviction is not None:
                self._convicted_by(conviction, evidence)
                await self._context.network.publish(self._topic, encode(evidence))
        told = TellVerdict(failure=FAILURES[verdict], blob_id=question.blob_id, shard=question.shard, evidence=evidence)
        try:
            await self._context.peers.ask(question.prover, AUDIT, told, expect=(VerdictHeard,))
        except P2PNodeError as error:
            log.debug("%s does not hear that it failed an audit: %s", question.prover, error)

    # -------------------------------------------------------------------------------------- what others say

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        del payload
        if self._table.get(peer_id) is None:
            raise RefusalError(RefusalCode.INVALID, "only members are heard about audits")
        match message:
            case TellVerdict():
                self._hear_verdict(peer_id, message)
                return VerdictHeard(), ()
            case ListEvidence():
                return await self._page(message), ()
            case TellInconsistent():
                return self._inconsistency.hear(peer_id, message), ()
            case _:
                raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request about evidence")

    def _hear_verdict(self, peer_id: PeerId, told: TellVerdict) -> None:
        failure, shard = Failure(told.failure), ShardIndex(told.shard)
        what = failure.name.lower()
        log.warning("%s says that we failed its audit of shard %d of %s: %s", peer_id, shard, told.blob_id, what)
        at = self._context.wall_seconds()
        self._reproaches.note(Reproach(by=peer_id, failure=failure, blob_id=told.blob_id, shard=shard, at=at))
        if told.evidence is not None:
            self._hear(encode(told.evidence), via=peer_id)

    async def _page(self, asked: ListEvidence) -> EvidenceList:
        try:
            return evidence_page(await self._context.store.load_evidence(), asked.known)
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error

    def _on_gossip(self, via: PeerId, data: bytes) -> Verdict:
        """Take a piece that is good and news; only such a one is passed on."""
        return self._hear_commitment(data, via=via) if is_envelope(data) else self._hear(data, via=via)

    def _hear_commitment(self, data: bytes, *, via: PeerId) -> Verdict:
        heard = self._commitments.hear(data)
        if heard.verdict is Verdict.REJECT:
            log.info("a bad commitment came by way of %s: %s", via, heard.reason)
            self._context.refusals.count(Refused.BAD_RECORD)
        if heard.contradiction is not None:
            conviction = self._convictions.take(heard.contradiction, wall=self._context.clock.wall())
            if conviction is not None:
                self._found.add(conviction.name)
                self._convicted_by(conviction, heard.contradiction)
        return heard.verdict

    def _hear(self, data: bytes, *, via: PeerId) -> Verdict:
        clock = self._context.clock
        heard = self._convictions.hear(data, is_member=self._is_known, now=clock.monotonic(), wall=clock.wall())
        if heard.verdict is Verdict.REJECT:
            log.info("bad evidence came by way of %s: %s", via, heard.reason)
            self._context.refusals.count(Refused.BAD_RECORD)
        if heard.news is not None:
            self._convicted_by(*heard.news)
        return heard.verdict

    def _is_known(self, peer_id: PeerId) -> bool:
        return peer_id == self._context.own or self._table.get(peer_id) is not None

    async def _compare_regularly(self) -> None:
        clock, rng = self._context.clock, self._context.rng
        while True:
            await clock.sleep(rng.uniform(0.5, 1.0) * self._context.profile.epoch_s)
            self._forget_what_is_over()
            others = [each.peer_id for each in self._context.network.connected() if self._is_known(each.peer_id)]
            for peer_id in rng.shuffled(others)[:1]:
                try:
                    await self._compare(peer_id)
                except P2PNodeError as error:
                    log.debug("no evidence from %s: %s", peer_id, error)

    async def _compare(self, peer_id: PeerId) -> None:
        """Take what a peer knows and we do not, page by page; what we do not take must not hide what comes after it."""
        passed_over: list[Digest] = []
        for _ in range(PAGES_MAX):
            known = (*self._convictions.names(), *passed_over)
            asked = ListEvidence(known=known[-limits.EVIDENCE_KEPT_MAX :])
            reply = await self._context.peers.ask(peer_id, AUDIT, asked, expect=(EvidenceList,))
            assert isinstance(reply.message, EvidenceList)
            if not reply.message.evidence:
                return
            passed_over += [
                name_of(each)
                for each in reply.message.evidence
                if self._hear(encode(each), via=peer_id) is not Verdict.ACCEPT
            ]

    # ------------------------------------------------------------------------------------- what follows

    def _convicted_by(self, conviction: Conviction, evidence: Evidence) -> None:
        """Act on news: whoever is convicted counts as lost from now on, over restarts too."""
        self._condemn(conviction)
        self._forget_what_is_over()
        whom = "this node" if conviction.accused == self._context.own else str(conviction.accused)
        self._events.tell("convicted", f"evidence convicts {whom}: {conviction.reason}")
        log.warning("evidence convicts %s: %s", whom, conviction.reason)
        try:
            self._unsaved.send_nowait((conviction, evidence))
        except trio.WouldBlock:
            self._found.discard(conviction.name)
            log.warning("evidence against %s is not saved: too much waits for the disk", whom)

    def _condemn(self, conviction: Conviction) -> None:
        if conviction.accused != self._context.own:
            self._table.condemn(conviction.accused)

    def _forget_what_is_over(self) -> None:
        for each in self._convictions.forget(wall=self._context.clock.wall()):
            if not self._convictions.against(each.accused):
                self._table.pardon(each.accused)

    async def _save(self) -> None:
        """Make the disk say what we know, also that something is forgotten; and tell what we found ourselves."""
        store = self._context.store
        async for conviction, evidence in self._to_save:
            if conviction.name in self._found:  # Gossip comes while nobody can wait: it is told from here.
                self._found.discard(conviction.name)
                await self._context.network.publish(self._topic, encode(evidence))
            try:
                await store.save_evidence(conviction.name, evidence, heard_at=self._context.wall_seconds())
                kept = frozenset(self._convictions.names())
                over = [name for name, _, _ in await store.load_evidence() if name not in kept]
                if over:
                    await store.forget_evidence(over)
            except LocalStorageError as error:
                log.warning("evidence cannot be saved until the disk works again: %s", error)
