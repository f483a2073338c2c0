"""Renewing leases: for whoever asks, and by itself for what this node's owner stored.

A renewal is a final lease with a higher sequence, made as the first one was: the holders sign for it, and the list of
their receipts puts it into effect, page by page. It names one holder for each shard; whoever holds a duplicate is not
asked, and lets it go when the earlier lease ends.
"""

from __future__ import annotations

import logging

from p2pnode.errors import CallerError, P2PNodeError
from p2pnode.protocols import renewal
from p2pnode.protocols.catalogue import reference_of
from p2pnode.protocols.leases import LeaseTerms, make_blob_lease, make_file_lease
from p2pnode.protocols.renewal import OwnedState
from p2pnode.services.announce import Announcer
from p2pnode.services.catalogue import Catalogue
from p2pnode.services.commit import Committer
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.get import Getter
from p2pnode.services.herald import Herald
from p2pnode.services.leased import LeasedThing, Surveyor
from p2pnode.services.owner_face import Renewed
from p2pnode.wording import human_date
from wire import limits
from wire.ids import PeerId
from wire.ownership import OwnedRecord
from wire.records import Lease, LeaseKind
from wire.references import Reference
from wire.signed import Signed

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
"""How often the leases are looked through: they run for weeks."""

MOVED_AFTER_S = 10.0
"""How soon leases of an earlier owner key are renewed: the node has met others by then."""

RETRY_AFTER_S = 3600.0
"""A renewal that failed, or that some holders missed, is tried again after this, while the earlier lease goes on."""


