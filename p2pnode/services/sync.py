"""Keeping the set of receipts the same among those who hold the same pages, with nobody in charge (PROTOCOL section 1).

Two nodes compare one digest; when it differs, the digests of 256 buckets, then the states of the pages in those that
differ, then the names of a page's records, and at last they exchange what either lacks. They do so when they meet,
soon after something has changed, and once an interval. News goes to a few of a page's committee, and from these on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import trio

from p2pnode.errors import LeaseError, LocalStorageError, P2PNodeError
from p2pnode.membership.refusals import Refused
from p2pnode.placement.candidates import order_of_asking
from p2pnode.placement.rendezvous import Candidate
from p2pnode.protocols.page_digests import differing_buckets, peer_tag, set_digest, tags_of
from p2pnode.protocols.page_records import PageRecords, ranks_of
from p2pnode.protocols.receipt_set import RANKS_PER_SHARD_COUNT, View
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.sync import (
    CheckBudget,
    RefusedRecords,
    Setting,
    SyncSchedule,
    Taken,
    blobs_of_bundle,
    check_bundle,
    cost_of,
    fitting_bundle,
    is_empty,
    names_of_bundle,
    page_seed,
    wanted,
)
from p2pnode.services.context import Context
from p2pnode.services.membership import Membership
from p2pnode.services.peers import Answer
from p2pnode.services.retract import Retractor
from wire import limits
from wire.ids import BlobId, Digest, PeerId, PublicKey
from wire.messages import (
    CompareSets,
    ExchangePage,
    ListPages,
    PageExchanged,
    Pages,
    RefusalCode,
    SetsCompared,
)
from wire.records import RecordBundle, Retraction
from wire.signed import Signed

log = logging.getLogger(__name__)

REQUESTS = (CompareSets, ListPages, ExchangePage)
"""The requests of the `sync` protocol."""

SYNC = "sync"

SESSIONS_MAX = 4
"""Peers that we compare with at a time: a silent one holds its place until its request has timed out."""

PAGES_PER_SESSION_MAX = 512
"""Pages exchanged with one peer in a row; then others have their turn, and this one soon again."""

EXCHANGES_PER_PAGE_MAX = 64
"""Messages about one page in a row: a full page's records fit into far fewer."""

TOLD_MAX = 5
"""Members of a page's committee that are told of news at once; each tells as many. Of a large committee all but one in
140 know after a few rounds (the share s that is left out is exp(-5 (1 - s))), and the rest with the next regular
comparison; with three it would be one in 17."""

REFUSED_FOR_INTERVALS = 24
"""Regular comparisons after which a record that was refused is looked at again."""

CHECKS_AT_ONCE = 1
"""Workers that check records: encoding and reads need the others."""


