"""Gossip between simulated nodes: everybody hears everything once and soon, and few hear it twice."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio
from libp2p.crypto.ed25519 import Ed25519PrivateKey

from crypto.peer_id import peer_id_of
from p2pnode.network import gossip_limits
from p2pnode.network.libp2p_gossip_wire import ControlFrame, sign_message
from p2pnode.seams import Verdict
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.fabric import Fabric
from testnet.sim.gossip import SEALED_BYTES, message_bytes, offer_bytes
from testnet.sim.network import SimNetwork
from testnet.sim.rng import generator
from testnet.sim.trace import Trace
from wire.ids import PEER_ID_BYTES, PeerId

TOPIC = "news"
MANY = 200
NEIGHBOURS = 16
SOON_S = 3.0


@dataclass(slots=True)
class Crowd:
    """Networks that take part in one topic."""

    fabric: Fabric
    rng: random.Random
    nursery: trio.Nursery
    networks: list[SimNetwork] = field(default_factory=list)
    heard: dict[bytes, Counter[int]] = field(default_factory=dict)
    """How often each network was handed each message."""

    async def grow(self, count: int) -> None:
        """Start so many networks."""
        for number in range(count):
            await self._start(number)

    async def _start(self, number: int) -> None:
        peer_id = PeerId(self.rng.randbytes(PEER_ID_BYTES))
        listen = [f"/ip4/10.0.{number // 250}.{number % 250 + 1}/tcp/1"]
        network = SimNetwork(self.fabric, name=f"n{number}", peer_id=peer_id, listen=listen)

        def hear(_via: PeerId, data: bytes) -> Verdict:
            self.heard.setdefault(data, Counter())[number] += 1
            return Verdict.ACCEPT

        network.subscribe(TOPIC, hear)
        self.networks.append(network)
        await self.nursery.start(lambda *, task_status: network.run(task_status=task_status))

    async def connect(self, one: int, other: int) -> None:
        """Connect two of them."""
        self.networks[one].learn_addresses(self.networks[other].peer_id, self.networks[other].addresses())
        await self.networks[one].connect(self.networks[other].peer_id)

    async def connect_at_random(self) -> None:
        """Connect each with some others, as a node's circle does."""
        async with trio.open_nursery() as nursery:
            for number in range(len(self.networks)):
                for other in self.rng.sample(range(len(self.networks)), NEIGHBOURS // 2):
                    if other != number:
                        nursery.start_soon(self.connect, number, other)

    async def say(self, speaker: int, data: bytes) -> None:
        """Publish, and wait for a while."""
        self.heard[data] = Counter()
        await self.networks[speaker].publish(TOPIC, data)
        await trio.sleep(SOON_S)

    def mesh(self, number: int) -> set[PeerId]:
        """Return who is in a network's mesh."""
        return set(self.networks[number].gossip.meshes[TOPIC].members)


def play(claim: Callable[[Crowd], Awaitable[None]], seed: int) -> None:
    """Run a claim about a crowd."""

    async def main(clock: SimClock) -> None:
        fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=Trace(clock))
        async with trio.open_nursery() as nursery:
            await claim(Crowd(fabric, generator(seed, "crowd"), nursery))
            nursery.cancel_scope.cancel()

    run_in_virtual_time(main, seed=seed)


def test_everybody_hears_a_message_once_and_it_is_sent_a_few_times_for_each(seed: int) -> None:
    async def claim(crowd: Crowd) -> None:
        await crowd.grow(MANY)
        await crowd.connect_at_random()
        before = crowd.fabric.traffic.total(kind=TOPIC).messages
        await crowd.say(0, bytes(1000))
        assert crowd.heard[bytes(1000)] == Counter(range(1, MANY))
        total = crowd.fabric.traffic.total(kind=TOPIC)
        whole = total.duplicates + MANY - 1
        offers = total.messages - before - whole
        assert MANY < whole < MANY * (gossip_limits.EAGER + 1)
        assert offers >= MANY
        size = message_bytes(TOPIC, bytes(1000))
        assert total.duplicate_bytes == total.duplicates * size
        assert total.bytes >= whole * size
        assert total.received_bytes == total.bytes

    play(claim, seed)


