"""The disk under a home, which may not be there yet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from p2pnode.errors import HomeError


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes."""

    total: int
    free: int


def disk_under(path: Path) -> Disk:
    """Return the figures of the disk that has this directory, or will have it. Raises `HomeError`."""
    try:
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        found = shutil.disk_usage(there)
    except OSError as error:
        message = f"cannot look at the disk of {path}: {error.strerror or error}"
        raise HomeError(message) from error
    return Disk(found.total, found.free)
