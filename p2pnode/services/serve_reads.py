"""Serving reads: what this node knows of a blob, and the slivers that it keeps. Nothing unverified leaves the disk.

Whoever asks for the record of a blob that is known to be inconsistent is given the proof.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from p2pnode.coding import Sliver
from p2pnode.errors import CorruptSliverError, LocalStorageError, NotFoundError
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.sync import fitting_bundle
from p2pnode.services.context import Context
from p2pnode.services.peers import Answer
from wire import limits
from wire.codec import encode
from wire.ids import Axis, BlobId, PeerId
from wire.messages import BlobRecord, GetRecord, GetSliver, NoRecord, RefusalCode, SliverData
from wire.records import Envelope, MetadataRecord

REQUESTS = (GetRecord, GetSliver)
"""The requests of the `read` protocol."""

log = logging.getLogger(__name__)

_ANSWER_HEAD_BYTES = 4096
"""Room for everything of a `BlobRecord` but its metadata and certificates: at most 1000 shard numbers of 3 bytes."""


class ReadServer:
    """Answers the requests of the `read` protocol."""

    def __init__(self, context: Context, *, made: Callable[[BlobId, Axis, int], Sliver | None]) -> None:
        """Serve from the node's own store, and what it has `made` of a blob that it rescues."""
        self._context = context
        self._made = made

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        del peer_id, payload  # Reads are open to every member, and no request of this protocol has raw bytes.
        match message:
            case GetRecord():
                known = self._context.inconsistent.get(message.blob_id)
                if known is not None:
                    return known.message, (known.symbols,)
                return await self._record(message), ()
            case GetSliver():
                return await self._sliver(message)
            case _:
                raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request to read")

    async def _record(self, request: GetRecord) -> BlobRecord | NoRecord:
        store = self._context.store
        try:
            held = await store.held(request.blob_id)
            wants = held is not None and request.wants_certificates
            certificates = await store.certificates(request.blob_id) if wants else []
            others = await store.receipts.records_of_blob(request.blob_id) if wants else PageRecords()
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error
        if held is None:
            return NoRecord()
        chosen = fitting(held.metadata, certificates)
        used = len(held.metadata.pair_hashes) + sum(len(encode(each)) for each in chosen)
        beside = fitting_bundle(others, room=limits.MESSAGE_BYTES_MAX - _ANSWER_HEAD_BYTES - used)
        return BlobRecord(
            metadata=held.metadata,
            shards_held=tuple(held.shards),
            certificates=chosen,
            holders=beside.holders,
            retractions=beside.retractions,
        )

    async def _sliver(self, request: GetSliver) -> Answer:
        try:
            data = await self._context.store.read_sliver(request.blob_id, Axis(request.axis), request.index)
        except NotFoundError as error:
            made = self._made(request.blob_id, Axis(request.axis), request.index)
            if made is not None:
                return SliverData(sliver_bytes=len(made.data)), (made.data,)
            raise RefusalError(RefusalCode.NOT_HELD, str(error)) from error
        except CorruptSliverError as error:
            log.warning("damage on this node's disk: %s", error)
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error
        return SliverData(sliver_bytes=len(data)), (data,)


def fitting(metadata: MetadataRecord, certificates: list[Envelope]) -> tuple[Envelope, ...]:
    """Return as many certificates, in their order, as one answer beside the metadata can carry."""
    room = limits.MESSAGE_BYTES_MAX - _ANSWER_HEAD_BYTES - len(metadata.pair_hashes)
    chosen: list[Envelope] = []
    for each in certificates[: limits.CERTIFICATES_PER_MESSAGE_MAX]:
        room -= len(encode(each))
        if room < 0:
            break
        chosen.append(each)
    return tuple(chosen)
