"""Tables whose every row carries a checksum over its table's name and all of its cells.

SQLite notices a torn page, not a flipped bit inside a cell. A row that does not match is never believed: reading it
raises `DamagedIndexError`, and the index is rebuilt. Numbers that a peer chooses may have 64 bits, one more than
SQLite's own: they are kept as 8 big-endian bytes, which sort the same way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import blake2b

from p2pnode.storage.database import DamagedIndexError
from wire import limits

Cell = bytes | int | str
"""What a cell may hold."""

Row = tuple[Cell, ...]

ROW_SUM_BYTES = 8
"""Damage gets through once in 2**64."""

_PERSON = b"p2pnode-row"
_INTEGER_BYTES = 9
_INTEGER = b"i" + _INTEGER_BYTES.to_bytes(4, "big")
"""What stands before a whole number in the hash."""

_KINDS = frozenset({bytes, int, str})
"""The types of the cells that SQLite gives back when they are ours."""

_SUM_COLUMN = "row_sum"
_UINT64_BYTES = 8


def row_sum(table: str, row: Sequence[Cell]) -> bytes:
    """Return the checksum of a row; each cell goes in with its type and length."""
    parts: list[bytes] = []  # One join and one hash: a start checks ten million rows.
    for cell in row:
        if isinstance(cell, bytes):
            parts += (b"b", len(cell).to_bytes(4, "big"), cell)
        elif isinstance(cell, int):
            parts += (_INTEGER, cell.to_bytes(_INTEGER_BYTES, "big", signed=True))
        else:
            parts.append(_text_cell(cell))
    state = _state_of(table).copy()
    state.update(b"".join(parts))
    return state.digest()


@cache
def _state_of(table: str) -> blake2b:
    """Return the state of the hash after a table's name; there are few tables."""
    return blake2b(_text_cell(table), digest_size=ROW_SUM_BYTES, person=_PERSON)


def _text_cell(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return b"s" + len(data).to_bytes(4, "big") + data


def uint64_cell(value: int) -> bytes:
    """Return a number from 0 to 2**64 - 1 as a cell; others become the nearer end."""
    return min(max(value, 0), limits.UINT64_MAX).to_bytes(_UINT64_BYTES, "big")


def uint64_of(cell: Cell) -> int:
    """Return the number in a cell made by `uint64_cell`."""
    assert isinstance(cell, bytes)
    return int.from_bytes(cell, "big")


@lru_cache(maxsize=1024)
def _joined(select: str, where: str) -> str:
    """Return one text for one statement, so that SQLite finds it among those that it has prepared."""
    return select + where


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its columns with their SQL types, how many of the first ones are the key.

    Names come from our own code only; values always travel as parameters.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key_columns: int

    _insert_sql: str = field(init=False, repr=False, compare=False)
    _select_sql: str = field(init=False, repr=False, compare=False)
    _key_sql: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """For each number of key columns the clause that picks by them."""

    def __post_init__(self) -> None:
        """Write the statements down once: a start runs tens of millions of them."""
        names = ", ".join(name for name, _ in self.columns)
        marks = ", ".join("?" * (len(self.columns) + 1))
        keys = [
            " AND ".join(f"{name} = ?" for name, _ in self.columns[:count]) for count in range(len(self.columns) + 1)
        ]
        insert = f"INSERT OR REPLACE INTO {self.name} ({names}, {_SUM_COLUMN}) VALUES ({marks})"  # noqa: S608 - ours
        object.__setattr__(self, "_insert_sql", insert)
        object.__setattr__(self, "_select_sql", f"SELECT {names}, {_SUM_COLUMN} FROM {self.name} ")  # noqa: S608 - ours
        object.__setattr__(self, "_key_sql", tuple(f"WHERE {each}" for each in keys))

    def create_sql(self) -> str:
        """Return the statement that creates the table."""
        columns = ", ".join(f"{name} {kind} NOT NULL" for name, kind in self.columns)
        key = ", ".join(name for name, _ in self.columns[: self.key_columns])
        return f"CREATE TABLE {self.name} ({columns}, {_SUM_COLUMN} BLOB NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID"

    def put(self, connection: sqlite3.Connection, row: Row) -> None:
        """Insert a row, replacing the one with its key."""
        connection.execute(self._insert_sql, (*row, row_sum(self.name, row)))

    def rows(self, connection: sqlite3.Connection, where: str = "", parameters: Sequence[Cell] = ()) -> list[Row]:
        """Return the rows that a clause such as `WHERE a = ? LIMIT 5` picks. Raises `DamagedIndexError`."""
        return list(self.each(connection, where, parameters))

    def each(self, connection: sqlite3.Connection, where: str = "", parameters: Sequence[Cell] = ()) -> Iterator[Row]:
        """Yield the rows of `rows` one by one."""
        for found in connection.execute(_joined(self._select_sql, where), tuple(parameters)):
            row = tuple(found[:-1])
            if not _KINDS.issuperset(map(type, row)) or row_sum(self.name, row) != found[-1]:
                message = f"a row of the table {self.name} in the index is damaged"
                raise DamagedIndexError(message)
            yield row

    def row(self, connection: sqlite3.Connection, *key: Cell) -> Row | None:
        """Return the row with this key, None when there is none. Raises `DamagedIndexError`."""
        return next(self.each(connection, self._key_sql[len(key)], key), None)

    def first_bytes(self, connection: sqlite3.Connection) -> set[str]:
        """Return the first bytes, in hex, of the keys in the table; of no row is anything else believed here."""
        column = self.columns[0][0]
        sql = f"SELECT DISTINCT lower(hex(substr({column}, 1, 1))) FROM {self.name}"  # noqa: S608 - ours
        return {str(found[0]) for found in connection.execute(sql)}

    def delete(self, connection: sqlite3.Connection, *key: Cell) -> None:
        """Delete the rows whose first columns are `key`."""
        assert key, "deleting needs a key"
        connection.execute(f"DELETE FROM {self.name} {self._key_sql[len(key)]}", key)  # noqa: S608 - ours
