"""Repair: noticing that shards are missing, and rebuilding those that it is our turn for (PROTOCOL section 7).

Nobody is in charge. Every holder looks at the pages that it has a part in whenever something about them changes: a
member falls silent or comes back, a receipt comes or is retracted. It ranks the candidates as all others do, waits its
turn, and tells candidates that have no part in the blob yet. The rules are in `p2pnode.protocols.repair`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from p2pnode.errors import LocalStorageError, P2PNodeError
from p2pnode.protocols.repair import exchange, plan
from p2pnode.protocols.repair.budget import Credit
from p2pnode.protocols.repair.health import Level, Presence
from p2pnode.protocols.repair.intents import IntentBook, Loss, bytes_of_rescue, lasts_s, loss_of
from p2pnode.protocols.repair.plan import Candidacy, Situation, Wait, why_not
from p2pnode.protocols.repair.ranks import rank_of
from p2pnode.protocols.repair.survey import LostShard, PageView, endangered_first
from p2pnode.services.announce import Announcer
from p2pnode.services.audit import Auditor
from p2pnode.services.claims import ClaimAuditor
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.health import HealthView
from p2pnode.services.losses import LossTeller
from p2pnode.services.membership import Membership
from p2pnode.services.recover import Recoverer
from p2pnode.services.rescue import Rescuer
from p2pnode.services.results import RepairReport, RepairTask
from p2pnode.services.serve_repair import RepairServer
from wire import limits
from wire.ids import BlobId, Digest, PeerId, ShardIndex

log = logging.getLogger(__name__)

PAGES_PER_LOOK_MAX = 64
"""Pages looked at in a row; each reads the records of a page from the disk."""

REPAIRS_PER_LOOK_MAX = 16
"""Batches rebuilt in a row; then it is looked whether something is more urgent by now."""

RESURVEY_AFTER_STEPS = 2
"""A page with losses is looked at again after so many rank steps: others may have rebuilt them."""

TASKS_REPORTED_MAX = 1_000
"""Missing shards that a report lists one by one."""


_Row = tuple[LostShard, list[PeerId], Loss]


@dataclass(slots=True, kw_only=True)
class _Ailing:
    """A page with missing shards, as last looked at."""

    losses: list[LostShard]
    orders: list[list[PeerId]]
    """The candidates for each of them."""
    names: list[Loss]
    """By what others' intents know the first pair of each of them."""
    sizes: dict[BlobId, int]
    """The bytes of a pair of each blob, where they are known."""
    looked_at: float
    noticed_at: dict[ShardIndex, float]
    """Since when the candidates for each shard wait for their turns: mostly since it is known to be missing."""

    def rows(self) -> Iterator[tuple[LostShard, list[PeerId], Loss]]:
        """Yield each loss with its candidates and its name."""
        yield from zip(self.losses, self.orders, self.names, strict=True)


@dataclass(slots=True)
class _Failure:
    count: int = 0
    again_at: float = 0.0
    message: str = ""


@dataclass(slots=True, kw_only=True)
class _Watched:
    """What was seen of members when it was last looked."""

    presences: Mapping[PeerId, Presence] = field(default_factory=dict)
    stranger: Presence | None = None


