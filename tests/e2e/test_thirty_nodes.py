"""Thirty real nodes on one machine that join, leave and come back: all agree soon who is there."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from rich.console import Console
from rich.table import Table

from p2pnode.errors import NoDaemonError
from testnet import api
from testnet.processes import Testnet

NODES = 30
START_TIMEOUT_S = 900.0
"""A busy machine may take its time until thirty programs run; what is claimed begins after that."""

AGREE_WITHIN_S = 20.0
"""From the last change: a record of this profile is renewed every 5 s and stale after 15 s."""

LEAVING = ("node-03", "node-11", "node-17", "node-18", "node-29")
KILLED = ("node-00", "node-05", "node-23")
POLL_S = 0.25


def seconds_until_all_agree(testnet: Testnet, there: Iterable[str]) -> float:
    """Return how long it takes until each of these nodes has fresh records of exactly the others."""
    nodes = [testnet.node(name) for name in there]
    everyone = {node.peer_id for node in nodes}
    started = time.monotonic()
    waiting = list(nodes)
    while waiting:
        seconds = time.monotonic() - started
        wrong = {}
        for node in waiting:
            try:
                fresh = api.fresh_peers(node)
            except NoDaemonError:  # Too busy to answer in time; it is asked again.
                fresh = set()
            if fresh != everyone - {node.peer_id}:
                wrong[node.name] = fresh ^ (everyone - {node.peer_id})
        if wrong and seconds > AGREE_WITHIN_S:
            pytest.fail(f"{len(wrong)} of {len(nodes)} nodes see others after {seconds:.1f} s: {wrong}")
        waiting = [node for node in nodes if node.name in wrong]
        if waiting:
            time.sleep(POLL_S)
    return time.monotonic() - started


@pytest.mark.big
@pytest.mark.timeout(2_400)
def test_all_agree_who_is_there_within_twenty_seconds_of_each_change(testnet: Testnet) -> None:
    names = [node.name for node in testnet.nodes]
    took = {"start": seconds_until_all_agree(testnet, names)}
    testnet.terminate(LEAVING)
    testnet.kill(KILLED)
    left = [name for name in names if name not in {*LEAVING, *KILLED}]
    took["leave"] = seconds_until_all_agree(testnet, left)
    testnet.restart([*LEAVING, *KILLED], timeout_s=START_TIMEOUT_S)
    took["rejoin"] = seconds_until_all_agree(testnet, names)
    table = Table("change", "seconds until all agree")
    for change, seconds in took.items():
        table.add_row(change, f"{seconds:.1f}")
    Console(width=100).print(table)
