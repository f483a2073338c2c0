"""Announcements: short signed notes, gossiped in batches, that the record of a blob changed.

Holders and committees learn from them what is new; a reader who finds nothing elsewhere asks who announced the prefix.
All go over one topic, and the id prefixes stand in the batch: every node takes part in everything while it has the full
view, so topics by prefix would multiply the meshes and their upkeep, and save nothing. `NetworkNames.topic` can cut it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from p2pnode.errors import LocalStorageError
from p2pnode.protocols.gossip import ANNOUNCEMENTS, GossipGate
from p2pnode.protocols.page_records import NamedHolder
from p2pnode.seams import Verdict
from p2pnode.services.context import Context
from wire import limits
from wire.codec import decode, encode
from wire.ids import BlobId, Digest, PeerId
from wire.records import Announcement, AnnouncementBatch, Certificate, Lease
from wire.signed import Signed, sign_record

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

PREFIX_BYTES = 8

PENDING_MAX = 10_000
"""Announcements that wait for the next batch; beyond it the oldest go, for repair and sync find what gossip misses."""

HEARD_MAX = 50_000
"""Prefixes of which we remember who announced them last, about 200 bytes each."""

BATCH_EVERY_S = 1.0
"""How long an announcement waits for company."""


class Announcer:
    """Gossips what this node wrote and remembers what others did."""

    def __init__(self, context: Context, *, on_written: Callable[[Signed[Certificate]], None]) -> None:
        """Nothing is known yet; `on_written` hears of every certificate that this node made."""
        self._context = context
        self._on_written = on_written
        self._pending: OrderedDict[bytes, Announcement] = OrderedDict()
        self._has_pending = trio.Event()
        self._heard: OrderedDict[bytes, PeerId] = OrderedDict()
        self._gate = GossipGate(ANNOUNCEMENTS, network=context.network_name)
        self._topic = context.names.topic(ANNOUNCEMENTS.topic)

    def subscribe(self) -> None:
        """Take part in the topic; call it before the network runs."""
        self._context.network.subscribe(self._topic, self._on_gossip)

    def announce(self, certificate: Signed[Certificate]) -> None:
        """Queue an announcement for every blob of a certificate's page."""
        lease = decode(certificate.record.lease.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
        self._queue(certificate.record.page.blob_ids, lease_end=lease.end, record=certificate.digest)
        self._on_written(certificate)

    def announce_holder(self, holder: NamedHolder, blob_ids: Sequence[BlobId]) -> None:
        """Queue an announcement for these blobs of a holder record, whose pairs are held here from now on."""
        self._queue(blob_ids, lease_end=holder.lease.record.end, record=holder.name)

    def _queue(self, blob_ids: Sequence[BlobId], *, lease_end: int, record: Digest) -> None:
        for blob_id in blob_ids:
            prefix = bytes(blob_id[:PREFIX_BYTES])
            note = Announcement(id_prefix=prefix, lease_end=lease_end, record=record)
            _remember(self._pending, prefix, note, PENDING_MAX)
        self._has_pending.set()

    def heard_from(self, blob_id: BlobId) -> PeerId | None:
        """Return who last announced a blob with this prefix."""
        return self._heard.get(bytes(blob_id[:PREFIX_BYTES]))

    async def run(self) -> None:
        """Publish what is pending, batch by batch, until cancelled."""
        while True:
            await self._has_pending.wait()
            await self._context.clock.sleep(BATCH_EVERY_S)
            try:
                await self._publish_batch()
            except LocalStorageError as error:
                log.warning("announcements wait until the disk works again: %s", error)

    async def _publish_batch(self) -> None:
        context = self._context
        # First, because it may fail: then everything is still pending.
        sequence = await context.store.next_sequence("announcement")
        notes: list[Announcement] = []
        while self._pending and len(notes) < limits.ANNOUNCEMENTS_MAX:
            notes.append(self._pending.popitem(last=False)[1])
        batch = AnnouncementBatch(
            sequence=sequence,
            time=context.wall_seconds(),
            announcements=tuple(notes),
        )
        signed = sign_record(batch, key=context.identity, network=context.network_name)
        if not self._pending:
            self._has_pending = trio.Event()
        await context.network.publish(self._topic, encode(signed.envelope))

    def _on_gossip(self, via: PeerId, data: bytes) -> Verdict:
        """Take a batch that is signed, recent and new; only such a one is passed on."""
        clock = self._context.clock
        checked = self._gate.check(data, now=clock.monotonic(), wall=clock.wall())
        if checked.verdict is Verdict.REJECT:
            log.info("a bad announcement came by way of %s: %s", via, checked.reason)
        if checked.is_notable:
            log.warning("an announcement was not passed on: %s", checked.reason)
        if checked.signed is None:
            return checked.verdict
        signed = checked.signed
        for note in signed.record.announcements:
            _remember(self._heard, note.id_prefix, signed.signer_peer, HEARD_MAX)
        return checked.verdict


def _remember(table: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Put an entry at the young end of a bounded table; the oldest goes when it is full."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > most:
        table.popitem(last=False)
