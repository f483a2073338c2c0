"""Reachability between real nodes: who can be dialled is told so, and who announces a dead address too."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testnet import client
from testnet.homes import Plan, make_home
from testnet.processes import Testnet
from tests.e2e.conftest import run_on

NODES = 3
OK = 0
SILENT = 10
NOT_REACHABLE = 11
USAGE = 2
ASKED_S = 60.0
STOP_S = 10.0


@contextmanager
def node_that_announces(testnet: Testnet, home: Path, address: str) -> Iterator[None]:
    """Run one more node, which tells others this address."""
    network = testnet.node("node-01")
    plan = Plan(name="node-99", network=network_of(network.home), seed=None, bootstrap=network.address)
    make_home(home, plan)
    read_end, write_end = os.pipe()
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [*client.COMMAND, "run", "--announce", address, "--exit-with-fd", str(read_end)],
            env=client.environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(read_end,),
        )
    try:
        yield
    finally:
        os.close(read_end)
        os.close(write_end)
        try:
            process.wait(STOP_S)
        finally:
            process.kill()
            process.wait()


def network_of(home: Path) -> str:
    """Return the name of the network that a home belongs to."""
    for line in (home / "config.toml").read_text("utf-8").splitlines():
        if line.startswith("network = "):
            return line.partition(" = ")[2].strip('"')
    raise AssertionError(home)


def check_until_known(home: Path) -> client.Finished:
    """Check until somebody could be asked."""
    deadline = time.monotonic() + ASKED_S
    finished = client.run(home, "check", "--json")
    while finished.exit_code not in (OK, NOT_REACHABLE) and time.monotonic() < deadline:
        time.sleep(0.5)
        finished = client.run(home, "check", "--json")
    return finished


def test_nodes_on_one_machine_reach_each_other(testnet: Testnet) -> None:
    finished = check_until_known(testnet.node("node-02").home)
    assert finished.exit_code == OK, finished.stdout
    report = finished.json()
    assert report["reach"] == "reachable"
    assert any(row["reached_by"] > 0 for row in report["addresses"])
    assert report["port_mapping"] == "off"
    text = run_on(testnet, "node-02", "check").stdout.decode()
    assert "peers got through" in text
    assert "this node is reachable at /ip4/127.0.0.1/tcp/" in testnet.log_end("node-02", lines=100)


def test_a_node_that_announces_an_address_where_nobody_listens_is_told_so(testnet: Testnet, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"
    home = tmp_path / "home"
    with node_that_announces(testnet, home, dead):
        finished = check_until_known(home)
    log = (home / "log").read_text("utf-8")
    assert finished.exit_code == NOT_REACHABLE, log
    (row,) = finished.json()["addresses"]
    assert (row["address"], row["origin"], row["reach"], row["reached_by"]) == (dead, "announced", "not reachable", 0)
    assert row["tried_by"] > 0
    assert "Check that it leads to this machine" in finished.json()["advice"]
    assert log.count("this node is not reachable from outside") == 1
    assert "Traceback" not in log


@pytest.mark.parametrize("address", ["/ip4/0.0.0.0/tcp/4710", "/ip4/8.8.8.8/tcp/0", "8.8.8.8:4710"])
def test_an_address_that_nobody_could_dial_is_refused_in_one_line(tmp_path: Path, address: str) -> None:
    home = tmp_path / "home"
    make_home(home, Plan(name="node-98", network="alone", seed=None, bootstrap=None))
    finished = client.run(home, "run", "--announce", address)
    assert finished.exit_code == USAGE
    assert "/ip4/203.0.113.7/tcp/4710" in finished.stderr or "write the port" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
