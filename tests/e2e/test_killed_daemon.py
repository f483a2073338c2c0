"""Daemons that are killed in the middle of an upload and started again: what was told stored is read by everybody.

SIGKILL spares what the system has in its caches, so this is no power loss (`testnet.sim.disk_harness` is); it is the
real process with the real SQLite, ended wherever it is.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pnode.storage.home import open_home
from testnet import client
from testnet.processes import Testnet
from tests.e2e.conftest import put, read, run_on, sha256, write_random

NODES = 4
STORING = "node-00"
KILLED = ("node-02", STORING, "node-03")
"""One in each round: a holder, the node that stores, another holder."""

FILE_BYTES = 6_000_000
WAIT_S = 60.0
DAMAGE_WORDS = ("damaged", "is gone", "counts as lost", "Traceback")
"""What a store logs that did not find at its start what it had told done."""


def files_of(testnet: Testnet, name: str) -> int:
    """Return how many files there are in the data directory of a node."""
    data = open_home(testnet.node(name).home).data_path
    return sum(1 for path in data.rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll; fails after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def put_while_killed(testnet: Testnet, victim: str, source: Path) -> str | None:
    """Begin to store a file, kill a node as soon as it has written something; return the reference if it was told."""
    count = files_of(testnet, victim)
    home = testnet.node(STORING).home
    with subprocess.Popen(
        [*client.COMMAND, "put", str(source), "--json"],
        env=client.environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(lambda: files_of(testnet, victim) > count or process.poll() is not None)
        testnet.kill([victim])
        stdout, stderr = process.communicate(timeout=WAIT_S)
    assert b"Traceback" not in stderr
    if process.returncode != 0:
        return None
    return str(client.Finished(exit_code=0, stdout=stdout, stderr="", seconds=0).json()["id"])


@pytest.fixture(scope="module")
def stored(testnet: Testnet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Kill a node in each round, start it again, and return what was told stored, with its SHA-256."""
    place = tmp_path_factory.mktemp("sources")
    found: dict[str, bytes] = {}
    for turn, victim in enumerate(KILLED):
        before = write_random(place / f"before-{turn}", FILE_BYTES)
        found[put(testnet, STORING, before)] = sha256(before)
        during = write_random(place / f"during-{turn}", FILE_BYTES)
        reference = put_while_killed(testnet, victim, during)
        if reference is not None:
            found[reference] = sha256(during)
        testnet.restart([victim])
        testnet.wait_acquainted()
    return found


def test_what_was_told_stored_is_read_through_every_node(
    testnet: Testnet, stored: dict[str, bytes], tmp_path: Path
) -> None:
    assert len(stored) >= len(KILLED)
    names = [node.name for node in testnet.nodes]
    for turn, (reference, digest) in enumerate(stored.items()):
        assert read(testnet, names[turn % len(names)], reference, tmp_path) == digest


def test_no_store_misses_anything_after_its_start(testnet: Testnet, stored: dict[str, bytes]) -> None:
    assert stored
    for node in testnet.nodes:
        log = node.log.read_text("utf-8", "replace")
        assert [line for line in log.splitlines() if any(word in line for word in DAMAGE_WORDS)] == []
        run_on(testnet, node.name, "peers")
