"""One of ten real nodes is gone for ever: the others rebuild what it had, and every file is as healthy as before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from p2pnode.config import TESTNET
from testnet import api
from testnet.processes import Testnet
from tests.e2e.conftest import put, read, run_on, sha256, write_random

SIZES = {"1 MiB": 1 << 20, "4 MiB": 4 << 20}
STORING, KILLED, READING = "node-02", "node-07", "node-05"

WHOLE_WITHIN_S = 2 * TESTNET.long_grace_s
"""From the kill, on a machine that is not too busy; the test itself waits longer, for those that are."""

WAITED_S = 4 * WHOLE_WITHIN_S
POLL_S = 2.0


@pytest.mark.timeout(900)
def test_what_a_node_took_with_it_for_ever_is_rebuilt(testnet: Testnet, tmp_path: Path) -> None:
    stored = {}
    for name, size in SIZES.items():
        source = write_random(tmp_path / name.replace(" ", "-"), size)
        stored[put(testnet, STORING, source)] = sha256(source)
    testnet.kill([KILLED])
    waiting = dict.fromkeys(stored, 10)
    killed_at = time.monotonic()
    were_weaker: set[str] = set()
    while waiting and time.monotonic() - killed_at < WAITED_S:
        for reference in list(waiting):
            healthy = api.blob_status(testnet.node(READING), reference)["healthy"]
            if healthy < waiting[reference]:
                were_weaker.add(reference)
            elif reference in were_weaker:
                del waiting[reference]
        time.sleep(POLL_S)
    assert not waiting, f"not whole after {WAITED_S} s\n{testnet.log_end(READING)}"
    told = [run_on(testnet, node.name, "repair", "--dry-run", "--json").json() for node in testnet.running]
    assert sum(each["pairs_rebuilt"] for each in told) >= len(SIZES)
    rebuilt = sum(each["bytes_rebuilt"] for each in told)
    assert sum(each["bytes_moved"] for each in told) <= 1.25 * rebuilt
    for reference, digest in stored.items():
        assert read(testnet, READING, reference, tmp_path) == digest
