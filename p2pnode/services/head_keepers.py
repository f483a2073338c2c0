"""The members that keep the heads of an owner: those that rank first for it, found with its public key alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import trio

from p2pnode.errors import PeerFaultError, PeerRefusedError, PeerUnavailableError
from p2pnode.placement.candidates import order_of_asking
from p2pnode.protocols import heads
from p2pnode.protocols.catalogue import placement_seed
from p2pnode.services.context import Context
from p2pnode.services.herald import Herald, is_about_key
from p2pnode.services.membership import Membership
from wire import limits
from wire.ids import PeerId, PublicKey
from wire.ownership import CatalogueHead, GetHead, HeadKept, KeepHead
from wire.signed import Signed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the members that rank first for an owner said."""

    best: Signed[CatalogueHead] | None
    answered: int
    """Other members than this node."""


class HeadKeepers:
    """Asks them."""

    def __init__(self, context: Context, membership: Membership, herald: Herald) -> None:
        """Ask the members that are known; who refuses our head is asked whether our key was replaced."""
        self._context = context
        self._membership = membership
        self.herald = herald

    @property
    def are_there(self) -> bool:
        """Whether any other member is there."""
        return self._membership.fresh_count() > 0

    async def keep(self, head: Signed[CatalogueHead]) -> Answers:
        """Bring a head to those that rank first now."""
        peers = await self.ranked(head.signer, heads.HEAD_COPIES)
        return await self._ask(peers, KeepHead(head=head.envelope), head.signer, until=limits.UINT64_MAX)

    async def find(self, owner: PublicKey, *, until: int = limits.UINT64_MAX) -> Answers:
        """Find the newest head of an owner, of those that were signed until then."""
        peers = await self.ranked(owner, heads.HEADS_ASKED_MAX)
        return await self._ask(peers, GetHead(owner=owner), owner, until=until)

    async def ranked(self, owner: PublicKey, count: int) -> list[PeerId]:
        """Return the first members for an owner, this node perhaps among them."""
        members = self._membership.candidates()
        ranked = await self._context.offload.run(order_of_asking, placement_seed(owner), members)
        return [each.peer_id for each in ranked[:count]]

    async def _ask(self, peers: list[PeerId], request: KeepHead | GetHead, owner: PublicKey, *, until: int) -> Answers:
        context = self._context
        found: list[Signed[CatalogueHead] | None] = []
        answered: set[PeerId] = set()

        async def ask(peer_id: PeerId) -> None:
            try:
                reply = await context.peers.ask(peer_id, "owner", request, expect=(HeadKept,))
                assert isinstance(reply.message, HeadKept)
                head = heads.open_answer(reply.message.head, owner=owner, network=context.network_name)
            except PeerRefusedError as refused:
                if is_about_key(refused):
                    await self.herald.ask(peer_id)
                return
            except (PeerUnavailableError, PeerFaultError) as error:
                log.debug("%s said nothing of the catalogue: %s", peer_id, error)
                return
            found.append(head if head is None or head.record.time <= until else None)
            answered.add(peer_id)

        async with trio.open_nursery() as nursery:
            for peer_id in peers:
                nursery.start_soon(ask, peer_id)
        return Answers(best=heads.newest(found), answered=len(answered - {context.own}))