class Renewer:
    """Renews leases."""

    def __init__(
        self,
        context: Context,
        *,
        surveyor: Surveyor,
        getter: Getter,
        announcer: Announcer,
        catalogue: Catalogue,
        herald: Herald,
        events: Events,
    ) -> None:
        """Renew under the node's owner key."""
        self._context = context
        self._surveyor = surveyor
        self._getter = getter
        self._announcer = announcer
        self._catalogue = catalogue
        self._herald = herald
        self._events = events
        self._again_at: dict[Reference, float] = {}
        self._warned: set[tuple[Reference, int]] = set()

    async def renew(self, reference: Reference, *, keep_for_s: int | None = None) -> Renewed:
        """Renew the lease on a thing now, or add one of our own; with a time it is renewed until then.

        Raises as a read does, and `TooFewHoldersError` when fewer than n - f shards of some blob are left: then the
        earlier lease goes on to its end.
        """
        now = self._context.wall_seconds()
        known = self._catalogue.get(reference)
        if known is None:
            self._catalogue.check_room()
        wanted_until: int | None = None
        if keep_for_s is not None:
            wanted_until = now + keep_for_s
        elif known is not None and (known.removed_at or 0 < known.wanted_until <= now):
            wanted_until = 0  # To renew what was removed, or was not wanted any more, is to want it again.
        return await self._renew(reference, known, wanted_until=wanted_until)

    async def _renew(self, reference: Reference, known: OwnedRecord | None, *, wanted_until: int | None) -> Renewed:
        lookup = self._getter.lookup()
        thing = await self._surveyor.survey(lookup, reference)
        if known is not None and known.target != thing.target:
            message = f"{reference.text()} is not what was stored under that name: its blobs are others"
            raise CallerError(message)
        committer = Committer(self._context)
        pages = thing.pages()
        holders = [await self._surveyor.holders(lookup, thing, page) for page in pages]
        named = {peer for each in holders for by_shard in each.values() for peer in by_shard.values()}
        end_wanted = wanted_until if wanted_until is not None else (known.wanted_until if known is not None else 0)
        await self._herald.tell(named)
        lease = await self._sign(thing, known, sorted(named), wanted_until=end_wanted)
        healthy = thing.n
        for page, by_blob in zip(pages, holders, strict=True):
            certified = await committer.commit_page(lease, page, by_blob)
            self._announcer.announce(certified.certificate)
            healthy = min(healthy, certified.healthy)
        await self._catalogue.renewed(thing, lease.record, wanted_until=wanted_until)
        hoped = min(len(by_shard) for each in holders for by_shard in each.values())
        if healthy < hoped:
            self._try_again(reference)
        else:
            self._again_at.pop(reference, None)
        return Renewed(id=reference.text(), n=thing.n, healthy=healthy, lease_end=lease.record.end)

    async def _sign(
        self, thing: LeasedThing, known: OwnedRecord | None, holders: list[PeerId], *, wanted_until: int
    ) -> Signed[Lease]:
        context = self._context
        at_least = 0 if known is None else known.lease_sequence + 1
        start = context.wall_seconds()
        terms = LeaseTerms(
            n=thing.n,
            sequence=await context.store.next_sequence("lease", at_least=at_least),
            start=start,
            end=renewal.lease_end(start=start, longest_s=context.profile.lease_s, wanted_until=wanted_until),
            renewers=() if known is None else known.renewers,
            holders=tuple(holders) if len(holders) <= limits.SHARDS_MAX else (),
        )
        if thing.group is None:
            blob_id = thing.reference.blob_id
            return make_blob_lease(context.owner, blob_id, terms, network=context.network_name, kind=LeaseKind.FINAL)
        return make_file_lease(context.owner, thing.group, terms, network=context.network_name, kind=LeaseKind.FINAL)

    async def run(self) -> None:
        """Renew what is due and warn of what ends, until cancelled."""
        while True:
            await self._context.clock.sleep(self._wait_s())
            if self._herald.successor is None:
                await self.look()

    def _wait_s(self) -> float:
        """Return how long to wait before the next look: after a rotation of the owner key not for long."""
        now = self._context.clock.wall()
        for reference, signed in self._catalogue.records.items():
            if renewal.is_of_predecessor(signed.record, now=now) and reference not in self._again_at:
                return MOVED_AFTER_S
        return min(LOOK_EVERY_S, self._context.profile.lease_s / 100)

    async def look(self) -> None:
        """Renew, one after the other, what is due now."""
        for signed in list(self._catalogue.records.values()):
            record = signed.record
            reference = reference_of(record)
            if self._is_due(record, reference):
                await self._renew_by_itself(record, reference)
            self._warn(self._catalogue.get(reference), reference)

    def _is_due(self, record: OwnedRecord, reference: Reference) -> bool:
        again_at = self._again_at.get(reference)
        if again_at is not None:
            return not record.removed_at and self._context.clock.monotonic() >= again_at
        now = self._context.clock.wall()
        return renewal.renewal_is_due(record, now=now, longest_s=self._context.profile.lease_s)

    async def _renew_by_itself(self, record: OwnedRecord, reference: Reference) -> None:
        try:
            done = await self._renew(reference, record, wanted_until=None)
        except P2PNodeError as error:
            self._try_again(reference)
            log.warning("the lease on %s could not be renewed: %s", reference.text(), error)
            self._events.tell("renewal-failed", f"the lease could not be renewed: {error}", reference=reference.text())
            return
        message = f"renewed on {done.healthy} of {done.n} shards, until {human_date(done.lease_end)}"
        self._events.tell("renewed", message, reference=reference.text())

    def _try_again(self, reference: Reference) -> None:
        """Come back to a thing; a failed renewal must not be tried every few seconds."""
        wait_s = min(RETRY_AFTER_S, self._context.profile.lease_s / 100)
        self._again_at[reference] = self._context.clock.monotonic() + wait_s

    def _warn(self, record: OwnedRecord | None, reference: Reference) -> None:
        """Tell once of each lease that it ends within a week; what is renewed in time never comes so far."""
        if record is None:
            return
        state = renewal.state_of(record, now=self._context.clock.wall())
        mark = (reference, record.lease_end)
        if state is not OwnedState.ENDS_SOON or mark in self._warned:
            return
        self._warned = {each for each in self._warned if each[0] in self._catalogue.records} | {mark}
        name = record.name or reference.text()
        self._events.tell(
            "lease-ends-soon",
            f"the lease on {name} ends within a week: 'p2pnode renew {reference.text()}' prolongs it",
            reference=reference.text(),
        )
