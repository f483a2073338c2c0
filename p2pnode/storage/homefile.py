"""The small files of a home: read whole within a bound, kept from other users, replaced in one atomic step."""

from __future__ import annotations

import stat
from pathlib import Path

from p2pnode.errors import HomeError
from p2pnode.storage.files import DiskFiles

SMALL_FILE_BYTES_MAX = 64 * 1024
"""No file of a home is longer, its data apart: a wrong path must not fill the memory."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def replace_file(path: Path, name: str, text: str, *, mode: int) -> None:
    """Write a file whole or not at all, durable when this returns. Raises `OSError`."""
    temporary = f"{name}.tmp"
    files = DiskFiles(path)
    (path / temporary).unlink(missing_ok=True)
    files.write_new(temporary, [text.encode()], mode=mode)
    files.rename(temporary, name)
    files.sync_directory("")


def read_text(path: Path) -> str:
    """Return the text of one of a home's small files. Raises `HomeError` that says what to do."""
    try:
        with path.open("rb") as file:
            data = file.read(SMALL_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        message = f"{path} is missing: restore it from a backup, or make a new node in another home with 'p2pnode init'"
        raise HomeError(message) from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise HomeError(message) from error
    if len(data) > SMALL_FILE_BYTES_MAX:
        message = f"{path} is longer than {SMALL_FILE_BYTES_MAX} bytes: this is not a file of a node's home"
        raise HomeError(message)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}, line {line}: not UTF-8 text; restore the file from a backup"
        raise HomeError(message) from error


def check_private(path: Path) -> None:
    """Raise `HomeError` when other users may read or change a file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        message = f"{path} may be read or changed by other users (mode {mode:04o}): run 'chmod 600 {path}'"
        raise HomeError(message)
