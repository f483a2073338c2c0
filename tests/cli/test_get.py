"""`p2pnode get`: the bytes arrive whole or not at all."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from p2pnode import errors
from p2pnode.errors import ExitCode, P2PNodeError
from tests.api.fake_node import reference_of
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon

FAILURES: list[P2PNodeError] = [
    errors.NotFoundError("nobody knows it"),
    errors.TooFewPairsError("3 of 4"),
    errors.HoldersSilentError("2 are silent"),
    errors.IntegrityError("differs"),
]


@pytest.fixture
def data(daemon: FakeDaemon, rng: random.Random) -> bytes:
    """Bytes that the daemon has."""
    data = rng.randbytes(1_500_000)
    daemon.node.blobs[reference_of(data)] = data
    return data


def test_a_file_is_written_whole(cli: Cli, data: bytes, tmp_path: Path) -> None:
    target = tmp_path / "out"
    ended = cli("get", reference_of(data), "-o", target)
    assert (ended.code, ended.err) == (0, "")
    assert target.read_bytes() == data
    assert "1.5 MB" in ended.out.decode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~current_umask()
    assert names(tmp_path) == ["home", "out"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("start", ["-", "--", "-o", "-q", "--json"])
def test_an_id_that_begins_like_an_option_is_an_id(cli: Cli, daemon: FakeDaemon, tmp_path: Path, start: str) -> None:
    reference = start + "A" * (43 - len(start))
    daemon.node.blobs[reference] = b"data"
    assert cli("get", reference).out == b"data"
    assert cli("get", reference, "-o", tmp_path / "out").code == 0
    assert (tmp_path / "out").read_bytes() == b"data"
    assert cli("get", "-q", "--", reference).out == b"data"
    assert cli("stat", "--json", reference).json()["id"] == reference


def test_stdout_gets_the_bytes_and_nothing_else(cli: Cli, data: bytes) -> None:
    for arguments in ([], ["-o", "-"], ["-q"]):
        ended = cli("get", reference_of(data), *arguments)
        assert (ended.code, ended.out, ended.err) == (0, data, "")


def test_json_has_exactly_these_fields(cli: Cli, data: bytes, tmp_path: Path) -> None:
    ended = cli("get", reference_of(data), "--json", "-o", tmp_path / "out")
    answer = ended.json()
    assert isinstance(answer.pop("seconds"), float)
    assert answer == {"id": reference_of(data), "size": 1_500_000, "output": str(tmp_path / "out")}


def test_json_on_stdout_would_mix_with_the_data(cli: Cli, data: bytes) -> None:
    ended = cli("get", reference_of(data), "--json")
    assert ended.code == ExitCode.USAGE
    assert "-o FILE" in json.loads(ended.err)["error"]["message"]


@pytest.mark.parametrize(
    "after", [-1, 0, 600_000, 1_500_000], ids=["at once", "at the start", "in the middle", "at the end"]
)
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.reason)
def test_a_failed_read_tells_the_daemons_reason_and_leaves_the_old_file(
    cli: Cli, daemon: FakeDaemon, data: bytes, tmp_path: Path, failure: P2PNodeError, after: int
) -> None:
    target = tmp_path / "out"
    target.write_text("old")
    daemon.node.get_error, daemon.node.get_error_after = failure, after
    ended = cli("get", reference_of(data), "-o", target)
    assert (ended.code, ended.out) == (failure.exit_code, b"")
    assert ended.error() == f"p2pnode: {failure}"
    assert target.read_text() == "old"
    assert names(tmp_path) == ["home", "out"]


def test_a_connection_that_is_reset_tells_the_daemons_reason_too(
    cli: Cli, daemon: FakeDaemon, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a broken connection looks different from time to time; here it always is a reset."""
    whole = http.client.HTTPResponse.read1

    def read1(response: http.client.HTTPResponse, count: int = -1) -> bytes:
        chunk = whole(response, count)
        if not chunk:
            raise ConnectionResetError
        return chunk

    monkeypatch.setattr(http.client.HTTPResponse, "read1", read1)
    daemon.node.get_error, daemon.node.get_error_after = errors.IntegrityError("differs"), 600_000
    ended = cli("get", reference_of(data))
    assert (ended.code, ended.error()) == (ExitCode.INTEGRITY, "p2pnode: differs")


