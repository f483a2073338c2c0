"""The database connection: one thread at a time, and each of SQLite's errors means the right thing for us."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from p2pnode.errors import DiskFullError, LocalStorageError
from p2pnode.storage.database import DamagedIndexError, Database, IndexFailedError
from p2pnode.storage.files import DiskFiles


def failure(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    """Return an error as SQLite raises it; 0 stands for one that Python's own module raises."""
    error = kind("injected")
    if code:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (failure(sqlite3.SQLITE_FULL), DiskFullError),
        (failure(sqlite3.SQLITE_BUSY), LocalStorageError),
        (failure(sqlite3.SQLITE_LOCKED), LocalStorageError),
        (failure(sqlite3.SQLITE_IOERR_FSYNC), IndexFailedError),
        (failure(sqlite3.SQLITE_IOERR), IndexFailedError),
        (failure(sqlite3.SQLITE_CANTOPEN), IndexFailedError),
        (failure(0, sqlite3.ProgrammingError), IndexFailedError),
        (failure(sqlite3.SQLITE_IOERR_READ), DamagedIndexError),
        (failure(sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError), DamagedIndexError),
        (failure(sqlite3.SQLITE_NOTADB, sqlite3.DatabaseError), DamagedIndexError),
        (failure(sqlite3.SQLITE_ERROR), DamagedIndexError),
        (failure(0), DamagedIndexError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "injected"), DamagedIndexError),
    ],
)
def test_an_error_of_the_database_becomes_one_of_ours(
    tmp_path: Path, error: Exception, expected: type[LocalStorageError]
) -> None:
    database = Database(DiskFiles(tmp_path))
    database.open()
    for use in (database.reading, database.writing):
        with pytest.raises(LocalStorageError, match=r"disk|index") as caught, use():
            raise error
        assert type(caught.value) is expected
    database.close()


def test_a_failed_transaction_is_undone_and_the_next_one_works(tmp_path: Path) -> None:
    database = Database(DiskFiles(tmp_path))
    database.open()
    with database.writing() as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(DamagedIndexError), database.writing() as connection:
        half(connection)
    with database.writing() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
    with database.reading() as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(2,)]
    database.close()


def test_no_other_thread_gets_in_while_one_reads_or_writes(tmp_path: Path) -> None:
    """On one connection a reader would see what a writer has not committed yet."""
    database = Database(DiskFiles(tmp_path))
    database.open()
    taken: list[bool] = []
    for use in (database.reading, database.writing, database.exclusive):
        with use():
            other = threading.Thread(target=lambda: taken.append(database._lock.acquire(blocking=False)))
            other.start()
            other.join()
    assert taken == [False] * 3
    database.close()
