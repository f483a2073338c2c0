"""Claims about the weights of those that may be given data: who is silent is left out, and changes no weight."""

from __future__ import annotations

import random
from dataclasses import replace

from p2pnode.node import Node
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.factories import key, member_record, signed
from tests.services.simulated import simulate

SILENT = 6


def test_members_that_only_one_node_counts_as_silent_change_no_rank(rng: random.Random) -> None:
    """Four nodes run. Of six larger ones, which would shift the median, there are only old records."""

    async def scenario(_world: World, machines: list[Machine]) -> None:
        node = machines[0].node
        assert isinstance(node, Node)
        membership = node._membership
        before = membership.candidates()
        assert {each.weight for each in before} == {1.0}
        capacity = membership.own.record.capacity_bytes
        now, wall = node._clock.monotonic(), node._clock.wall()
        for number in range(SILENT):
            old = replace(member_record(number), time=int(wall) - 86_400, capacity_bytes=2 * capacity)
            membership.table.consider(signed(old, key(number)), now=now, wall=wall)
        known = {each.peer_id: each for each in membership.known_candidates()}
        assert len(known) == len(machines) + SILENT
        after = membership.candidates()
        assert [each.peer_id for each in after] == [each.peer_id for each in before]
        assert all(each == known[each.peer_id] for each in after)
        assert {each.weight for each in after} == {0.5}

    simulate(rng, 4, scenario)