def test_the_mesh_is_mended_when_those_in_it_die_and_gossip_goes_on(seed: int) -> None:
    async def claim(crowd: Crowd) -> None:
        await crowd.grow(MANY // 4)
        await crowd.connect_at_random()
        dead = sorted(number for number, each in enumerate(crowd.networks) if each.peer_id in crowd.mesh(0))
        for number in dead:
            crowd.networks[number].die(is_silent=False)
        await trio.sleep(2 * gossip_limits.HEARTBEAT_S)
        alive = set(range(MANY // 4)) - set(dead)
        live_ids = {crowd.networks[number].peer_id for number in alive}
        assert dead
        assert crowd.mesh(0) <= live_ids
        assert len(crowd.mesh(0)) >= min(gossip_limits.DEGREE_LOW, len(crowd.networks[0].connected()))
        await crowd.say(0, b"after")
        assert set(crowd.heard[b"after"]) == alive - {0}

    play(claim, seed)


def test_who_is_in_no_mesh_of_the_only_neighbour_is_offered_what_it_missed(seed: int) -> None:
    async def claim(crowd: Crowd) -> None:
        await crowd.grow(3 * gossip_limits.DEGREE_HIGH)
        for number in range(1, len(crowd.networks)):
            await crowd.connect(0, number)
        inside = crowd.mesh(0)
        assert len(inside) <= gossip_limits.DEGREE_HIGH + 1
        outside = {number for number, each in enumerate(crowd.networks) if each.peer_id not in inside and number}
        heard = Counter[int]()
        for number in range(20):  # At each heartbeat others are drawn.
            await crowd.say(0, b"news %d" % number)
            assert set(crowd.heard[b"news %d" % number].values()) == {1}
            heard.update(crowd.heard[b"news %d" % number])
        assert len(outside & set(heard)) >= 0.9 * len(outside)

    play(claim, seed)


def test_in_a_network_that_grows_full_meshes_give_up_places(seed: int) -> None:
    """Each newcomer takes six places and brings six: never thinned out, most meshes would soon be full."""

    async def claim(crowd: Crowd) -> None:
        await crowd.grow(MANY)
        for number in range(1, MANY):
            for other in crowd.rng.sample(range(number), min(number, NEIGHBOURS)):
                await crowd.connect(number, other)
            await trio.sleep(gossip_limits.HEARTBEAT_S / 5)
        await trio.sleep(2 * gossip_limits.HEARTBEAT_S)
        sizes = [len(crowd.mesh(number)) for number in range(MANY)]
        assert min(sizes) >= gossip_limits.DEGREE_LOW
        assert sum(size >= gossip_limits.DEGREE_HIGH for size in sizes) < MANY // 10

    play(claim, seed)


def test_a_mesh_is_mutual(seed: int) -> None:
    async def claim(crowd: Crowd) -> None:
        await crowd.grow(MANY // 4)
        await crowd.connect_at_random()
        await trio.sleep(5 * gossip_limits.HEARTBEAT_S)
        meshes = {each.peer_id: crowd.mesh(number) for number, each in enumerate(crowd.networks)}
        assert all(one in meshes[other] for one, mesh in meshes.items() for other in mesh)
        assert all(gossip_limits.DEGREE_LOW <= len(mesh) <= gossip_limits.DEGREE_HIGH for mesh in meshes.values())

    play(claim, seed)


def test_a_simulated_message_and_offer_are_as_long_as_the_real_frames(rng: random.Random) -> None:
    key = Ed25519PrivateKey.new(rng.randbytes(32))
    author = PeerId(peer_id_of(key.get_public_key().to_bytes()))
    data = rng.randbytes(300)
    message = sign_message(key, author, number=7, topic=TOPIC, data=data)
    assert message_bytes(TOPIC, data) == SEALED_BYTES + len(message.frame())
    control = ControlFrame()
    control.offer(TOPIC, [message.name] * 5)
    assert abs(offer_bytes(TOPIC, 5) - SEALED_BYTES - len(control.frame())) <= 4
