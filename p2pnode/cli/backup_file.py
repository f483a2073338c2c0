"""The file with a backup of a node's keys: read whole, written once."""

from __future__ import annotations

import os
from pathlib import Path

from p2pnode.cli.passphrase import passphrase_of
from p2pnode.errors import CallerError, HomeError
from p2pnode.protocols.backup import BACKUP_BYTES_MAX, Backup, open_backup


def read_backup(file: Path, passphrase_file: Path | None) -> Backup:
    """Return what is in a backup. Raises `CallerError`."""
    text = _read(file)
    return open_backup(text, passphrase_of(passphrase_file, is_new=False))


def write_backup(file: Path, text: str) -> None:
    """Write a backup; an existing file is never overwritten. Raises `CallerError` or `HomeError`."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write(text)
    except FileExistsError as error:
        message = f"{file} exists, and it is not overwritten: choose another name"
        raise CallerError(message) from error
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        raise HomeError(message) from error


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(BACKUP_BYTES_MAX + 1).decode("ascii", "replace")
    except OSError as error:
        message = f"cannot read {file}: {error.strerror or error}"
        raise CallerError(message) from error
