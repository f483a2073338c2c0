"""Which data directories a home has: their marker files, the list of their ids in the home, and opening them.

A directory that the list knows is the one with its id, wherever `config.toml` says that it is. One without its marker
is away, never empty: it is not begun anew, unless it is seen that there is another disk in its place, and an empty one,
or that somebody has removed it from the home. New ones get a marker first and are listed then; in between a crash
leaves a marker that says it is ours. What is listed but not in `config.toml` any more is away until it is forgotten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.errors import CallerError, HomeError
from p2pnode.seams import Rng
from p2pnode.storage.files import STAT_BLOCK_BYTES, DiskFiles
from p2pnode.storage.home import CONFIG_FILE, Home, read_text, replace_file, rewrite_config
from p2pnode.storage.names import is_temporary, temporary_name
from p2pnode.storage.settings import with_data_dirs
from p2pnode.storage.spread_files import MARKER_NAME, DataDirectory, DirectoryAwayError, SpreadFiles

log = logging.getLogger(__name__)

DirectoryId = NewType("DirectoryId", str)
"""The id of a data directory, in hex; it moves with its content."""

LIST_FILE = "data-directories"
ID_BYTES = 16

_LIST_HEADER = "p2pnode-data-directories-v1"
_MARKER = re.compile(r"p2pnode-data-v1 ([0-9a-f]{32}) ([0-9A-Za-z]+)\n")
_LINE = re.compile(r"([0-9a-f]{32}) (.+)")
_LIST_MODE = 0o644
_NOT_OURS = {"lost+found"}
"""What an empty disk has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A data directory of the home's list."""

    directory_id: DirectoryId
    path: Path
    """Where it was when the list was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryState:
    """What `p2pnode data ls` shows."""

    path: str
    id: str
    is_here: bool
    used: int
    """What it takes on its disk, in bytes; 0 while it is away."""
    free: int
    """What its disk has left."""


def open_directories(home: Home, rng: Rng) -> SpreadFiles:
    """Return the files of a home's data directories; new ones are made. Call it under the home's lock.

    Raises `HomeError` when the first one is away, or one is not what it should be.
    """
    check_apart(home.data_paths)
    known = listed(home)
    before = _without_lost(home, known)
    found = _identify(home, before, rng, is_first_lost=before[:1] != known[:1])
    left_out = [each for each in before if each.directory_id not in {one.directory_id for one in found}]
    now = [*found, *left_out]
    if now != known:
        _write_list(home, now)
    directories = [_directory(home, each, is_configured=True) for each in found]
    directories += [_directory(home, each, is_configured=False) for each in left_out]
    try:
        return SpreadFiles(directories)
    except DirectoryAwayError as error:
        raise _first_is_away(home.data_path) from error


def states(home: Home) -> list[DirectoryState]:
    """Return how each data directory is, those of `config.toml` first; nothing is made or changed."""
    known = listed(home)
    found = [_state(home, path, known) for path in home.data_paths]
    here = {each.id for each in found}
    left_out = [each for each in known if each.directory_id not in here]
    return found + [
        DirectoryState(path=str(each.path), id=each.directory_id, is_here=False, used=0, free=0) for each in left_out
    ]


def forget(home: Home, path: Path) -> None:
    """Give up a data directory that is away: from the next start on its pairs count as lost. Call it under the lock.

    Raises `CallerError` when it is here, or the first, or unknown; `HomeError`.
    """
    known = listed(home)
    wanted = path.resolve()
    match = next((each for each in known if each.path.resolve() == wanted), None)
    if match is None:
        message = f"{path} is no data directory of this node: 'p2pnode data ls' lists them"
        raise CallerError(message)
    if match == known[0]:
        message = f"{path} is the first data directory, which keeps the index: it cannot be forgotten"
        raise CallerError(message)
    if read_marker(home, path) == match.directory_id:
        message = f"{path} is here: nothing is to be forgotten; 'p2pnode data move' takes its content elsewhere"
        raise CallerError(message)
    configured = zip(home.settings.data_dirs, home.data_paths, strict=True)
    left = [text for text, each in configured if each.resolve() != wanted]
    if len(left) < len(home.data_paths):
        change_data_dirs(home, left)
    _write_list(home, [each for each in known if each != match])


def listed(home: Home) -> list[Listed]:
    """Return the home's list, the first directory first; empty when none was opened yet. Raises `HomeError`."""
    path = home.path / LIST_FILE
    if not os.path.lexists(path):
        return []
    lines = read_text(path).splitlines()
    matches = [_LINE.fullmatch(line) for line in lines[1:]]
    if lines[:1] != [_LIST_HEADER] or not matches or not all(matches):
        message = f"{path}: expected '{_LIST_HEADER}' and lines of an id and a path; restore the file from a backup"
        raise HomeError(message)
    return [Listed(directory_id=DirectoryId(match[1]), path=Path(match[2])) for match in matches if match]


