"""A gibibyte through ten nodes: no process needs more memory for it than for 64 MiB."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from testnet import client
from testnet.memory import PeakMemory
from testnet.processes import Testnet
from tests.e2e.conftest import sha256, write_random

MIB = 1 << 20
SMALL_BYTES = 64 * MIB
LARGE_BYTES = 1024 * MIB
DIFFERENCE_MAX = 0.10
TRANSFER_TIMEOUT_S = 900


def peaks_of_round_trip(place: Path, size: int) -> tuple[dict[str, int], dict[str, float]]:
    """Store and read a file on a fresh testnet; return each process's peak and the speeds in MB/s."""
    source, copy = write_random(place / "source", size), place / "copy"
    with Testnet(place / "net") as testnet, PeakMemory() as memory:
        testnet.start(10)
        for node in testnet.nodes:
            assert node.process is not None
            memory.watch(node.name, node.process.pid)
        stored = client.run(
            testnet.node("node-03").home, "put", str(source), "--json", timeout_s=TRANSFER_TIMEOUT_S, memory=memory
        )
        assert stored.exit_code == 0, stored.stderr
        reference = stored.json()["id"]
        got = client.run(
            testnet.node("node-06").home,
            "get",
            reference,
            "-o",
            str(copy),
            timeout_s=TRANSFER_TIMEOUT_S,
            memory=memory,
        )
        assert got.exit_code == 0, got.stderr
    assert sha256(copy) == sha256(source)
    return memory.peaks, {"put": size / 1e6 / stored.seconds, "get": size / 1e6 / got.seconds}


@pytest.mark.big
@pytest.mark.timeout(2_400)
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    small, small_speed = peaks_of_round_trip(tmp_path / "small", SMALL_BYTES)
    large, large_speed = peaks_of_round_trip(tmp_path / "large", LARGE_BYTES)
    table = Table("process", "peak MB, 64 MiB", "peak MB, 1 GiB", "difference")
    for name in sorted(small):
        change = large[name] / small[name] - 1
        table.add_row(name, f"{small[name] / 1e6:.0f}", f"{large[name] / 1e6:.0f}", f"{change:+.1%}")
    for verb, speed in small_speed.items():
        table.add_row(f"{verb} MB/s", f"{speed:.1f}", f"{large_speed[verb]:.1f}", "")
    Console(width=100).print(table)
    assert small.keys() == large.keys()
    grown = {name: large[name] / small[name] - 1 for name in small}
    assert {name: change for name, change in grown.items() if abs(change) >= DIFFERENCE_MAX} == {}
