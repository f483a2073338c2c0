"""Two simulated networks that are connected: the scene of the tests of cuts, resets and slow links."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.seams import Stream, Verdict
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.fabric import Fabric, Link
from testnet.sim.faults import FaultKind
from testnet.sim.network import SimNetwork
from testnet.sim.rng import generator
from testnet.sim.streams import WINDOW_BYTES
from testnet.sim.trace import Trace
from wire.ids import PeerId

PROTOCOL = "/echo"
TOPIC = "/news"
LINK = Link(latency_s=0.1, jitter_s=0.0, loss=0.0, bytes_per_s=1e6)


@dataclass(slots=True)
class Scene:
    """Two networks, a and b; a has dialled b."""

    fabric: Fabric
    nursery: trio.Nursery
    a: SimNetwork
    b: SimNetwork
    heard: list[tuple[float, bytes]] = field(default_factory=list)
    """The gossip that b was handed, and when."""

    def fired(self, kind: FaultKind) -> int:
        """Return how often a fault was met."""
        return self.fabric.log.fired[kind]

    def new(self, name: str, number: int) -> SimNetwork:
        """Return a further network, or a later life of one."""
        peer_id = PeerId(peer_id_of(SigningKey(bytes([number]) * 32).public))
        return SimNetwork(self.fabric, name=name, peer_id=peer_id, listen=[f"/ip4/10.0.0.{number}/tcp/4710"])

    async def start(self, network: SimNetwork) -> None:
        """Run a network to the end of the scene."""

        async def echo(stream: Stream) -> None:
            while True:
                await stream.send(await stream.receive_exactly(1))

        async def bulk(stream: Stream) -> None:
            await stream.receive_exactly(WINDOW_BYTES)
            await stream.send(b"x")

        def hear(_peer_id: PeerId, data: bytes) -> Verdict:
            if network is self.b:
                self.heard.append((trio.current_time(), data))
            return Verdict.ACCEPT

        network.subscribe(TOPIC, hear)
        network.handle(PROTOCOL, echo)
        network.handle("/bulk", bulk)
        await self.nursery.start(lambda *, task_status: network.run(task_status=task_status))


Claim = Callable[[Scene], Awaitable[None]]


def play(claim: Claim, seed: int) -> None:
    """Run a claim about two connected networks."""

    async def main(clock: SimClock) -> None:
        fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=Trace(clock), link=LINK)
        async with trio.open_nursery() as nursery:
            scene = Scene(fabric, nursery, a=None, b=None)  # type: ignore[arg-type]  # set in the next lines
            scene.a, scene.b = scene.new("a", 1), scene.new("b", 2)
            for network in (scene.a, scene.b):
                await scene.start(network)
            scene.a.learn_addresses(scene.b.peer_id, scene.b.addresses())
            await scene.a.connect(scene.b.peer_id)
            await claim(scene)
            nursery.cancel_scope.cancel()

    run_in_virtual_time(main, seed=seed)


async def ask(stream: Stream) -> bytes:
    """Send one byte and return its echo."""
    await stream.send(b"x")
    return await stream.receive_exactly(1)
