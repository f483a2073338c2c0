"""Nodes that nobody can dial: they store, and hold pairs for others, through a relay."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.config import TESTNET
from p2pnode.membership.circuit_addresses import is_circuit
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.node import Node
from p2pnode.services.node_config import NodeConfig
from p2pnode.storage.files import DiskFiles
from p2pnode.system import SystemClock, SystemRng, ThreadOffload
from tests.network.lab import LOOPBACK, until
from wire.protocol_ids import NetworkNames
from wire.references import Reference

DEADLINE_S = 30.0
NODES = 4
NETWORK = "relayed"


class Member:
    """One node and its network."""

    def __init__(self, rng: random.Random, path: Path, *, listen: Sequence[str], bootstrap: Sequence[str]) -> None:
        key = SigningKey(rng.randbytes(SEED_BYTES))
        clock = SystemClock()
        self.network = Libp2pNetwork(
            key=key,
            names=NetworkNames(NETWORK, TESTNET.shared()),
            profile=TESTNET,
            clock=clock,
            rng=SystemRng(),
            listen=listen,
        )
        config = NodeConfig(
            network_name=NETWORK,
            profile=TESTNET,
            identity=key,
            owner=SigningKey(rng.randbytes(SEED_BYTES)),
            bootstrap=tuple(bootstrap),
            quota_bytes=1 << 26,
        )
        self.node = Node(
            config, network=self.network, clock=clock, rng=SystemRng(), files=DiskFiles(path), offload=ThreadOffload(2)
        )

    @property
    def address(self) -> str:
        """Where to begin."""
        return f"{self.network.addresses()[0]}/p2p/{peer_id_to_text(self.network.peer_id)}"

    @property
    def peers(self) -> int:
        """How many other members are known and connected."""
        return sum(each.connected for each in self.node.peers())


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    """Yield the data at once."""
    yield data


def test_two_nodes_that_nobody_can_dial_store_with_each_other_through_a_relay(
    rng: random.Random, tmp_path: Path
) -> None:
    """Neither of the hidden nodes listens anywhere, so nothing but a circuit leads from one of them to the other.

    All four shards of the blob have holders, so each hidden node holds a pair that the other one stored or read.
    """
    data = rng.randbytes(200_000)

    async def start(nursery: trio.Nursery, name: str, listen: Sequence[str], bootstrap: Sequence[str]) -> Member:
        path = tmp_path / name
        path.mkdir()
        member = Member(rng, path, listen=listen, bootstrap=bootstrap)
        await nursery.start(member.node.run)
        return member

    async def main() -> None:
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                first = await start(nursery, "first", [LOOPBACK], ())
                second = await start(nursery, "second", [LOOPBACK], [first.address])
                hidden = [await start(nursery, f"hidden {number}", (), [first.address]) for number in range(2)]
                members = [first, second, *hidden]
                await until(lambda: all(each.peers == NODES - 1 for each in members))
                one, other = hidden
                assert all(map(is_circuit, one.network.addresses()))
                for member, peer in ((one, other), (other, one)):
                    assert all(each.is_relayed for each in member.network.connections.of(peer.network.peer_id))
                result = await one.node.put(chunks(data), shards=NODES, size=len(data))
                for each in hidden:
                    assert each.node.info().used_bytes > 0, "a hidden node holds a pair"
                reference = Reference.parse(result.id)
                status = await other.node.stat(reference)
                assert status.reachable == NODES
                async with other.node.get(reference) as download:
                    assert b"".join([bytes(chunk) async for chunk in download.chunks]) == data
                nursery.cancel_scope.cancel()

    trio.run(main)
