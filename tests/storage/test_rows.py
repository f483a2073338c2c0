"""Row checksums: no cell may change, move to another column, or wander to another table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.storage.database import DamagedIndexError
from p2pnode.storage.rows import Table, row_sum, uint64_cell, uint64_of
from wire import limits

TABLE = Table("things", (("name", "TEXT"), ("size", "INTEGER"), ("data", "BLOB")), 1)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory with one row."""
    made = sqlite3.connect(":memory:")
    made.execute(TABLE.create_sql())
    TABLE.put(made, ("a", -5, b"data"))
    yield made
    made.close()


def test_a_row_comes_back_and_is_replaced_and_deleted(connection: sqlite3.Connection) -> None:
    assert TABLE.row(connection, "a") == ("a", -5, b"data")
    TABLE.put(connection, ("a", 6, b""))
    TABLE.put(connection, ("b", 7, b"x"))
    assert TABLE.rows(connection, "WHERE size > ? ORDER BY name", (0,)) == [("a", 6, b""), ("b", 7, b"x")]
    assert TABLE.first_bytes(connection) == {"61", "62"}
    TABLE.delete(connection, "a")
    assert TABLE.row(connection, "a") is None


@pytest.mark.parametrize(
    "change",
    ["name = 'b'", "size = 5", "size = 'text'", "size = 1.5", "data = x'64617462'", "data = 'data'", "row_sum = x'00'"],
)
def test_a_changed_cell_is_never_believed(connection: sqlite3.Connection, change: str) -> None:
    connection.execute(f"UPDATE things SET {change}")  # noqa: S608 - from the list above
    with pytest.raises(DamagedIndexError, match="table things"):
        TABLE.rows(connection)


@given(st.lists(st.one_of(st.binary(max_size=5), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5)), max_size=4))
def test_cells_do_not_flow_into_each_other(row: list[bytes | int | str]) -> None:
    found = row_sum("things", row)
    assert found == row_sum("things", row)
    assert found != row_sum("others", row)
    assert found != row_sum("things", [*row, b""])
    for position, cell in enumerate(row):
        other = cell + 1 if isinstance(cell, int) and cell < 0 else 0 if cell == b"" else b""
        assert found != row_sum("things", [*row[:position], other, *row[position + 1 :]])


@given(st.lists(st.integers(0, limits.UINT64_MAX)))
def test_numbers_of_64_bits_sort_as_numbers(numbers: list[int]) -> None:
    cells = sorted(uint64_cell(number) for number in numbers)
    assert [uint64_of(cell) for cell in cells] == sorted(numbers)


def test_numbers_beyond_the_range_become_its_ends() -> None:
    assert uint64_of(uint64_cell(-1)) == 0
    assert uint64_of(uint64_cell(limits.UINT64_MAX + 1)) == limits.UINT64_MAX
