"""Trouble that a network of seven must bear: damaged disks, garbage on the wire, wrong ids, a second daemon."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from testnet import api
from testnet.processes import Testnet
from tests.e2e.conftest import put, read, run_on, sha256, write_random

NODES = 7
MAY_FAIL = 2
NO_RECORD = 4
ERROR = 1
USAGE = 2


def host_and_port(address: str) -> tuple[str, int]:
    _, _, host, _, port, *_ = address.split("/")
    return host, int(port)


def damage(home: Path, rng: random.Random) -> int:
    """Flip one bit in the later half of each sliver pair's file; return how many there were."""
    paths = [path for path in (home / "data" / "pairs").rglob("*") if path.is_file()]
    for path in paths:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data) // 2, len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    return len(paths)


def test_a_file_is_read_while_as_many_nodes_as_may_fail_have_damaged_disks(
    testnet: Testnet, tmp_path: Path, rng: random.Random
) -> None:
    """One of them is the reader itself, the other a node that it asks."""
    source = write_random(tmp_path / "source", 1 << 20)
    reference = put(testnet, "node-02", source)
    reader = testnet.node("node-05")
    for node in (reader, testnet.node("node-01"))[:MAY_FAIL]:
        assert damage(node.home, rng) > 0
    assert read(testnet, reader.name, reference, tmp_path) == sha256(source)


def test_an_unknown_id_is_told_as_such(testnet: Testnet, tmp_path: Path) -> None:
    reference = put(testnet, "node-03", write_random(tmp_path / "source", 1))
    other = ("B" if reference[0] == "A" else "A") + reference[1:]
    finished = run_on(testnet, "node-04", "get", other, "-o", "-", exit_code=NO_RECORD)
    assert len(finished.stderr.strip().splitlines()) == 1
    assert finished.stdout == b""


def test_what_is_no_id_at_all_is_a_usage_error(testnet: Testnet) -> None:
    run_on(testnet, "node-04", "get", "no-such-thing", exit_code=USAGE)


def test_a_missing_file_is_an_error_of_one_line(testnet: Testnet, tmp_path: Path) -> None:
    finished = run_on(testnet, "node-04", "put", str(tmp_path / "missing"), exit_code=ERROR)
    assert str(tmp_path / "missing") in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x13/multistream/1.0.0\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x13/multistream/1.0.0\n\x04\xff\xfe\xfd\n",
        bytes(65_536),
        b"",
    ],
    ids=["http", "endless length", "not utf-8", "zeros", "nothing"],
)
def test_a_peer_that_sends_garbage_leaves_the_node_as_it_was(testnet: Testnet, garbage: bytes) -> None:
    node = testnet.node("node-06")
    for _ in range(5):
        with socket.create_connection(host_and_port(node.address), timeout=5) as connection:
            connection.sendall(garbage)
    assert node.is_running()
    assert len(api.active_peers(node) - {node.peer_id}) == NODES - 1


def test_random_bytes_on_the_port_leave_the_node_able_to_store(
    testnet: Testnet, tmp_path: Path, rng: random.Random
) -> None:
    node = testnet.node("node-00")
    for _ in range(20):
        with socket.create_connection(host_and_port(node.address), timeout=5) as connection:
            connection.sendall(rng.randbytes(rng.randrange(1, 5_000)))
    source = write_random(tmp_path / "source", 10_000)
    assert read(testnet, "node-01", put(testnet, node.name, source), tmp_path) == sha256(source)


def test_a_second_daemon_on_one_home_is_refused_and_harms_nothing(testnet: Testnet) -> None:
    node = testnet.node("node-04")
    finished = run_on(testnet, node.name, "run", exit_code=ERROR, timeout_s=30)
    assert "another daemon" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
    assert len(api.active_peers(node) - {node.peer_id}) == NODES - 1
