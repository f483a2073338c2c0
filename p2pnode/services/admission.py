"""Admission: a newcomer's record waits until its work was checked; only then is it a member, and passed on.

Who waits, and whose turn it is, is decided in `p2pnode/membership/newcomers.py`.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable, Callable

import trio

from crypto.peer_id import peer_id_to_text
from crypto.work import BadWorkError
from p2pnode.membership.domains import domain_of
from p2pnode.membership.newcomers import Bringer, Newcomer, Newcomers
from p2pnode.membership.refusals import Refused
from p2pnode.membership.summary import Summary
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.members import check_admission, check_admission_claim
from p2pnode.services.context import Context
from wire.ids import PeerId
from wire.records import MemberRecord
from wire.signed import Signed

log = logging.getLogger(__name__)

CHECK_SHARE = 0.5
"""The share of one processor that checks may take: after each comes a pause, so that ten thousand newcomers (half an
hour of checks) slow nothing else down."""


class Admitted(enum.Enum):
    """What becomes of a record whose signature is good."""

    YES = "yes"
    WAITS = "waits"
    NO = "no"


class Admission:
    """The door of one node."""

    def __init__(self, context: Context, table: MemberTable, *, welcome: Callable[[Newcomer], Awaitable[None]]) -> None:
        """Nobody waits; `welcome` is called with each newcomer whose work is good."""
        self._context = context
        self._table = table
        self._welcome = welcome
        self._newcomers = Newcomers(self._pick)
        self._has_come = trio.Event()

    @property
    def summary(self) -> Summary:
        """The summary of the records that wait here."""
        return self._newcomers.summary

    def admit(self, signed: Signed[MemberRecord], *, via: PeerId, is_for_others: bool = False) -> Admitted:
        """Decide on a record that a peer brought; one whose work is not known yet waits for its check.

        The work of members is known, also after a restart: only what was checked is kept.
        """
        context = self._context
        if self._is_known(signed):
            return Admitted.YES
        try:
            check_admission_claim(signed, network=context.network_name, cost=context.profile.admission_work)
        except BadWorkError as error:
            log.info("no member: %s: %s", signed.signer_peer, error)
            context.refusals.count(Refused.NO_WORK)
            return Admitted.NO
        if not context.profile.admission_work or signed.signer_peer == context.own:
            return Admitted.YES
        if self._newcomers.offer(
            signed, self._bringer(via), now=context.clock.monotonic(), is_for_others=is_for_others
        ):
            self._has_come.set()
        else:
            context.refusals.count(Refused.CROWDED)
        return Admitted.WAITS

    async def run(self) -> None:
        """Check one newcomer after the other until cancelled."""
        while True:
            newcomer = self._newcomers.next()
            if newcomer is None:
                self._has_come = trio.Event()
                await self._has_come.wait()
                continue
            started = self._context.clock.monotonic()
            await self._check(newcomer)
            took_s = self._context.clock.monotonic() - started
            await self._context.clock.sleep(took_s * (1 - CHECK_SHARE) / CHECK_SHARE)

    async def _check(self, newcomer: Newcomer) -> None:
        context = self._context
        try:
            if not self._is_known(newcomer.signed):  # It waits a second time when it came again while it was checked.
                await context.offload.run(_check, newcomer.signed, context.network_name, context.profile.admission_work)
        except BadWorkError as error:
            log.warning("false admission work, brought by %s: %s", newcomer.bringer.name, error)
            context.refusals.count(Refused.NO_WORK)
            self._newcomers.failed(newcomer, now=context.clock.monotonic())
            return
        await self._welcome(newcomer)

    def _pick(self, count: int) -> int:
        return min(count - 1, int(self._context.rng.uniform(0, count)))

    def _is_known(self, signed: Signed[MemberRecord]) -> bool:
        """Tell whether the signer is a member with the same solution."""
        known = self._table.get(signed.signer_peer)
        return known is not None and known.record.work == signed.record.work

    def _bringer(self, via: PeerId) -> Bringer:
        text = peer_id_to_text(via)
        if self._table.get(via) is not None:
            return Bringer(text, is_chosen=True)
        for each in self._context.network.connected():
            if each.peer_id == via:
                is_chosen = bool(each.address)
                return Bringer(text if is_chosen else domain_of(text, each.source), is_chosen=is_chosen)
        return Bringer("unknown", is_chosen=False)


def _check(signed: Signed[MemberRecord], network: str, cost: int) -> None:
    check_admission(signed, network=network, cost=cost)
