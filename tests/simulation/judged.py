"""Worlds in which a judge must speak, and the words that it must say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio

from p2pnode.config import Profile
from p2pnode.services.results import PutResult
from p2pnode.storage.names import PairKey
from testnet.sim.admission import SIMULATED
from testnet.sim.fabric import Packet
from testnet.sim.judges import Bench, Judge, JudgementError
from testnet.sim.judges.pairs import pair_files
from testnet.sim.machine import Machine
from testnet.sim.users import get, put
from testnet.sim.world import World, run_world
from wire.framing import frame

NODES = 4
"""The fewest that store anything; n - f are three then, and P are two."""

DATA_BYTES = 5_000
WRITER, READER, HOLDER = "n0", "n1", "n2"

FORGED_STREAM = 10**9
"""No stream of a small world has this number."""


@dataclass(frozen=True, slots=True)
class OnShelf:
    """Something stored, as the judges of a run see it."""

    id: str
    data: bytes


class Court:
    """A world with its judges, and what one does in it."""

    def __init__(self, world: World) -> None:
        """Let all judges watch from now on."""
        self.world = world
        self.shelf: list[OnShelf] = []
        self.bench = Bench(world, self.shelf)

    async def start(self) -> None:
        """Start the nodes; returns when everyone knows everyone."""
        await self.world.start_nodes(NODES)

    def machine(self, name: str) -> Machine:
        """Return a machine."""
        return self.world.machines[name]

    async def put(self, size: int = DATA_BYTES) -> PutResult:
        """Store random bytes and let the judges of puts look. Raises `JudgementError`."""
        data = self.world.rng.randbytes(size)
        result = await put(self.machine(WRITER), data)
        self.bench.put_done(WRITER, result)
        self.shelf.append(OnShelf(result.id, data))
        return result

    async def get(self, name: str = READER) -> None:
        """Read what was stored last through a node, and let the judge of reads compare. Raises `JudgementError`."""
        stored = self.shelf[-1]
        with self.bench.reads.typed_errors(name, "get"):
            data = await get(self.machine(name), stored.id)
        self.bench.reads.read_done(name, stored.id, expected=stored.data, got=data)

    def check(self) -> dict[str, int]:
        """Let all judges check; return how many things each looked at. Raises `JudgementError`."""
        return {judge.name: judge.check() for judge in self.bench.all}

    def check_only(self, name: str) -> None:
        """Let one judge check. Raises `JudgementError`."""
        self.judge(name).check()

    def judge(self, name: str) -> Judge:
        """Return a judge."""
        return next(judge for judge in self.bench.all if judge.name == name)

    def pair_of(self, name: str) -> tuple[str, PairKey]:
        """Return the file of the first pair on a machine's disk, and which pair it is."""
        return next(pair_files(self.machine(name).files))

    def forge(self, source: str, target: str, message: object, payload: bytes = b"") -> None:
        """Let the judges believe that a node has sent a message on a stream that there is not."""
        self.send(source, target, frame(message) + payload)

    def send(self, source: str, target: str, data: bytes) -> None:
        """Let the judges believe that a node has sent these bytes on a stream that there is not."""
        for observe in self.world.fabric.observers:
            observe(Packet(FORGED_STREAM, source, target, data))


Play = Callable[[Court], Awaitable[None]]


def hold_court(seed: int, play: Play, *, profile: Profile = SIMULATED) -> None:
    """Play in a new world of four nodes. Raises what `play` raises."""

    async def scenario(world: World) -> None:
        court = Court(world)
        await court.start()
        await play(court)

    run_world(seed, scenario, profile=profile)


def judgement(seed: int, play: Play, *, says: str, profile: Profile = SIMULATED) -> JudgementError:
    """Play in a new world and demand a judgement that says this; return it."""
    found: list[JudgementError] = []

    async def expect(court: Court) -> None:
        with pytest.raises(JudgementError, match=says) as caught:
            await play(court)
        found.append(caught.value)

    hold_court(seed, expect, profile=profile)
    return found[0]


async def put_and_check(court: Court) -> None:
    """Store something, whatever becomes of that, and let all judges look."""
    with trio.move_on_after(60):
        await put(court.machine(WRITER), court.world.rng.randbytes(DATA_BYTES))
    await trio.sleep(5)  # Announcements go out once a second.
    court.check()
