"""The owner's side of a node: what it stored, for how long, and how it ends. One face for the services behind it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from crypto.peer_id import peer_id_of
from p2pnode.errors import LocalStorageError, NotFoundError, P2PNodeError
from p2pnode.protocols.catalogue import reference_of
from p2pnode.protocols.receipts import pairs_of
from p2pnode.protocols.renewal import OwnedState, state_of
from p2pnode.services.announce import Announcer
from p2pnode.services.burying import Burier
from p2pnode.services.catalogue import Catalogue
from p2pnode.services.catalogue_sync import CatalogueSync
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.get import Getter
from p2pnode.services.head_keepers import HeadKeepers
from p2pnode.services.herald import Herald
from p2pnode.services.leased import Surveyor
from p2pnode.services.membership import Membership
from p2pnode.services.owner_face import (
    CatalogueState,
    NodeStatus,
    OwnedThing,
    PutOptions,
    Removed,
    Renewed,
    Space,
    Traffic,
)
from p2pnode.services.owner_server import OwnerServer
from p2pnode.services.put import Putter
from p2pnode.services.renewing import Renewer
from p2pnode.services.results import NodeInfo, PutResult, ReachReport
from p2pnode.services.stat import Statistician
from p2pnode.services.status import status_of, stored_of
from p2pnode.storage.owner_store import OwnerStore
from p2pnode.wording import human_date
from wire import limits
from wire.codec import decode
from wire.ids import BlobId, PeerId, ShardIndex
from wire.ownership import OwnedRecord
from wire.records import Certificate, Lease
from wire.references import Reference

log = logging.getLogger(__name__)

LOOKED_UP_MAX = 50
"""Things whose health a listing asks the network for: of the others the certificates are here."""

LOOKED_UP_AT_ONCE = 4

AFTER_DISK_FAULT_S = 60.0
"""How long after a failure of our disk the loops begin again."""


class Ownership:
    """What this node's owner has in the network."""

    def __init__(
        self,
        context: Context,
        *,
        store: OwnerStore,
        membership: Membership,
        announcer: Announcer,
        putter: Putter,
        getter: Getter,
        statistician: Statistician,
        events: Events,
    ) -> None:
        """Call `load` before anything else."""
        self._context = context
        self._membership = membership
        self._putter = putter
        self._getter = getter
        self._statistician = statistician
        self._events = events
        self.server = OwnerServer(context, store)
        self.herald = Herald(context, events)
        self.burier = Burier(context, store, self.herald)
        self.catalogue = Catalogue(context, store)
        self._surveyor = Surveyor(context, membership, getter)
        self.renewer = Renewer(
            context,
            surveyor=self._surveyor,
            getter=getter,
            announcer=announcer,
            catalogue=self.catalogue,
            herald=self.herald,
            events=events,
        )
        self.sync = CatalogueSync(
            context,
            store=store,
            catalogue=self.catalogue,
            keepers=HeadKeepers(context, membership, self.herald),
            putter=putter,
            getter=getter,
            end_lease=self._end_lease,
            events=events,
        )

    async def load(self) -> None:
        """Read what is kept on this disk."""
        await self.server.load()
        await self.herald.load()
        await self.burier.load()
        await self.catalogue.load()
        await self.sync.load()

    async def run(self) -> None:
        """Renew, publish and resend until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._outlive, self.renewer.run)
            nursery.start_soon(self._outlive, self.sync.run)
            nursery.start_soon(self.herald.run)
            nursery.start_soon(self.burier.run)

    async def _outlive(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop, and begin it again when our disk fails: others may still read what it holds."""
        while True:
            try:
                await loop()
            except LocalStorageError as error:
                log.warning("what we own waits until the disk works again: %s", error)
                await self._context.clock.sleep(AFTER_DISK_FAULT_S)

    async def put(
        self, source: AsyncIterator[bytes], *, shards: int | None, size: int | None, options: PutOptions
    ) -> PutResult:
        """Store a source and list it; see `NodeFace.put`."""
        self.herald.check_not_replaced()
        self.catalogue.check_room()
        written = await self._putter.put(source, shards=shards, size=size, options=options)
        try:
            await self.catalogue.add_written(written, options)
            await self.burier.forget(written.lease.record.target)
        except LocalStorageError as error:
            # It is stored and certified: that the list cannot be written makes it no failure.
            log.warning("%s is stored, but not listed: %s", written.result.id, error)
        return written.result

    async def renew(self, reference: Reference, *, keep_for_s: int | None) -> Renewed:
        """See `NodeFace.renew`."""
        self.herald.check_not_replaced()
        done = await self.renewer.renew(reference, keep_for_s=keep_for_s)
        record = self.catalogue.get(reference)
        if record is not None:
            await self.burier.forget(record.target)
        self._events.tell("renewed", f"renewed until {human_date(done.lease_end)}", reference=done.id)
        return done

    async def remove(self, reference: Reference) -> Removed:
        """See `NodeFace.remove`."""
        self.herald.check_not_replaced()
        record = self.catalogue.get(reference)
        if record is None:
            message = f"{reference.text()} is not among what this node's owner stored: 'p2pnode ls' lists that"
            raise NotFoundError(message)
        holders = await self._holders(reference)
        told = await self.burier.bury(
            record.target, lease_sequence=record.lease_sequence, lease_end=record.lease_end, holders=holders
        )
        await self.catalogue.remove(reference, lease_sequence=told.sequence)
        self._events.tell(
            "removed", f"{told.told} of {told.holders} holders ended the lease", reference=reference.text()
        )
        return Removed(id=reference.text(), holders=told.holders, told=told.told)

    async def _end_lease(self, reference: Reference, lease: Lease | OwnedRecord) -> None:
        """End a lease of ours on something that is not listed, or not any more."""
        sequence, end = (
            (lease.sequence, lease.end) if isinstance(lease, Lease) else (lease.lease_sequence, lease.lease_end)
        )
        holders = await self._holders(reference)
        await self.burier.bury(lease.target, lease_sequence=sequence, lease_end=end, holders=holders)

    async def _holders(self, reference: Reference) -> set[PeerId]:
        """Return all who may hold a part. When it cannot be read any more, those who rank first, and all connected."""
        lookup = self._getter.lookup()
        try:
            thing = await self._surveyor.survey(lookup, reference)
            return await self._surveyor.everybody(lookup, thing)
        except P2PNodeError as error:
            log.info("the holders of %s cannot be named: %s", reference.text(), error)
        connected = {each.peer_id for each in self._context.network.connected()}
        return connected | {self._context.own}

    async def things(self, *, with_removed: bool, looks_up_max: int = LOOKED_UP_MAX) -> list[OwnedThing]:
        """See `NodeFace.owned`."""
        now = self._context.clock.wall()
        records = [each.record for each in self.catalogue.records.values()]
        listed = sorted(
            (each for each in records if with_removed or not each.removed_at),
            key=lambda each: (each.stored_at, each.blob_id),
        )
        health = await self._health(listed, looks_up_max=looks_up_max)
        return [_thing(each, health.get(reference_of(each)), now=now) for each in listed]

    async def _health(self, records: list[OwnedRecord], *, looks_up_max: int) -> dict[Reference, int]:
        found: dict[Reference, int] = {}
        unknown: list[Reference] = []
        for record in records:
            reference = reference_of(record)
            healthy = await self._healthy_by_own_certificate(record.blob_id)
            if healthy is not None:
                found[reference] = healthy
            elif not record.removed_at:
                unknown.append(reference)
        slots = trio.CapacityLimiter(LOOKED_UP_AT_ONCE)

        async def look_up(reference: Reference) -> None:
            async with slots:
                try:
                    found[reference] = (await self._statistician.stat(reference)).healthy
                except P2PNodeError as error:
                    log.debug("the health of %s is not known: %s", reference.text(), error)

        async with trio.open_nursery() as nursery:
            for reference in unknown[:looks_up_max]:
                nursery.start_soon(look_up, reference)
        return found

    async def _healthy_by_own_certificate(self, blob_id: BlobId) -> int | None:
        """Return the healthy shards of the weakest blob of the page; what this node keeps it has checked before."""
        for envelope in await self._context.store.certificates(blob_id, 1):
            certificate = decode(envelope.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
            shards: set[tuple[BlobId, ShardIndex]] = set()
            for each in certificate.holders:
                if not self._membership.liveness(PeerId(peer_id_of(each.batch.signer))).counts_as_lost:
                    shards.update(pairs_of(certificate.page, each.shard_sets))
            counts = Counter(blob for blob, _ in shards)
            return min(counts[blob] for blob in certificate.page.blob_ids)
        return None

    async def status(self, info: NodeInfo, reach: ReachReport, traffic: Traffic) -> NodeStatus:
        """Tell how the node is doing; what is known here only, so that it answers at once."""
        usage = self._context.store.usage()
        things = await self.things(with_removed=False, looks_up_max=0)
        state = self.state()
        stored = stored_of(things, untold_removals=self.burier.waiting, catalogue=state)
        space = Space(
            quota=usage.quota_bytes,
            used=usage.used_bytes,
            trash=usage.trash_bytes,
            disk_free=usage.disk_free_bytes,
        )
        away = self._context.store.away
        return status_of(info, reach, space, traffic, things, stored, catalogue=state, away=away)

    def state(self) -> CatalogueState:
        """Tell whether the list is in the network."""
        return self.sync.state


def _thing(record: OwnedRecord, healthy: int | None, *, now: float) -> OwnedThing:
    return OwnedThing(
        id=reference_of(record).text(),
        name=record.name,
        size=record.size,
        stored_at=record.stored_at,
        lease_end=record.lease_end,
        wanted_until=record.wanted_until or None,
        state=state_of(record, now=now).value,
        n=record.n,
        healthy=None if state_of(record, now=now) in (OwnedState.ENDED, OwnedState.REMOVED) else healthy,
        renewers=tuple(key.hex() for key in record.renewers),
    )
