"""Checking reachability with simulated nodes: who is told what, and what is announced because of it."""

from __future__ import annotations

import dataclasses
import logging
import random

import pytest
import trio

from p2pnode.config import HOME
from p2pnode.errors import PeerRefusedError
from p2pnode.node import Node
from p2pnode.protocols.reach import DIALS_PER_ASKER_MAX
from p2pnode.services import reach
from testnet.sim.machine import Machine
from testnet.sim.world import World, run_world
from tests.services.simulated import Body, simulate
from wire.messages import DialBack, DialledBack, DialOutcome

NOWHERE = "/ip4/21.0.0.9/tcp/4710"
"""An address where no machine is."""

UNTIL_STALE_S = reach.FRESH_S + 1
"""After this a check is not answered from the one before."""

IN_THE_LAN = "/ip4/192.168.0.7/tcp/4710"


def simulate_strangers(rng: random.Random, nodes: int, body: Body) -> None:
    """Start nodes with the home profile, where private addresses mean nothing, then run the body."""
    profile = dataclasses.replace(HOME, admission_work=0, vetting_s=0)

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(nodes)
        await body(world, machines)

    run_world(rng.getrandbits(32), scenario, profile=profile)


def node_of(machine: Machine) -> Node:
    assert isinstance(machine.node, Node)
    return machine.node


def hide_behind_router(machine: Machine, *, seen_as: str) -> None:
    """Let a machine believe that it listens in a local network, and others see it come from elsewhere."""
    assert machine.life is not None
    machine.life.network.believed = (IN_THE_LAN,)
    machine.life.network.seen_as = (seen_as,)


async def dial_all_others(machine: Machine, others: list[Machine]) -> None:
    """Let a machine be the one that dialled: behind a router nobody else could."""
    assert machine.life is not None
    network = machine.life.network
    for other in others:
        await network.disconnect(other.peer_id)
        await network.connect(other.peer_id)


def test_nodes_that_reach_each_other_are_told_so_and_say_it_in_the_log(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "p2pnode")

    async def body(world: World, machines: list[Machine]) -> None:
        await world.wait_until(lambda: all(node_of(each).info().reach == "reachable" for each in machines))
        for machine in machines:
            report = node_of(machine).reach()
            (row,) = report.addresses
            assert (row.address, row.origin, row.reach) == (machine.address, "listened", "reachable")
            assert row.reached_by == row.tried_by == report.peers_answered > 0
            assert report.advice == ""
        await trio.sleep(UNTIL_STALE_S)
        assert (await node_of(machines[0]).check_reach()).reach == "reachable"

    simulate(rng, 4, body)
    said = [record.message for record in caplog.records if "this node is reachable at" in record.message]
    assert len(said) == 4, "each says it once"


