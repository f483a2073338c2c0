"""Nodes that are forks of one process: each runs the program itself, with its own log and descriptors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pnode.storage.home import read_daemon_info
from testnet import client, pids
from testnet.forks import FD, Forked, Forks
from testnet.homes import Plan, make_home

END_TIMEOUT_S = 120.0
POLL_S = 0.05


@pytest.fixture
def forks() -> Iterator[Forks]:
    """A process that starts others; what it started and the test left running is killed."""
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a node that has nobody to begin with."""
    path = tmp_path / "home"
    make_home(path, Plan(name="alone", network="forks", seed="forks", bootstrap=None))
    return path


def started(forks: Forks, home: Path, *arguments: str, inherited: tuple[int, ...] = ()) -> Forked:
    """Start a command on a home; its log is beside it."""
    with (home.parent / "log").open("ab") as log:
        return forks.start(arguments, environment=client.environment(home), log=log.fileno(), inherited=inherited)


def ended(child: Forked) -> int | None:
    """Wait for the end of a process and return its exit code."""
    mark = pids.mark_of(child.pid)
    if mark is not None:
        assert pids.wait_ended([mark], timeout_s=END_TIMEOUT_S) == []
    return child.poll()


def test_a_fork_is_the_program_with_its_own_exit_code_log_and_environment(forks: Forks, home: Path) -> None:
    good = started(forks, home, "id")
    assert ended(good) == 0
    bad = started(forks, home, "no-such-command")
    assert ended(bad) == 2
    assert bad.pid != good.pid
    log = (home.parent / "log").read_text("utf-8")
    assert client.run(home, "id").stdout.decode() in log
    assert "no-such-command" in log


def test_a_node_lives_on_without_the_process_that_forked_it_and_ends_with_its_pipe(forks: Forks, home: Path) -> None:
    ours, theirs = os.pipe()
    child = started(forks, home, "run", "--exit-with-fd", f"{FD}0", inherited=(ours,))
    os.close(ours)
    mark = pids.mark_of(child.pid)
    assert mark is not None
    forks.close()
    deadline = time.monotonic() + END_TIMEOUT_S
    while read_daemon_info(home) is None:
        assert pids.is_running(mark), (home.parent / "log").read_text("utf-8")
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
    assert os.getsid(child.pid) == child.pid
    os.close(theirs)
    assert pids.wait_ended([mark], timeout_s=END_TIMEOUT_S) == []


def test_a_killed_fork_is_told_by_its_signal(forks: Forks, home: Path) -> None:
    child = started(forks, home, "run")
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert child.poll() == -signal.SIGKILL
