"""Serving those who rebuild pairs: symbols of our slivers, under the rules of PROTOCOL section 7.

A node gets symbols of a pair only if that pair is missing as we see it, if it is among those who come next for it, if
nobody else is at work on it, and twice at most. So whoever dropped a pair cannot fetch it whenever it is asked to prove
it, and nobody gathers by repair what reading would cost. A rate keeps repair from starving readers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from p2pnode.coding import BlobMetadata, SymbolProof
from p2pnode.errors import CorruptSliverError, LocalStorageError, NotFoundError, PeerFaultError
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.repair import exchange, serving
from p2pnode.protocols.repair.budget import Credit, ServedSymbols
from p2pnode.protocols.repair.health import Level
from p2pnode.protocols.repair.intents import IntentBook, Loss, bytes_of_rescue, lasts_s, loss_of
from p2pnode.protocols.repair.ranks import rank_of
from p2pnode.protocols.repair.survey import LostShard, PageView
from p2pnode.protocols.retractions import open_retraction
from p2pnode.protocols.store import open_metadata
from p2pnode.services.context import Context
from p2pnode.services.health import HealthView
from p2pnode.services.peers import Answer
from wire.ids import Axis, BlobId, PeerId, ShardIndex
from wire.messages import RefusalCode
from wire.records import Envelope
from wire.repair import LossNoted, RecoverSymbols, RepairIntent, TellLoss, WantedSymbol
from wire.signed import Signed

log = logging.getLogger(__name__)

REQUESTS = (RecoverSymbols, TellLoss)
"""The requests of the `repair` protocol."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is here of a blob."""

    metadata: BlobMetadata
    shards: int

    @property
    def pair_bytes(self) -> int:
        return exchange.bytes_of_pair(self.metadata.length, self.metadata.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A checked request, and the page as we see it."""

    asker: PeerId
    intent: RepairIntent
    is_whole: bool
    """Whether the asker is about to read the blobs whole, and only says so."""
    view: PageView
    known: dict[BlobId, _Known]

    @property
    def shard(self) -> ShardIndex:
        return ShardIndex(self.intent.shard)


class RepairServer:
    """Answers the requests of the `repair` protocol."""

    def __init__(
        self,
        context: Context,
        health: HealthView,
        intents: IntentBook,
        *,
        on_told: Callable[[PeerId, TellLoss], None],
    ) -> None:
        """Serve from the node's own store; `on_told` hears of losses that others tell."""
        profile = context.profile
        now = context.clock.monotonic()
        self._context = context
        self._health = health
        self._intents = intents
        self._on_told = on_told
        self._served = ServedSymbols(for_s=profile.long_grace_s)
        self._credit = Credit(per_s=profile.repair_serve_bytes_per_s, carried_s=profile.repair_credit_s, now=now)
        self.served_bytes = 0
        """Bytes of symbols given since the node started."""

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        del payload
        try:
            match message:
                case RecoverSymbols():
                    return await self._recover(peer_id, message)
                case TellLoss():
                    self._on_told(peer_id, message)
                    return LossNoted(), ()
                case _:
                    raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request for repair")
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error

    async def _recover(self, peer_id: PeerId, request: RecoverSymbols) -> Answer:
        context = self._context
        is_other = peer_id != context.own
        if is_other and request.wanted and self._credit.wait_s(context.clock.monotonic()) > 0:
            raise RefusalError(RefusalCode.BUSY, "too much was given for repair lately")
        question = await self._open(peer_id, request)
        answer, data = exchange.make_answer(await self._symbols(question, request))
        if is_other:
            self._credit.spend(answer.symbols_bytes, context.clock.monotonic())
            self.served_bytes += answer.symbols_bytes
        return answer, data

    # ------------------------------------------------------------------ the rules

    async def _open(self, peer_id: PeerId, request: RecoverSymbols) -> _Question:
        context = self._context
        try:
            intent = await context.offload.run(_open_intent, request.intent, context.network_name, context.clock.wall())
            ended = await context.offload.run(_open_retractions, request.retractions, context.network_name)
        except PeerFaultError as error:
            raise RefusalError(RefusalCode.INVALID, str(error)) from error
        if intent.signer_peer != peer_id or any(each.signer_peer != peer_id for each in ended.retractions):
            raise RefusalError(RefusalCode.INVALID, "an intent or a retraction of somebody else")
        view = await self._health.survey(intent.record.page, ended)
        if view is None:
            raise RefusalError(RefusalCode.NOT_HELD, "nothing is known here of this page")
        serving.check_request(request, intent.record, view)
        known: dict[BlobId, _Known] = {}
        for blob_id in intent.record.blob_ids:
            held = await context.store.held(blob_id)
            if held is not None:
                metadata = await context.offload.run(open_metadata, blob_id, held.metadata)
                known[blob_id] = _Known(metadata, len(held.shards))
        serving.check_size(request, intent.record, {blob_id: each.metadata for blob_id, each in known.items()})
        question = _Question(
            asker=peer_id,
            intent=intent.record,
            is_whole=not request.wanted,
            view=view,
            known=known,
        )
        self._admit(question)
        return question

    def _admit(self, question: _Question) -> None:
        """Let an asker go on, or refuse. All is checked before anything is noted."""
        now = self._context.clock.monotonic()
        losses: list[tuple[Loss, int, int]] = []
        orders: dict[LostShard, list[PeerId]] = {}
        for blob_id in question.intent.blob_ids:
            loss = loss_of(question.view, blob_id, question.shard, is_whole=question.is_whole)
            if self._intents.is_at_work(loss, question.asker, now=now):
                continue  # Also when the blob is less endangered by now: half a pair would have moved in vain.
            lost = self._lost(question, blob_id)
            if lost is None:
                continue
            alike = replace(lost, blob_ids=())
            if alike not in orders:
                orders[alike] = self._health.order(question.view, lost)
            rank = rank_of(orders[alike], question.asker, missing=lost.missing)
            if rank is None:
                if question.is_whole:
                    continue
                raise RefusalError(RefusalCode.BUSY, "others come before this node for the shard")
            is_urgent = lost.level is Level.URGENT
            if self._intents.busy_until(loss, question.asker, now=now, is_urgent=is_urgent, rank=rank) is not None:
                what = "blob" if question.is_whole else "shard"
                raise RefusalError(RefusalCode.BUSY, f"another node is at work on this {what}")
            losses.append((loss, rank, self._bytes_of(question, blob_id, lost)))
        until = now + lasts_s(self._context.profile, sum(size for _, _, size in losses))
        for loss, rank, _ in losses:
            self._intents.begin(loss, question.asker, now=now, until=until, rank=rank)

    def _lost(self, question: _Question, blob_id: BlobId) -> LostShard | None:
        """Return what is lost as we see it. Raises `RefusalError` if the shard is not, and its symbols are wanted.

        Of a blob that is read whole nothing is asked but whether anybody else is at it: whoever does not see that it is
        in need has no objection, and holds nobody up.
        """
        if not question.is_whole:
            return serving.lost_of(question.view, question.shard, blob_id, asker=question.asker)
        lost = question.view.lost_shard(blob_id, question.shard)
        return None if lost is None or lost.first is None else lost

    def _bytes_of(self, question: _Question, blob_id: BlobId, lost: LostShard) -> int:
        known = question.known.get(blob_id)
        size = 0 if known is None else known.pair_bytes
        return bytes_of_rescue(size, n=question.view.n, missing=lost.missing) if question.is_whole else size

    # ------------------------------------------------------------------ the symbols

    async def _symbols(self, question: _Question, request: RecoverSymbols) -> dict[int, SymbolProof]:
        """Return what is here of what is wanted, by the position of the question. Raises `RefusalError`."""
        found: dict[int, SymbolProof] = {}
        for at, blob_id in enumerate(question.intent.blob_ids):
            wanted = {place: each for place, each in enumerate(request.wanted) if each.blob == at}
            known = question.known.get(blob_id)
            if wanted and known is not None:
                found |= await self._symbols_of_blob(question, blob_id, known, wanted)
        return found

    async def _symbols_of_blob(
        self, question: _Question, blob_id: BlobId, known: _Known, wanted: dict[int, WantedSymbol]
    ) -> dict[int, SymbolProof]:
        context = self._context
        pair, now = (blob_id, question.shard), context.clock.monotonic()
        if not self._served.take(question.asker, pair, len(wanted), of=2 * known.shards, now=now):
            raise RefusalError(RefusalCode.BUSY, "these symbols were given to this node twice already")
        slivers: dict[tuple[Axis, int], bytes] = {}
        for each in wanted.values():
            axis = Axis(each.axis)
            try:
                slivers[axis, each.index] = await context.store.read_sliver(blob_id, axis, each.index)
            except (NotFoundError, CorruptSliverError) as error:
                log.info("a symbol that is not given for a repair: %s", error)
        made = await context.offload.run(_symbols_for, known.metadata, question.shard, slivers)
        places = {place: (Axis(each.axis), each.index) for place, each in wanted.items()}
        return {place: made[name] for place, name in places.items() if name in made}


def _open_intent(envelope: Envelope, network: str, wall: float) -> Signed[RepairIntent]:
    return exchange.open_intent(envelope, network=network, wall=wall)


def _open_retractions(envelopes: Sequence[Envelope], network: str) -> PageRecords:
    return PageRecords(retractions=tuple(open_retraction(each, network=network) for each in envelopes))


def _symbols_for(
    metadata: BlobMetadata, shard: ShardIndex, slivers: dict[tuple[Axis, int], bytes]
) -> dict[tuple[Axis, int], SymbolProof]:
    return exchange.symbols_for(metadata, shard, slivers)
