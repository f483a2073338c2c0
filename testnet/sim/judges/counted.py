"""What a node counts of a blob, as `stat` tells it: the shards with a receipt that its holder has not taken back.

It is asked at each node by itself, and compared with what the scenario knows to be true.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from testnet.sim.judges.judgement import JudgementError
from testnet.sim.users import stat
from testnet.sim.world import World

NAME = "receipts-count"

BOUND_S = 900.0
"""Virtual time within which all must count right: as long as receipts may take to be known."""

_POLL_S = 5.0


async def demand_counted(world: World, names: Sequence[str], stored_id: str, healthy: int) -> int:
    """Wait until each of these nodes counts so many healthy shards. Returns how many do. Raises `JudgementError`."""
    for name in names:
        with trio.move_on_after(BOUND_S):
            while (await stat(world.machines[name], stored_id)).healthy != healthy:  # noqa: ASYNC110 - it has no event
                await trio.sleep(_POLL_S)
        await demand_counted_now(world, name, stored_id, healthy)
    return len(names)


async def demand_counted_now(world: World, name: str, stored_id: str, healthy: int) -> None:
    """Demand that a node counts so many healthy shards. Raises `JudgementError`."""
    counted = (await stat(world.machines[name], stored_id)).healthy
    if counted != healthy:
        what = f"it counts {counted} healthy shards where there are {healthy}"
        raise JudgementError(NAME, what, node=name, subject=stored_id)
