"""Collecting what unfinished uploads left behind, once its provisional lease is over."""

from __future__ import annotations

import logging

from p2pnode.errors import LocalStorageError
from p2pnode.services.context import Context

log = logging.getLogger(__name__)


async def collect_regularly(context: Context) -> None:
    """Collect until cancelled.

    It begins only after the profile's uptime, so that a node that was away learns of newer leases first.
    """
    await context.clock.sleep(context.profile.collection_after_uptime_s)
    while True:
        try:
            await _collect(context)
        except LocalStorageError as error:
            log.warning("cannot collect expired data: %s", error)
        await context.clock.sleep(context.profile.collect_every_s)


async def _collect(context: Context) -> None:
    """Collect until nothing more has expired; the store bounds each step, so that reads are never held up."""
    while True:
        collected = await context.store.collect(context.clock.wall())
        if collected.pairs:
            log.info("collected %d expired pairs, %d bytes", len(collected.pairs), collected.bytes_freed)
        if not collected.has_more:
            return
