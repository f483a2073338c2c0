"""The owner's own view of what it stored: kept on this disk, changed by the owner here and by its other machines."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio

from crypto.signing import BadSignatureError
from p2pnode.errors import CallerError
from p2pnode.protocols import catalogue
from p2pnode.protocols.catalogue import reference_of, view_digest, with_lease, with_wish, without_wish
from p2pnode.services.context import Context
from p2pnode.services.leased import LeasedThing
from p2pnode.services.owner_face import PutOptions
from p2pnode.services.put import Written
from p2pnode.storage.owner_store import OwnerStore
from wire import limits
from wire.errors import WireError
from wire.ids import Digest, LeaseTarget, PublicKey
from wire.ownership import OwnedRecord
from wire.records import Envelope, Lease
from wire.references import Reference
from wire.signed import Signed, sign_record

log = logging.getLogger(__name__)


class CatalogueFullError(CallerError):
    """The owner has as many things as a catalogue lists."""

    reason = "CATALOGUE_FULL"


class Catalogue:
    """The records of this owner's things, the same in memory and on disk."""

    def __init__(self, context: Context, store: OwnerStore) -> None:
        """Call `load` before anything else."""
        self._context = context
        self._store = store
        self._records: dict[Reference, Signed[OwnedRecord]] = {}
        self.changed = trio.Event()
        """Set, and replaced, with every change."""
        self.has_inherited = False
        """Whether what is kept here was an earlier owner key's until now."""

    async def load(self) -> None:
        """Read what is kept here; a record that does not open is left out, and comes back from the network.

        What an earlier owner key has signed is signed anew, all of it before anything else is done with the new key.
        """
        network = self._context.network_name
        earlier = {each.key for each in self._context.predecessors}
        inherited: list[Signed[OwnedRecord]] = []
        for envelope in await self._store.owned():
            owner = envelope.signer if envelope.signer in earlier else self.owner
            try:
                [record] = catalogue.open_records([envelope], owner=owner, network=network)
            except (WireError, BadSignatureError) as error:
                log.warning("a record of what we stored does not count: %s", error)
                continue
            if record.signer != self.owner:
                record = self._signed(catalogue.inherited(record.record))
                inherited.append(record)
            self._records[reference_of(record.record)] = record
        if inherited:
            await self._store.save_owned([_row(each) for each in inherited])
            self.has_inherited = True

    async def inherit(self, records: Iterable[Signed[OwnedRecord]]) -> None:
        """List what an earlier owner key listed, as far as it is not known; it removes nothing."""
        new = [each.record for each in records if reference_of(each.record) not in self._records]
        await self.take([self._signed(catalogue.inherited(each)) for each in new])

    @property
    def owner(self) -> PublicKey:
        """Whose catalogue it is."""
        return PublicKey(self._context.owner.public)

    @property
    def records(self) -> dict[Reference, Signed[OwnedRecord]]:
        """All records, those of removed things too; not to be changed."""
        return self._records

    @property
    def digest(self) -> Digest:
        """What tells this view from another."""
        return view_digest(self._records)

    def get(self, reference: Reference) -> OwnedRecord | None:
        """Return the record of a thing."""
        signed = self._records.get(reference)
        return None if signed is None else signed.record

    def check_room(self) -> None:
        """Raise `CatalogueFullError` when no further thing can be listed."""
        if len(self._records) >= limits.OWNED_RECORDS_MAX:
            message = (
                f"{len(self._records)} things are stored already, the most that one owner lists:"
                " pack small files together, or remove some"
            )
            raise CatalogueFullError(message)

    async def add_written(self, written: Written, options: PutOptions) -> None:
        """List what was just stored; what was listed before under the same reference is stored anew."""
        lease, now = written.lease.record, self._context.wall_seconds()
        known = self.get(written.reference)
        record = OwnedRecord(
            kind=catalogue.kind_number(written.reference.kind),
            blob_id=written.reference.blob_id,
            target=lease.target,
            blob_count=lease.blob_count,
            n=lease.n,
            size=written.result.size,
            name=options.name,
            stored_at=now,
            wanted_until=0 if options.keep_for_s is None else now + options.keep_for_s,
            lease_sequence=lease.sequence,
            lease_end=lease.end,
            renewers=lease.renewers,
            sequence=0 if known is None else known.sequence + 1,
            removed_at=0,
        )
        await self.take([self._signed(record)])

    async def renewed(self, thing: LeasedThing, lease: Lease, *, wanted_until: int | None) -> None:
        """Note a renewal; a `wanted_until` is a decision of the owner. What was not listed is listed from now on."""
        signed = self._records.get(thing.reference)
        if signed is None:
            record = OwnedRecord(
                kind=catalogue.kind_number(thing.reference.kind),
                blob_id=thing.reference.blob_id,
                target=LeaseTarget(thing.target),
                blob_count=thing.blob_count,
                n=thing.n,
                size=thing.size,
                name="",
                stored_at=lease.start,
                wanted_until=wanted_until or 0,
                lease_sequence=lease.sequence,
                lease_end=lease.end,
                renewers=(),
                sequence=0,
                removed_at=0,
            )
            await self.take([self._signed(record)])
            return
        wished = signed.record if wanted_until is None else with_wish(signed.record, wanted_until=wanted_until)
        await self.take([self._signed(with_lease(wished, sequence=lease.sequence, end=lease.end))])

    async def remove(self, reference: Reference, *, lease_sequence: int) -> None:
        """Note that the owner removed a thing. The sequence is that of the tombstone."""
        record, now = self._records[reference].record, self._context.wall_seconds()
        await self.take([self._signed(without_wish(record, removed_at=now, lease_sequence=lease_sequence))])

    async def take(self, records: Iterable[Signed[OwnedRecord]]) -> list[OwnedRecord]:
        """Take in records of this owner, durably; return those that are news here."""
        now = self._context.wall_seconds()
        before = self._records
        after = catalogue.remembered(catalogue.merged(before, records), now=now)
        news = {reference: each for reference, each in after.items() if before.get(reference) != each}
        forgotten = [reference.blob_id for reference in before if reference not in after]
        if not news and not forgotten:
            return []
        await self._store.save_owned([_row(each) for each in news.values()], forgotten)
        # Another call may have changed the view while this one wrote: merging again loses neither.
        self._records = catalogue.remembered(catalogue.merged(self._records, news.values()), now=now)
        self.changed.set()
        self.changed = trio.Event()
        return [each.record for each in news.values()]

    def _signed(self, record: OwnedRecord) -> Signed[OwnedRecord]:
        return sign_record(record, key=self._context.owner, network=self._context.network_name)


def _row(signed: Signed[OwnedRecord]) -> tuple[int, bytes, Envelope]:
    return signed.record.kind, bytes(signed.record.blob_id), signed.envelope
