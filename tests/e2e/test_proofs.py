"""Real nodes answer for what they signed: proofs on request, and damage that is found without anybody asking for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from testnet import api, client
from testnet.processes import Testnet
from tests.e2e.conftest import read, run_on, sha256, write_random

NODES = 6
SHARDS = "5"
INTEGRITY = 7

FOUND_WITHIN_S = 240.0
"""Each neighbour asks once in ten to fifteen seconds, and repair begins at once; a loaded machine takes its time."""

FOUND = ("a challenge finds that a pair is lost", "counts as lost")
"""What the log says when an audit, or anything else that reads the file, has met the loss."""


def pair_files(testnet: Testnet, name: str) -> list[Path]:
    return [path for path in (testnet.node(name).home / "data" / "pairs").rglob("*") if path.is_file()]


def holders(testnet: Testnet) -> list[str]:
    return [node.name for node in testnet.nodes if pair_files(testnet, node.name)]


def wait_until_whole(testnet: Testnet, reference: str) -> None:
    """Wait until all shards are healthy again, and everybody who is said to keep one has proven it."""
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        status = api.blob_status(testnet.node("node-05"), reference)
        asked = client.run(testnet.node("node-01").home, "audit", reference, "--json")
        if status["healthy"] == status["n"] and asked.exit_code == 0:
            return
        assert time.monotonic() < deadline, (status, asked.stdout)
        time.sleep(1.0)


def has_found(testnet: Testnet, name: str) -> bool:
    """Tell whether a node's log says that it has met a loss."""
    text = testnet.log_end(name, 2_000)
    return any(phrase in text for phrase in FOUND)


def wait_until_found(testnet: Testnet, name: str) -> None:
    """Wait until a node has met its loss."""
    deadline = time.monotonic() + FOUND_WITHIN_S
    while not has_found(testnet, name):
        assert time.monotonic() < deadline, testnet.log_end(name)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def stored(testnet: Testnet, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A reference, and the file that it stands for."""
    source = write_random(tmp_path_factory.mktemp("stored") / "source", 200_000)
    finished = run_on(testnet, "node-01", "put", str(source), "--shards", SHARDS, "--json")
    return str(finished.json()["id"]), source


def test_all_holders_prove_what_they_signed_and_their_certificate_is_checked_anywhere(
    testnet: Testnet, stored: tuple[str, Path], tmp_path: Path
) -> None:
    reference, _ = stored
    audits = run_on(testnet, "node-01", "audit", reference, "--json").json()["audits"]
    assert {each["verdict"] for each in audits} == {"ok"}
    saved = tmp_path / "certificate"
    first = run_on(testnet, "node-01", "verify", reference, "--save", str(saved), "--json").json()
    again = run_on(testnet, "node-05", "verify", str(saved), "--json").json()
    assert first["valid"] is again["valid"] is True
    assert again["keys"] >= again["needed"]
    assert (first["blobs"], first["owner"]) == (again["blobs"], again["owner"])
    damaged = bytearray(saved.read_bytes())
    damaged[-1] ^= 1
    saved.write_bytes(damaged)
    run_on(testnet, "node-05", "verify", str(saved), exit_code=INTEGRITY)


@pytest.mark.parametrize("what", ["damaged", "deleted"])
def test_sliver_files_of_a_live_node_that_are_hurt_are_found_and_rebuilt_and_nobody_is_convicted(
    testnet: Testnet, stored: tuple[str, Path], tmp_path: Path, what: str
) -> None:
    reference, source = stored
    name = next(name for name in holders(testnet) if name != "node-01" and not has_found(testnet, name))
    for path in pair_files(testnet, name):
        if what == "deleted":
            path.unlink()
        else:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 4] + bytes(byte ^ 1 for byte in data[len(data) // 4 :]))
    wait_until_found(testnet, name)
    wait_until_whole(testnet, reference)
    for node in testnet.nodes:
        assert run_on(testnet, node.name, "evidence", "--json").json() == {"evidence": []}
    assert read(testnet, "node-04", reference, tmp_path) == sha256(source)
