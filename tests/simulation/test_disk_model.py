"""The simulated disk's own promises: what survives a power loss, and what may not."""

import errno
import random
import sqlite3
from collections import Counter
from collections.abc import Callable

import pytest

from testnet.sim.disk_events import DiskEvent, DiskOperation, NodeKilledError
from testnet.sim.files import SimFiles

CRASHES = 60


def images(prepare: Callable[[SimFiles], None], rng: random.Random) -> list[SimFiles]:
    """Return what many power losses leave of one prepared disk."""
    found = []
    for _ in range(CRASHES):
        files = SimFiles()
        prepare(files)
        found.append(files.crash(rng))
    return found


def test_a_synced_file_in_a_synced_directory_always_survives(rng: random.Random) -> None:
    def prepare(files: SimFiles) -> None:
        files.make_directory("d")
        files.write_new("d/a", [b"content"])
        files.sync_directory("d")

    assert all(files.read("d/a") == b"content" for files in images(prepare, rng))


def test_a_file_in_an_unsynced_directory_may_be_gone_but_is_whole_when_it_is_there(rng: random.Random) -> None:
    seen = Counter(
        files.read("a") if "a" in files.names("") else None
        for files in images(lambda files: files.write_new("a", [b"content"]), rng)
    )
    assert set(seen) == {b"content", None}


def test_unsynced_changes_of_a_directory_are_lost_from_the_end_only(rng: random.Random) -> None:
    def prepare(files: SimFiles) -> None:
        for name in "abc":
            files.write_new(name, [b""])

    seen = {tuple(files.names("")) for files in images(prepare, rng)}
    assert seen == {(), ("a",), ("a", "b"), ("a", "b", "c")}


def test_a_rename_that_was_not_synced_leaves_the_old_or_the_new_file_never_both_or_none(rng: random.Random) -> None:
    def prepare(files: SimFiles) -> None:
        files.write_new("new", [b"old content"])
        files.write_new("temporary", [b"new content"])
        files.sync_directory("")
        files.rename("temporary", "new")

    seen = {(tuple(files.names("")), files.read("new")) for files in images(prepare, rng)}
    assert seen == {(("new", "temporary"), b"old content"), (("new",), b"new content")}


def test_a_rename_into_another_directory_never_loses_the_file(rng: random.Random) -> None:
    def prepare(files: SimFiles) -> None:
        files.make_directory("from")
        files.make_directory("to")
        files.write_new("from/a", [b"x"])
        files.sync_directory("from")
        files.rename("from/a", "to/a")

    seen = {(tuple(files.names("from")), tuple(files.names("to"))) for files in images(prepare, rng)}
    assert seen == {(("a",), ()), ((), ("a",)), (("a",), ("a",))}


def test_a_removal_that_was_not_synced_may_come_undone(rng: random.Random) -> None:
    def prepare(files: SimFiles) -> None:
        files.write_new("a", [b"x"])
        files.sync_directory("")
        files.remove("a")

    assert {tuple(files.names("")) for files in images(prepare, rng)} == {(), ("a",)}


def test_a_file_whose_write_was_cut_may_be_torn_zeroed_or_empty(rng: random.Random) -> None:
    seen: set[bytes | None] = set()
    for _ in range(CRASHES):
        files = SimFiles()

        def fail_fsync(event: DiskEvent) -> None:
            if event.operation is DiskOperation.FSYNC:
                raise OSError(errno.EIO, "injected")

        files.hook = fail_fsync
        with pytest.raises(OSError, match="injected"):
            files.write_new("a", [b"abcdef"])
        after = files.crash(rng)
        seen.add(after.read("a") if "a" in after.names("") else None)
    assert {None, b"", b"abcdef"} <= seen
    assert any(data is not None and data.endswith(b"\0") for data in seen)
    assert all(data is None or b"abcdef".startswith(data.rstrip(b"\0")) for data in seen)


def test_a_stopped_process_loses_nothing_that_was_written() -> None:
    files = SimFiles()
    files.write_new("a", [b"x"])
    assert files.stop().read("a") == b"x"


def test_a_dead_disk_refuses_everything_and_its_image_lives_on(rng: random.Random) -> None:
    files = SimFiles()
    files.write_new("a", [b"x"])
    files.sync_directory("")
    database = files.database("db")
    after = files.crash(rng)
    for call in (
        lambda: files.read("a"),
        lambda: files.names(""),
        lambda: database.execute("SELECT 1"),
        database.commit,
    ):
        with pytest.raises(NodeKilledError):
            call()
    assert after.read("a") == b"x"


@pytest.mark.parametrize("is_done", [False, True])
def test_a_node_killed_at_an_operation_runs_no_further_and_only_a_finished_one_counts(
    rng: random.Random, *, is_done: bool
) -> None:
    files = SimFiles()
    left: list[SimFiles] = []
    database = files.database("db")
    database.execute("CREATE TABLE t (x)")

    def kill(event: DiskEvent) -> None:
        if event == DiskEvent(DiskOperation.COMMIT, "db", is_done=is_done):
            left.append(files.crash(rng))

    files.hook = kill
    with pytest.raises(NodeKilledError):
        database.execute("INSERT INTO t VALUES (1)")
    rows = left[0].database("db").execute("SELECT x FROM t").fetchall()
    assert rows == ([(1,)] if is_done else [])


def test_a_crash_brings_the_database_back_as_of_its_last_commit(rng: random.Random) -> None:
    files = SimFiles()
    database = files.database("db")
    database.execute("CREATE TABLE t (x)")
    for number in range(5):
        with database:
            database.execute("BEGIN")
            database.execute("INSERT INTO t VALUES (?)", (number,))
    database.execute("BEGIN")
    database.execute("INSERT INTO t VALUES (99)")
    after = files.crash(rng)
    assert after.database("db").execute("SELECT x FROM t").fetchall() == [(number,) for number in range(5)]


def test_a_full_disk_raises_enospc_and_keeps_what_fitted() -> None:
    files = SimFiles(capacity_bytes=10)
    files.write_new("a", [b"123456"])
    with pytest.raises(OSError, match="no space") as caught:
        files.write_new("b", [b"78", b"90ab"])
    assert caught.value.errno == errno.ENOSPC
    assert files.read("b") == b"7890"
    assert files.free_bytes() == 0
    files.remove("b")
    files.write_new("c", [b"7890"])


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, sqlite3.SQLITE_FULL), (errno.EIO, sqlite3.SQLITE_IOERR)])
def test_a_commit_that_the_disk_fails_is_undone_with_sqlites_own_error(number: int, code: int) -> None:
    files = SimFiles()
    database = files.database("db")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (1)")

    def fail(event: DiskEvent) -> None:
        if event.operation is DiskOperation.COMMIT:
            raise OSError(number, "injected")

    files.hook = fail
    database.execute("BEGIN")
    database.execute("INSERT INTO t VALUES (2)")
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.commit()
    assert caught.value.sqlite_errorcode == code
    files.hook = None
    assert database.execute("SELECT x FROM t").fetchall() == [(1,)]
    database.execute("INSERT INTO t VALUES (3)")
    assert database.execute("SELECT x FROM t").fetchall() == [(1,), (3,)]


def test_a_database_that_outgrows_the_disk_raises_sqlites_error_and_keeps_its_rows() -> None:
    files = SimFiles(capacity_bytes=20_000)
    database = files.database("db")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        database.execute("INSERT INTO t VALUES (?)", (bytes(50_000),))
    assert database.execute("SELECT x FROM t").fetchall() == [(1,)]
