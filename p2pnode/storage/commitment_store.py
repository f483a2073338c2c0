"""The face of what commitments need of the disk: what the services call, as `SliverStore` says of itself."""

from __future__ import annotations

import trio

from p2pnode.protocols.entry_tree import Entry, Key
from p2pnode.storage import commitments
from p2pnode.storage.engine import Engine
from p2pnode.storage.receipt_store import Call


class CommitmentStore:
    """The pairs that are held, what changed of them, and the last epoch that was signed for."""

    def __init__(
        self, engine: Engine, call: Call, *, reads: trio.CapacityLimiter, writes: trio.CapacityLimiter
    ) -> None:
        """Work on the store's engine, as many calls at a time as the store allows."""
        self._engine = engine
        self._call = call
        self._reads = reads
        self._writes = writes

    async def watch(self) -> None:
        """Begin to note which pairs change, from nothing."""
        await self._call(self._reads, commitments.watch)

    async def take_changes(self) -> dict[Key, Entry | None] | None:
        """Return what became of pairs that changed since it was asked last; call it until it returns nothing.

        None unless `watch` was called on the index as it is: then everything has to be read.
        """
        return await self._call(self._reads, commitments.take_changes)

    async def entries_after(self, key: Key | None) -> dict[Key, Entry | None]:
        """Return the entries of the next pairs that are held, in order; None for the first ones."""
        return await self._call(self._reads, commitments.entries_after, key)

    async def last_epoch(self) -> int:
        """Return the last epoch that was signed for, as far as this disk knows; 0 for none."""
        return await self._call(self._reads, commitments.last_epoch)

    async def note_epoch(self, epoch: int) -> None:
        """Make durable that an epoch is signed for."""
        await self._call(self._writes, commitments.note_epoch, epoch)
