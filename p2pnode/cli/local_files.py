"""The user's own files: read in pieces, and replaced by a whole new one or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from p2pnode.errors import P2PNodeError

PIECE_BYTES = 512 * 1024
"""How much of a file is in memory at a time."""

STANDARD_STREAM = Path("-")
"""The name by which a user means stdin or stdout."""


class LocalFileError(P2PNodeError):
    """A file of the user's cannot be read or written."""

    reason = "LOCAL_FILE"


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be stored: `size` bytes, or nobody knows how many."""

    name: str
    size: int | None
    file: BinaryIO

    def chunks(self, progress: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the content. Raises `LocalFileError`, also when the file does not have its size any more."""
        left = self.size
        while left is None or left > 0:
            try:
                chunk = self.file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
            except OSError as error:
                raise _error("read", self.name, error) from error
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            progress(len(chunk))
            yield chunk
        if left:
            message = f"{self.name} became shorter while it was read: nothing was stored"
            raise LocalFileError(message)


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a file, or stdin for `-`. Raises `LocalFileError`."""
    if path == STANDARD_STREAM:
        if sys.stdin is None:
            message = "stdin is closed"
            raise LocalFileError(message)
        yield Source("stdin", None, sys.stdin.buffer)
        return
    try:
        # Unbuffered: the pieces are large, and a pipe's bytes pass on when they come.
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise _error("read", str(path), error) from error
    with file:
        about = os.fstat(file.fileno())
        # A regular file of no bytes may be one that the system makes up while it is read, as in /proc.
        size = about.st_size if stat.S_ISREG(about.st_mode) and about.st_size else None
        yield Source(str(path), size, file)


@contextlib.contextmanager
def open_target(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes to a file, or to stdout for `-`; the file is in place when the context ends well.

    Raises `LocalFileError`; a closed pipe on stdout raises `BrokenPipeError`.
    """
    if path == STANDARD_STREAM:
        yield _write_to_stdout
        return
    final = path.resolve()  # A link goes on pointing to the file, instead of being replaced by it.
    if final.is_dir():
        message = f"cannot write {path}: it is a directory"
        raise LocalFileError(message)
    if final.exists() and not final.is_file():
        with _reported(path), final.open("wb", buffering=0) as device:  # Nothing can replace a device or a pipe.
            yield lambda chunk: _write_whole(path, device, chunk)
        return
    temporary = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}.part")
    with _reported(path):
        file = temporary.open("xb", buffering=0)
    try:
        with file:
            yield lambda chunk: _write_whole(path, file, chunk)
            with _reported(path):
                os.fsync(file.fileno())
        with _reported(path):
            temporary.replace(final)
            _sync_directory(final.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _write_to_stdout(chunk: bytes) -> None:
    try:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _error("write", "stdout", error) from error


def _write_whole(path: Path, file: BinaryIO | io.FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        with _reported(path):
            view = view[file.write(view) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _error("write", str(path), error) from error


def _error(verb: str, name: str, error: OSError) -> LocalFileError:
    return LocalFileError(f"cannot {verb} {name}: {error.strerror or error}")
