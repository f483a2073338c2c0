"""Random use and random faults on some real networks in memory, from one seed, with what must hold all the while.

An echo comes back with the same bytes or raises `PeerUnavailableError` in time; gossip is heard as it was published and
once; nothing holds more than its bound. At the end, with everything healed and started again, everybody talks to
everybody; and once all have hung up, no slot, no stream and no task is left.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.seams import Verdict
from testnet.sim.memory_stream import WINDOW_BYTES
from testnet.sim.rng import generator
from tests.contract.conversations import NOTICED_S, keep_dialling, talks, until_all_talk
from tests.contract.network_lab import PROTOCOL, TOPIC, Lab, Member, echo, run_in_memory
from tests.contract.worlds import MemoryWorld
from tests.network.lab import living_tasks
from wire.ids import PeerId

MEMBERS = (5, 8)
STEPS = 150
LARGEST_ECHO_BYTES = 700_000
LONGEST_PAUSE_S = 3.0
CONNECT_S = 30.0
"""No dial takes longer."""

QUIET_S = 2 * limits.LINGER_S
"""How long after the last hanging up everything must be gone."""

_WEIGHTS = {
    "echo": 40,
    "dial": 15,
    "gossip": 15,
    "cut": 6,
    "cut_one_way": 4,
    "heal": 10,
    "reset": 10,
    "stop": 3,
    "lose_power": 3,
    "start_in_place": 4,
    "start_elsewhere": 3,
    "disconnect": 4,
}


class Chaos:
    """One run. `counts` says what happened, so that a test can demand that it did."""

    def __init__(self, lab: Lab, rng: random.Random) -> None:
        """Draw everything from `rng`."""
        self._lab = lab
        self._rng = rng
        self._members: list[Member] = []
        self._dead: set[int] = set()
        self._published: set[bytes] = set()
        self._heard: dict[Libp2pNetwork, list[bytes]] = {}
        self._background: trio.Nursery
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Start, do STEPS random things, then demand that everything comes back and ends."""
        for _ in range(self._rng.randint(*MEMBERS)):
            self._members.append(await self._start())
        tasks = living_tasks()
        async with trio.open_nursery() as self._background:
            for _ in range(STEPS):
                await self._step()
        await self._recover()
        await self._hang_up(tasks)

    async def _start(self, old: Member | None = None, *, moves: bool = False) -> Member:
        heard: list[bytes] = []

        def hear(via: PeerId, data: bytes) -> Verdict:
            del via
            heard.append(data)
            return Verdict.ACCEPT

        key, place = (None, None) if old is None else (old.key, None if moves else old.place)
        member = await self._lab.start({PROTOCOL: echo}, {TOPIC: hear}, key=key, place=place)
        self._heard[network_of(member)] = heard
        for other in self._members:
            if other.key is not member.key:
                other.network.learn_addresses(member.network.peer_id, member.network.addresses())
                member.network.learn_addresses(other.network.peer_id, other.network.addresses())
        return member

    # Steps.

    async def _step(self) -> None:
        (name,) = self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        self.counts[name] += 1
        step: Callable[[], Awaitable[None]] = getattr(self, f"_{name}")
        await step()
        await trio.sleep(self._rng.uniform(0, LONGEST_PAUSE_S) * self._rng.randint(0, 1))
        self._check_bounds()

    def _two(self) -> tuple[Member, Member]:
        """Return somebody alive, and somebody else who may be dead."""
        number = self._rng.choice(self._alive())
        other = self._rng.choice([each for each in range(len(self._members)) if each != number])
        return self._members[number], self._members[other]

    def _alive(self) -> list[int]:
        return [number for number in range(len(self._members)) if number not in self._dead]

    async def _echo(self) -> None:
        one, other = self._two()
        self._background.start_soon(self._ask, one, other, self._rng.randbytes(self._rng.randrange(LARGEST_ECHO_BYTES)))
        await trio.lowlevel.checkpoint()

    async def _ask(self, one: Member, other: Member, data: bytes) -> None:
        if not one.ended.is_set():
            self.counts["echo answered" if await talks(one.network, other.network, data) else "echo lost"] += 1

    async def _dial(self) -> None:
        one, other = self._two()
        self._background.start_soon(self._connect, one, other)
        await trio.lowlevel.checkpoint()

    async def _connect(self, one: Member, other: Member) -> None:
        with trio.fail_after(CONNECT_S):
            try:
                await one.network.connect(other.network.peer_id)
            except PeerUnavailableError:
                self.counts["dial failed"] += 1

    async def _gossip(self) -> None:
        data = self._rng.randbytes(self._rng.randrange(8, 2_000))
        self._published.add(data)
        one, _ = self._two()
        await one.network.publish(TOPIC, data)

    async def _cut(self) -> None:
        members = self._rng.sample(self._members, len(self._members))
        border = self._rng.randrange(1, len(members))
        self._lab.cuts.partition(members[:border], members[border:])
        await trio.lowlevel.checkpoint()

    async def _cut_one_way(self) -> None:
        self._lab.cuts.cut_one_way(*self._two())
        await trio.lowlevel.checkpoint()

    async def _heal(self) -> None:
        self._lab.cuts.heal()
        await trio.lowlevel.checkpoint()

    async def _reset(self) -> None:
        self.counts["connections reset"] += self._lab.faults.reset(*self._two())
        await trio.lowlevel.checkpoint()

    async def _stop(self) -> None:
        await self._kill(has_power=True)

    async def _lose_power(self) -> None:
        await self._kill(has_power=False)

    async def _kill(self, *, has_power: bool) -> None:
        alive = self._alive()
        if len(alive) <= 2:
            return
        number = self._rng.choice(alive)
        self._dead.add(number)
        if not has_power:
            self._lab.cuts.lose_power(self._members[number])
        await self._members[number].die()

    async def _start_in_place(self) -> None:
        await self._start_again(moves=False)

    async def _start_elsewhere(self) -> None:
        await self._start_again(moves=True)

    async def _start_again(self, *, moves: bool) -> None:
        if self._dead:
            number = self._rng.choice(sorted(self._dead))
            self._dead.remove(number)
            self._members[number] = await self._start(self._members[number], moves=moves)

    async def _disconnect(self) -> None:
        one, other = self._two()
        await one.network.disconnect(other.network.peer_id)

    # What must hold.

    def _check_bounds(self) -> None:
        for member in self._members:
            connections, handshakes, streams = network_of(member).connections.slots_taken
            assert connections <= limits.CONNECTIONS_PER_PEER_MAX * len(self._members)
            assert handshakes <= limits.HANDSHAKES_MAX
            assert streams <= limits.INBOUND_STREAMS_PER_PEER_MAX * len(self._members)
        for stream in world_of(self._lab).internet.streams():
            assert max(stream.bytes_unread, stream.peer.bytes_unread) <= WINDOW_BYTES
        for heard in self._heard.values():
            assert len(heard) == len(set(heard)), "gossip was heard twice"
            assert self._published.issuperset(heard), "gossip was heard that nobody published"

    async def _recover(self) -> None:
        self._lab.cuts.heal()
        while self._dead:
            await self._start_again(moves=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_dialling, self._members)
            with trio.fail_after(NOTICED_S):
                await until_all_talk(list(itertools.combinations(self._members, 2)))
            nursery.cancel_scope.cancel()
        self._check_bounds()

    async def _hang_up(self, tasks: int) -> None:
        """Close every connection, again and again: a search in the DHT may still bring one back."""
        with trio.move_on_after(QUIET_S):
            while not self._is_quiet(tasks):
                for one, other in itertools.permutations(self._members, 2):
                    await one.network.disconnect(other.network.peer_id)
                await trio.sleep(1)
        slots = [network_of(each).connections.slots_taken for each in self._members]
        assert slots == [(0, 0, 0)] * len(slots)
        assert world_of(self._lab).internet.streams() == []
        assert living_tasks() == tasks

    def _is_quiet(self, tasks: int) -> bool:
        is_connected = any(network_of(each).connections.count for each in self._members)
        return not is_connected and living_tasks() == tasks


def network_of(member: Member) -> Libp2pNetwork:
    """Return a member's network: the laboratory in memory has only this kind."""
    assert isinstance(member.network, Libp2pNetwork)
    return member.network


def world_of(lab: Lab) -> MemoryWorld:
    """Return the world of the laboratory in memory."""
    assert isinstance(lab.faults, MemoryWorld)
    return lab.faults


def run_chaos(seed: int) -> tuple[str, Counter[str]]:
    """Run once; return the hash of everything that was sent and when, and what happened how often."""
    counts: list[Counter[str]] = []

    async def claim(lab: Lab) -> None:
        chaos = Chaos(lab, generator(seed, "chaos"))
        counts.append(chaos.counts)
        await chaos.run()

    return run_in_memory(claim, seed), counts[0]


if __name__ == "__main__":
    print(run_chaos(int(sys.argv[1]))[0])  # noqa: T201 - for a test that compares two processes
