"""One production node whose seams lead nowhere: its handlers are fed directly, and looked at after each input."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of
from p2pnode.errors import PeerRefusedError, PeerSilentError, PeerUnavailableError
from p2pnode.node import Node
from p2pnode.seams import Connected, GossipHandler, OnRunning, Stream, StreamHandler
from p2pnode.services.node_config import NodeConfig
from testnet.fuzz import honest
from testnet.fuzz.values import NETWORK
from testnet.sim.admission import SIMULATED, solved
from testnet.sim.files import SimFiles
from testnet.sim.rng import SimRng, generator
from wire.ids import PeerId
from wire.messages import RefusalCode

T = TypeVar("T")

NODE_KEY = SigningKey(tagged_hash(b"testnet/fuzz", b"the node's own"))
"""Nobody else has it, so that what it signs is a promise."""

NODE_ID = PeerId(peer_id_of(NODE_KEY.public))
QUOTA_BYTES = 512 * 1024
_DIAL_S = 0.01


class LonelyNetwork:
    """A `Network` without any other node: it keeps the handlers, and every dial comes to nothing."""

    def __init__(self) -> None:
        """Nobody is there."""
        self.handlers: dict[str, StreamHandler] = {}
        self.topics: dict[str, GossipHandler] = {}
        self.learnt: dict[PeerId, tuple[str, ...]] = {}
        self.dialled = 0
        """Dials on behalf of others."""

    @property
    def peer_id(self) -> PeerId:
        """The node's own."""
        return NODE_ID

    def addresses(self) -> tuple[str, ...]:
        """Return one address."""
        return ("/ip4/20.0.0.7/tcp/4710",)

    def announce_also(self, addresses: Sequence[str]) -> None:
        """Nobody is told."""

    def seen_at(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return where the asker of an input is."""
        return (f"/ip4/20.0.{peer_id[-1]}.7/tcp/4710",)

    async def resolve(self, address: str) -> tuple[str, ...]:
        """Return the address itself."""
        await trio.lowlevel.checkpoint()
        return (address,)

    async def dial_back(self, peer_id: PeerId, address: str) -> None:
        """Fail in one of the ways that there are, or reach the peer."""
        self.dialled += 1
        await trio.sleep(_DIAL_S)
        if len(address) % 3 == 0:
            raise PeerSilentError(address)
        if len(address) % 3 == 1:
            raise PeerUnavailableError(f"{peer_id} is not at {address}")

    async def reserve_relay(self, peer_id: PeerId) -> tuple[str, ...]:
        """Be refused."""
        await trio.lowlevel.checkpoint()
        raise PeerRefusedError(f"{peer_id} does not relay", RefusalCode.BUSY)

    def release_relay(self, peer_id: PeerId) -> None:
        """Nothing is held."""

    def relays(self) -> tuple[PeerId, ...]:
        """Return none."""
        return ()

    def learn_addresses(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        """Remember them, to be looked at."""
        self.learnt[peer_id] = tuple(addresses)

    async def connect(self, peer_id: PeerId) -> None:
        """Reach nobody."""
        await trio.sleep(_DIAL_S)
        raise PeerUnavailableError(f"{peer_id} does not answer")

    async def bootstrap(self, address: str) -> PeerId:
        """Reach nobody."""
        await trio.sleep(_DIAL_S)
        raise PeerUnavailableError(f"nobody answers at {address}")

    def connected(self) -> tuple[Connected, ...]:
        """Return none."""
        return ()

    async def disconnect(self, peer_id: PeerId) -> None:  # noqa: ARG002 - the seam's signature
        """There is no connection."""
        await trio.lowlevel.checkpoint()

    def protect(self, peer_ids: frozenset[PeerId]) -> None:
        """There is no connection."""

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Reach nobody."""
        await trio.lowlevel.checkpoint()
        raise PeerUnavailableError(f"{peer_id} does not answer for {protocol}")

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Keep what serves a protocol."""
        self.handlers[protocol.rpartition("/")[2]] = handler

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        """Keep what hears a topic."""
        self.topics[topic.rpartition("/")[2]] = handler

    async def publish(self, topic: str, data: bytes) -> None:  # noqa: ARG002 - the seam's signature
        """Nobody hears it."""
        await trio.lowlevel.checkpoint()

    async def run(self, *, task_status: OnRunning) -> None:
        """Wait until cancelled."""
        task_status.started()
        await trio.sleep_forever()

    async def find_addresses(self, peer_id: PeerId) -> tuple[str, ...]:  # noqa: ARG002 - the seam's signature
        """Find nothing."""
        await trio.lowlevel.checkpoint()
        return ()


class _Clock:
    """Virtual time since the moment at which all honest records begin."""

    def monotonic(self) -> float:
        """Return trio's time."""
        return trio.current_time()

    def wall(self) -> float:
        """Return seconds since 1970."""
        return honest.WALL + 60.0 + trio.current_time() / 1000

    def asleep(self) -> float:
        """Return that it never sleeps."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await trio.sleep(seconds)


class _Inline:
    """An `Offload` that does the work at once."""

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Do it."""
        await trio.lowlevel.checkpoint()
        return function(*args)


class NodeUnderTest:
    """A running node, and what may be looked at from outside."""

    def __init__(self, seed: int) -> None:
        """Build it; `running` starts it."""
        self.network = LonelyNetwork()
        self.files = SimFiles()
        self.node = Node(
            NodeConfig(
                network_name=NETWORK,
                profile=SIMULATED,
                identity=NODE_KEY,
                owner=NODE_KEY,
                bootstrap=(),
                quota_bytes=QUOTA_BYTES,
                work=solved(NODE_KEY, NETWORK, SIMULATED),
            ),
            network=self.network,
            clock=_Clock(),
            rng=SimRng(generator(seed, "node")),
            files=self.files,
            offload=_Inline(),
        )

    def kept_bytes(self) -> int:
        """Return the size of all pair files on its disk; whatever else stands there raises."""
        total = 0
        for directory in self.files.names("pairs"):
            for name in self.files.names(f"pairs/{directory}"):
                assert name.endswith(".pair"), f"{name} was left half made"
                total += self.files.size(f"pairs/{directory}/{name}")
        return total

    def check(self) -> None:
        """Check what must hold after any input."""
        info = self.node.info()
        kept = self.kept_bytes()
        used = self.files.peek_space_bytes()
        assert info.used_bytes == used, f"{info.used_bytes} bytes accounted, {used} on the disk"
        assert kept <= QUOTA_BYTES, f"{kept} bytes kept"


@asynccontextmanager
async def running(seed: int) -> AsyncIterator[NodeUnderTest]:
    """Run a node for the length of a block."""
    made = NodeUnderTest(seed)
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: OnRunning) -> None:
            await made.node.run(task_status=task_status)

        await nursery.start(run)
        yield made
        nursery.cancel_scope.cancel()
