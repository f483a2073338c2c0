"""A node's network with discovery on the local network, as a program: it prints whom it is connected with.

`python -m tests.network.lan_node NETWORK SEED PORT` ends when its input does.
"""

from __future__ import annotations

import random
import sys
import threading

import trio

from crypto.keys import SEED_BYTES, SigningKey
from crypto.peer_id import peer_id_to_text
from p2pnode.config import HOME
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.lan_discovery import LanDiscovery
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.system import SystemClock, SystemRng
from wire.protocol_ids import NetworkNames


async def main(network_name: str, seed: int, port: int) -> None:
    """Run until standard input ends; then say which threads are left besides the main one."""
    names = NetworkNames(network_name, HOME.shared())
    network = Libp2pNetwork(
        key=SigningKey(random.Random(seed).randbytes(SEED_BYTES)),
        names=names,
        profile=HOME,
        clock=SystemClock(),
        rng=SystemRng(),
        listen=[f"/ip4/0.0.0.0/tcp/{port}"],
    )
    hints_in, hints_out = trio.open_memory_channel[str](64)
    lan = LanDiscovery(
        names=names,
        peer_id=network.peer_id,
        addresses=network.local_addresses,
        on_found=hints_in.send_nowait,
        rng=SystemRng(),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        nursery.start_soon(lan.run)
        nursery.start_soon(_dial, network, hints_out)
        print("ready", peer_id_to_text(network.peer_id), flush=True)  # noqa: T201 - this is how it answers
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()
    left = [each.name for each in threading.enumerate() if "zeroconf" in each.name.lower()]
    print("ended", *left, flush=True)  # noqa: T201 - this is how it answers


async def _dial(network: Libp2pNetwork, hints: trio.MemoryReceiveChannel[str]) -> None:
    async for address in hints:
        print("heard", address, flush=True)  # noqa: T201 - this is how it answers
        try:
            peer_id = await network.bootstrap(address)
        except PeerUnavailableError as error:
            print("failed", error, flush=True)  # noqa: T201 - this is how it answers
        else:
            print("connected", peer_id_to_text(peer_id), flush=True)  # noqa: T201 - this is how it answers


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
