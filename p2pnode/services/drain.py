"""Leaving for good: every pair is handed over to those that come next for it, proven there, and only then given up.

It is decided by looking, not by remembering: what is left to do follows from the records of receipts, so a node that
was stopped in the middle goes on where it was, and one that thinks again has lost nothing. Only that it drains is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from p2pnode.errors import LocalStorageError, NotFoundError, PeerFaultError, PeerUnavailableError
from p2pnode.membership.notice import Notice
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.repair import exchange, handing
from p2pnode.protocols.repair.ranks import ranks_honoured
from p2pnode.protocols.repair.survey import LostShard, PageView
from p2pnode.reputation.scores import Verdict
from p2pnode.services.audit import Auditor
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.handed import ask_to_take
from p2pnode.services.health import HealthView
from p2pnode.services.membership import Membership
from p2pnode.services.owner_face import DrainState, Warning  # noqa: A004 - the word that the user sees
from p2pnode.services.retract import Retractor
from p2pnode.storage.owner_store import OwnerStore
from p2pnode.wording import counted
from wire import limits
from wire.ids import BlobId, Digest, PeerId, ShardIndex
from wire.repair import TakeOver

log = logging.getLogger(__name__)

_FACT = "drains"

PAGES_AT_ONCE = 4
"""Pages whose pairs are handed over at a time."""

OFFER_BYTES_MAX = 4 << 20
"""Bytes of pairs in one offer, unless one pair alone has more: whoever takes it answers when it has all of them."""

PAUSE_STEPS = 2
"""A page of which something was not taken is looked at again after so many rank steps."""

_Proof = tuple[Digest, ShardIndex, PeerId]


@dataclass(slots=True)
class _Page:
    """One page, as last looked at."""

    promised: int = 0
    """Pairs of it that we have promised."""
    left: int = 0
    """Those of them that nobody else is proven to keep."""
    again_at: float = 0.0
    why: str = ""
    """Why the last pair was not taken."""


class Drainer:
    """A `DrainFace`: hands over what this node keeps."""

    def __init__(
        self,
        context: Context,
        membership: Membership,
        health: HealthView,
        auditor: Auditor,
        retractor: Retractor,
        *,
        store: OwnerStore,
        events: Events,
    ) -> None:
        """Nothing is handed over before `begin`, or `load` when an earlier life has begun."""
        self._context = context
        self._membership = membership
        self._health = health
        self._auditor = auditor
        self._retractor = retractor
        self._store = store
        self._events = events
        self._drains = False
        self._begun = trio.Event()
        """Set while this node drains."""
        self._is_done = False
        self._pages: dict[Digest, _Page] = {}
        self._proven: set[_Proof] = set()
        """Who has proven to us that it keeps what it took of a shard of a page; asked again after a restart."""
        self._failed: set[_Proof] = set()
        """Who could not."""

    async def load(self) -> None:
        """Go on where an earlier life was; call it before the first member record is signed."""
        self._drains = bool(await self._store.fact(_FACT))
        if self._drains:
            self._begun.set()
            self._membership.own_record.notice = Notice(is_draining=True)

    # ------------------------------------------------------------------ what the operator asks

    def state(self) -> DrainState:
        """See `DrainFace`."""
        pages = self._pages.values()
        promised, left = sum(each.promised for each in pages), sum(each.left for each in pages)
        state = "drained" if self._is_done else "draining"
        return DrainState(
            state=state if self._drains else "active",
            pairs=promised,
            pairs_left=left,
            waits_for=next((each.why for each in pages if each.left and each.why), ""),
        )

    async def begin(self) -> DrainState:
        """See `DrainFace`."""
        if not self._drains:
            await self._store.note_fact(_FACT, b"1")
            self._drains = True
            self._begun.set()
            await self._say(Notice(is_draining=True), "this node hands over what it keeps, and leaves then")
            await self._list()
        return self.state()

    async def stop(self) -> DrainState:
        """See `DrainFace`."""
        if self._drains:
            await self._store.note_fact(_FACT, b"")
            self._drains = self._is_done = False
            self._begun = trio.Event()
            self._pages.clear()
            await self._say(Notice(), "this node stays, and keeps what it still has")
        return self.state()

    async def _say(self, notice: Notice, what: str) -> None:
        await self._membership.say(notice)
        self._events.tell("drain", what)

    def warnings(self) -> tuple[Warning, ...]:
        """Say how far it is, and what comes next."""
        state = self.state()
        if self._is_done:
            message = "everything that this node kept for others is with other nodes"
            advice = "Stop it when you like and remove its home, or take part anew with 'p2pnode drain --stop'."
            return (Warning(kind="drained", message=message, advice=advice),)
        if not self._drains:
            return ()
        why = f"; one waits: {state.waits_for}" if state.waits_for else ""
        message = f"this node leaves: {state.pairs_left} of {counted(state.pairs, 'pair')} are to be handed over{why}"
        return (Warning(kind="draining", message=message, advice="Leave it running; 'p2pnode drain --stop' ends it."),)

    # ------------------------------------------------------------------ handing over

    async def run(self) -> None:
        """Hand over while this node drains, until cancelled."""
        clock = self._context.clock
        while True:
            await self._begun.wait()
            await clock.sleep(self._context.profile.reconnect_every_s)
            if not self._drains or self._is_done:
                continue
            try:
                await self._look()
            except LocalStorageError as error:
                log.warning("nothing is handed over until the disk works again: %s", error)

    async def _list(self) -> None:
        """Take note of pages that are new here."""
        for page in await self._health.pages_shared(self._context.own):
            self._pages.setdefault(page, _Page(promised=1, left=1))

    async def _look(self) -> None:
        """Do what can be done now; once nobody needs us any more, give up what we hold."""
        await self._list()
        now = self._context.clock.monotonic()
        slots = trio.CapacityLimiter(PAGES_AT_ONCE)

        async def advance(page: Digest) -> None:
            async with slots:
                await self._advance(page)

        async with trio.open_nursery() as nursery:
            for page, each in self._pages.items():
                if each.left and each.again_at <= now:
                    nursery.start_soon(advance, page)
        if self._drains and not any(each.left for each in self._pages.values()):
            await self._finish()

    async def _advance(self, page: Digest) -> None:
        """Hand over what is left of a page, and let those prove it that took it. Raises `LocalStorageError`."""
        context = self._context
        state = self._pages[page]
        for task in (self._hand_over, self._prove):
            left = await self._left(page, state)
            if left is None or not self._drains:
                return
            view, pairs = left
            if pairs:
                await task(view, pairs, state)
        await self._left(page, state)
        pause_s = PAUSE_STEPS * context.profile.repair_rank_step_s
        state.again_at = context.clock.monotonic() + pause_s

    async def _left(self, page: Digest, state: _Page) -> tuple[PageView, list[Pair]] | None:
        """Look at a page: which of our pairs is nobody else proven to keep? None when nothing of it is certified."""
        context = self._context
        view = await self._health.survey(page)
        if view is None:
            state.promised = state.left = 0
            return None
        promised = await context.offload.run(handing.promises_of, view, context.own)
        left = [pair for pair in promised if not self._is_kept(view, pair)]
        state.promised, state.left = len(promised), len(left)
        return view, left

    def _is_kept(self, view: PageView, pair: Pair) -> bool:
        return any(self._key(view, pair, each) in self._proven for each in self._heirs(view, pair))

    def _key(self, view: PageView, pair: Pair, heir: PeerId) -> _Proof:
        return view.page, pair[1], heir

    def _heirs(self, view: PageView, pair: Pair) -> list[PeerId]:
        """Return who keeps a pair besides us, is here, and stays."""
        found = handing.heirs(view, pair, self._context.own)
        return [each for each in found if self._health.stays(each) and self._key(view, pair, each) not in self._failed]

    async def _hand_over(self, view: PageView, pairs: Sequence[Pair], state: _Page) -> None:
        """Offer those pairs that nobody else has to those that come next for them."""
        orphans = [pair for pair in pairs if not self._heirs(view, pair)]
        for lost in handing.as_if_lost(view, orphans, self._context.own):
            order = [each for each in self._health.order(view, lost) if each != self._context.own]
            order = [each for each in order if (view.page, lost.shard, each) not in self._failed]
            for blob_ids in await self._parts(lost):
                await self._offer(view, lost.shard, blob_ids, order[: ranks_honoured(lost.missing)], state)

    async def _parts(self, lost: LostShard) -> list[list[BlobId]]:
        """Cut blobs into offers of a bounded size."""
        parts: list[list[BlobId]] = []
        room = 0
        for blob_id in lost.blob_ids:
            size = await self._pair_bytes(blob_id)
            if size > room or len(parts[-1]) == limits.REPAIR_BLOBS_MAX:
                parts.append([])
                room = OFFER_BYTES_MAX
            parts[-1].append(blob_id)
            room -= size
        return parts

    async def _pair_bytes(self, blob_id: BlobId) -> int:
        held = await self._context.store.held(blob_id)
        return 0 if held is None else exchange.bytes_of_pair(held.metadata.length, held.metadata.n)

    async def _offer(
        self, view: PageView, shard: ShardIndex, blob_ids: Sequence[BlobId], order: Sequence[PeerId], state: _Page
    ) -> None:
        """Offer some pairs to one candidate after the other, until one has signed for them."""
        offer = TakeOver(page=view.page, blob_ids=tuple(blob_ids), shard=shard)
        size = sum([await self._pair_bytes(each) for each in blob_ids])
        state.why = "no other node may take it"
        for candidate in order:
            try:
                await ask_to_take(self._context, view, candidate, offer, pair_bytes=size)
            except (PeerUnavailableError, PeerFaultError) as error:
                state.why = str(error)
                log.info("%s does not take shard %d of %d blobs over: %s", candidate, shard, len(blob_ids), error)
            else:
                state.why = ""
                return

    async def _prove(self, view: PageView, pairs: Sequence[Pair], state: _Page) -> None:
        """Ask each heir for one of the pairs that it took of a shard, drawn at random."""
        groups: dict[_Proof, list[Pair]] = {}
        for pair in pairs:
            for heir in self._heirs(view, pair):
                groups.setdefault(self._key(view, pair, heir), []).append(pair)
        for key, taken in groups.items():
            pair = self._context.rng.shuffled(taken)[0]
            try:
                audited = await self._auditor.audit_pair(key[2], view.page, pair)
            except NotFoundError as error:
                state.why = str(error)
                continue
            if audited.verdict == Verdict.OK.value:
                self._proven.add(key)
                continue
            state.why = f"{key[2]} has not proven yet that it keeps what it took: {audited.reason}"
            if audited.verdict in (Verdict.WRONG.value, Verdict.ABSENT.value):
                self._failed.add(key)

    # ------------------------------------------------------------------ the end

    async def _finish(self) -> None:
        """Look at everything once more, and give up what we hold if others keep all of it. Raises as the store does."""
        found: list[Pair] = []
        for page, state in self._pages.items():
            left = await self._left(page, state)
            if left is not None:
                found += await self._context.offload.run(handing.promises_of, left[0], self._context.own)
        if not self._drains or any(each.left for each in self._pages.values()):
            return
        dropped = await self._context.store.drop(found)
        await self._retractor.retract_losses()
        self._is_done = True
        if dropped:  # After a restart there is nothing to give up any more.
            self._events.tell("drain", f"{counted(dropped, 'pair')} are with other nodes now: this node may be stopped")
