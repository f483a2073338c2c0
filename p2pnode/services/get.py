"""get: find, fetch with hedging, verify on arrival, decode what is missing, and hand the bytes on in order.

Memory is bounded by the segments that are read ahead. The first bytes are decoded before a download is handed out, so
that most failures are known before anything was sent to whoever asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from p2pnode.coding import CodingError, DecodeJob, InconsistentBlobError, Sliver, verify_sliver
from p2pnode.errors import (
    IntegrityError,
    P2PNodeError,
    PeerFaultError,
    PeerSilentError,
    PeerUnavailableError,
    ShortageError,
)
from p2pnode.protocols.manifest import Manifest, ManifestEntry, check_child, manifest_from_bytes
from p2pnode.protocols.read import Ask, ReadPlan, why_unreadable
from p2pnode.services.announce import Announcer
from p2pnode.services.coding_jobs import run_job
from p2pnode.services.context import Context
from p2pnode.services.lookup import FoundBlob, Lookup
from p2pnode.services.membership import Membership
from p2pnode.services.nursery import open_nursery
from p2pnode.services.results import Download
from wire.ids import Axis, BlobId, Digest
from wire.messages import GetSliver, SliverData
from wire.references import Reference, ReferenceKind

SEGMENTS_AHEAD = 2
"""Segments that are fetched while an earlier one is consumed: more cost memory and gain nothing on a full line."""


class Getter:
    """Reads blobs and files."""

    def __init__(self, context: Context, membership: Membership, announcer: Announcer) -> None:
        """Read from whoever holds what is asked for."""
        self._context = context
        self._membership = membership
        self._announcer = announcer

    def lookup(self) -> Lookup:
        """Return a fresh lookup, for one read."""
        return Lookup(self._context, self._membership, self._announcer)

    @asynccontextmanager
    async def open(self, reference: Reference) -> AsyncIterator[Download]:
        """Open a read; see `NodeFace.get`.

        Raises `NotFoundError`, `TooFewPairsError`, `HoldersSilentError` or `IntegrityError`.
        """
        lookup = self.lookup()
        if reference.kind is ReferenceKind.BLOB:
            view = await self._read_view(lookup, reference.blob_id)
            yield Download(reference, len(view), _only(view))
            return
        data = await self.read_blob(lookup, reference.blob_id)
        manifest = await self._context.offload.run(manifest_from_bytes, data, reference.blob_id)
        del data
        async with open_nursery() as nursery:
            send, receive = trio.open_memory_channel[_Slot](SEGMENTS_AHEAD - 1)
            nursery.start_soon(self._read_ahead, lookup, manifest, send, nursery)
            first = await receive.receive()
            await first.wait()
            chunks = _in_order(self._context, first, receive, manifest)
            yield Download(reference, manifest.file_bytes, chunks)
            nursery.cancel_scope.cancel()

    async def read_blob(self, lookup: Lookup, blob_id: BlobId, *, seed: bytes | None = None) -> bytes:
        """Return a blob's bytes, exactly those that were written, or raise as `open` does."""
        return await self._context.offload.run(bytes, await self._read_view(lookup, blob_id, seed=seed))

    async def _read_view(self, lookup: Lookup, blob_id: BlobId, *, seed: bytes | None = None) -> memoryview:
        """Return what `read_blob` returns, without a copy."""
        found = await lookup.find(blob_id, seed=seed)
        try:
            slivers = await self._fetch(lookup, found)
        except ShortageError:
            wider = await lookup.find(blob_id, seed=seed, asks_everyone=True)
            if not wider.names_more_than(found):
                raise
            slivers = await self._fetch(lookup, wider)
        try:
            return await run_job(self._context.offload, DecodeJob(found.metadata, slivers))
        except InconsistentBlobError as error:
            why, contradiction = await self._context.offload.run(why_unreadable, found.metadata, slivers, error)
            if contradiction is not None:
                holders = {peer for peers in found.holders.values() for peer in peers}
                self._context.inconsistent.found(contradiction, holders)
            raise why from error

    async def leaves(self, lookup: Lookup, manifest: Manifest) -> AsyncIterator[ManifestEntry]:
        """Yield the segments under a manifest in order, reading nested manifests as they come."""
        for entry in manifest.entries:
            if manifest.level == 0:
                yield entry
                continue
            data = await self.read_blob(lookup, entry.blob_id, seed=manifest.salt)
            child = await self._context.offload.run(manifest_from_bytes, data, entry.blob_id)
            check_child(manifest, entry, child)
            async for leaf in self.leaves(lookup, child):
                yield leaf

    async def _read_ahead(
        self, lookup: Lookup, manifest: Manifest, send: trio.MemorySendChannel[_Slot], nursery: trio.Nursery
    ) -> None:
        """Start reading segments in order, never further ahead than the channel holds."""
        async with send:
            try:
                async for entry in self.leaves(lookup, manifest):
                    slot = _Slot()
                    nursery.start_soon(self._fill, lookup, entry, manifest, slot)
                    await send.send(slot)
            except P2PNodeError as error:
                await send.send(_Slot.failed(error))

    async def _fill(self, lookup: Lookup, entry: ManifestEntry, manifest: Manifest, slot: _Slot) -> None:
        try:
            data = await self._read_view(lookup, entry.blob_id, seed=manifest.salt)
            if len(data) != entry.file_bytes:
                message = f"segment {entry.blob_id.text()} has {len(data)} bytes, its manifest says {entry.file_bytes}"
                raise IntegrityError(message)
            slot.data = data
        except P2PNodeError as error:
            slot.error = error
        slot.is_filled.set()

    async def _fetch(self, lookup: Lookup, found: FoundBlob) -> list[Sliver]:
        """Fetch P verified primary slivers. Raises `TooFewPairsError` or `HoldersSilentError`."""
        peers = {peer for each in found.holders.values() for peer in each}
        plan = ReadPlan(found.metadata, found.holders, distance=lookup.distances(sorted(peers)))
        profile = self._context.profile
        with trio.move_on_after(profile.get_timeout_s) as deadline:
            async with trio.open_nursery() as nursery:
                fetch = _Fetch(self._context, found, plan)
                while not plan.is_complete and not plan.is_hopeless:
                    for ask in plan.start():
                        nursery.start_soon(fetch.ask, ask)
                    fetch.changed = trio.Event()
                    with trio.move_on_after(plan.patience_s(profile.hedge_after_s)) as late:
                        await fetch.changed.wait()
                    if late.cancelled_caught and (ask_more := plan.hedge()) is not None:
                        nursery.start_soon(fetch.ask, ask_more)
                nursery.cancel_scope.cancel()
        if deadline.cancelled_caught:
            plan.abandon()
        if not plan.is_complete:
            raise plan.shortage()
        return plan.slivers


