"""Telling others that another key is the owner: ours, whose predecessors they may still know; or that ours is replaced.

Whoever keeps something of a predecessor is told before it is asked for anything under the new key, and everybody who is
connected is told besides: what is told once stands there, so the owner should come before whoever stole the old key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio

from crypto.signing import BadSignatureError
from p2pnode.errors import CallerError, LocalStorageError, PeerFaultError, PeerRefusedError, PeerUnavailableError
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.successions import Predecessor, check_succession, kept_until, open_answer, open_succession
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from wire.errors import WireError
from wire.ids import PeerId, PublicKey
from wire.messages import RefusalCode
from wire.ownership import GetSuccession, KeepSuccession, Succession, SuccessionKept
from wire.signed import Signed

log = logging.getLogger(__name__)

TOLD_EVERY_S = 300.0
"""How often those who are connected, and do not know of the rotation yet, are told: a small question each."""

TOLD_AT_ONCE = 16
"""Peers that are told at a time."""

PEERS_MAX = 10_000
"""Peers of which it is known what they were told, and peers that the owner is warned of."""


class OwnerReplacedError(CallerError):
    """Another key has succeeded the owner key of this node: nobody takes anything new that ours signs."""

    reason = "OWNER_REPLACED"


class Herald:
    """Knows the successions before our owner key, and whether one came after it."""

    def __init__(self, context: Context, events: Events) -> None:
        """Call `load` before anything else."""
        self._context = context
        self._events = events
        self._told: set[PeerId] = set()
        self._contested: set[PeerId] = set()
        self._successor: PublicKey | None = None

    async def load(self) -> None:
        """Let our own store know what we tell others, and hear what it knows of us."""
        await self.tell([self._context.own])
        await self._look_at_own_store()

    @property
    def _predecessors(self) -> tuple[Predecessor, ...]:
        return self._context.predecessors

    @property
    def successor(self) -> PublicKey | None:
        """The key that has succeeded ours, as far as we know."""
        return self._successor

    def check_not_replaced(self) -> None:
        """Raise `OwnerReplacedError` when our key signs for nothing any more."""
        if self._successor is not None:
            message = (
                f"another owner key, {self._successor.hex()}, has replaced the one of this node: make a backup where"
                " that key is ('p2pnode id export'), stop this node, and run 'p2pnode id rotate-owner --from BACKUP'"
            )
            raise OwnerReplacedError(message)

    async def run(self) -> None:
        """Tell whoever is connected, until cancelled or until it is too long ago to matter."""
        clock = self._context.clock
        while self._predecessors and clock.wall() < max(kept_until(each.succession) for each in self._predecessors):
            await clock.sleep(TOLD_EVERY_S)
            await self.tell([self._context.own, *(each.peer_id for each in self._context.network.connected())])

    async def tell(self, peers: Iterable[PeerId]) -> set[PeerId]:
        """Tell peers of all our successions; return those that know of them, or keep nothing of a predecessor."""
        wanted = set(peers)
        known = wanted & self._told if self._predecessors else wanted
        slots = trio.CapacityLimiter(TOLD_AT_ONCE)

        async def tell(peer_id: PeerId) -> None:
            async with slots:
                if await self._tell(peer_id):
                    known.add(peer_id)

        async with trio.open_nursery() as nursery:
            for peer_id in sorted(wanted - known):
                nursery.start_soon(tell, peer_id)
        return known

    async def _tell(self, peer_id: PeerId) -> bool:
        kept = 0
        for predecessor in self._predecessors:
            request = KeepSuccession(succession=predecessor.succession.envelope)
            try:
                reply = await self._context.peers.ask(peer_id, "owner", request, expect=(SuccessionKept,))
                assert isinstance(reply.message, SuccessionKept)
                answer = open_answer(
                    reply.message.succession, owner=predecessor.key, network=self._context.network_name
                )
            except (PeerUnavailableError, PeerFaultError) as error:
                log.debug("%s was not told of the new owner key: %s", peer_id, error)
                return False
            if answer is None:
                continue  # It keeps nothing of the predecessor, and may do so later.
            kept += 1
            if answer.record.successor != predecessor.succession.record.successor:
                self._contest(peer_id, answer)
        if kept == len(self._predecessors):
            if len(self._told) >= PEERS_MAX:
                self._told.clear()  # To tell somebody again harms nobody.
            self._told.add(peer_id)
        return True

    def _contest(self, peer_id: PeerId, rival: Signed[Succession]) -> None:
        """Tell the owner that whoever has the old key was there first."""
        if peer_id in self._contested or len(self._contested) >= PEERS_MAX:
            return
        self._contested.add(peer_id)
        self._events.tell(
            "owner-key-contested",
            f"at {peer_id} another key, {rival.record.successor.hex()}, had succeeded the old owner key before yours:"
            " somebody else has that key; store anew what is kept there only",
        )

    async def ask(self, peer_id: PeerId) -> None:
        """Ask a peer that refuses what our key signs whether it was replaced."""
        context = self._context
        owner = PublicKey(context.owner.public)
        try:
            reply = await context.peers.ask(peer_id, "owner", GetSuccession(owner=owner), expect=(SuccessionKept,))
            assert isinstance(reply.message, SuccessionKept)
            answer = open_answer(reply.message.succession, owner=owner, network=context.network_name)
            if answer is not None:
                checked = check_succession(answer.envelope, network=context.network_name, wall=context.clock.wall())
                await context.store.succeed(checked, is_needed=True)
        except (PeerUnavailableError, PeerFaultError, RefusalError) as error:
            log.debug("%s did not say who has replaced our owner key: %s", peer_id, error)
        await self._look_at_own_store()

    async def look(self) -> None:
        """Hear what our store has learned since; a disk that fails is found by others."""
        try:
            await self._look_at_own_store()
        except LocalStorageError as error:
            log.warning("whether our owner key was replaced is not known: %s", error)

    async def _look_at_own_store(self) -> None:
        context = self._context
        if self._successor is not None:
            return
        envelope = await context.store.succession(PublicKey(context.owner.public))
        if envelope is None:
            return
        try:
            self._successor = open_succession(envelope, network=context.network_name).record.successor
        except (WireError, BadSignatureError) as error:
            log.warning("the succession of our owner key does not count: %s", error)
            return
        self._events.tell(
            "owner-key-replaced",
            f"another owner key, {self._successor.hex()}, has replaced the one of this node: nothing is renewed here"
            " until 'p2pnode id rotate-owner --from BACKUP' takes it over",
        )


def is_about_key(refused: PeerRefusedError) -> bool:
    """Tell whether a refusal of something that our owner key signed may be because that key was replaced."""
    return refused.code == RefusalCode.LEASE
