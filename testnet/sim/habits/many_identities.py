"""Many identities: one operator runs a crowd of nodes behind one /24, which keep nothing and come and go.

Each says that it fails with nobody else: it has a domain tag of its own.
"""

from __future__ import annotations

from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from testnet.sim.habits.sign_and_drop import SignAndDrop
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire.ids import BlobId
from wire.messages import Stored, StorePair

STAY_S = (30.0, 120.0)
"""How long an identity stays before another one comes for it."""

FIRST_HOST = 8
"""The last number of the first identity's address; its operator has another one of the same /24."""


class OneOfMany(SignAndDrop):
    """An identity of a crowd: it signs for what it does not keep."""

    name: ClassVar[str] = "one-of-many"

    def __init__(self, signed: dict[BlobId, set[int]]) -> None:
        """Note in `signed`, which the crowd shares, what it has signed for."""
        super().__init__()
        self._signed = signed

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Note what was signed for; let it go."""
        if isinstance(asked.message, StorePair) and isinstance(answer.message, Stored):
            self._signed.setdefault(asked.message.blob_id, set()).add(asked.message.shard)
        return await super().answer(stream, asked, answer)


class ManyIdentities(BadHabit):
    """An operator, with a machine of its own and a crowd beside it."""

    name: ClassVar[str] = "many-identities"

    def __init__(self, count: int) -> None:
        """Run so many identities at a time."""
        super().__init__()
        self._count = count
        self.signed: dict[BlobId, set[int]] = {}
        """The shards of each blob that the crowd has signed for."""

    async def run(self, parts: NodeParts, world: World) -> None:
        """Start all, then let a random one leave and another come, for ever."""
        del parts
        crowd: list[str] = []
        number = 0
        while True:
            if len(crowd) >= self._count:
                await self.parts.clock.sleep(self.rng.uniform(*STAY_S))
                world.kill(crowd.pop(self.rng.randrange(len(crowd))), power=False)
                self.did("let an identity leave")
            crowd.append(await self._join(number, world))
            number += 1

    async def _join(self, number: int, world: World) -> str:
        operator = next(each for _, each in sorted(world.machines.items()) if each.habit is self)
        host, _, port = operator.address.partition("/tcp/")
        block = host.rpartition(".")[0]
        name = f"{operator.name}.{number}"
        address = f"{block}.{FIRST_HOST + number % (256 - FIRST_HOST)}/tcp/{port}"
        await world.start_node(
            name, bootstrap=[operator.name], habit=OneOfMany(self.signed), address=address, domain_tag=name
        )
        self.did("let an identity join")
        return name
