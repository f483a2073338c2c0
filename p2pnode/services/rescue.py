"""Rescue: where fewer than S pairs of a blob are here, no pair can be rebuilt alone (PROTOCOL section 7).

One node reads the blob from P primaries, makes all its slivers, and offers each missing pair to the candidate that
comes first for it, which fetches it, checks it and signs, as it takes over what one that leaves hands over. The blob's
own id proves every byte; nobody signs for what it was only told.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from p2pnode import bft
from p2pnode.coding import (
    BlobMetadata,
    CodingError,
    DecodeJob,
    EncodedBlob,
    EncodeJob,
    InconsistentBlobError,
    Sliver,
    pair_of_shard,
    verify_sliver,
)
from p2pnode.errors import PeerFaultError, PeerRefusedError, PeerUnavailableError, TooFewPairsError
from p2pnode.protocols.read import why_unreadable
from p2pnode.protocols.repair import exchange
from p2pnode.protocols.repair.ranks import ranks_honoured
from p2pnode.protocols.repair.survey import LostShard, PageView, sources_of
from p2pnode.protocols.store import record_of
from p2pnode.services.announce import Announcer
from p2pnode.services.coding_jobs import run_job
from p2pnode.services.context import Context
from p2pnode.services.handed import ask_to_take
from p2pnode.services.health import HealthView
from p2pnode.services.losses import learn_page
from p2pnode.services.recover import REPAIR, Recoverer
from p2pnode.services.signing import sign_pairs
from wire.codec import encode
from wire.ids import Axis, BlobId, PeerId, ShardIndex
from wire.messages import GetSliver, RefusalCode, SliverData
from wire.repair import RecoveredSymbols, RecoverSymbols, TakeOver

log = logging.getLogger(__name__)


class Rescuer:
    """Makes pairs of blobs of which few are left."""

    def __init__(self, context: Context, health: HealthView, announcer: Announcer, recoverer: Recoverer) -> None:
        """What it moves is counted with what the `recoverer` moves."""
        self._context = context
        self._health = health
        self._announcer = announcer
        self._recoverer = recoverer
        self._encoded: EncodedBlob | None = None

    def sliver(self, blob_id: BlobId, axis: Axis, index: int) -> Sliver | None:
        """Return a sliver of the blob that is being rescued; None of any other."""
        encoded = self._encoded
        if encoded is None or encoded.blob_id != blob_id or not 0 <= index < encoded.metadata.n:
            return None
        return encoded.primary(index) if axis is Axis.PRIMARY else encoded.secondary(index)

    async def rescue(self, view: PageView, blob_id: BlobId) -> None:
        """Read a blob and let others, and this node, keep its missing pairs.

        Raises `TooFewPairsError` when it cannot be read, another node is at it, or nobody takes a pair;
        `IntegrityError` for one that its writer encoded wrongly, `QuotaError`, or as the store does.
        """
        context = self._context
        if self._health.is_told(view.page) and not await self._is_still_short(view, blob_id):
            return
        metadata = await self._recoverer.metadata(view, blob_id)
        slivers = await self._read(view, metadata, await self._tell(view, blob_id))
        started = context.clock.monotonic()
        try:
            data = await run_job(context.offload, DecodeJob(metadata, slivers, strict=True))
            self._encoded = await run_job(context.offload, EncodeJob(data, metadata.n))
        except InconsistentBlobError as error:
            why, contradiction = await context.offload.run(why_unreadable, metadata, slivers, error)
            if contradiction is not None:
                holders = (each for peers in view.blobs[blob_id].holders for each in peers)
                context.inconsistent.found(contradiction, holders)
            raise why from error
        finally:
            self._recoverer.processor_s += context.clock.monotonic() - started
        try:
            await context.store.certify(view.certificate, view.lease)
            for shard in view.blobs[blob_id].health.missing:
                await self._place(view, blob_id, shard)
        finally:
            self._encoded = None

    async def _is_still_short(self, view: PageView, blob_id: BlobId) -> bool:
        """Look once more at a page that we were told of: nobody tells us when others have made what was missing."""
        blob = view.blobs[blob_id]
        for shard in sources_of(blob, self._health.presence, without=ShardIndex(-1)):
            try:
                await learn_page(self._context, self._health, blob.holders[shard][0], view.page)
                break
            except (PeerUnavailableError, PeerFaultError) as error:
                log.debug("no newer records of a page from %s: %s", blob.holders[shard][0], error)
        now = await self._health.survey(view.page)
        return now is not None and now.blobs[blob_id].health.first_of_whole is not None

    async def _tell(self, view: PageView, blob_id: BlobId) -> list[ShardIndex]:
        """Tell all holders that are here what we are about to do; return the shards of those that do not object.

        Any two that want to read the blob need P of fewer than S sources each, and so have one in common (ADR 0020).
        Raises `TooFewPairsError` when fewer than P are left.
        """
        context = self._context
        blob = view.blobs[blob_id]
        first = blob.health.first_of_whole
        assert first is not None
        intent = exchange.make_intent(
            context.identity, view.page, [blob_id], first, network=context.network_name, time=context.wall_seconds()
        )
        request = RecoverSymbols(intent=intent.envelope, wanted=(), retractions=())
        sources = sources_of(blob, self._health.presence, without=ShardIndex(-1))
        willing: set[PeerId] = set()
        objections: list[str] = []

        async def tell(peer_id: PeerId) -> None:
            if peer_id != context.own:
                self._recoverer.moved.moved_bytes += len(encode(request))
            try:
                await context.peers.ask(peer_id, REPAIR, request, expect=(RecoveredSymbols,))
            except PeerRefusedError as error:
                if error.code == RefusalCode.BUSY:
                    objections.append(f"; {peer_id}: {error}")
                    return
                log.debug("%s does not see that a blob is to be read whole: %s", peer_id, error)
            except (PeerUnavailableError, PeerFaultError) as error:
                log.info("%s was not told that a blob is read whole: %s", peer_id, error)
                return
            willing.add(peer_id)

        async with trio.open_nursery() as nursery:
            for peer_id in dict.fromkeys(blob.holders[shard][0] for shard in sources):
                nursery.start_soon(tell, peer_id)
        found = [shard for shard in sources if blob.holders[shard][0] in willing]
        if len(found) < bft.primary_source(view.n):
            message = f"{len(found)} holders let this node read blob {blob_id} whole, which takes more"
            raise TooFewPairsError(message + "".join(objections[:1]))
        return found

    async def _read(self, view: PageView, metadata: BlobMetadata, sources: Sequence[ShardIndex]) -> list[Sliver]:
        """Return P verified primary slivers, each from the holder of its pair. Raises `TooFewPairsError`."""
        context = self._context
        blob = view.blobs[metadata.blob_id]
        left = context.rng.shuffled(list(sources))
        wanted = bft.primary_source(metadata.n)
        found: list[Sliver] = []

        async def read(shard: ShardIndex) -> None:
            sliver = await self._sliver_of(blob.holders[shard][0], metadata, shard)
            if sliver is not None:
                found.append(sliver)

        while len(found) < wanted:
            count = wanted - len(found)
            now, left = left[:count], left[count:]
            if len(now) < count:
                message = (
                    f"too few holders give slivers of blob {metadata.blob_id}: {len(found) + len(now)} of {wanted}"
                )
                raise TooFewPairsError(message)
            async with trio.open_nursery() as nursery:
                for shard in now:
                    nursery.start_soon(read, shard)
        return found

    async def _sliver_of(self, peer_id: PeerId, metadata: BlobMetadata, shard: ShardIndex) -> Sliver | None:
        context = self._context
        pair = pair_of_shard(metadata.blob_id, shard, metadata.n)
        request = GetSliver(blob_id=metadata.blob_id, axis=Axis.PRIMARY, index=pair)
        try:
            reply = await context.peers.ask(peer_id, "read", request, expect=(SliverData,))
            if peer_id != context.own:
                self._recoverer.moved.moved_bytes += len(reply.payload)
            return await context.offload.run(verify_sliver, metadata, Axis.PRIMARY, pair, reply.payload)
        except (PeerUnavailableError, PeerFaultError, CodingError) as error:
            log.info("no sliver of %s from %s: %s", metadata.blob_id, peer_id, error)
            return None

    async def _place(self, view: PageView, blob_id: BlobId, shard: ShardIndex) -> None:
        """Let the first candidate that can have it keep a pair. Raises `TooFewPairsError` when nobody does."""
        now = await self._health.survey(view.page)
        lost = None if now is None else now.lost_shard(blob_id, shard)
        if now is None or lost is None or lost.first is None:
            return  # Others were quicker, a holder is back, or its symbols are to be had by now.
        order = self._health.order(now, lost)
        for peer_id in order[: ranks_honoured(lost.missing)]:
            if peer_id == self._context.own:
                await self._keep(now, blob_id, shard)
                return
            if await self._offer(now, blob_id, lost, peer_id):
                return
        message = f"shard {shard} of blob {blob_id} was read and made anew, and nobody takes it"
        raise TooFewPairsError(message)

    async def _keep(self, view: PageView, blob_id: BlobId, shard: ShardIndex) -> None:
        context = self._context
        encoded = self._encoded
        assert encoded is not None
        primary, secondary = self._pair(encoded, shard)
        await context.store.store_pair(
            blob_id, shard, record_of(encoded.metadata), primary.data, secondary.data, [view.lease]
        )
        await sign_pairs(context, self._announcer, view, shard, [blob_id])
        self._count(primary, secondary)

    async def _offer(self, view: PageView, blob_id: BlobId, lost: LostShard, peer_id: PeerId) -> bool:
        encoded = self._encoded
        assert encoded is not None
        primary, secondary = self._pair(encoded, lost.shard)
        size = len(primary.data) + len(secondary.data)
        offer = TakeOver(page=view.page, blob_ids=(blob_id,), shard=lost.shard)
        try:
            await ask_to_take(self._context, view, peer_id, offer, pair_bytes=size)
        except (PeerUnavailableError, PeerFaultError) as error:
            log.info("%s does not take shard %d of %s: %s", peer_id, lost.shard, blob_id, error)
            return False
        self._recoverer.moved.moved_bytes += size
        self._count(primary, secondary)
        return True

    def _pair(self, encoded: EncodedBlob, shard: ShardIndex) -> Sequence[Sliver]:
        n = encoded.metadata.n
        pair = pair_of_shard(encoded.blob_id, shard, n)
        return encoded.primary(pair), encoded.secondary(n - 1 - pair)

    def _count(self, primary: Sliver, secondary: Sliver) -> None:
        self._recoverer.moved.pairs += 1
        self._recoverer.moved.pair_bytes += len(primary.data) + len(secondary.data)
