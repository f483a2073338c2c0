"""Claims about the exchange of member records: what both know is not told again, and what one lacks is."""

import pytest
import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.services import admission
from testnet.sim.world import World, run_world

NODES = 10
REQUEST_BYTES_MAX = 1_600
"""A member record with its signature, and a summary."""

RECORD_BYTES_MIN = 150
RECORD_BYTES_MAX = 400


def test_nodes_that_meet_again_tell_each_other_no_record_that_both_know(seed: int) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        await trio.sleep(20)
        traffic = world.fabric.traffic
        (kind,) = [each for each in traffic.kinds() if each.endswith("/members") and each.startswith("/")]
        first = traffic.total(kind=kind).bytes
        assert world.fabric.reset("n1", "n2") == 1
        await trio.sleep(30)
        await world.all_meet()
        again = traffic.total(kind=kind).bytes - first
        # Each greets the other, unless it never noticed that the connection was gone; that is all.
        assert REQUEST_BYTES_MAX / 2 < again < 2 * REQUEST_BYTES_MAX
        assert first > NODES * (NODES - 1) * RECORD_BYTES_MIN, "at first everybody was told of everybody"

    run_world(seed, scenario)


def test_what_waits_for_its_check_is_not_told_by_one_neighbour_after_the_other(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: World) -> None:
        await world.start_nodes(NODES)
        monkeypatch.setattr(admission, "CHECK_SHARE", 0.002)  # A second from one check to the next, or more.
        newcomer = await world.start_node("late", bootstrap=["n0"])
        await world.wait_until(lambda: newcomer.node.info().members == NODES)
        traffic = world.fabric.traffic
        (kind,) = [each for each in traffic.kinds() if each.endswith("/members") and each.startswith("/")]
        # Each greets it, and only the first tells it of all others.
        told = traffic.of("late", kind).received_bytes
        assert told < NODES * (REQUEST_BYTES_MAX + RECORD_BYTES_MAX)

    run_world(seed, scenario)


def test_a_newcomer_checks_those_that_it_is_told_of_in_no_order_that_others_know(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom it checks first are its first neighbours; answers are in the order of ids, which anybody can choose."""

    async def scenario(world: World) -> None:
        machines = await world.start_nodes(2 * NODES)
        monkeypatch.setattr(admission, "CHECK_SHARE", 0.002)  # A second from one check to the next, or more.
        newcomer = await world.start_node("late", bootstrap=["n0"])
        await world.wait_until(lambda: newcomer.node.info().members == NODES)
        smallest = sorted(peer_id_to_text(machine.peer_id) for machine in machines)[:NODES]
        assert {peer.peer_id for peer in newcomer.node.peers()} != set(smallest)  # By chance once in 180,000 times.

    run_world(seed, scenario)