def read_marker(home: Home, path: Path, name: str = MARKER_NAME) -> DirectoryId | None:
    """Return the id that a directory's marker says, None when it has none. Raises `HomeError` for another node's."""
    marker = path / name
    if not os.path.lexists(marker):
        return None
    match = _MARKER.fullmatch(read_text(marker))
    if match is None:
        message = f"{marker} is no marker of a data directory: restore the file from a backup"
        raise HomeError(message)
    if match[2] != _own(home):
        message = f"{path} belongs to node {match[2]}: give this node another data directory"
        raise HomeError(message)
    return DirectoryId(match[1])


def marker_of(home: Home, directory_id: DirectoryId) -> bytes:
    """Return what the marker of this directory says."""
    return f"p2pnode-data-v1 {directory_id} {_own(home)}\n".encode()


def change_data_dirs(home: Home, data_dirs: Sequence[str]) -> Home:
    """Write other data directories into `config.toml`, in one atomic step. Raises `HomeError`."""
    config = home.path / CONFIG_FILE
    text = with_data_dirs(read_text(config), data_dirs, where=str(config))
    rewrite_config(config, text)
    return dataclasses.replace(home, settings=dataclasses.replace(home.settings, data_dirs=tuple(data_dirs)))


def check_apart(paths: Sequence[Path]) -> None:
    """Raise `HomeError` when one of these directories is, or is inside, another."""
    resolved = [path.resolve() for path in paths]
    for number, path in enumerate(resolved):
        for other in resolved[number + 1 :]:
            if path.is_relative_to(other) or other.is_relative_to(path):
                message = f"data_dirs: {path} and {other} are not apart; give each disk one directory"
                raise HomeError(message)