class SyncService:
    """Compares with others, and answers those who compare with us."""

    def __init__(
        self,
        context: Context,
        membership: Membership,
        retractor: Retractor,
        *,
        on_changed: Callable[[Sequence[Digest]], None],
    ) -> None:
        """Nothing is compared before `run`; `on_changed` hears of pages whose records changed, from wherever."""
        profile = context.profile
        self._context = context
        self._membership = membership
        self._retractor = retractor
        self._on_changed = on_changed
        self._schedule = SyncSchedule(every_s=profile.sync_every_s, soon_s=profile.sync_soon_s)
        self._refused = RefusedRecords(for_s=REFUSED_FOR_INTERVALS * profile.sync_every_s)
        self._budget = CheckBudget()
        self._checks = trio.CapacityLimiter(CHECKS_AT_ONCE)
        self._sessions = trio.CapacityLimiter(SESSIONS_MAX)
        self._busy: set[PeerId] = set()

    # ------------------------------------------------------------------ the asking side

    async def run(self) -> None:
        """Compare with whom it is time to, until cancelled."""
        context = self._context
        async with trio.open_nursery() as nursery:
            while True:
                await context.clock.sleep(context.profile.reconnect_every_s)
                try:
                    await self._look()
                except LocalStorageError as error:
                    log.warning("the set of receipts waits until the disk works again: %s", error)
                    continue
                for peer_id in self._schedule.due(now=context.clock.monotonic()):
                    if peer_id not in self._busy and self._sessions.available_tokens > 0:
                        self._busy.add(peer_id)
                        await nursery.start(self._session, peer_id)

    async def _look(self) -> None:
        """See who is there, and whom to tell of what has changed here."""
        context = self._context
        now = context.clock.monotonic()
        connected = [each.peer_id for each in context.network.connected()]
        self._schedule.meet(connected, now=now, chance=self._chance())
        if context.store.receipts.has_changed_pages:
            by_tag = {peer_tag(peer_id): peer_id for peer_id in sorted(connected)}
            changed = await context.store.receipts.take_changed_pages()
            self._on_changed([page for page, _ in changed])
            for _, committee in changed:
                self._tell_some([by_tag[tag] for tag in tags_of(committee) if tag in by_tag])

    def _tell_some(self, peers: Sequence[PeerId]) -> None:
        now = self._context.clock.monotonic()
        for chosen in self._context.rng.shuffled(peers)[:TOLD_MAX]:
            self._schedule.hurry(chosen, now=now, chance=self._chance())

    def _chance(self) -> float:
        return self._context.rng.uniform(0.0, 1.0)

    async def _session(self, peer_id: PeerId, task_status: trio.TaskStatus[None]) -> None:
        async with self._sessions:
            task_status.started()
            is_done = True
            try:
                is_done = await self._compare(peer_id)
            except (P2PNodeError, RefusalError) as error:
                log.debug("not in step with %s: %s", peer_id, error)
            finally:
                self._busy.discard(peer_id)
            now = self._context.clock.monotonic()
            if is_done:
                self._schedule.done(peer_id, now=now, chance=self._chance())
            else:
                self._schedule.hurry(peer_id, now=now, chance=self._chance())

    async def _compare(self, peer_id: PeerId) -> bool:
        """Get in step with a peer; returns False when there is more to do than one session may."""
        context = self._context
        ours = await context.store.receipts.page_digests(context.own, peer_id)
        if not any(ours):
            return True  # We share nothing as far as we know; if the peer knows better, it asks us.
        question = CompareSets(digest=set_digest(ours))
        reply = await context.peers.ask(peer_id, SYNC, question, expect=(SetsCompared,))
        assert isinstance(reply.message, SetsCompared)
        if reply.message.buckets is None:
            return True
        buckets = differing_buckets(ours, reply.message.buckets)
        pages = await self._differing_pages(peer_id, buckets) if buckets else []
        for page in pages[:PAGES_PER_SESSION_MAX]:
            await self._exchange(peer_id, page)
        return len(pages) <= PAGES_PER_SESSION_MAX

    async def _differing_pages(self, peer_id: PeerId, buckets: Sequence[int]) -> list[Digest]:
        """Return pages that we and a peer have in different states, or that only one of us has, some of all."""
        context = self._context
        found: list[Digest] = []
        after: Digest | None = None
        while len(found) <= PAGES_PER_SESSION_MAX:
            question = ListPages(buckets=tuple(buckets), after=after)
            reply = await context.peers.ask(peer_id, SYNC, question, expect=(Pages,))
            assert isinstance(reply.message, Pages)
            theirs = {each.page: each.state for each in reply.message.pages}
            mine, has_more = await context.store.receipts.pages_shared(context.own, peer_id, buckets, after)
            # Up to where both lists go; what is beyond comes with the next ones.
            ends = [max(theirs)] if reply.message.has_more and theirs else []
            ends += [mine[-1].page] if has_more and mine else []
            ours = {each.page: each.state for each in mine}
            end = min(ends, default=None)
            found += [
                page
                for page in sorted(theirs.keys() | ours.keys())
                if (after is None or page > after)
                and (end is None or page <= end)
                and theirs.get(page) != ours.get(page)
            ]
            if end is None:
                break
            after = end
        return found

    async def _exchange(self, peer_id: PeerId, page: Digest) -> None:
        """Give a peer what it lacks of a page, and take what we lack, until neither wants anything.

        Nothing is given twice in a row, however often the peer asks for it, or shows us a receipt that we retract.
        """
        context = self._context
        given: set[Digest] = set()
        wants: Sequence[Digest] = ()
        answers: list[Signed[Retraction]] = []
        for _ in range(EXCHANGES_PER_PAGE_MAX):
            known = await context.store.receipts.records_of_page(page)
            sent = known.joined(PageRecords(retractions=tuple(answers)))
            names = known.names()[: limits.PAGE_RECORDS_MAX]
            bundle = fitting_bundle(sent, only=[*wants, *(each.digest for each in answers)])
            given |= names_of_bundle(bundle)
            question = ExchangePage(page=page, has=names, records=bundle)
            reply = await context.peers.ask(peer_id, SYNC, question, expect=(PageExchanged,))
            assert isinstance(reply.message, PageExchanged)
            news, answers = await self._take(peer_id, page, reply.message.records, known)
            answers = [each for each in answers if each.digest not in given]
            wants = [each for each in reply.message.wants if each in set(names) - given]
            if not (news or wants or answers):
                return

    # ------------------------------------------------------------------ the answering side

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        del payload
        try:
            match message:
                case CompareSets():
                    return await self._answer_compare(peer_id, message), ()
                case ListPages():
                    return await self._answer_list(peer_id, message), ()
                case ExchangePage():
                    return await self._answer_exchange(peer_id, message), ()
                case _:
                    raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request to compare")
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error

    async def _answer_compare(self, peer_id: PeerId, question: CompareSets) -> SetsCompared:
        context = self._context
        ours = await context.store.receipts.page_digests(context.own, peer_id)
        if set_digest(ours) != question.digest:
            return SetsCompared(buckets=ours)
        self._schedule.done(peer_id, now=context.clock.monotonic(), chance=self._chance())
        return SetsCompared(buckets=None)

    async def _answer_list(self, peer_id: PeerId, question: ListPages) -> Pages:
        context = self._context
        pages, has_more = await context.store.receipts.pages_shared(
            context.own, peer_id, question.buckets, question.after
        )
        return Pages(pages=tuple(pages), has_more=has_more)

    async def _answer_exchange(self, peer_id: PeerId, question: ExchangePage) -> PageExchanged:
        store = self._context.store
        known = await store.receipts.records_of_page(question.page)
        news, answers = await self._take(peer_id, question.page, question.records, known)
        if news:
            known = await store.receipts.records_of_page(question.page)
        missing = wanted(question.has, known, self._refused, now=self._context.clock.monotonic())
        told = known.joined(PageRecords(retractions=tuple(answers)))
        return PageExchanged(wants=tuple(missing), records=fitting_bundle(told, without=question.has))

    # ------------------------------------------------------------------ records that come

    async def _take(
        self, peer_id: PeerId, page: Digest, bundle: RecordBundle, known: PageRecords
    ) -> tuple[int, list[Signed[Retraction]]]:
        """Check and keep records of a page; returns how many are news, and what they make us retract."""
        if is_empty(bundle):
            return 0, []
        context = self._context
        now = context.clock.monotonic()
        if not self._budget.take(peer_id, cost_of(bundle), now=now):
            context.refusals.count(Refused.RECEIPTS_TOO_MANY)
            raise RefusalError(RefusalCode.BUSY, "the records of this peer cost too much; later again")
        blobs = [*blobs_of_bundle(bundle), *_blobs(known)]
        ours = await context.store.receipts.our_pairs(blobs)
        candidates = self._membership.known_candidates()
        setting = Setting(
            page=page,
            known=known,
            owners=ours.owners,
            view=View(audited=context.passed.of(blobs)),
            own=context.own,
            own_key=PublicKey(context.identity.public),
            network=context.network_name,
            wall=context.clock.wall(),
        )
        async with self._checks:
            taken = await context.offload.run(_check, bundle, setting, candidates)
        self._note_refusals(taken, now)
        news = await self._keep(page, taken, known) if ours.owners else 0
        return news, await self._retractor.answer(taken.own_promises, ours.held)

    def _note_refusals(self, taken: Taken, now: float) -> None:
        for name, why in taken.refused:
            self._context.refusals.count(why)
            log.info("a record of receipts was refused: %s", why)
            self._refused.add(name, now=now)

    async def _keep(self, page: Digest, taken: Taken, known: PageRecords) -> int:
        """Keep what was checked of a page, of which we hold pairs or have held them; returns how many are news."""
        if taken.records == PageRecords():
            return 0  # Most that strangers bring is refused: it costs no further look at the page.
        store = self._context.store
        now = self._context.clock.monotonic()
        for certificate in taken.certificates:
            try:
                await store.certify(certificate.signed, certificate.lease)
            except LeaseError as error:
                log.info("a certificate is one too many: %s", error)
        if taken.records.holders or taken.records.retractions:
            await store.receipts.merge_page(page, taken.records, taken.view)
        after = set((await store.receipts.records_of_page(page)).names())
        for name in set(taken.records.names()) - after:
            self._context.refusals.count(Refused.RECEIPT_NOT_NEEDED)
            self._refused.add(name, now=now)
        return len(after - set(known.names()))


def _blobs(known: PageRecords) -> list[BlobId]:
    return [blob_id for _, page in known.pages() for blob_id in page.blob_ids]


def _check(bundle: RecordBundle, setting: Setting, candidates: Sequence[Candidate]) -> Taken:
    """Check records in a worker, with the ranks of those who may have a place."""
    ranks: Mapping[PeerId, int] = {}
    seed_and_n = page_seed(bundle, setting.known)
    if seed_and_n is not None:
        seed, n = seed_and_n
        order = [each.peer_id for each in order_of_asking(seed, candidates)]
        ranks = ranks_of(order, count_max=RANKS_PER_SHARD_COUNT * n)
    return check_bundle(bundle, replace(setting, view=View(audited=setting.view.audited, ranks=ranks)))
