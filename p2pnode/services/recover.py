"""Rebuilding pairs for this node: symbols from many holders, each checked when it comes; then stored, then signed for.

Of each pair S + P - 1 symbols are moved, about as many bytes as were lost. All symbols that one holder has for the
pairs under way go in one request.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from p2pnode.coding import BlobMetadata, CodingError, InconsistentBlobError, SymbolProof
from p2pnode.errors import IntegrityError, PeerFaultError, PeerRefusedError, PeerUnavailableError, TooFewPairsError
from p2pnode.protocols.inconsistency import check_contradiction
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.repair import exchange
from p2pnode.protocols.repair.exchange import Ask, PairRecovery
from p2pnode.protocols.repair.survey import PageView, sources_of
from p2pnode.protocols.store import open_metadata, record_of
from p2pnode.reputation.scores import Verdict
from p2pnode.services.announce import Announcer
from p2pnode.services.context import Context
from p2pnode.services.health import HealthView
from p2pnode.services.signing import sign_pairs
from wire import limits
from wire.codec import encode
from wire.ids import BlobId, PeerId, PublicKey, ShardIndex
from wire.inconsistency import InconsistentBlob
from wire.messages import BlobRecord, GetRecord, NoRecord
from wire.records import Envelope
from wire.repair import RecoveredSymbols, RecoverSymbols

log = logging.getLogger(__name__)

REPAIR = "repair"
"""The protocol's short name."""

SOURCES_AT_ONCE = 8
"""Holders that are asked at a time."""

UNFINISHED_MAX = 2 * limits.REPAIR_BLOBS_MAX
"""Pairs whose symbols are kept for the next try; at most 64 MiB."""

ROUNDS_MAX = 8
"""How often sources that failed are replaced: after that too many are bad, and it is tried again later."""


