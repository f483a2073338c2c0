"""`p2pnode run` as a process: it says when it is ready, serves, and stops in every way it is asked to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2pnode.storage.home import HomeSettings, create_home, lock_home, open_home, read_daemon_info
from p2pnode.system import SystemRng
from tests.api.fake_node import PEER_ID, reference_of
from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.daemon_process import BIG, fake_module

PROGRAM = [sys.executable, "-m", "tests.cli.daemon_process"]
ROOT = Path(__file__).parents[2]
STOP_S_MAX = 3.0


class Daemon:
    """A daemon under test, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def wait_for(self, text: str) -> str:
        """Read on until a line has the text; return the line."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            if text in line:
                return line
        raise AssertionError(f"it ended with {self.process.wait()} and never said {text!r}: {self.said}")

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        assert self.process.stderr is not None
        code = self.process.wait(TIMEOUT_S)
        self.said += self.process.stderr.read().splitlines()
        return code


@contextmanager
def started(
    home: Path, *arguments: str, behaviour: str = "", prefix: tuple[str, ...] = (), inherited: tuple[int, ...] = ()
) -> Iterator[Daemon]:
    """Start a daemon; it does not outlive the block."""
    environment = {**os.environ, "P2PNODE_HOME": str(home), "FAKE_NODE": behaviour}
    with subprocess.Popen(
        [*prefix, *PROGRAM, "run", *arguments],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=inherited,
    ) as process:
        try:
            yield Daemon(process)
        finally:
            process.kill()


def connect(home: Path) -> http.client.HTTPConnection:
    info = read_daemon_info(home)
    assert info is not None
    return http.client.HTTPConnection(info.api.removeprefix("http://"), timeout=TIMEOUT_S)


def ask(home: Path, path: str) -> http.client.HTTPResponse:
    connection = connect(home)
    connection.request("GET", path, headers={"Authorization": f"Bearer {open_home(home).api_token}"})
    return connection.getresponse()


def test_it_announces_itself_serves_and_stops_on_sigterm(home: Path) -> None:
    with started(home, "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", "/ip4/127.0.0.1/tcp/1/p2p/x") as daemon:
        api_line = daemon.wait_for("api on")
        info = read_daemon_info(home)
        assert info is not None
        assert (info.pid, info.peer_id) == (daemon.process.pid, PEER_ID)
        assert info.addresses == (f"/ip4/127.0.0.1/tcp/4710/p2p/{PEER_ID}",)
        assert api_line == f"api on {info.api}, stop with Ctrl-C\n"
        assert f"node {PEER_ID} listens on /ip4/127.0.0.1/tcp/4710/p2p/{PEER_ID}" in daemon.said
        assert json.loads(ask(home, "/v1/node").read())["peer_id"] == PEER_ID
        started_at = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
        assert time.monotonic() - started_at < STOP_S_MAX
    assert "asked for home ('/ip4/127.0.0.1/tcp/0',) () ('/ip4/127.0.0.1/tcp/1/p2p/x',)" in daemon.said
    assert "left in good order" in daemon.said
    assert not (home / "daemon.json").exists()


def test_ctrl_c_stops_it_too(home: Path) -> None:
    with started(home) as daemon:
        daemon.wait_for("api on")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.end() == 0
    assert "left in good order" in daemon.said
    assert "Traceback" not in "".join(daemon.said)


def test_a_signal_during_the_start_stops_it(home: Path) -> None:
    (home / "daemon.json").write_text("what a killed daemon left")
    with started(home, behaviour="hangs at the start") as daemon:
        daemon.wait_for("hangs")
        assert not (home / "daemon.json").exists()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
    assert not (home / "daemon.json").exists()


def test_a_second_signal_ends_it_at_once(home: Path) -> None:
    with started(home, behaviour="hangs at the end") as daemon:
        daemon.wait_for("api on")
        daemon.process.send_signal(signal.SIGINT)
        daemon.wait_for("hangs")
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.end() == 130


def test_a_download_that_nobody_reads_does_not_delay_the_stop(home: Path) -> None:
    with started(home) as daemon:
        daemon.wait_for("api on")
        response = ask(home, f"/v1/blobs/{reference_of(BIG)}")
        response.read(1)
        started_at = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
        assert time.monotonic() - started_at < STOP_S_MAX
        response.close()


def test_it_ends_with_the_process_that_holds_its_pipe(home: Path) -> None:
    theirs, ours = os.pipe()
    with started(home, "--exit-with-fd", str(theirs), inherited=(theirs,)) as daemon:
        os.close(theirs)
        daemon.wait_for("api on")
        os.write(ours, b"bytes mean nothing")
        assert ask(home, "/v1/node").status == 200
        os.close(ours)
        assert daemon.end() == 0
    assert "left in good order" in daemon.said


def test_it_does_not_care_for_closed_standard_streams_nor_for_an_ignored_hangup(home: Path) -> None:
    with started(home, prefix=("sh", "-c", 'trap "" HUP; exec "$@" <&- >&-', "sh")) as daemon:
        daemon.wait_for("api on")
        daemon.process.send_signal(signal.SIGHUP)
        assert ask(home, "/v1/node").status == 200
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0


def test_it_goes_on_when_nobody_reads_its_log(home: Path) -> None:
    with started(home, "--verbose") as daemon:
        daemon.wait_for("api on")
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()
        assert ask(home, "/v1/blobs/nonsense").status == 400
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(TIMEOUT_S) == 0


@pytest.fixture
def quick(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The program, for runs that end by themselves: they need no process of their own."""
    monkeypatch.setitem(sys.modules, "p2pnode.open_node", fake_module())
    monkeypatch.setattr("p2pnode.daemon._log_to_stderr", lambda **_: None)
    return cli