class Repairer:
    """Repairs what it is this node's turn to repair."""

    def __init__(
        self,
        context: Context,
        membership: Membership,
        health: HealthView,
        announcer: Announcer,
        auditor: Auditor,
        events: Events,
    ) -> None:
        """Nothing is looked at before `run`; `server` answers others from the start."""
        profile, now = context.profile, context.clock.monotonic()
        self._context = context
        self._membership = membership
        self._health = health
        self._intents = IntentBook(yields_after_s=profile.repair_rank_step_s)
        self._recoverer = Recoverer(context, health, announcer)
        self.rescuer = Rescuer(context, health, announcer, self._recoverer)
        self.metadata = self._recoverer.metadata
        self._claims = ClaimAuditor(context, health, auditor, on_changed=self.changed)
        self._teller = LossTeller(context, health, on_changed=self.changed)
        self.server = RepairServer(context, health, self._intents, on_told=self._teller.hear)
        self._events = events
        self._dirty: OrderedDict[Digest, None] = OrderedDict()
        self._ailing: dict[Digest, _Ailing] = {}
        self._failures: dict[tuple[Digest, ShardIndex], _Failure] = {}
        self._watched = _Watched()
        self._line = Credit(per_s=profile.repair_bytes_per_s, carried_s=profile.repair_credit_s, now=now)
        self._processor = Credit(per_s=profile.repair_cpu_share, carried_s=profile.repair_credit_s, now=now)
        self._rebuilt_in_a_row = 0

    # ------------------------------------------------------------------ noticing

    def changed(self, pages: Iterable[Digest]) -> None:
        """Look at these pages soon: something about their receipts has changed."""
        self._dirty.update(dict.fromkeys(pages))

    async def run(self) -> None:
        """Look, and repair, until cancelled."""
        context = self._context
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._claims.run)
            nursery.start_soon(self._teller.run)
            while True:
                await context.clock.sleep(context.profile.reconnect_every_s)
                try:
                    await self.look()
                except LocalStorageError as error:
                    log.warning("repair waits until the disk works again: %s", error)

    async def look(self) -> None:
        """See what has changed, and rebuild what it is our turn for. Raises `LocalStorageError`."""
        await self._notice_members()
        await self._survey_changed()
        self._tell()
        for _ in range(REPAIRS_PER_LOOK_MAX):
            if not await self._repair_next():
                break

    async def _notice_members(self) -> None:
        """Look again at what we share with members of whom we think otherwise than before."""
        presences = self._health.presences()
        stranger = self._health.presence(PeerId(bytes(PeerId.length)))
        before, self._watched = self._watched, _Watched(presences=dict(presences), stranger=stranger)
        if before.stranger is not stranger:
            self.changed(await self._health.pages_shared(self._context.own))
            return
        moved = [each for each, presence in presences.items() if before.presences.get(each, stranger) is not presence]
        moved += [each for each in before.presences if each not in presences]
        for peer_id in [*moved, *self._health.out_of_patience()]:
            self.changed(await self._health.pages_shared(peer_id))

    async def _survey_changed(self) -> None:
        now = self._context.clock.monotonic()
        old = now - RESURVEY_AFTER_STEPS * self._context.profile.repair_rank_step_s
        self.changed([page for page, each in self._ailing.items() if each.looked_at <= old])
        for _ in range(min(PAGES_PER_LOOK_MAX, len(self._dirty))):
            page, _ = self._dirty.popitem(last=False)
            await self._survey(page)

    async def _survey(self, page: Digest) -> PageView | None:
        """Look at one page and keep what is missing of it."""
        view = await self._health.survey(page)
        before = self._ailing.pop(page, None)
        is_told = self._health.is_told(page)
        # Who writes keeps the certificate, and hears of no receipts after it: others tell it when something is missing.
        if view is None or not (is_told or self._context.own in view.receipts.signers()):
            self._health.forget(page)
            return None
        if not is_told:  # Holders answer challenges of those only that have a part in the blob.
            self._claims.note(page, view.claims)
        losses = view.lost_shards()
        if losses:
            now = self._context.clock.monotonic()
            self._ailing[page] = _Ailing(
                losses=losses,
                orders=[self._health.order(view, each) for each in losses],
                names=[_name(view, each, each.blob_ids[0]) for each in losses],
                sizes=await self._sizes(losses, {} if before is None else before.sizes),
                looked_at=now,
                noticed_at=plan.turns_begin_at(
                    losses,
                    () if before is None else before.losses,
                    {} if before is None else before.noticed_at,
                    now=now,
                    profile=self._context.profile,
                ),
            )
            if len(self._ailing) == 1 and before is None:
                self._events.tell("repair", "shards of blobs that this node has a part in are missing")
        else:
            self._health.forget(page)
            self._forget_failures(page)
            if before is not None and not self._ailing:
                self._tell_done()
        return view

    async def _sizes(self, losses: list[LostShard], known: dict[BlobId, int]) -> dict[BlobId, int]:
        found = dict(known)
        for blob_id in dict.fromkeys(each for lost in losses for each in lost.blob_ids):
            held = None if blob_id in found else await self._context.store.held(blob_id)
            if held is not None:
                found[blob_id] = exchange.bytes_of_pair(held.metadata.length, held.metadata.n)
        return found

    def _forget_failures(self, page: Digest) -> None:
        for key in [each for each in self._failures if each[0] == page]:
            del self._failures[key]

    def _tell_done(self) -> None:
        done, self._rebuilt_in_a_row = self._rebuilt_in_a_row, 0
        self._events.tell("repair", f"nothing is missing any more as this node sees it; it has rebuilt {done} pairs")

    # ------------------------------------------------------------------ deciding

    def _situation(self) -> Situation:
        return Situation(
            is_frozen=self._membership.is_frozen(),
            sees_few=self._health.sees_few(),
            has_credit=max(self._waits()) <= 0,
        )

    def _waits(self) -> tuple[float, float]:
        """Return how long until the line, and the processor, may be used for repair again."""
        now = self._context.clock.monotonic()
        return self._line.wait_s(now), self._processor.wait_s(now)

    def _why_not(self, page: Digest, ailing: _Ailing, row: _Row, situation: Situation) -> Wait | None:
        context = self._context
        lost, order, name = row
        now = context.clock.monotonic()
        rank = self._rank(order, lost)
        mine = Candidacy(
            rank=rank,
            shards_held=lost.holders.count(context.own),
            waited_s=now - ailing.noticed_at[lost.shard],
            retry_in_s=self._failure(page, lost).again_at - now,
            is_busy=rank is not None and self._is_busy(name, lost, rank),
        )
        return why_not(lost, mine, situation, context.profile)

    def _is_busy(self, name: Loss, lost: LostShard, rank: int) -> bool:
        """Tell whether another node is at work on a pair, as we know from its own requests to us."""
        own, now = self._context.own, self._context.clock.monotonic()
        is_urgent = lost.level is Level.URGENT
        return self._intents.busy_until(name, own, now=now, is_urgent=is_urgent, rank=rank) is not None

    def _rank(self, order: list[PeerId], lost: LostShard) -> int | None:
        return rank_of(order, self._context.own, missing=lost.missing)

    def _failure(self, page: Digest, lost: LostShard) -> _Failure:
        return self._failures.get((page, lost.shard), _Failure())

    async def _repair_next(self) -> bool:
        """Rebuild a batch of what is most endangered and ours to rebuild; False when there is nothing now."""
        situation = self._situation()
        found = [
            (endangered_first(row[0]), page, row[0].shard)
            for page, ailing in self._ailing.items()
            for row in ailing.rows()
            if self._why_not(page, ailing, row, situation) is None
        ]
        if not found:
            return False
        _, page, shard = min(found)
        await self._repair(page, shard)
        return True

    async def _repair(self, page: Digest, shard: ShardIndex) -> None:
        """Look once more at a page, and rebuild a batch of a shard's pairs unless others have done it meanwhile."""
        context = self._context
        view = await self._survey(page)
        lost = None if view is None else next((each for each in view.lost_shards() if each.shard == shard), None)
        rank = None if view is None or lost is None else self._rank(self._health.order(view, lost), lost)
        if view is None or lost is None or rank is None:
            return
        is_rescue = lost.first is not None
        blob_ids = lost.blob_ids[: 1 if is_rescue else limits.REPAIR_BLOBS_MAX]  # All slivers of one are in memory.
        now = context.clock.monotonic()
        size = sum(self._ailing[page].sizes.get(each, 0) for each in blob_ids)
        if is_rescue:
            size = bytes_of_rescue(size, n=view.n, missing=lost.missing)
        until = now + lasts_s(context.profile, size)
        for blob_id in blob_ids:  # Others hear of it from our requests; who asks us hears of it here.
            self._intents.begin(_name(view, lost, blob_id), context.own, now=now, until=until, rank=rank)
        processor_s = self._recoverer.processor_s
        moved = self._recoverer.moved.moved_bytes
        pairs = self._recoverer.moved.pairs
        try:
            if is_rescue:
                await self.rescuer.rescue(view, blob_ids[0])
            else:
                await self._recoverer.recover(view, shard, blob_ids)
        except LocalStorageError as error:
            self._failed(page, shard, str(error))
            raise
        except P2PNodeError as error:
            self._failed(page, shard, str(error))
            done: Sequence[BlobId] = ()
        else:
            done = blob_ids
        finally:
            now = context.clock.monotonic()
            self._line.spend(self._recoverer.moved.moved_bytes - moved, now)
            self._processor.spend(self._recoverer.processor_s - processor_s, now)
            self._rebuilt_in_a_row += self._recoverer.moved.pairs - pairs
        view = await self._survey(page)
        if not done:
            return
        if not is_rescue and view is not None and _are_missing(view, shard, done):
            # Whatever the reason is, doing it over and over at once is no remedy.
            self._failed(page, shard, "it was rebuilt, and still counts as missing")
        else:
            self._failures.pop((page, shard), None)

    def _failed(self, page: Digest, shard: ShardIndex, reason: str) -> None:
        context = self._context
        failure = self._failures.setdefault((page, shard), _Failure())
        wait_s = plan.retry_after_s(failure.count, context.profile)
        failure.count += 1
        failure.again_at = context.clock.monotonic() + wait_s
        failure.message = reason
        if self._health.is_told(page):  # It may have been rebuilt since: we are told again if it was not.
            self._health.forget(page)
            self.changed([page])
        log.warning("shard %d of a page is not rebuilt, next try in %.0f s: %s", shard, wait_s, reason)

    def _tell(self) -> None:
        """Tell candidates that have no part in a blob yet of what they may rebuild."""
        now, step_s = self._context.clock.monotonic(), self._context.profile.repair_rank_step_s
        for page, ailing in self._ailing.items():
            for lost, order, _ in ailing.rows():
                waited = (now - ailing.noticed_at[lost.shard]) / step_s
                self._teller.tell(page, lost, order, waited_steps=waited)

    # ------------------------------------------------------------------ being seen

    def report(self) -> RepairReport:
        """Tell what is missing, what this node would rebuild and when, and what it has done."""
        situation = self._situation()
        tasks = [
            self._task(page, ailing, row, situation) for page, ailing in self._ailing.items() for row in ailing.rows()
        ]
        moved, line_s, processor_s = self._recoverer.moved, *self._waits()
        return RepairReport(
            tasks=tuple(tasks[:TASKS_REPORTED_MAX]),
            pairs_missing=sum(each.pairs for each in tasks),
            pairs_ours=sum(each.pairs for each in tasks if each.rank is not None),
            pairs_rebuilt=moved.pairs,
            bytes_rebuilt=moved.pair_bytes,
            bytes_moved=moved.moved_bytes,
            bytes_served=self.server.served_bytes,
            bad_symbols=moved.bad_symbols,
            bytes_per_s_max=self._context.profile.repair_bytes_per_s,
            credit_in_s=max(line_s, processor_s),
        )

    def _task(self, page: Digest, ailing: _Ailing, row: _Row, situation: Situation) -> RepairTask:
        lost, order, _ = row
        why = self._why_not(page, ailing, row, situation)
        return RepairTask(
            blob_id=lost.blob_ids[0].text(),
            pairs=len(lost.blob_ids),
            pair_bytes=sum(ailing.sizes.get(each, 0) for each in lost.blob_ids),
            shard=lost.shard,
            level=lost.level.name.lower().replace("_", " "),
            pairs_to_spare=lost.margin,
            rank=self._rank(order, lost),
            waits_for="" if why is None else why.value,
            last_failure=self._failure(page, lost).message,
        )


def _are_missing(view: PageView, shard: ShardIndex, blob_ids: Collection[BlobId]) -> bool:
    return any(each.shard == shard and not set(blob_ids).isdisjoint(each.blob_ids) for each in view.lost_shards())


def _name(view: PageView, lost: LostShard, blob_id: BlobId) -> Loss:
    return loss_of(view, blob_id, lost.shard, is_whole=lost.first is not None)
