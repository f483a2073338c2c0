"""The same data from two owners: each lease counts by itself, and a copy that is here is looked at before it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import trio

from p2pnode.config import MINUTE_S
from p2pnode.protocols.manifest import segment_bytes
from p2pnode.services.results import PutResult
from p2pnode.storage.names import PAIRS_DIRECTORY
from testnet.sim.admission import SIMULATED
from testnet.sim.faults import FaultKind
from testnet.sim.machine import NodeDiedError, RunningNode
from testnet.sim.run import HEALTHY, SMALL_BYTES, Run
from testnet.sim.scenarios import scenario

_SHORT = replace(SIMULATED, provisional_lease_s=80 * MINUTE_S, collection_after_uptime_s=10 * MINUTE_S)
"""A provisional lease of an hour or so instead of a day: still much longer than clocks may differ."""

_LOOKS = 10
_LOOK_EVERY_S = 600.0
_SLOW_S, _SLOWEST_S = 40.0 * MINUTE_S, 55.0 * MINUTE_S
"""So far behind is the clock whose lease ends first."""


@scenario(FaultKind.BIT_ROT)
async def stored_again_over_rot(run: Run) -> None:
    """All copies of a blob but one have rotted when somebody else stores the same; that put has stored it anew."""
    await run.start()
    data = run.rng.randbytes(SMALL_BYTES)
    first, second = run.some(2)
    await run.must_put(first, HEALTHY, data=data)
    for name in run.names()[1:]:
        run.inject.bit_rot(name, under=[PAIRS_DIRECTORY])
    await run.must_put(second, "what has rotted is replaced", data=data)
    run.check()
    for name in run.names():
        await run.must_get(name, run.shelf[-1], "it was stored again")
    await run.heal()
    await run.demand_progress()


@scenario(FaultKind.KILL, FaultKind.CLOCK_SKEW, nodes=4, profile=_SHORT)
async def two_owners_of_one_unfinished_file(run: Run) -> None:
    """Two owners die in the middle of the same file, one with a slow clock; it goes when the later lease ends.

    Somebody had stored another blob before: that stays.
    """
    await run.start()
    await run.must_put("n1", HEALTHY)
    first, second = run.some(2)
    run.inject.skew(second, -run.rng.uniform(_SLOW_S, _SLOWEST_S))
    data = run.rng.randbytes(segment_bytes(run.nodes) + 1)
    for name in (first, second):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_begin, run, name, data)
            await run.wait(10.0, 20.0)
            run.inject.kill(name)
            nursery.cancel_scope.cancel()
        run.machine(name).clock.set_wrong(0.0)
        await run.restart(name)
    for _ in range(_LOOKS):
        await trio.sleep(_LOOK_EVERY_S)
        run.check()
    await run.heal()
    await run.demand_progress()


async def _begin(run: Run, name: str, data: bytes) -> None:
    """Begin to store a file through a node and never come to its end."""

    async def source() -> AsyncIterator[bytes]:
        yield data
        await trio.sleep_forever()

    async def work(node: RunningNode) -> PutResult:
        return await node.put(source(), shards=None, size=2 * len(data))

    try:
        await run.machine(name).call(work)
    except NodeDiedError:
        run.world.trace.record("put never ended", name)
