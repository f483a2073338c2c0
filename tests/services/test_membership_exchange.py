"""Claims about the exchange of member records: what both know is not told again, and what one lacks is."""

import trio

from testnet.sim.world import World, run_world

NODES = 10
REQUEST_BYTES_MAX = 1_600
"""A member record with its signature, and a summary."""

RECORD_BYTES_MIN = 150


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