def test_a_node_that_nobody_can_ask_does_not_know(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        await trio.sleep(60)
        report = await node_of(machines[0]).check_reach()
        assert (report.reach, report.peers_asked) == ("unknown", 0)
        assert "Nobody could be asked yet" in report.advice

    simulate(rng, 1, body)


def test_a_node_that_announces_an_address_where_nobody_listens_is_told_so(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        assert machines[0].life is not None
        network = machines[0].life.network
        network.believed = (NOWHERE,)
        network.seen_as = ("/ip4/21.0.0.9/tcp/50000",)
        await trio.sleep(UNTIL_STALE_S)
        report = await node_of(machines[0]).check_reach()
        assert report.reach == "not reachable"
        (row,) = report.addresses
        assert (row.reach, row.reached_by, row.tried_by) == ("not reachable", 0, 3)
        assert report.advice

    simulate(rng, 4, body)


def test_a_changed_address_is_checked_without_being_asked(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        await world.wait_until(lambda: node_of(machines[0]).info().reach == "reachable")
        assert machines[0].life is not None
        machines[0].life.network.believed = (NOWHERE,)
        machines[0].life.network.seen_as = ("/ip4/21.0.0.9/tcp/50000",)
        await world.wait_until(lambda: node_of(machines[0]).info().reach == "not reachable")

    simulate(rng, 4, body)


def test_an_address_that_peers_of_three_domains_see_and_reach_is_announced(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        hidden = machines[0]
        hide_behind_router(hidden, seen_as=hidden.address)
        await dial_all_others(hidden, machines[1:])
        await trio.sleep(UNTIL_STALE_S)
        report = await node_of(hidden).check_reach()
        assert report.reach == "reachable"
        assert report.seen_at == (hidden.address.split("/")[2],)
        rows = {row.address: (row.origin, row.reach) for row in report.addresses}
        assert rows == {
            IN_THE_LAN: ("listened", "unknown"),
            hidden.address: ("observed", "reachable"),
        }
        assert hidden.life is not None
        assert hidden.life.network.addresses() == (IN_THE_LAN, hidden.address)
        await trio.sleep(UNTIL_STALE_S)
        again = await node_of(hidden).check_reach()
        assert {row.address: row.origin for row in again.addresses}[hidden.address] == "observed"
        assert hidden.life.network.addresses() == (IN_THE_LAN, hidden.address), "it stays as long as it works"

    simulate_strangers(rng, 4, body)


def test_an_address_that_no_longer_works_is_no_longer_announced(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        hidden = machines[0]
        assert hidden.life is not None
        hide_behind_router(hidden, seen_as=hidden.address)
        await dial_all_others(hidden, machines[1:])
        await trio.sleep(UNTIL_STALE_S)
        await node_of(hidden).check_reach()
        assert hidden.address in hidden.life.network.addresses()
        world.fabric.leave(hidden.life.network, is_silent=False)  # The router closed the port.
        await trio.sleep(UNTIL_STALE_S)
        report = await node_of(hidden).check_reach()
        assert report.reach == "not reachable"
        assert hidden.life.network.addresses() == (IN_THE_LAN,)

    simulate_strangers(rng, 4, body)


def test_what_two_domains_see_is_tried_and_shown_but_not_announced(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        hidden = machines[0]
        assert hidden.life is not None
        hide_behind_router(hidden, seen_as=hidden.address)
        await dial_all_others(hidden, machines[1:])
        await trio.sleep(UNTIL_STALE_S)
        report = await node_of(hidden).check_reach()
        assert report.reach == "reachable"
        assert report.seen_at == ()
        assert hidden.life.network.addresses() == (IN_THE_LAN,)

    simulate_strangers(rng, 3, body)


def test_peers_that_dialled_us_never_tell_us_who_we_are(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        hidden = machines[0]
        assert hidden.life is not None
        for other in machines[1:]:
            assert other.life is not None
            await other.life.network.disconnect(hidden.peer_id)
            await other.life.network.connect(hidden.peer_id)
        hide_behind_router(hidden, seen_as=hidden.address)
        await trio.sleep(UNTIL_STALE_S)
        dialled_us = [each for each in hidden.life.network.connected() if not each.address]
        assert len(dialled_us) == 4
        report = await node_of(hidden).check_reach()
        assert report.seen_at == ()
        assert hidden.life.network.addresses() == (IN_THE_LAN,)

    simulate_strangers(rng, 5, body)


def test_a_node_behind_a_closed_router_is_told_which_port_to_forward(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        hidden = machines[0]
        hide_behind_router(hidden, seen_as=NOWHERE)
        await dial_all_others(hidden, machines[1:])
        await trio.sleep(UNTIL_STALE_S)
        report = await node_of(hidden).check_reach()
        assert report.reach == "not reachable"
        assert "Forward TCP port 4710 on your router to port 4710 of 192.168.0.7" in report.advice

    simulate_strangers(rng, 4, body)


def test_nobody_can_have_a_third_party_dialled(rng: random.Random) -> None:
    async def body(world: World, machines: list[Machine]) -> None:
        asker, asked, victim = machines
        request = DialBack(addresses=(victim.address, NOWHERE, asker.address))
        reply = await node_of(asker)._context.peers.ask(asked.peer_id, "reach", request, expect=(DialledBack,))
        assert isinstance(reply.message, DialledBack)
        not_tried = DialOutcome.NOT_TRIED
        assert reply.message.outcomes == (not_tried, not_tried, DialOutcome.REACHED)
        assert not any(line.endswith(f"dial back {asked.name} {victim.address}") for line in world.trace.lines)

    simulate_strangers(rng, 3, body)


def test_who_asks_too_often_is_refused_and_others_are_still_served(rng: random.Random) -> None:
    async def body(_world: World, machines: list[Machine]) -> None:
        asker, asked, other = machines
        request = DialBack(addresses=(asker.address,))

        async def ask_again_and_again() -> None:
            for _ in range(DIALS_PER_ASKER_MAX):
                await node_of(asker)._context.peers.ask(asked.peer_id, "reach", request, expect=(DialledBack,))

        with pytest.raises(PeerRefusedError, match="too many addresses"):
            await ask_again_and_again()
        mine = DialBack(addresses=(other.address,))
        reply = await node_of(other)._context.peers.ask(asked.peer_id, "reach", mine, expect=(DialledBack,))
        assert reply.message.outcomes == (DialOutcome.REACHED,)

    simulate_strangers(rng, 3, body)
