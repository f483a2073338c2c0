"""Inconsistent blobs: checking what others say, letting go of what is checked, and telling the next holders.

One thing at a time, with a rest before each: a flood of false notices costs a proof a second at most, and nobody waits.
"""

from __future__ import annotations

import logging

import trio

from p2pnode.errors import LocalStorageError, P2PNodeError
from p2pnode.membership.refusals import Refused
from p2pnode.protocols.audit_targets import holders_of
from p2pnode.protocols.inconsistency import Contradiction, Notices, check_contradiction, next_holders
from p2pnode.protocols.page_records import PageRecords
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from wire import limits
from wire.codec import decode
from wire.ids import BlobId, PeerId
from wire.inconsistency import InconsistencyHeard, InconsistentBlob, TellInconsistent
from wire.messages import BlobRecord, GetRecord, NoRecord
from wire.records import Certificate
from wire.signed import Signed

log = logging.getLogger(__name__)

AUDIT = "audit"

REST_S = 1.0
"""Before each notice that is looked into."""


class InconsistencyService:
    """What this node does about inconsistent blobs; what it knows of them is in the context."""

    def __init__(self, context: Context, events: Events) -> None:
        """Nothing is known before `load`."""
        self._context = context
        self._events = events
        self._notices = Notices()
        self._has_news = trio.Event()
        context.inconsistent.on_found = self._wake

    def _wake(self) -> None:
        self._has_news.set()

    async def load(self) -> None:
        """Take in what earlier lives have checked, and end what they began."""
        for contradiction in await self._context.store.load_inconsistent():
            self._context.inconsistent.add(contradiction)
            try:
                await self._context.store.set_aside(contradiction)
            except LocalStorageError as error:
                log.warning("pairs of blob %s are still held: %s", contradiction.blob_id, error)

    def hear(self, peer_id: PeerId, told: TellInconsistent) -> InconsistencyHeard:
        """Take a notice of a member; what becomes of it is not told."""
        if self._context.inconsistent.get(told.blob_id) is None:
            self._notices.hear(peer_id, told.blob_id, now=self._context.clock.monotonic())
            self._wake()
        return InconsistencyHeard()

    async def run(self) -> None:
        """Look into what was found here and what others tell, until cancelled."""
        context = self._context
        while True:
            await context.clock.sleep(REST_S)
            try:
                for contradiction, holders in context.inconsistent.take_found():
                    await self._let_go(contradiction, holders)
                if (notice := self._notices.take()) is not None:
                    await self._look_into(*notice)
                elif not context.inconsistent.has_found:
                    self._has_news = trio.Event()
                    await self._has_news.wait()
            except LocalStorageError as error:
                log.warning("an inconsistent blob is kept until the disk works again: %s", error)

    async def _look_into(self, blob_id: BlobId, peer_id: PeerId) -> None:
        """Ask who told for the proof, and check it: only of a blob of which something is here."""
        context = self._context
        if context.inconsistent.get(blob_id) is not None or await context.store.held(blob_id) is None:
            return
        request = GetRecord(blob_id=blob_id, wants_certificates=False)
        try:
            reply = await context.peers.ask(peer_id, "read", request, expect=(InconsistentBlob, BlobRecord, NoRecord))
            if isinstance(reply.message, InconsistentBlob):
                found = await context.offload.run(check_contradiction, reply.message, reply.payload, blob_id)
                context.inconsistent.found(found, ())
                return
        except P2PNodeError as error:
            log.warning("%s told of an inconsistent blob, and gives no proof: %s", peer_id, error)
        self._notices.bar(peer_id, now=context.clock.monotonic())
        context.refusals.count(Refused.BAD_RECORD)

    async def _let_go(self, contradiction: Contradiction, holders: tuple[PeerId, ...]) -> None:
        """Set a blob aside for good, and tell those who keep it."""
        context, blob_id = self._context, contradiction.blob_id
        known = holders or next_holders(await self._holders_of(blob_id), own=context.own)
        pairs = await context.store.set_aside(contradiction) if await context.store.held(blob_id) is not None else 0
        log.warning("blob %s is inconsistent: %d pairs of it went to the trash", blob_id, pairs)
        if pairs:
            self._events.tell("inconsistent", f"{contradiction.error}; what this node kept of it is in the trash")
        for peer_id in known:
            try:
                told = TellInconsistent(blob_id=blob_id)
                await context.peers.ask(peer_id, AUDIT, told, expect=(InconsistencyHeard,))
            except P2PNodeError as error:
                log.debug("%s does not hear of an inconsistent blob: %s", peer_id, error)

    async def _holders_of(self, blob_id: BlobId) -> set[PeerId]:
        """Return who has signed for a pair of a blob, as far as is known here."""
        store = self._context.store
        records = await store.receipts.records_of_blob(blob_id)
        certificates = tuple(
            Signed(decode(each.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX), each)
            for each in await store.certificates(blob_id)
        )
        return {each for each, _, _ in holders_of(records.joined(PageRecords(certificates=certificates)))}
