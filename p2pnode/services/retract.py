"""Retracting what was lost: a pair that this disk cannot give back any more is told to all who counted on it.

Once: from then on the pair is served and signed for again only after it was stored anew.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from p2pnode.errors import LocalStorageError
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.retractions import make_retraction
from p2pnode.services.context import Context
from p2pnode.services.keep import RECEIPTS
from wire.ids import PublicKey
from wire.records import Retraction
from wire.signed import Signed

log = logging.getLogger(__name__)

LOOK_ANYWAY_EVERY_S = 600.0
"""How often lost pairs are looked for though nobody has noticed a loss."""


class Retractor:
    """Signs retractions and keeps them; `SyncService` spreads them."""

    def __init__(self, context: Context) -> None:
        """Nothing is retracted before `run`."""
        self._context = context

    async def run(self) -> None:
        """Retract what is lost until cancelled."""
        clock = self._context.clock
        looked_at = -LOOK_ANYWAY_EVERY_S
        while True:
            is_time = clock.monotonic() - looked_at >= LOOK_ANYWAY_EVERY_S
            if is_time or self._context.store.receipts.has_untold_losses:
                looked_at = clock.monotonic()
                try:
                    if not self._context.store.highest_number(RECEIPTS):
                        await self._context.store.take_number(RECEIPTS)  # So that the first receipt need not wait.
                    await self.retract_losses()
                except LocalStorageError as error:
                    log.warning("lost pairs cannot be retracted until the disk works again: %s", error)
            await clock.sleep(self._context.profile.reconnect_every_s)

    async def retract_losses(self) -> None:
        """Retract every pair that is lost and was not retracted yet."""
        while losses := await self._context.store.receipts.untold_losses():
            signed = [await self._sign(pair, at_least=0) for pair in losses]
            if not await self._context.store.receipts.retract(signed):
                return  # They were stored anew meanwhile.
            log.warning("%d lost pairs are retracted: others will replace them", len(signed))

    async def answer(self, promises: Mapping[Pair, int], held: Collection[Pair]) -> list[Signed[Retraction]]:
        """Return our retractions of those promises that we do not keep, each above the promise's number.

        `promises` are receipts in our own name that others showed us: our next number is above all of them.
        """
        store = self._context.store
        highest = max(promises.values(), default=0)
        if highest > store.highest_number(RECEIPTS):
            await store.take_number(RECEIPTS, at_least=highest + 1)
        broken = {pair: number for pair, number in promises.items() if pair not in held}
        if not broken:
            return []
        own = PublicKey(self._context.identity.public)
        known = await store.receipts.retracted(own, list(broken))
        told = {pair: each for pair, each in known.items() if each.record.sequence > broken[pair]}
        fresh = [await self._sign(pair, at_least=number + 1) for pair, number in broken.items() if pair not in told]
        return [*told.values(), *(await store.receipts.retract(fresh) if fresh else ())]

    async def _sign(self, pair: Pair, *, at_least: int) -> Signed[Retraction]:
        context = self._context
        return make_retraction(
            context.identity,
            pair,
            network=context.network_name,
            sequence=await context.store.take_number(RECEIPTS, at_least=at_least),
            time=context.wall_seconds(),
        )
