"""A write that cannot succeed, because too few members are alive."""

from __future__ import annotations

from pathlib import Path

from testnet.processes import Testnet
from tests.e2e.conftest import run_on, write_random

TOO_FEW_HOLDERS = 5
NODES = 4


def test_a_write_with_fewer_than_all_but_f_holders_alive_is_refused(testnet: Testnet, tmp_path: Path) -> None:
    """With n = 4 three receipts certify; only the writer and one more are left."""
    testnet.kill(["node-00", "node-02"])
    source = write_random(tmp_path / "source", 1_000)
    finished = run_on(testnet, "node-01", "put", str(source), "--json", exit_code=TOO_FEW_HOLDERS)
    assert len(finished.stderr.strip().splitlines()) == 1
    assert finished.stdout == b""
