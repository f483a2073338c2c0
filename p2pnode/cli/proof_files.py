"""Certificates and evidence in files of the user's, and as the daemon gives them."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from p2pnode.cli.daemon_client import BadAnswerError
from p2pnode.cli.local_files import LocalFileError


def read_proof(path: Path, *, bytes_max: int) -> bytes:
    """Return a file's bytes; of one that is too long, one more than may be. Raises `LocalFileError`."""
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as error:
        raise LocalFileError(f"cannot read {path}: {error.strerror}") from error


def write_proof(path: Path, data: bytes) -> None:
    """Write a file. Raises `LocalFileError`."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise LocalFileError(f"cannot write {path}: {error.strerror}") from error


def bytes_of(text: str) -> bytes:
    """Return what the daemon gave in base64. Raises `BadAnswerError`."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        message = f"unexpected answer from the daemon (no base64: {error})"
        raise BadAnswerError(message) from error
