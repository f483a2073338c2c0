"""Moving a data directory to another disk: copy, check every copy, switch in one atomic step, remove.

Until all is copied the new place has a marker of another name, so nobody takes it for a data directory; once the home
has switched, what is left in the old place has one too. So whatever a crash leaves says what comes next, and the same
call goes on from there. Nothing else may use either place meanwhile. What is copied already is compared, not trusted:
the node may have run in between.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from p2pnode.errors import LocalStorageError
from p2pnode.seams import Files
from p2pnode.storage.names import PAIRS_DIRECTORY, RECORDS_DIRECTORY, directory_of, is_temporary, temporary_name
from p2pnode.storage.spread_files import MARKER_NAME
from wire import limits

ARRIVING_NAME = "data-directory.arriving"
"""The marker of a place to which not everything is copied yet."""

LEFT_NAME = "data-directory.left"
"""The marker of a place from which everything was moved."""

PIECE_BYTES = 4 * limits.MIB
"""How much of a file is in memory at a time."""

_PARENTS = (PAIRS_DIRECTORY, RECORDS_DIRECTORY)
_MARKERS = {MARKER_NAME, ARRIVING_NAME, LEFT_NAME}
_NOT_OURS = {"lost+found"}

Progress = Callable[[int], None]
"""Is told how many bytes are done since the last call."""


def copy_directory(old: Files, new: Files, marker: bytes, progress: Progress) -> None:
    """Make the new place hold all that the old one does, durably, and mark it last.

    Raises `OSError`, or `LocalStorageError` for a copy that cannot be read back; another call goes on.
    """
    _mark_as_arriving(new, marker)
    wanted = _wanted(old)
    for name in wanted:
        _copy_file(old, new, name)
        progress(old.size(name))
    for name in set(_file_names(new)) - set(wanted):  # Of an earlier call: the node has removed it since.
        new.remove(name)
    _sync_all(new)
    new.rename(ARRIVING_NAME, MARKER_NAME)
    new.sync_directory("")


def clear_directory(old: Files) -> None:
    """Remove everything from a place that is not used any more; only empty directories stay. Raises `OSError`."""
    if MARKER_NAME in old.names(""):
        old.rename(MARKER_NAME, LEFT_NAME)
        old.sync_directory("")
    for name in _file_names(old):
        old.remove(name)
    _sync_all(old)
    if LEFT_NAME in old.names(""):
        old.remove(LEFT_NAME)
        old.sync_directory("")


def total_bytes(old: Files) -> int:
    """Return how many bytes are to be copied. Raises `OSError`."""
    return sum(old.size(name) for name in _wanted(old))


def _wanted(old: Files) -> list[str]:
    """Return the names of the files to copy: what was never finished is worth nothing."""
    return [name for name in _file_names(old) if not is_temporary(name)]


def _mark_as_arriving(new: Files, marker: bytes) -> None:
    names = set(new.names(""))
    if MARKER_NAME in names:
        new.rename(MARKER_NAME, ARRIVING_NAME)
    elif ARRIVING_NAME not in names:
        temporary = temporary_name(ARRIVING_NAME, 0)
        _remove(new, temporary)
        new.write_new(temporary, [marker])
        new.rename(temporary, ARRIVING_NAME)
    new.sync_directory("")


def _file_names(files: Files) -> Iterator[str]:
    """Yield the name of every file that is no marker."""
    for name in files.names(""):
        if name not in {*_MARKERS, *_PARENTS, *_NOT_OURS}:
            yield name
    for parent in _PARENTS:
        for directory in files.names(parent):
            for name in files.names(f"{parent}/{directory}"):
                yield f"{parent}/{directory}/{name}"


def _copy_file(old: Files, new: Files, name: str) -> None:
    wanted = _checksum(old, name)
    with contextlib.suppress(FileNotFoundError):
        if _checksum(new, name) == wanted:
            return
    if directory := directory_of(name):
        new.make_directory(directory)
    temporary = temporary_name(name, 0)
    _remove(new, temporary)
    new.write_new(temporary, _Pieces(old, name))
    if _checksum(new, temporary) != wanted:
        message = f"the copy of {name} differs from the file: check both disks; nothing was removed"
        raise LocalStorageError(message)
    new.rename(temporary, name)


def _remove(files: Files, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        files.remove(name)


def _checksum(files: Files, name: str) -> bytes:
    summed = hashlib.blake2b(digest_size=32)
    for piece in _Pieces(files, name):
        summed.update(piece)
    return summed.digest()


def _sync_all(files: Files) -> None:
    for parent in _PARENTS:
        for directory in files.names(parent):
            files.sync_directory(f"{parent}/{directory}")
    files.sync_directory("")


class _Pieces(Sequence[bytes]):
    """A file as a sequence of pieces, each read when it is asked for: an index may be larger than the memory."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name
        self._count = -(-files.size(name) // PIECE_BYTES)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._files.read(self._name, offset=index * PIECE_BYTES, count=PIECE_BYTES)
