"""The quota as its operator sees and changes it while the node runs."""

from __future__ import annotations

from p2pnode.services.events import Events
from p2pnode.services.owner_face import QuotaState
from p2pnode.storage.quota import check_quota
from p2pnode.storage.store import SliverStore
from p2pnode.wording import human_bytes


class QuotaControl:
    """A `QuotaFace` over the node's store."""

    def __init__(self, store: SliverStore, events: Events) -> None:
        """Change this store's quota, and tell of it."""
        self._store = store
        self._events = events

    def state(self) -> QuotaState:
        """See `QuotaFace`."""
        usage = self._store.usage()
        return QuotaState(
            quota=usage.quota_bytes,
            used=usage.used_bytes,
            trash=usage.trash_bytes,
            room=usage.free_bytes,
            disk_free=usage.disk_free_bytes,
            disk_free_min=usage.disk_free_min_bytes,
        )

    def change(self, quota_bytes: int) -> QuotaState:
        """See `QuotaFace`."""
        check_quota(quota_bytes)
        before = self._store.usage().quota_bytes
        self._store.set_quota(quota_bytes)
        if quota_bytes != before:
            self._events.tell(
                "quota-changed", f"the quota is {human_bytes(quota_bytes)} now, and was {human_bytes(before)}"
            )
        return self.state()
