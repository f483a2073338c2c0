"""The holder's side of a write among newcomers: what owners that nobody vetted stands for may have kept."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from p2pnode import bft
from p2pnode.errors import ShortageError
from p2pnode.membership.refusals import Refused
from p2pnode.node import Node
from p2pnode.services.keep import CAP_KEPT_S
from testnet.sim.machine import Machine
from testnet.sim.world import World
from tests.services.simulated import QUICK, get, put, simulate

VETTING_S = 10.0
QUOTA_BYTES = 4_000_000
"""Newcomers may have 200,000 bytes of it kept."""


def node_of(machine: Machine) -> Node:
    """Return the node that runs on a machine."""
    assert isinstance(machine.node, Node)
    return machine.node


def refused(machine: Machine) -> int:
    """Return how often a machine refused a newcomer."""
    return node_of(machine).refused().get(Refused.NEWCOMERS_FULL.value, 0)


def test_an_owner_of_a_newcomer_is_refused_beyond_the_part_of_all_newcomers_until_it_is_vetted(
    rng: random.Random,
) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        newcomer, *others = machines
        await trio.sleep(2 * VETTING_S)  # Nobody was met later than that.
        nodes = [node_of(each) for each in others]
        for node in nodes:
            node._store.set_quota(QUOTA_BYTES)
            for peer_id, _ in node._membership.table.members():
                for _ in range(QUICK.vetting_audits * (peer_id != newcomer.peer_id)):
                    node._membership.table.audit_passed(peer_id)
        small = await put(newcomer, rng.randbytes(10_000))
        with pytest.raises(ShortageError, match="owners without a member that is vetted here may keep 200000 bytes"):
            await put(newcomer, rng.randbytes(1_000_000))
        assert sum(refused(each) > 0 for each in others) > bft.faulty(10)
        large = rng.randbytes(1_000_000)
        assert await get(newcomer, (await put(others[0], large)).id) == large
        assert await get(others[0], small.id)
        for node in nodes:
            for _ in range(QUICK.vetting_audits):
                node._membership.table.audit_passed(newcomer.peer_id)
        await trio.sleep(CAP_KEPT_S)
        assert await get(others[0], (await put(newcomer, large[::-1])).id) == large[::-1]

    simulate(rng, 10, body, profile=replace(QUICK, vetting_s=VETTING_S))