def has_only(path: Path, names: Sequence[str]) -> bool:
    """Tell whether a directory is missing, or has nothing besides these names and what was never finished."""
    try:
        found = set(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths
    except FileNotFoundError:
        return True
    return all(name in {*names, *_NOT_OURS} or is_temporary(name) for name in found)


def _without_lost(home: Home, known: Sequence[Listed]) -> list[Listed]:
    """Return the list without the directories that are lost for good; it is written when new ones are marked."""
    paths = set(home.data_paths)
    lost = [each for each in known if each.path in paths and _is_lost(home, each.path)]
    for each in lost:
        log.error("%s is a new, empty disk: what was kept there is lost, and rebuilt from other nodes", each.path)
    return [each for each in known if each not in lost]


def _is_lost(home: Home, path: Path) -> bool:
    """Tell whether what was in a data directory is lost: an unmounted disk leaves an empty directory of the disk above.

    So it is when an empty disk is mounted in its place, and when the directory is gone from the home itself, where
    nothing but our own data can have been: a mount point would still be there.
    """
    if os.path.lexists(path) and not has_only(path, ()):
        return False
    if path.parent == home.path and not os.path.lexists(path):
        return True
    there = path.resolve()
    while not there.exists():
        there = there.parent
    return there.is_mount() and there != there.parent


def _identify(home: Home, known: Sequence[Listed], rng: Rng, *, is_first_lost: bool) -> list[Listed]:
    """Find out which directory lies at each path of `config.toml`."""
    markers = [read_marker(home, path) for path in home.data_paths]
    found: list[Listed] = []
    for path, marker in zip(home.data_paths, markers, strict=True):
        if marker is not None and marker in {each.directory_id for each in found}:
            message = f"{path} is a copy of another data directory: take one of them out of data_dirs"
            raise HomeError(message)
        was = next((each for each in known if each.path == path and each.directory_id not in markers), None)
        directory_id = marker or (was.directory_id if was is not None else None)
        if known and not found and not is_first_lost and directory_id != known[0].directory_id:
            raise _first_is_away(known[0].path)
        if directory_id is None:
            directory_id = _begin(home, path, rng, is_first=not found)
        found.append(Listed(directory_id=directory_id, path=path))
    return found


def _begin(home: Home, path: Path, rng: Rng, *, is_first: bool) -> DirectoryId:
    """Mark a new data directory. The first one may have content: that of a program that knew no markers."""
    if not is_first and not has_only(path, ()):
        message = f"{path} has other files in it: an empty directory is needed for data"
        raise HomeError(message)
    directory_id = DirectoryId(rng.random_bytes(ID_BYTES).hex())
    try:
        files = DiskFiles(path)
        temporary = temporary_name(MARKER_NAME, 0)
        with contextlib.suppress(FileNotFoundError):
            files.remove(temporary)
        files.write_new(temporary, [marker_of(home, directory_id)])
        files.rename(temporary, MARKER_NAME)
        files.sync_directory("")
    except OSError as error:
        message = f"cannot use the data directory {path}: {error.strerror or error}"
        raise HomeError(message) from error
    return directory_id


def _directory(home: Home, each: Listed, *, is_configured: bool) -> DataDirectory:
    files = DiskFiles(each.path, makes_root=False) if is_configured else None
    return DataDirectory(name=str(each.path), marker=marker_of(home, each.directory_id), files=files)


def _first_is_away(path: Path) -> HomeError:
    return HomeError(
        f"{path} is the first data directory, and it is not here, or its file {MARKER_NAME} is gone or another one's:"
        " mount its disk, or put the directory first in data_dirs where it is now; nothing begins anew in its place"
    )


def _write_list(home: Home, directories: Sequence[Listed]) -> None:
    lines = [_LIST_HEADER, *(f"{each.directory_id} {each.path}" for each in directories)]
    try:
        replace_file(home.path, LIST_FILE, "\n".join(lines) + "\n", mode=_LIST_MODE)
    except OSError as error:
        message = f"cannot write {home.path / LIST_FILE}: {error.strerror or error}"
        raise HomeError(message) from error


def _state(home: Home, path: Path, known: Sequence[Listed]) -> DirectoryState:
    marker = read_marker(home, path)
    was = next((each.directory_id for each in known if each.path == path), "")
    if marker is None:
        return DirectoryState(path=str(path), id=was, is_here=False, used=0, free=0)
    free = DiskFiles(path, makes_root=False).free_bytes()
    return DirectoryState(path=str(path), id=marker, is_here=True, used=_used_bytes(path), free=free)


def _used_bytes(path: Path) -> int:
    """Return what a directory takes with all that is in it; what comes and goes meanwhile is not missed."""
    blocks = 0
    for root, _, names in os.walk(path):
        for each in (Path(root), *(Path(root, name) for name in names)):
            with contextlib.suppress(FileNotFoundError):
                blocks += each.lstat().st_blocks
    return blocks * STAT_BLOCK_BYTES


def _own(home: Home) -> str:
    return peer_id_to_text(peer_id_of(home.identity.public))
