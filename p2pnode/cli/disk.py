"""The disks under a home, which may not be there yet."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pnode.errors import HomeError


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes."""

    total: int
    free: int


def disk_under(places: Sequence[Path]) -> Disk:
    """Return the figures of the disks that have these directories, or will have them, together. Raises `HomeError`."""
    found = dict(_disk_of(path) for path in places)
    return Disk(sum(each.total for each in found.values()), sum(each.free for each in found.values()))


def _disk_of(path: Path) -> tuple[int, Disk]:
    """Return which disk it is, and its figures."""
    try:
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        found = shutil.disk_usage(there)
        return there.stat().st_dev, Disk(found.total, found.free)
    except OSError as error:
        message = f"cannot look at the disk of {path}: {error.strerror or error}"
        raise HomeError(message) from error
