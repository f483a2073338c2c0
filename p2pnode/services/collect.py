"""Collecting what has expired: what unfinished uploads left behind, and what nobody has renewed."""

from __future__ import annotations

import logging

from p2pnode.errors import LocalStorageError
from p2pnode.membership.collecting import CollectionGate
from p2pnode.membership.table import MemberTable
from p2pnode.services.context import Context

log = logging.getLogger(__name__)


async def collect_regularly(context: Context, table: MemberTable) -> None:
    """Collect until cancelled, as often as the gate allows it: in contact, and with a clock that others agree with."""
    gate = CollectionGate(context.profile)
    while True:
        await context.clock.sleep(context.profile.collect_every_s)
        now, asleep = context.clock.monotonic(), context.clock.asleep()
        if not gate.may_collect(table.clock_lead(now=now, wall=context.clock.wall()), now=now, asleep=asleep):
            continue
        try:
            await _collect(context)
        except LocalStorageError as error:
            log.warning("cannot collect expired data: %s", error)


async def _collect(context: Context) -> None:
    """Collect until nothing more has expired; the store bounds each step, so that reads are never held up."""
    while True:
        collected = await context.store.collect(context.clock.wall())
        if collected.pairs:
            log.info("collected %d expired pairs, %d bytes", len(collected.pairs), collected.bytes_freed)
        if collected.trashed:
            log.info("moved %d pairs to the trash: their leases have ended", len(collected.trashed))
        if not collected.has_more:
            break
    while await context.store.receipts.collect_records(context.clock.wall()):
        pass
