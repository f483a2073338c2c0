"""In-memory SQLite whose commits yield durable images, as `synchronous=FULL` promises.

A commit is durable from the moment at which it returns; what a crash brings back is the last such image. Everything
else of the connection is SQLite itself. SQLite's own page faults belong to tests on real files.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import lru_cache
from types import TracebackType
from typing import Literal

_READS = ("SELECT", "PRAGMA", "EXPLAIN", "BEGIN", "SAVEPOINT", "VALUES")
"""Statements that never end a transaction; all others may."""

SqlValue = str | bytes | memoryview | int | float | None

_FULL = "database or disk is full"
_BROKEN = "disk I/O error"


class SimConnection(sqlite3.Connection):
    """A connection that hands out its image after each commit.

    `save` makes an image durable; the `OSError` that it raises fails the commit, and the transaction is undone.
    `check` is called before each statement and raises when the machine is dead.
    """

    save: Callable[[bytes], None]
    check: Callable[[], None]
    let_go: Callable[[], None]
    image: bytes

    def attach(
        self, image: bytes, *, save: Callable[[bytes], None], check: Callable[[], None], let_go: Callable[[], None]
    ) -> None:
        """Start from a durable image; empty for a new database."""
        self.save, self.check, self.let_go, self.image = save, check, let_go, image
        if image:
            self.deserialize(image)

    def injure(self, image: bytes) -> None:
        """Go on with other bytes, as when a page that is read anew has rotted meanwhile."""
        assert not self.in_transaction, "damage comes between transactions: a page in use is in memory"
        self.deserialize(image)
        self.image = image

    def cursor(self, factory: type[sqlite3.Cursor] | None = None) -> sqlite3.Cursor:  # type: ignore[override]  # typeshed has overloads for what sqlite3 does not document
        """Return a cursor whose commits are noticed too."""
        return super().cursor(factory or SimCursor)

    def execute(self, sql: str, parameters: Iterable[SqlValue] = (), /) -> sqlite3.Cursor:  # type: ignore[override]  # the same values, spelled shorter
        """Run one statement."""
        return self.cursor().execute(sql, parameters)  # type: ignore[arg-type]  # the same values, spelled shorter

    def executemany(self, sql: str, rows: Iterable[Iterable[SqlValue]], /) -> sqlite3.Cursor:  # type: ignore[override]  # the same values, spelled shorter
        """Run one statement for each row."""
        return self.cursor().executemany(sql, rows)  # type: ignore[arg-type]  # the same values, spelled shorter

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Run several statements."""
        return self.cursor().executescript(sql_script)

    def commit(self) -> None:
        """Make the transaction durable. Raises `sqlite3.OperationalError` and undoes it when the disk fails."""
        self.check()
        super().commit()
        self.make_durable()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """Commit, or roll back after an exception."""
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False

    def close(self) -> None:
        """Close; what was not committed is gone."""
        super().close()
        self.let_go()

    def after(self, sql: str) -> None:
        """Notice what a statement committed."""
        if not self.in_transaction and not _is_read(sql):
            self.make_durable()

    def make_durable(self) -> None:
        """Hand out the image, if it has changed since the last time."""
        image = self.serialize()
        if image == self.image:
            return
        try:
            self.save(image)
        except OSError as error:
            self._go_back()
            raise _failure(error) from error
        self.image = image

    def _go_back(self) -> None:
        """Hold what the last durable image holds; SQLite takes no empty one, so an empty database is copied."""
        if self.image:
            self.deserialize(self.image)
        else:
            with closing(sqlite3.connect(":memory:")) as empty:
                empty.backup(self)


@lru_cache(maxsize=1024)
def _is_read(sql: str) -> bool:
    """Tell whether a statement changes nothing; the same few hundred come again and again."""
    return sql.lstrip().upper().startswith(_READS)


def _failure(error: OSError) -> sqlite3.OperationalError:
    """Return what SQLite raises when the disk fails like this."""
    is_full = error.errno == errno.ENOSPC
    failure = sqlite3.OperationalError(_FULL if is_full else _BROKEN)
    failure.sqlite_errorcode = sqlite3.SQLITE_FULL if is_full else sqlite3.SQLITE_IOERR
    failure.sqlite_errorname = "SQLITE_FULL" if is_full else "SQLITE_IOERR"
    return failure


class SimCursor(sqlite3.Cursor):
    """A cursor that tells its connection what it has run."""

    connection: SimConnection

    def execute(self, sql: str, parameters: Iterable[SqlValue] = (), /) -> SimCursor:  # type: ignore[override]  # the same values, spelled shorter
        """Run one statement."""
        self.connection.check()
        super().execute(sql, parameters)  # type: ignore[arg-type]  # the same values, spelled shorter
        self.connection.after(sql)
        return self

    def executemany(self, sql: str, rows: Iterable[Iterable[SqlValue]], /) -> SimCursor:  # type: ignore[override]  # the same values, spelled shorter
        """Run one statement for each row."""
        self.connection.check()
        super().executemany(sql, rows)  # type: ignore[arg-type]  # the same values, spelled shorter
        self.connection.after(sql)
        return self

    def executescript(self, sql_script: str, /) -> SimCursor:
        """Run several statements."""
        self.connection.check()
        super().executescript(sql_script)
        self.connection.after("")  # Any of its statements may have committed.
        return self
