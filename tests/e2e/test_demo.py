"""The demo and `python -m testnet`, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from testnet import client, pids, state
from tests.e2e.conftest import sha256, write_random

START_S = 60.0
INTERRUPTED = 130


def demo(place: Path, *arguments: str) -> dict[str, Any]:
    """Run the demo with its files in `place`, and return its facts."""
    environment = {**os.environ, "TMPDIR": str(place)}
    command = [*client.COMMAND, "demo", "--json", *arguments]
    finished = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=180)
    assert finished.returncode == 0, finished.stderr.decode()
    assert list(place.glob("p2pnode-demo-*")) == []
    facts: dict[str, Any] = json.loads(finished.stdout)
    return facts


def test_the_demo_reads_the_users_file_back_after_three_of_ten_were_killed(tmp_path: Path) -> None:
    source = write_random(tmp_path / "my file [1]", 3_000_001)
    facts = demo(tmp_path, str(source))
    assert facts["equal"] is True
    assert facts["sha256"] == sha256(source).hex()
    assert len(facts["killed"]) == 3
    assert {"node-00", facts["stored_through"]} <= set(facts["killed"])
    assert facts["healthy"] == facts["n"] == 10
    assert facts["pairs_left"] / facts["pairs_total"] == 0.7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_demo_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    command = [*client.COMMAND, "demo", "--nodes", "4"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        marks = _marks_once_running(tmp_path, 4)
        process.send_signal(number)
        exit_code = process.wait(30)
    assert pids.wait_ended(marks, timeout_s=15) == []
    assert exit_code == (-number if number == signal.SIGKILL else INTERRUPTED)
    assert number == signal.SIGKILL or list(tmp_path.glob("p2pnode-demo-*")) == []


def _marks_once_running(place: Path, count: int) -> list[pids.ProcessMark]:
    """Wait until that many nodes were started."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        for path in place.glob(f"p2pnode-demo-*/net/{state.STATE_FILE}"):
            marks = [node.process for node in state.load(path.parent).nodes if node.process is not None]
            if len(marks) == count:
                return marks
        time.sleep(0.05)
    pytest.fail(f"not {count} nodes after {START_S} s")


def test_a_testnet_runs_on_between_commands_until_it_is_taken_down(tmp_path: Path) -> None:
    place = tmp_path / "net"

    def command(*arguments: str) -> str:
        words = [sys.executable, "-m", "testnet", *arguments, "--dir", str(place)]
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        finished = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    nodes = json.loads(command("up", "--nodes", "4", "--seed", "lighthouse", "--json"))["nodes"]
    marks = [node.process for node in state.load(place).nodes if node.process is not None]
    try:
        source = write_random(tmp_path / "source", 5_000)
        stored = client.run(Path(nodes[1]["home"]), "put", str(source), "--json").json()
        command("wait", "--healthy", stored["id"])
        command("kill", "node-00", "node-01")
        assert "node-01 listens on" in command("restart", "node-00", "node-01")
        marks += [node.process for node in state.load(place).nodes if node.process is not None]
        command("wait", "--healthy", stored["id"])
        copy = tmp_path / "copy"
        assert client.run(Path(nodes[0]["home"]), "get", stored["id"], "-o", str(copy)).exit_code == 0
        assert copy.read_bytes() == source.read_bytes()
    finally:
        command("down")
    assert [mark for mark in marks if pids.is_running(mark)] == []
    assert not place.exists()