class _Fetch:
    """The questions of one blob's read."""

    def __init__(self, context: Context, found: FoundBlob, plan: ReadPlan) -> None:
        self._context = context
        self._metadata = found.metadata
        self._plan = plan
        self.changed = trio.Event()

    async def ask(self, ask: Ask) -> None:
        """Ask one peer for one sliver and verify what comes."""
        metadata = self._metadata
        request = GetSliver(blob_id=metadata.blob_id, axis=Axis.PRIMARY, index=ask.pair)
        asked_at = self._context.clock.monotonic()
        try:
            reply = await self._context.peers.ask(ask.peer_id, "read", request, expect=(SliverData,))
            sliver = await self._context.offload.run(verify_sliver, metadata, Axis.PRIMARY, ask.pair, reply.payload)
        except (PeerUnavailableError, PeerFaultError, CodingError) as error:
            was_silent = isinstance(error, PeerSilentError)
            self._plan.failed(ask, reason=str(error), was_silent=was_silent)
        else:
            self._plan.arrived(ask, sliver, took_s=self._context.clock.monotonic() - asked_at)
        self.changed.set()


@dataclass(slots=True)
class _Slot:
    """A segment that is being read."""

    is_filled: trio.Event = field(default_factory=trio.Event)
    data: bytes | memoryview = b""
    error: P2PNodeError | None = None

    @classmethod
    def failed(cls, error: P2PNodeError) -> _Slot:
        """Return a slot that ends the read with an error."""
        slot = cls(error=error)
        slot.is_filled.set()
        return slot

    async def wait(self) -> None:
        """Wait until the segment is here. Raises the error that kept it away."""
        await self.is_filled.wait()
        if self.error is not None:
            raise self.error


async def _only(data: memoryview) -> AsyncIterator[memoryview]:
    yield data


async def _in_order(
    context: Context, slot: _Slot, receive: trio.MemoryReceiveChannel[_Slot], manifest: Manifest
) -> AsyncIterator[bytes | memoryview]:
    """Yield the segments in order; at the end the whole must be what the manifest says. Raises `IntegrityError`."""
    content = hashlib.blake2b(digest_size=Digest.length)
    size = 0
    while True:
        await slot.wait()
        await context.offload.run(content.update, slot.data)
        size += len(slot.data)
        yield slot.data
        slot.data = b""
        try:
            slot = await receive.receive()
        except trio.EndOfChannel:
            break
    if size != manifest.file_bytes or content.digest() != manifest.content:
        message = "the segments do not add up to the file that the manifest describes; what was written is not usable"
        raise IntegrityError(message)
