"""Ending our own leases: a signed tombstone goes to every holder, and again to those that were away.

A tombstone ends its signer's lease only, and what no lease keeps goes to the trash of its holder. Whoever is away until
the lease would have ended needs no tombstone any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import trio

from p2pnode.errors import LocalStorageError, PeerFaultError, PeerRefusedError, PeerUnavailableError
from p2pnode.protocols.renewal import make_tombstone
from p2pnode.services.context import Context
from p2pnode.services.herald import Herald
from p2pnode.storage.owner_store import OwnerStore, PendingTombstone
from wire import limits
from wire.codec import decode
from wire.ids import LeaseTarget, PeerId
from wire.messages import RefusalCode
from wire.ownership import Buried, Bury
from wire.records import Envelope, Tombstone
from wire.signed import sign_record

log = logging.getLogger(__name__)

RESENT_EVERY_S = 60.0
"""How often tombstones are offered again to holders that have come back."""

PENDING_TOMBSTONES_MAX = 10_000
"""Tombstones that wait for some holder, about 4 KB each with a hundred holders: beyond it the lease that ends first is
left to end by itself."""

TOLD_AT_ONCE = 16
"""Holders that are told at a time."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many of the holders have taken a tombstone."""

    holders: int
    told: int
    sequence: int
    """The tombstone's."""


class Burier:
    """Sends tombstones until everybody has them."""

    def __init__(self, context: Context, store: OwnerStore, herald: Herald) -> None:
        """Call `load` before anything else."""
        self._context = context
        self._store = store
        self._herald = herald
        self._pending: dict[LeaseTarget, PendingTombstone] = {}

    async def load(self) -> None:
        """Go on with the tombstones that some holders had not taken; an earlier owner key's are signed anew."""
        for each in await self._store.tombstones():
            if each.envelope.signer == self._context.owner.public:
                self._pending[each.target] = each
            else:
                await self._keep(replace(each, envelope=self._signed_anew(each.envelope)))

    def _signed_anew(self, envelope: Envelope) -> Envelope:
        """Return the tombstone of a predecessor as ours: nobody takes that one any more."""
        record = decode(envelope.body, Tombstone, bytes_max=limits.RECORD_BYTES_MAX)
        return sign_record(record, key=self._context.owner, network=self._context.network_name).envelope

    @property
    def waiting(self) -> int:
        """How many tombstones some holder has not taken yet."""
        return len(self._pending)

    async def bury(
        self, target: LeaseTarget, *, lease_sequence: int, lease_end: int, holders: Iterable[PeerId]
    ) -> Told:
        """End our lease on a target, durably decided when this returns, and tell all holders that are there."""
        context = self._context
        sequence = await context.store.next_sequence("lease", at_least=lease_sequence + 1)
        tombstone = make_tombstone(
            context.owner, target, sequence=sequence, time=context.wall_seconds(), network=context.network_name
        )
        everybody = tuple(sorted(set(holders)))
        pending = PendingTombstone(envelope=tombstone.envelope, target=target, until=lease_end, waiting=everybody)
        await self._make_room()
        await self._keep(pending)
        left = await self._offer(pending, everybody)
        return Told(holders=len(everybody), told=len(everybody) - len(left), sequence=sequence)

    async def forget(self, target: LeaseTarget) -> None:
        """Offer a tombstone no more: its owner wants the thing after all."""
        pending = self._pending.get(target)
        if pending is not None:
            await self._keep(replace(pending, waiting=()))

    async def run(self) -> None:
        """Offer what is pending to holders that are connected, until cancelled."""
        while True:
            await self._context.clock.sleep(RESENT_EVERY_S)
            try:
                await self.resend()
            except LocalStorageError as error:
                log.warning("tombstones wait until the disk works again: %s", error)

    async def resend(self) -> None:
        """Offer each pending tombstone to those who miss it and are connected; forget those whose lease is over."""
        now = self._context.clock.wall()
        here = {each.peer_id for each in self._context.network.connected()} | {self._context.own}
        for pending in list(self._pending.values()):
            if pending.until <= now:
                await self._keep(replace(pending, waiting=()))
                continue
            reachable = [peer for peer in pending.waiting if peer in here]
            if reachable:
                await self._offer(pending, reachable)

    async def _offer(self, pending: PendingTombstone, peers: Iterable[PeerId]) -> tuple[PeerId, ...]:
        """Send a tombstone to some holders; keep, and return, those who have not taken it."""
        taken: set[PeerId] = set()
        slots = trio.CapacityLimiter(TOLD_AT_ONCE)

        async def tell(peer_id: PeerId) -> None:
            async with slots:
                if await self._tell(pending, peer_id):
                    taken.add(peer_id)

        async with trio.open_nursery() as nursery:
            for peer_id in peers:
                nursery.start_soon(tell, peer_id)
        left = tuple(peer for peer in pending.waiting if peer not in taken)
        if self._pending.get(pending.target) == pending:  # Else it was replaced or withdrawn meanwhile.
            await self._keep(replace(pending, waiting=left))
        return left

    async def _tell(self, pending: PendingTombstone, peer_id: PeerId) -> bool:
        """Tell whether a holder has the tombstone now, or never will take it."""
        request = Bury(tombstone=pending.envelope)
        if peer_id not in await self._herald.tell([peer_id]):  # Else it may not know for whom the tombstone speaks.
            return False
        try:
            await self._context.peers.ask(peer_id, "owner", request, expect=(Buried,))
        except PeerRefusedError as refused:
            return refused.code in (RefusalCode.INVALID, RefusalCode.NOT_HELD)
        except (PeerUnavailableError, PeerFaultError):
            return False
        return True

    async def _keep(self, pending: PendingTombstone) -> None:
        await self._store.save_tombstone(pending)
        if pending.waiting:
            self._pending[pending.target] = pending
        else:
            self._pending.pop(pending.target, None)

    async def _make_room(self) -> None:
        while len(self._pending) >= PENDING_TOMBSTONES_MAX:
            first = min(self._pending.values(), key=lambda each: each.until)
            await self._keep(replace(first, waiting=()))
