"""`p2pnode data move`: finding out how far a move of a data directory has come, and doing what is left of it.

`config.toml` is the switch: as long as it names the old place, that one is used and the new one is only a copy.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from p2pnode.errors import CallerError, HomeError
from p2pnode.storage.data_directories import (
    DirectoryId,
    change_data_dirs,
    check_apart,
    has_only,
    marker_of,
    read_marker,
)
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.home import Home
from p2pnode.storage.moving import ARRIVING_NAME, LEFT_NAME, Progress, clear_directory, copy_directory, total_bytes


def move_directory(home: Home, old: Path, new: Path, progress: Progress) -> None:
    """Move a data directory, or go on with a move that was interrupted. Call it under the home's lock.

    Raises `CallerError` when there is nothing to move or no place for it, `HomeError` when a disk does not let us;
    nothing is lost then, and the same call goes on.
    """
    old, new = old.absolute(), new.absolute()
    try:
        if not _has_switched(home, old, new):
            directory_id = _check_both(home, old, new)
            copy_directory(DiskFiles(old, makes_root=False), DiskFiles(new), marker_of(home, directory_id), progress)
            configured = zip(home.settings.data_dirs, home.data_paths, strict=True)
            change_data_dirs(home, [str(new) if _is_same(each, old) else text for text, each in configured])
        clear_directory(DiskFiles(old, makes_root=False))
    except OSError as error:
        message = f"cannot move {old} to {new}: {error.strerror or error}; nothing is lost, the same command goes on"
        raise HomeError(message) from error
    _remove_empty(old)


def bytes_to_move(old: Path) -> int:
    """Return how many bytes a move copies or compares."""
    try:
        return total_bytes(DiskFiles(old, makes_root=False))
    except OSError:  # The move itself says what is wrong.
        return 0


def _has_switched(home: Home, old: Path, new: Path) -> bool:
    """Tell whether only the old place is still to be cleared."""
    if _is_used(home, old) or not _is_used(home, new):
        return False
    directory_id = read_marker(home, new)
    left = {read_marker(home, old), read_marker(home, old, LEFT_NAME)}
    return directory_id is not None and directory_id in left


def _check_both(home: Home, old: Path, new: Path) -> DirectoryId:
    """Return the id of what is to be moved."""
    directory_id = read_marker(home, old)
    if directory_id is None or not _is_used(home, old):
        message = f"{old} is no data directory of this node that is here: 'p2pnode data ls' lists them"
        raise CallerError(message)
    if _is_used(home, new):
        message = f"{new} is a data directory of this node already"
        raise CallerError(message)
    check_apart([*home.data_paths, new])
    is_copy = directory_id in {read_marker(home, new), read_marker(home, new, ARRIVING_NAME)}
    if not is_copy and not has_only(new, ()):
        message = f"{new} has other files in it: an empty directory is needed"
        raise CallerError(message)
    return directory_id


def _is_used(home: Home, path: Path) -> bool:
    return any(_is_same(each, path) for each in home.data_paths)


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _remove_empty(old: Path) -> None:
    """Remove the empty directories that are left; the root stays where it is a mount point or has something else."""
    for root, _, _ in os.walk(old, topdown=False):
        with contextlib.suppress(OSError):
            Path(root).rmdir()
