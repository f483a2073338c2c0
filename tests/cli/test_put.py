"""`p2pnode put`: what it prints, and how each failure ends."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2pnode import errors
from p2pnode.errors import ExitCode, P2PNodeError
from tests.api.fake_node import reference_of
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon

FAILURES: list[P2PNodeError] = [
    errors.CallerError("more shards than members"),
    errors.TooFewHoldersError("3 of 7"),
    errors.QuotaError("no room"),
    errors.DiskFullError("no room"),
    errors.LeaseError("too long"),
    errors.IntegrityError("differs"),
    errors.LocalStorageError("the disk failed"),
]


@pytest.fixture
def file(tmp_path: Path, rng: random.Random) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(rng.randbytes(1_500_000))
    return path


def test_quiet_prints_only_the_reference(cli: Cli, daemon: FakeDaemon, file: Path) -> None:
    ended = cli("put", "-q", file)
    assert (ended.code, ended.out.decode(), ended.err) == (0, reference_of(file.read_bytes()) + "\n", "")
    assert list(daemon.node.blobs.values()) == [file.read_bytes()]
    assert daemon.node.asked == [(None, 1_500_000)]


def test_json_has_exactly_these_fields(cli: Cli, daemon: FakeDaemon, file: Path) -> None:
    ended = cli("put", "--json", "--shards", "7", file)
    assert ended.code == 0
    assert ended.json() == {
        "id": reference_of(file.read_bytes()),
        "kind": "blob",
        "size": 1_500_000,
        "n": 7,
        "healthy": 7,
        "segments": 1,
        "nodes_that_may_fail": 2,
        "seconds": 0.5,
        "lease_end": 1_900_000_000,
    }
    assert daemon.node.asked == [(7, 1_500_000)]


def test_a_person_reads_the_summary_and_that_it_is_public(cli: Cli, daemon: FakeDaemon, file: Path) -> None:
    text = cli("put", file).out.decode()
    assert text.splitlines()[-1].split() == ["id", *daemon.node.blobs]
    assert "1.5 MB" in text
    assert "any 3 nodes may fail" in text
    assert text.count("readable by anyone who has the reference") == 1


@pytest.mark.parametrize("size", [0, 1, 2_000_000])
def test_stdin_is_stored_whatever_its_length(cli: Cli, daemon: FakeDaemon, rng: random.Random, size: int) -> None:
    data = rng.randbytes(size)
    ended = cli.process("put", "-q", "-", given=data)
    assert (ended.code, ended.err) == (0, "")
    assert list(daemon.node.blobs.values()) == [data]
    assert daemon.node.asked == [(None, None)]


def test_an_empty_file_is_stored(cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert cli("put", tmp_path / "empty").code == 0
    assert list(daemon.node.blobs.values()) == [b""]


def test_certified_below_n_prints_the_reference_and_ends_with_3(cli: Cli, daemon: FakeDaemon, file: Path) -> None:
    daemon.node.healthy = 8
    ended = cli("put", "-q", file)
    assert ended.code == ExitCode.PARTIAL
    assert ended.out.decode().strip() in daemon.node.blobs
    assert "8 of 10 shards" in ended.error()
    ended = cli("put", "--json", file)
    assert ended.code == ExitCode.PARTIAL
    assert ended.json()["healthy"] == 8
    assert json.loads(ended.err)["warning"]["exit_code"] == 3


@pytest.mark.parametrize("after", [0, 600_000, -1], ids=["at once", "in the middle", "at the end"])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.reason)
def test_the_nodes_error_becomes_one_line_and_its_exit_code(
    cli: Cli, daemon: FakeDaemon, file: Path, failure: P2PNodeError, after: int
) -> None:
    daemon.node.put_error, daemon.node.put_error_after = failure, after
    ended = cli("put", file)
    assert (ended.code, ended.out) == (failure.exit_code, b"")
    assert ended.error() == f"p2pnode: {failure}"


def test_an_error_in_json_is_an_object_on_stderr(cli: Cli, daemon: FakeDaemon, file: Path) -> None:
    daemon.node.put_error = errors.QuotaError("no room")
    ended = cli("put", "--json", file)
    assert (ended.code, ended.out) == (8, b"")
    assert json.loads(ended.err) == {"error": {"reason": "QUOTA", "message": "no room", "exit_code": 8}}


def test_an_answer_in_the_middle_of_an_endless_body_is_noticed(cli: Cli, daemon: FakeDaemon) -> None:
    """The program looks up between two pieces: it does not wait for the end of what has none."""
    daemon.node.put_error = errors.TooFewHoldersError("3 of 7")
    ended = cli("put", "/dev/zero")
    assert ended.code == ExitCode.TOO_FEW_HOLDERS
    assert ended.error() == "p2pnode: 3 of 7"


def test_a_file_that_shrinks_while_it_is_read_is_not_stored(
    cli: Cli, daemon: FakeDaemon, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def shrink_once_it_is_open(*_: object, **__: object) -> Iterator[Callable[[int], None]]:
        file.write_bytes(b"short")
        yield lambda _count: None

    monkeypatch.setattr("p2pnode.cli.put.progress_bar", shrink_once_it_is_open)
    ended = cli("put", file)
    assert ended.code == ExitCode.ERROR
    assert "became shorter" in ended.error()
    assert daemon.node.blobs == {}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["missing"], 1, "No such file"),
        (["."], 1, "Is a directory"),
        (["."] * 2, 2, "unexpected extra argument"),
        ([], 2, "Missing argument"),
        (["--shards", "3", "x"], 2, "--shards"),
        (["--shards", "1001", "x"], 2, "--shards"),
        (["--shards", "x", "x"], 2, "--shards"),
        (["--nonsense", "x"], 2, "--nonsense"),
    ],
)
def test_wrong_arguments_are_one_line(cli: Cli, daemon: FakeDaemon, arguments: list[str], code: int, text: str) -> None:
    ended = cli("put", *arguments)
    assert ended.code == code
    assert text.lower() in ended.error().lower()
    assert daemon.node.asked == []


def test_without_a_daemon_it_ends_with_9_and_says_how_to_start_one(cli: Cli, file: Path) -> None:
    ended = cli("put", file)
    assert ended.code == ExitCode.NO_DAEMON
    assert "start it with: p2pnode run" in ended.error()


def test_a_killed_daemon_counts_as_none(cli: Cli, daemon: FakeDaemon, file: Path) -> None:
    daemon.stop()
    ended = cli("put", file)
    assert ended.code == ExitCode.NO_DAEMON
    assert "p2pnode run" in ended.error()


def test_a_daemon_of_another_home_refuses_the_token(cli: Cli, daemon: FakeDaemon, file: Path, home: Path) -> None:
    (home / "api-token").write_text("somethingelse")
    ended = cli("put", file)
    assert (ended.code, daemon.node.asked) == (1, [])
    assert "token" in ended.error()
