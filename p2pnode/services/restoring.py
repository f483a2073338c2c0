"""Noticing that our disk was put back from an old copy of itself, and what follows from it (PROTOCOL section 8).

An old database knows neither the numbers that we have signed since, so that we would sign them twice, nor what we have
promised since. Others know both: our own newest record comes back from them, with our signature, so that nobody can
make us skip numbers. They are asked before the first record is signed, and every greeting tells it as well. Then all
numbers go on far above, and every pair that should be here is looked at; what is missing is told as lost.

Asking takes ASK_TIMEOUT_S at most, no time for a node that knows nobody, and does not need the others to have started:
they answer before they have a record of their own, so that the machines of one site can start at one moment.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from crypto.signing import BadSignatureError
from p2pnode.errors import P2PNodeError
from p2pnode.protocols.members import check_member_record
from p2pnode.services.context import Context
from wire.errors import WireError
from wire.ids import PeerId
from wire.messages import GetOwnRecord, OwnRecord
from wire.records import MemberRecord
from wire.signed import Signed

log = logging.getLogger(__name__)

MEMBER_RECORD = "member record"
"""The purpose of the numbers of our own records."""

ASKED_MAX = 5
"""Peers that are asked at start."""

ANSWERS_ENOUGH = 3
"""Answers after which a node starts: a record reaches every member within seconds, so one would nearly do."""

ASK_TIMEOUT_S = 3.0
"""How long a node waits for them, dials included: a line around the world takes two, and an operator hardly notices."""


class Restoration:
    """Whether this node was restored from an old disk, and the way out of it."""

    def __init__(self, context: Context) -> None:
        """Nothing is known yet."""
        self._context = context
        self._signed = 0
        """The highest number that our own database knows to be signed."""
        self._seen = 0
        """The highest number under our signature that anybody has shown us."""
        self._answers = 0
        self.found = trio.Event()
        """Set once it is known that the disk is an old one: then every pair on it is looked at (`scrub.py`)."""

    @property
    def is_restored(self) -> bool:
        """Whether others have seen records of ours that our database does not know."""
        return self.found.is_set()

    @property
    def is_behind(self) -> bool:
        """Whether our next number might be one that we have signed already."""
        return self._seen > self._signed

    async def prepare(self) -> None:
        """Read what our own database knows; call it before anybody can tell us anything."""
        self._signed = await self._context.store.last_sequence(MEMBER_RECORD)

    async def ask(self, targets: Sequence[PeerId | str]) -> None:
        """Ask some peers, by id or by address, for our newest record; returns soon whatever they do."""
        with trio.move_on_after(ASK_TIMEOUT_S):
            async with trio.open_nursery() as nursery:
                for target in targets[:ASKED_MAX]:
                    nursery.start_soon(self._ask_one, target, nursery.cancel_scope)

    async def _ask_one(self, target: PeerId | str, others: trio.CancelScope) -> None:
        try:
            peer_id = target if isinstance(target, PeerId) else await self._context.network.bootstrap(target)
            reply = await self._context.peers.ask(peer_id, "members", GetOwnRecord(), expect=(OwnRecord,))
            envelope = reply.message.record
            if envelope is not None:
                self.saw(check_member_record(envelope, network=self._context.network_name))
        except (P2PNodeError, WireError, BadSignatureError) as error:
            log.debug("%s does not tell our newest record: %r", target, error)
            return
        self._answers += 1
        if self._answers >= ANSWERS_ENOUGH:
            others.cancel()

    def saw(self, signed: Signed[MemberRecord]) -> None:
        """Take note of a checked record; only one of our own tells something here."""
        if signed.signer_peer != self._context.own or signed.record.sequence <= max(self._seen, self._signed):
            return
        self._seen = signed.record.sequence
        if not self.found.is_set():
            self.found.set()
            log.error(
                "this node is restored: others know its record number %d, its own disk knows only %d, so the disk was"
                " put back from an old copy; new numbers begin far above, and what is missing here is told as lost",
                self._seen,
                self._signed,
            )

    async def next_number(self) -> int:
        """Return the number of our next record, above all that were ever signed. Raises as the store does."""
        store = self._context.store
        while self.is_behind:
            seen = self._seen
            await store.leave_sequences_behind(seen)
            self._signed = seen
        self._signed = await store.next_sequence(MEMBER_RECORD)
        return self._signed
