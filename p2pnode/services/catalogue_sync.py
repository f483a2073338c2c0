"""The catalogue in the network: published sealed, found again with the owner key alone, merged with other machines'.

A catalogue is stored as any blob is, and a head that names it is kept by the members that rank first for its owner. One
round asks them for the newest head, takes in what it leads to, and publishes the merged view if it says more, with a
sequence above all that was seen. So two machines that publish at a time both end with the same view.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from crypto.sealing import NONCE_BYTES
from p2pnode.errors import IntegrityError, P2PNodeError, ShortageError
from p2pnode.protocols import catalogue as rules
from p2pnode.protocols import heads
from p2pnode.services.catalogue import Catalogue
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.get import Getter
from p2pnode.services.head_keepers import HeadKeepers
from p2pnode.services.inheriting import Inheritance
from p2pnode.services.owner_face import CatalogueState
from p2pnode.services.put import Putter
from p2pnode.storage.owner_store import OwnerStore
from p2pnode.wording import counted
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.ids import Digest
from wire.ownership import CatalogueHead, OwnedRecord
from wire.records import Envelope, Lease
from wire.references import Reference
from wire.signed import Signed, open_envelope, sign_record

log = logging.getLogger(__name__)

QUIET_S = 5.0
"""A change waits for so long for further ones before the catalogue is published."""

SECONDS_PER_BYTE = 1e-4
"""And for so much longer for each byte of it: a list of 3 MB is not sent out again with every file."""

ROUND_EVERY_S = 1800.0
"""How often the network is asked for what other machines with this key did; heads are brought to new members then."""

RETRY_AFTER_S = 30.0
"""A round that failed is tried again after this."""

HEAD_LOST_REPUBLISH = 0.5
"""What is left of the catalogue's own lease, as a part of its length, when it is stored anew."""

GIVEN_UP_AFTER_S = 24 * 3600.0
"""A catalogue that could not be read for so long is replaced by what is known here."""

_LEASE = "catalogue lease"
_HEAD = "catalogue head"
_VIEW = "catalogue view"


