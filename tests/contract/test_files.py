"""What every `Files` promises: the disk of this machine, the simulated one, and several directories as one tree."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pnode.errors import CallerError
from p2pnode.seams import Files
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.spread_files import MARKER_NAME, DataDirectory, SpreadFiles
from testnet.sim.files import SimFiles


def on_several_disks(tmp_path: Path) -> Files:
    """Return the files of two data directories, a real one and a simulated one, as one tree."""
    parts: tuple[Files, ...] = (DiskFiles(tmp_path / "one"), SimFiles())
    for each in parts:
        each.write_new(MARKER_NAME, [MARKER])
    return SpreadFiles([DataDirectory(name=str(k), marker=MARKER, files=each) for k, each in enumerate(parts)])


MARKER = b"ours"

MAKE: dict[str, Callable[[Path], Files]] = {
    "disk": lambda path: DiskFiles(path / "data"),
    "simulated": lambda _: SimFiles(),
    "spread": on_several_disks,
}


@pytest.fixture(params=MAKE)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """An empty directory tree."""
    return MAKE[request.param](tmp_path)


def in_root(files: Files) -> list[str]:
    """Return the names in the root; by a marker a data directory is known, and not by what was stored there."""
    return [name for name in files.names("") if name != MARKER_NAME]


def test_a_new_file_holds_its_parts_one_after_the_other(files: Files) -> None:
    files.write_new("a", [b"one", memoryview(b"two"), b"", b"three"])
    assert files.read("a") == b"onetwothree"
    assert files.size("a") == 11


def test_a_file_of_no_parts_is_empty(files: Files) -> None:
    files.write_new("a", [])
    assert files.read("a") == b""
    assert files.size("a") == 0


def test_parts_of_any_memory_format_are_written_as_their_bytes(files: Files) -> None:
    files.write_new("a", [memoryview(b"12345678").cast("I")])
    assert files.read("a") == b"12345678"


def test_a_file_is_never_written_over(files: Files) -> None:
    files.write_new("a", [b"first"])
    with pytest.raises(FileExistsError):
        files.write_new("a", [b"second"])
    assert files.read("a") == b"first"


def test_a_part_of_a_file_is_read_and_fewer_bytes_at_its_end(files: Files) -> None:
    files.write_new("a", [b"0123456789"])
    assert files.read("a", offset=3, count=4) == b"3456"
    assert files.read("a", offset=8, count=4) == b"89"
    assert files.read("a", offset=12, count=4) == b""
    assert files.read("a", offset=7) == b"789"
    assert files.read("a", count=0) == b""


def test_a_file_takes_whole_blocks_and_a_directory_takes_some_too(files: Files) -> None:
    files.make_directory("d")
    files.write_new("d/one", [b"x"])
    files.write_new("d/many", [bytes(100_000)])
    one = files.space_bytes("d/one")
    assert one >= 1
    assert 100_000 <= files.space_bytes("d/many") <= 100_000 + one
    assert files.space_bytes("d") >= 0
    assert files.space_bytes("") >= 0
    with pytest.raises(FileNotFoundError):
        files.space_bytes("d/missing")


def test_a_missing_file_raises_file_not_found(files: Files) -> None:
    for call in (files.read, files.size, files.remove):
        with pytest.raises(FileNotFoundError):
            call("missing")
    with pytest.raises(FileNotFoundError):
        files.rename("missing", "new")


def test_a_missing_directory_raises_file_not_found_and_has_no_names(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_new("missing/a", [b"x"])
    with pytest.raises(FileNotFoundError):
        files.sync_directory("missing")
    assert files.names("missing") == []


def test_names_are_sorted_and_include_directories(files: Files) -> None:
    files.make_directory("z/inner")
    files.write_new("b", [b""])
    files.write_new("a", [b""])
    files.write_new("z/file", [b""])
    assert in_root(files) == ["a", "b", "z"]
    assert files.names("z") == ["file", "inner"]
    assert files.names("z/inner") == []


def test_a_directory_is_made_with_its_parents_and_twice_is_no_error(files: Files) -> None:
    files.make_directory("a/b/c")
    files.make_directory("a/b/c")
    files.make_directory("a")
    assert files.names("a/b") == ["c"]


def test_a_file_in_the_way_of_a_directory_raises_file_exists(files: Files) -> None:
    files.write_new("a", [b"x"])
    with pytest.raises(FileExistsError):
        files.make_directory("a")


def test_rename_replaces_the_file_that_was_there(files: Files) -> None:
    files.write_new("old", [b"new content"])
    files.write_new("new", [b"old content"])
    files.rename("old", "new")
    files.sync_directory("")
    assert in_root(files) == ["new"]
    assert files.read("new") == b"new content"


def test_rename_moves_a_file_to_another_directory(files: Files) -> None:
    files.make_directory("from")
    files.make_directory("to")
    files.write_new("from/a", [b"x"])
    files.rename("from/a", "to/b")
    assert (files.names("from"), files.names("to")) == ([], ["b"])
    with pytest.raises(FileNotFoundError):
        files.rename("to/b", "nowhere/b")
    assert files.read("to/b") == b"x"


def test_a_removed_file_is_gone_and_its_name_is_free(files: Files) -> None:
    files.write_new("a", [b"x"])
    files.remove("a")
    assert in_root(files) == []
    files.write_new("a", [b"y"])
    assert files.read("a") == b"y"


def test_a_directory_is_no_file(files: Files) -> None:
    files.make_directory("a")
    with pytest.raises(IsADirectoryError):
        files.read("a")
    with pytest.raises(OSError, match="a"):
        files.remove("a")
    with pytest.raises(FileExistsError):
        files.write_new("a", [b"x"])


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/", "a\0b", "a\\b"])
def test_a_name_that_could_leave_the_root_is_refused(files: Files, name: str) -> None:
    calls = (
        lambda: files.write_new(name, [b"x"]),
        lambda: files.read(name),
        lambda: files.rename("a", name),
        lambda: files.rename(name, "a"),
        lambda: files.remove(name),
        lambda: files.names(name),
        lambda: files.size(name),
        lambda: files.make_directory(name),
        lambda: files.sync_directory(name),
        lambda: files.database(name),
    )
    for call in calls:
        with pytest.raises(CallerError):
            call()


def test_there_is_room_on_the_disk(files: Files) -> None:
    assert files.free_bytes() > 0


def _rows(connection: sqlite3.Connection) -> list[int]:
    return [int(row[0]) for row in connection.execute("SELECT x FROM t ORDER BY x")]


def _database(files: Files) -> sqlite3.Connection:
    connection = files.database("index.db")
    connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    return connection


def test_a_database_is_a_file_that_keeps_what_was_committed(files: Files) -> None:
    connection = _database(files)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    connection.commit()
    connection.close()
    assert "index.db" in in_root(files)
    connection = files.database("index.db")
    assert _rows(connection) == [1, 2]
    assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    connection.close()


def test_a_statement_outside_a_transaction_commits_itself(files: Files) -> None:
    connection = _database(files)
    assert connection.execute("INSERT INTO t VALUES (?)", (7,)).rowcount == 1
    connection.close()
    connection = files.database("index.db")
    assert _rows(connection) == [7]
    connection.close()


def test_what_was_not_committed_is_gone(files: Files) -> None:
    connection = _database(files)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.in_transaction
    connection.close()
    connection = files.database("index.db")
    assert _rows(connection) == []
    connection.close()


def test_an_exception_in_a_with_block_rolls_back_and_none_commits(files: Files) -> None:
    connection = _database(files)

    def change_and_fail() -> None:
        with connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO t VALUES (1)")
            raise LookupError

    with pytest.raises(LookupError):
        change_and_fail()
    with connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    connection = files.database("index.db")
    assert _rows(connection) == [2]
    connection.close()


def test_cursors_and_scripts_commit_like_the_connection(files: Files) -> None:
    connection = _database(files)
    cursor = connection.cursor()
    cursor.execute("INSERT INTO t VALUES (1)")
    assert cursor.lastrowid == 1
    connection.executescript("BEGIN; INSERT INTO t VALUES (2); COMMIT;")
    cursor.close()
    connection.close()
    connection = files.database("index.db")
    assert _rows(connection) == [1, 2]
    connection.close()


def test_a_broken_statement_raises_sqlites_error(files: Files) -> None:
    connection = _database(files)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        connection.execute("SELECT * FROM missing")
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


def test_a_file_that_is_no_database_raises_sqlites_error(files: Files) -> None:
    files.write_new("index.db", [b"this is not a database " * 400])
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        files.database("index.db")


def test_a_closed_database_can_be_renamed_away_and_made_anew(files: Files) -> None:
    connection = _database(files)
    connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    files.rename("index.db", "index.db.old")
    files.sync_directory("")
    connection = _database(files)
    assert _rows(connection) == []
    connection.close()
    connection = files.database("index.db.old")
    assert _rows(connection) == [1]
    connection.close()


def test_a_pairs_file_is_written_read_renamed_and_removed_wherever_it_lies(files: Files) -> None:
    files.make_directory("pairs/ab")
    for number in range(6):
        files.write_new(f"pairs/ab/{number}", [bytes([number])])
    files.sync_directory("pairs/ab")
    files.rename("pairs/ab/0", "pairs/ab/6")
    files.remove("pairs/ab/1")
    assert files.names("pairs/ab") == ["2", "3", "4", "5", "6"]
    assert [files.read(f"pairs/ab/{number}") for number in (2, 6)] == [b"\x02", b"\x00"]
    assert files.away() == ()