@dataclass(slots=True)
class Moved:
    """What rebuilding has cost and brought since the node started."""

    pairs: int = 0
    """Pairs rebuilt."""
    pair_bytes: int = 0
    """Their bytes."""
    moved_bytes: int = 0
    """Bytes of questions and answers for them, proofs included."""
    bad_symbols: int = 0
    """Symbols that were wrong, and were replaced."""


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Pairs of one shard that are rebuilt together."""

    view: PageView
    shard: ShardIndex
    intent: Envelope
    retractions: tuple[Envelope, ...]
    recoveries: list[PairRecovery]
    refused: list[str] = field(default_factory=list)


class Recoverer:
    """Rebuilds pairs."""

    def __init__(self, context: Context, health: HealthView, announcer: Announcer) -> None:
        """Ask the holders that `health` sees."""
        self._context = context
        self._health = health
        self._announcer = announcer
        self.moved = Moved()
        self._unfinished: OrderedDict[Pair, PairRecovery] = OrderedDict()
        """Pairs of which some symbols are here, those tried last at the end."""
        self.processor_s = 0.0
        """Time in workers that decoding has taken."""

    async def recover(self, view: PageView, shard: ShardIndex, blob_ids: Sequence[BlobId]) -> int:
        """Rebuild a shard of some blobs of a page here, store and sign it; returns how many bytes were moved.

        What is stored intact already is only signed for. Raises `TooFewPairsError` when too few holders give symbols,
        `IntegrityError` for a blob that its writer encoded wrongly, `QuotaError`, or as the store does. What was
        rebuilt before that is kept and signed for.
        """
        before = self.moved.moved_bytes
        store = self._context.store
        missing = [blob_id for blob_id, _ in await store.missing([(blob_id, shard) for blob_id in blob_ids])]
        done = [blob_id for blob_id in blob_ids if blob_id not in missing]
        if done:
            await store.certify(view.certificate, view.lease)
        try:
            if missing:
                await self._rebuild(view, shard, missing, done)
        finally:
            if done:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + SIGN_TIMEOUT_S):
                    await sign_pairs(self._context, self._announcer, view, shard, done)
        return self.moved.moved_bytes - before

    async def _rebuild(self, view: PageView, shard: ShardIndex, blob_ids: Sequence[BlobId], done: list[BlobId]) -> None:
        context = self._context
        batch = _Batch(
            view=view,
            shard=shard,
            intent=exchange.make_intent(
                context.identity,
                view.page,
                blob_ids,
                shard,
                network=context.network_name,
                time=context.wall_seconds(),
            ).envelope,
            retractions=await self._own_retractions(shard, blob_ids),
            recoveries=[await self._recovery(view, blob_id, shard) for blob_id in blob_ids],
        )
        for _ in range(ROUNDS_MAX):
            asks = self._asks(batch)
            if not asks:
                break
            await self._ask_all(batch, asks)
        else:
            message = f"shard {shard} of {len(blob_ids)} blobs: {ROUNDS_MAX} rounds of sources were not enough"
            raise TooFewPairsError(message)
        # Not before: who keeps a certificate, and no pair, takes no receipts of others, and misses what they rebuild.
        await context.store.certify(view.certificate, view.lease)
        for recovery in batch.recoveries:
            await self._store(view, recovery)
            done.append(recovery.metadata.blob_id)

    async def _recovery(self, view: PageView, blob_id: BlobId, shard: ShardIndex) -> PairRecovery:
        """Go on where an earlier try has ended, with the symbols that came then; all sources are tried again."""
        recovery = self._unfinished.pop((blob_id, shard), None)
        if recovery is None:
            recovery = PairRecovery(await self.metadata(view, blob_id), shard)
        recovery.bad.clear()
        self._unfinished[blob_id, shard] = recovery
        while len(self._unfinished) > UNFINISHED_MAX:
            self._unfinished.popitem(last=False)
        return recovery

    async def _own_retractions(self, shard: ShardIndex, blob_ids: Sequence[BlobId]) -> tuple[Envelope, ...]:
        pairs = [(blob_id, shard) for blob_id in blob_ids]
        own = PublicKey(self._context.identity.public)
        retracted = await self._context.store.receipts.retracted(own, pairs)
        return tuple(each.envelope for each in retracted.values())

    async def metadata(self, view: PageView, blob_id: BlobId) -> BlobMetadata:
        """Return the metadata of a blob, ours or a holder's; it proves itself.

        Raises `TooFewPairsError`, or `InconsistentDataError` for a blob of which somebody has the proof.
        """
        context = self._context
        if (known := context.inconsistent.get(blob_id)) is not None:
            raise known.error
        held = await context.store.held(blob_id)
        if held is not None:
            return await context.offload.run(open_metadata, blob_id, held.metadata)
        blob = view.blobs[blob_id]
        for source in sources_of(blob, self._health.presence, without=ShardIndex(-1)):
            request = GetRecord(blob_id=blob_id, wants_certificates=False)
            peer_id = blob.holders[source][0]
            try:
                kinds = (BlobRecord, NoRecord, InconsistentBlob)
                reply = await context.peers.ask(peer_id, "read", request, expect=kinds)
                if isinstance(reply.message, InconsistentBlob):
                    found = await context.offload.run(check_contradiction, reply.message, reply.payload, blob_id)
                    context.inconsistent.found(found, ())
                    raise found.error
                if isinstance(reply.message, BlobRecord):
                    self.moved.moved_bytes += len(encode(reply.message))
                    return await context.offload.run(open_metadata, blob_id, reply.message.metadata)
            except (PeerUnavailableError, PeerFaultError, CodingError) as error:
                log.debug("no metadata of %s from %s: %s", blob_id, peer_id, error)
        message = f"no holder gives the metadata of blob {blob_id}"
        raise TooFewPairsError(message)

    # ------------------------------------------------------------------ asking

    def _asks(self, batch: _Batch) -> dict[PeerId, list[Ask]]:
        """Return what to ask of whom; nothing when all is here. Raises `TooFewPairsError`."""
        found: defaultdict[PeerId, list[Ask]] = defaultdict(list)
        for position, recovery in enumerate(batch.recoveries):
            blob = batch.view.blobs[recovery.metadata.blob_id]
            sources = self._in_order(blob.holders, sources_of(blob, self._health.presence, without=batch.shard))
            wanted = recovery.wanted(sources)
            if wanted is None:
                why = f"; the last refusal: {batch.refused[-1]}" if batch.refused else ""
                message = f"too few holders give symbols of blob {recovery.metadata.blob_id}: {len(sources)} here{why}"
                raise TooFewPairsError(message)
            for shard, axis in wanted:
                found[blob.holders[shard][0]].append(Ask(position, shard, axis))
        return found

    def _in_order(self, holders: Sequence[Sequence[PeerId]], sources: Sequence[ShardIndex]) -> list[ShardIndex]:
        """Return sources, our own pairs first, then connected holders; those alike in an order that is new each time.

        A holder of two shards may be asked for both, but is asked for its second one last.
        """
        context = self._context
        connected = {each.peer_id for each in context.network.connected()}
        seen: set[PeerId] = set()
        rows = []
        for place, shard in enumerate(context.rng.shuffled(list(sources))):
            peer_id = holders[shard][0]
            is_far = peer_id != context.own and peer_id not in connected
            rows.append((peer_id != context.own, is_far, peer_id in seen, place, shard))
            seen.add(peer_id)
        return [row[-1] for row in sorted(rows)]

    async def _ask_all(self, batch: _Batch, asks: dict[PeerId, list[Ask]]) -> None:
        slots = trio.CapacityLimiter(SOURCES_AT_ONCE)
        sizes = [recovery.metadata.symbol_bytes for recovery in batch.recoveries]

        async def ask(peer_id: PeerId, questions: list[Ask]) -> None:
            async with slots:
                await self._ask(batch, peer_id, questions)

        async with trio.open_nursery() as nursery:
            for peer_id, questions in sorted(asks.items()):
                for part in exchange.requests_of(questions, sizes.__getitem__):
                    nursery.start_soon(ask, peer_id, part)

    async def _ask(self, batch: _Batch, peer_id: PeerId, asks: list[Ask]) -> None:
        """Ask one holder and take what is good; whatever it does not give is asked of another one."""
        context = self._context
        request = RecoverSymbols(
            intent=batch.intent,
            wanted=exchange.wanted_of(asks, batch.recoveries),
            retractions=batch.retractions,
        )
        good: list[tuple[Ask, SymbolProof]] = []
        wrong: list[Ask] = []
        try:
            reply = await context.peers.ask(peer_id, REPAIR, request, expect=(RecoveredSymbols,))
            if peer_id != context.own:
                self.moved.moved_bytes += len(encode(request)) + len(encode(reply.message)) + len(reply.payload)
            good, wrong = await context.offload.run(
                exchange.read_answer, reply.message, reply.payload, asks, batch.recoveries
            )
        except PeerFaultError as error:
            wrong = asks
            log.warning("%s gave no proper symbols: %s", peer_id, error)
        except (PeerUnavailableError, PeerRefusedError) as error:
            batch.refused.append(str(error))
            log.info("no symbols from %s: %s", peer_id, error)
        if wrong:
            self.moved.bad_symbols += len(wrong)
            log.warning("%s gave %d wrong symbols for a repair", peer_id, len(wrong))
            context.scores.note(peer_id, Verdict.WRONG, now=context.clock.monotonic())
        for ask, symbol in good:
            batch.recoveries[ask.blob].take(ask.shard, symbol)
        given = {ask for ask, _ in good}
        for ask in asks:
            if ask not in given:
                batch.recoveries[ask.blob].bad.add((ask.shard, ask.axis))

    # ------------------------------------------------------------------ keeping

    async def _store(self, view: PageView, recovery: PairRecovery) -> None:
        context = self._context
        metadata = recovery.metadata
        self._unfinished.pop((metadata.blob_id, recovery.shard), None)
        started = context.clock.monotonic()
        try:
            primary, secondary = await context.offload.run(recovery.rebuild)
        except InconsistentBlobError as error:
            contradiction = await context.offload.run(recovery.contradiction)
            holders = view.blobs[metadata.blob_id].holders
            context.inconsistent.found(contradiction, (each for peers in holders for each in peers))
            message = f"blob {metadata.blob_id} was encoded wrongly by its writer and cannot be repaired: {error}"
            raise IntegrityError(message) from error
        finally:
            self.processor_s += context.clock.monotonic() - started
        await context.store.store_pair(
            metadata.blob_id, recovery.shard, record_of(metadata), primary.data, secondary.data, [view.lease]
        )
        self.moved.pairs += 1
        self.moved.pair_bytes += len(primary.data) + len(secondary.data)


SIGN_TIMEOUT_S = 5.0
"""How long signing for what was stored may take when the node stops meanwhile."""