def test_a_second_daemon_on_one_home_is_refused(quick: Cli) -> None:
    with lock_home(quick.home):
        ended = quick("run")
    assert ended.code == 1
    assert f"pid {os.getpid()}" in ended.error()


def test_an_api_port_in_use_is_one_line(quick: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = quick("run", "--api", address)
    assert ended.code == 1
    assert address in ended.error()


def test_a_listen_port_in_use_is_one_line(quick: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_NODE", "port in use")
    ended = quick("run")
    assert ended.code == 1
    assert ended.err.splitlines()[1:] == ["p2pnode: cannot listen on /ip4/127.0.0.1/tcp/1: Address already in use"]


def test_an_api_for_others_is_refused(quick: Cli) -> None:
    ended = quick("run", "--api", "0.0.0.0:0")
    assert ended.code == 2
    assert "127.0.0.1" in ended.error()


def test_a_missing_home_is_one_line(quick: Cli, tmp_path: Path) -> None:
    ended = quick("run", "--home", tmp_path / "nothing")
    assert ended.code == 1
    assert "p2pnode init" in ended.error()
    assert not (tmp_path / "nothing").exists()


def test_a_wrong_key_file_is_one_line(quick: Cli) -> None:
    (quick.home / "identity.key").write_text((quick.home / "owner.key").read_text())
    ended = quick("run")
    assert ended.code == 1
    assert "identity.key" in ended.error()


def test_a_bug_is_logged_with_its_traceback_and_ends_with_1(
    quick: Cli, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAKE_NODE", "bug")
    ended = quick("run")
    assert ended.code == 1
    assert "RuntimeError: a bug" in caplog.text
    assert ended.err.splitlines()[1:] == [
        "p2pnode: the node ended with an internal error: the log above has the details"
    ]


def test_options_replace_the_settings_of_the_home(quick: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other"
    settings = HomeSettings(
        profile="private",  # It asks for no admission work, of which a first start tells a line.
        listen=("/ip4/1.1.1.1/tcp/1",),
        announce=("/ip4/2.2.2.2/tcp/2",),
        bootstrap=("/x/p2p/a",),
    )
    create_home(path, settings=settings, rng=SystemRng())
    monkeypatch.setenv("FAKE_NODE", "port in use")
    ended = quick("run", "--home", path, "--announce", "/ip4/3.3.3.3/tcp/3")
    asked = "asked for other ('/ip4/1.1.1.1/tcp/1',) ('/ip4/3.3.3.3/tcp/3',) ('/x/p2p/a',)"
    assert ended.err.splitlines()[0] == asked