class CatalogueSync:
    """Keeps this owner's catalogue and the network's the same."""

    def __init__(
        self,
        context: Context,
        *,
        store: OwnerStore,
        catalogue: Catalogue,
        keepers: HeadKeepers,
        putter: Putter,
        getter: Getter,
        end_lease: Callable[[Reference, OwnedRecord | Lease], Awaitable[None]],
        events: Events,
    ) -> None:
        """Call `load` before `run`."""
        self._context = context
        self._store = store
        self._catalogue = catalogue
        self._keepers = keepers
        self._putter = putter
        self._getter = getter
        self._end_lease = end_lease
        self._events = events
        self._inheritance = Inheritance(context, store=store, catalogue=catalogue, keepers=keepers, read=self._read)
        self._head: Signed[CatalogueHead] | None = None
        self._published: Digest | None = None
        """The view that `_head` leads to."""
        self._unreadable: tuple[Digest, float] | None = None
        """A head whose catalogue could not be read, and since when."""
        self._detail = "the network was not asked yet"

    async def load(self) -> None:
        """Read the head that this node knew last: it never believes in an earlier one."""
        data = await self._store.fact(_HEAD)
        view = await self._store.fact(_VIEW)
        if data is None or view is None:
            return
        try:
            envelope = decode(data, Envelope, bytes_max=limits.RECORD_BYTES_MAX)
            self._head = open_envelope(envelope, CatalogueHead, network=self._context.network_name)
        except (WireError, ValueError) as error:
            log.warning("the head of our catalogue does not count, the network is asked: %s", error)
            return
        if self._head.signer != self._catalogue.owner:
            self._head = None
            return
        self._published = Digest(view)

    @property
    def state(self) -> CatalogueState:
        """What to tell the owner."""
        is_published = self._published == self._catalogue.digest or not self._catalogue.records
        return CatalogueState(
            things=sum(not each.record.removed_at for each in self._catalogue.records.values()),
            is_published=is_published,
            published_at=None if self._head is None else self._head.record.time,
            detail="" if is_published else self._detail,
            is_replaced=self._keepers.herald.successor is not None,
        )

    async def run(self) -> None:
        """Publish what changes here and learn what changed elsewhere, until cancelled."""
        while not self._keepers.are_there:
            await self._context.clock.sleep(1.0)
        while True:
            wait_s = ROUND_EVERY_S
            try:
                await self.round()
            except P2PNodeError as error:
                self._detail = str(error)
                wait_s = RETRY_AFTER_S
                log.info("the catalogue is not in the network yet: %s", error)
            changed = self._catalogue.changed
            if self.state.is_published or wait_s == RETRY_AFTER_S:
                with trio.move_on_after(wait_s):
                    await changed.wait()
            await self._context.clock.sleep(QUIET_S + SECONDS_PER_BYTE * 300 * len(self._catalogue.records))

    async def round(self) -> None:
        """Learn, and publish if there is anything that the network does not know. Raises a `P2PNodeError`."""
        await self._keepers.herald.look()
        answers = await self._keepers.find(self._catalogue.owner)
        await self._learn(answers.best)
        await self._inheritance.take(is_published=self._head is not None)
        if not self._catalogue.records or self._keepers.herald.successor is not None:
            return
        if self._published != self._catalogue.digest or self._ends_soon():
            await self._publish(answers.best)
        elif self._head is not None:
            await self._learn(await self._spread(self._head))

    def _ends_soon(self) -> bool:
        if self._head is None:
            return True
        left = self._head.record.end - self._context.clock.wall()
        return left < self._context.profile.lease_s * HEAD_LOST_REPUBLISH

    async def _learn(self, best: Signed[CatalogueHead] | None) -> None:
        """Take in the catalogue that a newer head than ours leads to. One that cannot be read is passed over."""
        if best is None or not heads.is_newer(best, self._head):
            return
        try:
            sealed = await self._read(rules.reference_of(best.record))
            records = await self._context.offload.run(_open_catalogue, sealed, self._context)
        except P2PNodeError as error:
            if not self._may_pass_over(best, error):
                raise
            log.warning("the newest catalogue cannot be read, ours replaces it: %s", error)
            return
        before = self._catalogue.records
        news = await self._catalogue.take(records)
        highest = max((each.record.lease_sequence for each in records), default=0)
        await self._context.store.next_sequence("lease", at_least=highest)
        removed = [each for each in news if each.removed_at]
        await self._note(best, rules.view_digest({rules.reference_of(each.record): each for each in records}))
        for each in removed:
            await self._end_own_renewal(before.get(rules.reference_of(each)), each)
        if news:
            self._events.tell(
                "catalogue-merged", f"learned of {counted(len(news), 'thing')} from the network, {len(removed)} removed"
            )

    async def _end_own_renewal(self, known: Signed[OwnedRecord] | None, removed: OwnedRecord) -> None:
        """End the lease that this machine renewed, not knowing that another one had ended the earlier lease."""
        if known is None or known.record.lease_sequence <= removed.lease_sequence:
            return
        await self._end_lease(rules.reference_of(removed), known.record)

    async def _read(self, reference: Reference) -> bytes:
        async with self._getter.open(reference) as download:
            if download.size > rules.CATALOGUE_BYTES_MAX:
                message = f"a catalogue of {download.size} bytes"
                raise IntegrityError(message)
            return b"".join([bytes(each) async for each in download.chunks])

    def _may_pass_over(self, head: Signed[CatalogueHead], error: P2PNodeError) -> bool:
        """Tell whether a catalogue that cannot be read is given up: what only it tells would be lost for good.

        In a partition it comes back. So only damage is passed over at once.
        """
        now = self._context.clock.wall()
        if self._unreadable is None or self._unreadable[0] != head.digest:
            self._unreadable = (head.digest, now)
        is_old = now - self._unreadable[1] >= GIVEN_UP_AFTER_S
        return isinstance(error, IntegrityError) or head.record.end <= now or is_old

    async def _publish(self, seen: Signed[CatalogueHead] | None) -> None:
        """Store the sealed catalogue, then bring its head to the members. Raises a `P2PNodeError`."""
        context, previous = self._context, self._head
        previous_lease = await self._store.fact(_LEASE)
        records = dict(self._catalogue.records)
        view = rules.view_digest(records)
        nonce = context.rng.random_bytes(NONCE_BYTES)
        sealed = await context.offload.run(_seal_catalogue, records, context, nonce)
        written = await self._putter.put(_only(sealed), shards=None, size=len(sealed))
        known = [each.record.sequence for each in (seen, previous) if each is not None]
        head = CatalogueHead(
            sequence=max(known, default=0) + 1,
            time=context.wall_seconds(),
            end=written.result.lease_end,
            kind=rules.kind_number(written.reference.kind),
            blob_id=written.reference.blob_id,
        )
        signed = sign_record(head, key=context.owner, network=context.network_name)
        newer = await self._spread(signed)
        await self._note(signed, view)
        await self._store.note_fact(_LEASE, encode(written.lease.envelope))
        if previous is not None and previous_lease is not None:
            await self._end_previous(rules.reference_of(previous.record), previous_lease)
        await self._learn(newer)

    async def _end_previous(self, reference: Reference, lease: bytes) -> None:
        """Let the holders of the catalogue before this one have their room back; else it goes when its lease ends."""
        try:
            envelope = decode(lease, Envelope, bytes_max=limits.RECORD_BYTES_MAX)
            record = open_envelope(envelope, Lease, network=self._context.network_name).record
            await self._end_lease(reference, record)
        except (WireError, ValueError, P2PNodeError) as error:
            log.info("the catalogue before this one is left to the end of its lease: %s", error)

    async def _spread(self, head: Signed[CatalogueHead]) -> Signed[CatalogueHead] | None:
        """Bring a head to the members that rank first now; return a newer one that they know of.

        Raises `ShortageError` when no other member keeps it.
        """
        answers = await self._keepers.keep(head)
        if answers.answered == 0:
            message = "no other member keeps the head of the catalogue yet"
            raise ShortageError(message)
        return answers.best if answers.best is not None and heads.is_newer(answers.best, head) else None

    async def _note(self, head: Signed[CatalogueHead], view: Digest) -> None:
        await self._store.note_fact(_HEAD, encode(head.envelope))
        await self._store.note_fact(_VIEW, bytes(view))
        self._head, self._published = head, view


async def _only(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _seal_catalogue(records: rules.Records, context: Context, nonce: bytes) -> bytes:
    return rules.seal_catalogue(records, key=context.owner, network=context.network_name, nonce=nonce)


def _open_catalogue(sealed: bytes, context: Context) -> list[Signed[OwnedRecord]]:
    return rules.open_catalogue(sealed, key=context.owner, network=context.network_name)
