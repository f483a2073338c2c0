"""Being reached through relays, for as long as nobody can dial us. The rules: `p2pnode/protocols/relaying.py`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import P2PNodeError
from p2pnode.membership.circuit_addresses import is_circuit
from p2pnode.membership.domains import domain_of
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.reach import Reach
from p2pnode.protocols.relaying import (
    ASK_AGAIN_S,
    RELAYS_WANTED,
    RENEW_S,
    RelayCandidate,
    Wish,
    choose_relays,
    wish_of,
)
from p2pnode.services.context import Context
from wire.ids import PeerId

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""How often it is looked at whether a relay is missing, or needed no more."""

LOOK_SELDOM_S = 10.0
"""The same while others can dial us: that changes with a check of it, or with our addresses."""


class RelayingService:
    """Keeps our places at relays."""

    def __init__(self, context: Context, table: MemberTable, *, reach: Callable[[], Reach]) -> None:
        """`reach` returns whether others can dial us, as the last check found."""
        self._context = context
        self._table = table
        self._reach = reach
        self._granted_at: dict[PeerId, float] = {}
        """When each relay last gave us a place."""
        self._refused_at: dict[PeerId, float] = {}
        """When each member last did not want to be our relay."""

    async def run(self) -> None:
        """Look after the places until cancelled."""
        while True:
            await self._context.clock.sleep(LOOK_SELDOM_S if self._wish() is Wish.NONE else LOOK_EVERY_S)
            await self._look()

    def _wish(self) -> Wish:
        return wish_of(self._reach(), has_own_address=not all(map(is_circuit, self._context.network.addresses())))

    async def _look(self) -> None:
        network = self._context.network
        wish = self._wish()
        if wish is Wish.NONE:
            for relay_id in network.relays():
                log.info("this node needs the relay %s no more", peer_id_to_text(relay_id))
                network.release_relay(relay_id)
            return
        now = self._context.clock.monotonic()
        for relay_id in network.relays():
            if now - self._granted_at.get(relay_id, now) >= RENEW_S:
                await self._ask(relay_id)
        if wish is Wish.HAVE:
            await self._fill()

    async def _fill(self) -> None:
        network = self._context.network
        candidates = self._candidates()
        now = self._context.clock.monotonic()
        held = network.relays()
        self._granted_at = {peer_id: at for peer_id, at in self._granted_at.items() if peer_id in held}
        self._refused_at = {peer_id: at for peer_id, at in self._refused_at.items() if now - at < ASK_AGAIN_S}
        for peer_id in choose_relays(held, candidates, refused=self._refused_at):
            if len(network.relays()) >= RELAYS_WANTED:
                return
            await self._ask(peer_id)

    async def _ask(self, relay_id: PeerId) -> None:
        is_new = relay_id not in self._context.network.relays()
        try:
            addresses = await self._context.network.reserve_relay(relay_id)
        except P2PNodeError as error:
            log.info("%s does not relay for this node: %s", peer_id_to_text(relay_id), error)
            self._refused_at[relay_id] = self._context.clock.monotonic()
            return
        self._granted_at[relay_id] = self._context.clock.monotonic()
        if is_new:
            log.info("nobody can dial this node; it is reached through a relay at %s", ", ".join(addresses))

    def _candidates(self) -> Sequence[RelayCandidate]:
        found = []
        for each in self._context.network.connected():
            member = self._table.get(each.peer_id)
            if member is not None and member.met_at is not None and each.address and not is_circuit(each.address):
                domain = domain_of(peer_id_to_text(each.peer_id), each.address)
                found.append(RelayCandidate(peer_id=each.peer_id, domain=domain, met_at=member.met_at))
        return found
