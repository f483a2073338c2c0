"""Real nodes whose quotas are filled by ten writers at once, and one that is killed while its quota shrinks."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from p2pnode.cli.daemon_client import daemon_of
from p2pnode.cli.owner_client import quota, status
from p2pnode.errors import ExitCode
from p2pnode.services.owner_face import Space
from p2pnode.storage.home import open_home
from testnet import client
from testnet.processes import Testnet
from tests.e2e.conftest import put, read, run_on, sha256, write_random
from tests.e2e.test_killed_daemon import DAMAGE_WORDS

NODES = 4
WRITERS = 10
FIRST = 2
"""Files that are stored before the rush: ten writers may leave each other so little that none of them is certified."""
ROOM_BYTES = 8_500_000
"""What each node takes from the start of the test on: less than its part of what the first ten writers bring too."""
OWN_BYTES = 1_000_000
"""By how much the index may pass a quota: what comes later about others' data must be written down somewhere."""
SIZES = (1_000_000, 100_000)
"""The files of the first round, of which some fit, and of the second, which fill what these left."""
FULL_BYTES = 300_000
"""The room of a full node: a pair of the second round's files is 86 kB, and the last writers give back some."""
VICTIM = "node-02"
KILLS = 2
WAIT_S = 60.0


def space_of(testnet: Testnet, name: str) -> Space:
    """Return the space that a node tells of, asked as `status` asks, without a process for each question."""
    return status(daemon_of(testnet.node(name).home)).space


def du(testnet: Testnet, name: str) -> int:
    """Return what a node's data takes by the word of `du`."""
    data = open_home(testnet.node(name).home).data_path
    said = subprocess.run(["du", "-s", "--block-size=1", str(data)], check=True, capture_output=True, timeout=WAIT_S)
    return int(said.stdout.split()[0])


def check_account(testnet: Testnet, name: str) -> None:
    """Check that what a node tells agrees with its disk, which goes on changing while both are asked."""
    before, on_disk, after = space_of(testnet, name).used, du(testnet, name), space_of(testnet, name).used
    low, high = min(before, after), max(before, after)
    assert low * 0.99 <= on_disk <= high * 1.01, f"{name} tells {before} and {after}, du says {on_disk}"


@pytest.fixture(scope="module")
def certified(testnet: Testnet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Fill all quotas; return the references that puts printed, with the SHA-256 of what they stand for."""
    place = tmp_path_factory.mktemp("sources")
    for node in testnet.nodes:
        quota_bytes = space_of(testnet, node.name).used + ROOM_BYTES
        run_on(testnet, node.name, "quota", f"{quota_bytes}B")
    before = [write_random(place / f"before-{number}", SIZES[0]) for number in range(FIRST)]
    stored = {put(testnet, VICTIM, source): sha256(source) for source in before}
    for size in SIZES:
        sources = [write_random(place / f"{size}-{number}", size) for number in range(WRITERS)]
        with ThreadPoolExecutor(WRITERS) as pool:
            homes = [testnet.nodes[number % NODES].home for number in range(WRITERS)]
            ended = list(pool.map(lambda home, path: client.run(home, "put", str(path), "--json"), homes, sources))
        for source, finished in zip(sources, ended, strict=True):
            if finished.stdout:
                assert finished.exit_code in (ExitCode.OK, ExitCode.PARTIAL), finished.stderr
                stored[str(finished.json()["id"])] = sha256(source)
            else:
                check_shortage(finished)
    return stored


def check_shortage(finished: client.Finished) -> None:
    """Check that a put which printed no reference said that there was too little room, in one line, and ended so."""
    assert finished.exit_code == ExitCode.TOO_FEW_HOLDERS, finished.stderr
    assert finished.stderr.count("\n") == 1
    assert "Traceback" not in finished.stderr


def test_ten_writers_fill_the_quotas_and_all_that_was_certified_is_read(
    testnet: Testnet, certified: dict[str, bytes], tmp_path: Path
) -> None:
    assert FIRST <= len(certified) < FIRST + len(SIZES) * WRITERS
    rooms = [quota(daemon_of(node.home)).room for node in testnet.nodes]
    assert sorted(rooms)[1] < FULL_BYTES, f"two full nodes of four refuse every put, and the room is {rooms}"
    for turn, (reference, digest) in enumerate(certified.items()):
        assert read(testnet, testnet.nodes[turn % NODES].name, reference, tmp_path) == digest


def test_the_space_of_full_nodes_is_what_du_says_and_within_the_quota(
    testnet: Testnet, certified: dict[str, bytes]
) -> None:
    assert certified
    for node in testnet.nodes:
        check_account(testnet, node.name)
        space = space_of(testnet, node.name)
        assert space.used <= space.quota + OWN_BYTES
        kept_free = open_home(node.home).settings.disk_free_min_bytes
        assert quota(daemon_of(node.home)).disk_free_min == kept_free > 0
    told = run_on(testnet, VICTIM, "status", "--json").json()["space"]
    assert told["quota"] == space_of(testnet, VICTIM).quota
    assert told.keys() == {"quota", "used", "trash", "disk_free"}


def test_a_node_that_is_killed_while_its_quota_shrinks_loses_nothing(
    testnet: Testnet, certified: dict[str, bytes], tmp_path: Path
) -> None:
    home = testnet.node(VICTIM).home
    quota_bytes = space_of(testnet, VICTIM).quota
    for turn in range(KILLS):
        smaller = quota_bytes // (2 << turn)
        with subprocess.Popen(
            [*client.COMMAND, "quota", f"{smaller}B", "-q"],
            env=client.environment(home),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            deadline = time.monotonic() + WAIT_S
            while open_home(home).settings.quota_bytes != smaller:  # The settings come first, then the daemon is told.
                assert time.monotonic() < deadline
            testnet.kill([VICTIM])
            _, stderr = process.communicate(timeout=WAIT_S)
        assert b"Traceback" not in stderr
        testnet.restart([VICTIM])
        space = space_of(testnet, VICTIM)
        assert (space.quota, space.used > smaller) == (smaller, True)
        check_account(testnet, VICTIM)
    testnet.wait_acquainted()
    testnet.kill(["node-03"])  # So that a file which three of four nodes hold cannot be read without the victim's pair.
    for reference, digest in certified.items():
        assert read(testnet, VICTIM, reference, tmp_path) == digest
    log = testnet.node(VICTIM).log.read_text("utf-8", "replace")
    assert [line for line in log.splitlines() if any(word in line for word in DAMAGE_WORDS)] == []