def test_an_unknown_id_ends_with_4(cli: Cli, daemon: FakeDaemon) -> None:
    ended = cli("get", reference_of(b"unknown"))
    assert (ended.code, ended.out) == (ExitCode.NO_RECORD, b"")
    assert daemon.node.blobs == {}
    ended.error()


@pytest.mark.parametrize("bad", ["nonsense", "file:nonsense", "quilt:x", "../../node", "A" * 43 + "?"])
def test_a_malformed_id_is_a_usage_error(cli: Cli, daemon: FakeDaemon, bad: str) -> None:
    ended = cli("get", bad)
    assert (ended.code, daemon.node.asked) == (ExitCode.USAGE, [])
    assert "as printed by put" in ended.error()


def test_a_daemon_that_dies_in_the_middle_ends_with_9(cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
    data = bytes(50_000_000)
    daemon.node.blobs[reference_of(data)] = data
    with cli.start("get", reference_of(data)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)  # It has begun, and waits for us to read.
        daemon.stop()
        process.stdout.read()
        assert process.wait(20) == ExitCode.NO_DAEMON
        text = process.stderr.read().decode()
    assert text.count("\n") == 1
    assert "the daemon stopped" in text
    assert names(tmp_path) == ["home"]


def test_a_reader_that_has_had_enough_is_no_error_message(cli: Cli, daemon: FakeDaemon) -> None:
    data = bytes(20_000_000)
    daemon.node.blobs[reference_of(data)] = data
    with cli.start("get", reference_of(data)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""


def test_ctrl_c_ends_with_130_and_leaves_no_part(cli: Cli, daemon: FakeDaemon, data: bytes, tmp_path: Path) -> None:
    daemon.node.blobs[reference_of(b"")] = b""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with cli.start("get", reference_of(data), "-o", pipe) as process:
        with pipe.open("rb") as reader:
            reader.read(1)  # It has begun, and waits for us to read.
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == ExitCode.INTERRUPTED
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert names(tmp_path) == ["home", "pipe"]


@pytest.mark.parametrize(
    ("target", "text"),
    [("missing/out", "No such file"), (".", "directory"), ("home/identity.key/x", "Not a directory")],
)
def test_a_target_that_cannot_be_written_is_one_line(
    cli: Cli, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("get", reference_of(data), "-o", target)
    assert ended.code == ExitCode.ERROR
    assert text in ended.error()
    assert names(tmp_path) == ["home"]


def test_a_full_disk_is_one_line(cli: Cli, data: bytes) -> None:
    ended = cli("get", reference_of(data), "-o", "/dev/full")
    assert ended.code == ExitCode.ERROR
    assert "No space left" in ended.error()


def test_a_device_is_written_to_and_not_replaced(cli: Cli, data: bytes) -> None:
    assert cli("get", reference_of(data), "-o", "/dev/null").code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_goes_on_pointing_to_the_file(cli: Cli, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    assert cli("get", reference_of(data), "-o", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == data


def test_bytes_are_not_poured_into_a_terminal(cli: Cli, data: bytes) -> None:
    ours, theirs = os.openpty()
    with cli.start("get", reference_of(data), stdout=theirs) as process:
        assert process.stderr is not None
        assert b"use -o FILE" in process.stderr.read()
        assert process.wait(20) == ExitCode.USAGE
    with cli.start("get", reference_of(data), "-o", "-", stdout=theirs, stderr=subprocess.DEVNULL) as process:
        assert os.read(ours, 1)
        process.kill()
    os.close(ours)
    os.close(theirs)


def test_a_bar_is_drawn_when_stderr_is_a_terminal(cli: Cli, data: bytes, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    with cli.start("get", reference_of(data), "-o", tmp_path / "out", stderr=theirs) as process:
        assert process.wait(20) == 0
        os.close(theirs)
        drawn = os.read(ours, 100_000)
    os.close(ours)
    assert b"1.5" in drawn
    assert (tmp_path / "out").read_bytes() == data
