"""Asking for a passphrase: at the terminal without an echo, or from a file."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from p2pnode.errors import CallerError

PASSPHRASE_BYTES_MAX = 4_096
"""Nobody's passphrase is longer; a wrong path must not fill the memory."""

PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(help="Read the passphrase from this file's first line instead of asking.", show_default=False),
]


def passphrase_of(file: Path | None, *, is_new: bool) -> str:
    """Return the passphrase; a new one is asked for twice. Raises `CallerError`."""
    if file is not None:
        return _checked(_first_line(file))
    if not sys.stdin.isatty():
        message = "a passphrase is needed: name a file with --passphrase-file where nobody can be asked"
        raise CallerError(message)
    passphrase = _checked(getpass.getpass("passphrase: "))
    if is_new and getpass.getpass("once more: ") != passphrase:
        message = "the two passphrases differ"
        raise CallerError(message)
    return passphrase


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(PASSPHRASE_BYTES_MAX + 1)
        return data.decode().partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read the passphrase from {file}: {getattr(error, 'strerror', None) or error}"
        raise CallerError(message) from error


def _checked(passphrase: str) -> str:
    if not passphrase or len(passphrase.encode()) > PASSPHRASE_BYTES_MAX:
        message = f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes"
        raise CallerError(message)
    return passphrase
