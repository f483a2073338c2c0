"""The operator's own trash: what has no lease any more, and is kept for a while in case its owner thinks again."""

from __future__ import annotations

from p2pnode.services.owner_face import Emptied, Trashed
from p2pnode.storage.store import SliverStore
from wire.ids import BlobId


class Trash:
    """A `TrashFace` over the node's store."""

    def __init__(self, store: SliverStore) -> None:
        """Look into this store."""
        self._store = store

    async def listed(self) -> list[Trashed]:
        """See `TrashFace`."""
        return [
            Trashed(
                blob_id=each.blob_id.text(),
                shard=each.shard,
                size=each.file_bytes,
                trashed_at=each.trashed_at,
                removed_at=each.removed_at,
            )
            for each in await self._store.trash()
        ]

    async def restore(self, blob_id: BlobId) -> int:
        """See `TrashFace`."""
        return await self._store.restore(blob_id)

    async def empty(self) -> Emptied:
        """See `TrashFace`."""
        pairs = freed = 0
        while True:
            done = await self._store.empty_trash()
            pairs += len(done.pairs)
            freed += done.bytes_freed
            if not done.has_more:
                return Emptied(pairs=pairs, bytes_freed=freed)
