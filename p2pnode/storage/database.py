"""The connection to the index's database: one user at a time, whole transactions, SQLite's errors translated.

SQLite is told to fsync every commit (`Files.database`). What its errors mean for us differs: a full disk is passing,
a damaged database is rebuilt from the files beside it, and after any other failure nothing more may be written.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator

from p2pnode.errors import DiskFullError, LocalStorageError
from p2pnode.seams import Files

DATABASE_NAME = "index.db"
SIDE_FILES = ("-wal", "-shm")
"""What SQLite keeps beside a database while it is open."""

DAMAGED_KEPT_MAX = 3
"""Damaged databases that are kept for whoever wants to look: a dying disk must not fill itself with them."""

_PRIMARY_CODE = 0xFF
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_FAILURES = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_MISUSE,
}
"""Not the database's bytes are at fault. A block that cannot be read (IOERR_READ) is, though."""


class DamagedIndexError(LocalStorageError):
    """The index cannot be believed: it is set aside and rebuilt from pair files and record files."""


class IndexFailedError(LocalStorageError):
    """The database failed in a way after which nobody knows what is on the disk."""


class Database:
    """An open database. The lock may be taken again by the thread that holds it."""

    def __init__(self, files: Files, name: str = DATABASE_NAME) -> None:
        """Open nothing yet."""
        self._files = files
        self._name = name
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or create the database and look it over. Raises `DamagedIndexError`, `DiskFullError` or `OSError`."""
        with self._lock, _translated():
            self._connection = self._files.database(self._name)
            self._connection.isolation_level = None  # We say ourselves where a transaction starts and ends.
            # Not the quick check: it leaves out whether SQL's own indexes list every row, and we delete by them.
            found = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found is None or found[0] != "ok":
            message = f"the database {self._name} is damaged: {found}"
            raise DamagedIndexError(message)

    def close(self) -> None:
        """Let go of the database; no error when it is not open or cannot be closed cleanly."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    def set_aside(self) -> str:
        """Close the database and rename its file, so that a new one can be made. Returns the new name, "" for none.

        Raises `OSError`.
        """
        with self._lock:
            self.close()
            names = set(self._files.names(""))
            if self._name not in names:
                return ""
            taken = sorted(number for name in names if (number := _damaged_number(self._name, name)) >= 0)
            for number in taken[: max(0, len(taken) - DAMAGED_KEPT_MAX + 1)]:
                self._files.remove(_damaged_name(self._name, number))
            aside = _damaged_name(self._name, max(taken, default=0) + 1)
            for suffix in SIDE_FILES:  # Left beside a new database they would be taken for its own.
                if self._name + suffix in names:
                    self._files.remove(self._name + suffix)
            self._files.rename(self._name, aside)
            self._files.sync_directory("")
            return aside

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other thread out, over several transactions."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read. Raises `LocalStorageError` of the fitting kind."""
        with self._lock, _translated():
            yield self._opened()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change the index in one transaction, durable when the block has ended; undone by any error.

        Raises `DiskFullError` (nothing was changed), `DamagedIndexError` or `IndexFailedError`.
        """
        with self._lock, _translated():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors.
                    connection.rollback()
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            message = "the store is closed"
            raise LocalStorageError(message)
        return self._connection


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite quotes the damage in its message, and Python cannot read it.
        message = f"the index is damaged: SQLite's own words cannot be read ({error.reason})"
        raise DamagedIndexError(message) from error
    except sqlite3.Error as error:
        raise _translation(error) from error


def _translation(error: sqlite3.Error) -> LocalStorageError:
    """Return what an error of SQLite's means for us. Damage has many codes, failures have few: those are listed."""
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & _PRIMARY_CODE
    if code == sqlite3.SQLITE_FULL:
        return DiskFullError("the disk is full: the index cannot grow; free some space, nothing was lost")
    if code in _PASSING:
        return LocalStorageError(f"the index is in use by another program ({error}): end that one, then try again")
    is_misuse = isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError)
    if is_misuse or (code in _FAILURES and extended != sqlite3.SQLITE_IOERR_READ):
        return IndexFailedError(f"the index failed: {error}; check the disk, then start the node again")
    return DamagedIndexError(f"the index is damaged: {error}")


def _damaged_name(database: str, number: int) -> str:
    return f"{database}.damaged-{number}"


def _damaged_number(database: str, name: str) -> int:
    """Return k of a name that ends in `.damaged-<k>`, -1 for other names."""
    prefix, _, digits = name.rpartition("-")
    return int(digits) if prefix == f"{database}.damaged" and digits.isdecimal() and digits.isascii() else -1
