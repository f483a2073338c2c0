"""The quota: what is used, what writes that are under way will use, and the room that is left.

Room is reserved before a byte is written, so that writes that run at the same time cannot pass the quota together.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from p2pnode.errors import CallerError, QuotaError

BLOCK_BYTES = 4096
"""The block of nearly every file system: room is reserved in these; what a file really took is counted afterwards."""


QUOTA_BYTES_LARGEST = (1 << 63) - 1
"""What SQLite and TOML can write down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How full the store is. `used_bytes` is what the data directory takes on its disk, all of it, as `du` counts."""

    quota_bytes: int
    used_bytes: int
    reserved_bytes: int
    """What writes under way may still add."""
    trash_bytes: int
    """What of `used_bytes` is in the trash."""
    pairs: int
    """Pairs held intact, as far as is known."""
    free_bytes: int
    """What may still be stored: the quota's room, or the disk's where that is less."""
    disk_free_bytes: int
    """What the disk has left, the part that stays free included."""
    disk_free_min_bytes: int
    """The part that stays free."""


def default_quota(free_bytes: int) -> int:
    """Return what a new node offers unless told otherwise: a tenth of what is free, in whole gigabytes above one.

    Nobody misses so much, and a disk that fills up for other reasons is still far from full.
    """
    share = free_bytes // 10
    return share - share % 10**9 if share >= 10**9 else share


def check_quota(quota_bytes: int, *, disk_bytes: int | None = None) -> None:
    """Raise `CallerError` unless a node may be told to keep this quota, on a disk of this size if that is known."""
    if not 0 < quota_bytes <= QUOTA_BYTES_LARGEST:
        message = f"a quota of {quota_bytes} bytes: expected more than 0, and at most {QUOTA_BYTES_LARGEST}"
        raise CallerError(message)
    if disk_bytes is not None and quota_bytes > disk_bytes:
        message = f"a quota of {quota_bytes} bytes: the whole disk has only {disk_bytes}; choose less than that"
        raise CallerError(message)


def on_disk(byte_count: int) -> int:
    """Return what a file of this length takes."""
    return -(-byte_count // BLOCK_BYTES) * BLOCK_BYTES


class Quota:
    """The account. Safe to use from several threads."""

    def __init__(self, quota_bytes: int) -> None:
        """Start with nothing used."""
        self._quota_bytes = quota_bytes
        self._used_bytes = 0
        self._trash_bytes = 0
        self._reserved_bytes = 0
        self._pairs = 0
        self._disk_bytes = 0
        self._disk_free_min_bytes = 0
        self._lock = threading.Lock()

    def set_used(self, used_bytes: int) -> None:
        """Begin to count anew."""
        with self._lock:
            self._used_bytes = used_bytes

    def set_quota(self, quota_bytes: int) -> None:
        """Grow or shrink; below what is used nothing more is accepted until enough has gone."""
        with self._lock:
            self._quota_bytes = quota_bytes

    def reset(self, *, trash_bytes: int, pairs: int) -> None:
        """Begin with what recovery found; reservations stay."""
        with self._lock:
            self._trash_bytes = trash_bytes
            self._pairs = pairs

    def reserve(self, byte_count: int) -> Reservation:
        """Set room aside. Raises `QuotaError` with the figures when there is too little."""
        with self._lock:
            room = self._quota_bytes - self._used_bytes - self._reserved_bytes
            if byte_count > max(0, room):  # What needs nothing is welcome in a quota that was shrunk, too.
                message = (
                    f"the quota has no room for {byte_count} bytes: {self._used_bytes} of {self._quota_bytes} are used"
                    f" and {self._reserved_bytes} reserved by writes under way; raise it with 'p2pnode quota SIZE',"
                    " or wait until leases end"
                )
                raise QuotaError(message)
            self._reserved_bytes += byte_count
        return Reservation(self, byte_count)

    def change(self, *, used_bytes: int = 0, trash_bytes: int = 0, pairs: int = 0, reserved_bytes: int = 0) -> None:
        """Add to the figures, all in one step."""
        with self._lock:
            self._used_bytes += used_bytes
            self._trash_bytes += trash_bytes
            self._pairs += pairs
            self._reserved_bytes += reserved_bytes

    def note_disk(self, free_bytes: int, *, kept_free_bytes: int) -> None:
        """Remember what the disk said last, and how much of it stays free."""
        with self._lock:
            self._disk_bytes = free_bytes
            self._disk_free_min_bytes = kept_free_bytes

    def usage(self) -> Usage:
        """Return the figures of this moment."""
        with self._lock:
            room = max(0, self._quota_bytes - self._used_bytes - self._reserved_bytes)
            return Usage(
                quota_bytes=self._quota_bytes,
                used_bytes=self._used_bytes,
                reserved_bytes=self._reserved_bytes,
                trash_bytes=self._trash_bytes,
                pairs=self._pairs,
                free_bytes=min(room, max(0, self._disk_bytes - self._disk_free_min_bytes)),
                disk_free_bytes=self._disk_bytes,
                disk_free_min_bytes=self._disk_free_min_bytes,
            )


class Reservation:
    """Room set aside for one write, until that is done or has failed."""

    def __init__(self, quota: Quota, byte_count: int) -> None:
        """Stand for room that is reserved already."""
        self._quota = quota
        self._byte_count = byte_count

    def release(self) -> None:
        """Give the room back: what was written counts as used by now."""
        self._quota.change(reserved_bytes=-self._byte_count)
        self._byte_count = 0
