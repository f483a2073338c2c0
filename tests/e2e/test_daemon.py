"""One node: how it starts, what stops it, and what the commands say when it is not there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pnode.storage.home import read_daemon_info
from testnet import client
from testnet.homes import Plan, make_home
from tests.e2e.conftest import write_random

ERROR = 1
TOO_FEW_HOLDERS = 5
NO_DAEMON = 9
START_S = 30.0
STOP_S = 10.0
CLOSED_STDIN = ("sh", "-c", 'exec "$@" <&-', "sh")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", Plan(name="node-00", network="testnet-e2e", seed=None, bootstrap=None))
    return tmp_path / "home"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends may be closed by the test."""
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for end in (read_end, write_end):
        try:
            os.close(end)
        except OSError:
            continue


def start(
    home: Path, *arguments: str, before: tuple[str, ...] = (), pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start a daemon and wait until it says that it is ready."""
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [*before, *client.COMMAND, "run", *arguments],
            env=client.environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=pass_fds,
        )
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        about = read_daemon_info(home)
        if about is not None and about.pid == process.pid:
            return process
        time.sleep(0.05)
    process.kill()
    process.wait()
    pytest.fail(f"the daemon did not get ready:\n{(home / 'log').read_text('utf-8')}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_node_cleanly_also_with_stdin_closed(home: Path, number: signal.Signals) -> None:
    with start(home, before=CLOSED_STDIN) as process:
        process.send_signal(number)
        assert process.wait(STOP_S) == 0
    assert read_daemon_info(home) is None
    assert "Traceback" not in (home / "log").read_text("utf-8")


def test_a_write_with_fewer_than_four_members_is_refused(home: Path) -> None:
    source = write_random(home / "source", 1_000)
    with start(home) as process:
        finished = client.run(home, "put", str(source))
        process.terminate()
        assert process.wait(STOP_S) == 0
    assert finished.exit_code == TOO_FEW_HOLDERS
    assert "at least 4" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_the_end_of_the_inherited_pipe_stops_the_node(home: Path, pipe: tuple[int, int]) -> None:
    with start(home, "--exit-with-fd", str(pipe[0]), pass_fds=pipe[:1]) as process:
        os.close(pipe[1])
        assert process.wait(STOP_S) == 0
    assert read_daemon_info(home) is None


def test_what_a_killed_node_left_is_no_daemon_and_no_obstacle(home: Path) -> None:
    with start(home) as process:
        process.kill()
    assert read_daemon_info(home) is not None
    assert client.run(home, "peers").exit_code == NO_DAEMON
    with start(home) as process:
        process.terminate()
        assert process.wait(STOP_S) == 0


def test_a_port_in_use_is_an_error_of_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = client.run(home, "run", "--listen", f"/ip4/127.0.0.1/tcp/{port}", timeout_s=START_S)
    assert finished.exit_code == ERROR
    assert str(port) in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [("peers",), ("get", "A" * 43, "-o", "-"), ("stat", "A" * 43)])
def test_without_a_daemon_commands_say_so(home: Path, command: tuple[str, ...]) -> None:
    finished = client.run(home, *command)
    assert finished.exit_code == NO_DAEMON
    assert "Traceback" not in finished.stderr
    assert "p2pnode run" in finished.stderr.replace("\n", " ")
