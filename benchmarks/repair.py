"""`make bench-repair`: bytes that repair moves for each byte that was lost, in simulation, with production nodes.

What is moved is what the repairers count: their questions and the answers, proofs included. Prints JSON, one object a
case; beside each case stands what the code allows at best: S + P - 1 symbols for a pair of S + P.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace

import trio

from p2pnode import bft
from p2pnode.config import TESTNET
from p2pnode.node import Node
from p2pnode.protocols.repair.exchange import symbols_of_pair
from p2pnode.services.results import RepairReport
from testnet.sim import users
from testnet.sim.world import Chores, World, run_world

NODES = 10

SIZES = (5_000, 100_000, 1_000_000, 8_000_000)
"""Bytes stored: a note, a picture, a blob of one segment, a file of five."""

LOST = (1, 3)

PROFILE = replace(TESTNET, name="bench-repair", audit_every_s=0, repair_rank_step_s=10)

WITHIN_S = 1_200.0
POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one case has cost."""

    n: int
    lost: int
    size: int
    pairs_rebuilt: int
    bytes_rebuilt: int
    bytes_moved: int
    moved_per_byte: float
    theory: float
    """Symbols moved for each symbol of a pair, without proofs."""
    seconds: float
    """Virtual, from the loss until all is rebuilt; the long grace of the profile is most of it."""


def _reports(world: World) -> list[RepairReport]:
    nodes = [machine.node for machine in world.running() if machine.is_ready]
    return [node.repairs() for node in nodes if isinstance(node, Node)]


def measure(seed: int, *, lost: int, size: int) -> Case:
    """Store something on ten nodes, lose some of them for ever, and wait until nothing is missing."""
    cases: list[Case] = []

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(NODES)
        result = await users.put(machines[0], world.rng.randbytes(size))
        await trio.sleep(PROFILE.sync_every_s)
        started = trio.current_time()
        for machine in machines[-lost:]:
            world.kill(machine.name)
        with trio.fail_after(WITHIN_S):
            blobs = result.segments + (result.segments > 1)  # A file has a manifest as well.
            while sum(each.pairs_rebuilt for each in _reports(world)) < lost * blobs:  # noqa: ASYNC110 - it has no event
                await trio.sleep(POLL_S)
        found = _reports(world)
        rebuilt, moved = sum(each.bytes_rebuilt for each in found), sum(each.bytes_moved for each in found)
        n = result.n
        cases.append(
            Case(
                n=n,
                lost=lost,
                size=size,
                pairs_rebuilt=sum(each.pairs_rebuilt for each in found),
                bytes_rebuilt=rebuilt,
                bytes_moved=moved,
                moved_per_byte=round(moved / rebuilt, 3),
                theory=round(symbols_of_pair(n) / (bft.secondary_source(n) + bft.primary_source(n)), 3),
                seconds=round(trio.current_time() - started, 1),
            )
        )

    run_world(seed, scenario, profile=PROFILE, chores=Chores(repairs=True))
    return cases[0]


def main() -> None:
    """Measure each case, and print all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="decides who is asked for what")
    options = parser.parse_args()
    cases = [measure(options.seed, lost=lost, size=size) for lost in LOST for size in SIZES]
    sys.stdout.write(json.dumps([asdict(case) for case in cases], indent=2) + "\n")


if __name__ == "__main__":
    main()
