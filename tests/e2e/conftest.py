"""Networks of real nodes for the end-to-end tests.

A module says with `NODES` how many it needs, with `START_TIMEOUT_S` how long they may take to start, and with
`MAKE_HOME` how each is made.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from testnet import client, homes, pids
from testnet.processes import START_TIMEOUT_S, Testnet
from tests.conftest import RUN_SEED

NODES_DEFAULT = 10


def run_on(testnet: Testnet, name: str, *arguments: str, exit_code: int = 0, timeout_s: float = 120) -> client.Finished:
    """Run `p2pnode` on one node and check how it ended; it never ends with a traceback."""
    finished = client.run(testnet.node(name).home, *arguments, timeout_s=timeout_s)
    assert finished.exit_code == exit_code, (
        f"{arguments}: {finished.exit_code}, {finished.stderr}\n{testnet.log_end(name)}"
    )
    assert "Traceback" not in finished.stderr
    return finished


def put(testnet: Testnet, name: str, source: Path) -> str:
    """Store a file through a node and return its reference."""
    return str(run_on(testnet, name, "put", str(source), "--json").json()["id"])


def read(testnet: Testnet, name: str, reference: str, place: Path) -> bytes:
    """Read a file through a node and return its SHA-256."""
    copy = place / "copy"
    run_on(testnet, name, "get", reference, "-o", str(copy))
    try:
        return sha256(copy)
    finally:
        copy.unlink()


def sha256(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def write_random(path: Path, size: int) -> Path:
    """Write a file of random bytes that follow from the run's seed and the name."""
    rng = random.Random(f"{RUN_SEED}/{path.name}")
    with path.open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(rng.randbytes(min(1 << 20, size - start)))
    return path


@pytest.fixture(scope="module")
def testnet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testnet]:
    """Real nodes that know each other; afterwards not one of their processes is left."""
    count = getattr(request.module, "NODES", NODES_DEFAULT)
    make_home = getattr(request.module, "MAKE_HOME", homes.make_home)
    with Testnet(tmp_path_factory.mktemp("testnet"), make_home=make_home) as network:
        network.start(count, timeout_s=getattr(request.module, "START_TIMEOUT_S", START_TIMEOUT_S))
        yield network
        marks = [node.process for node in network.nodes if node.process is not None]
    assert [mark for mark in marks if pids.is_running(mark)] == []
