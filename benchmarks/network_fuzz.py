"""Malformed handshakes, frames, protocol names and messages for a real network on loopback.

`Attack` sends them to a network that runs in the same process. Run: `python -m benchmarks.network_fuzz --count 10000`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import trio

from benchmarks.network_floods import Raw, endpoint_of
from benchmarks.network_lab import NAMES, READ, address_of, make_network, running
from benchmarks.network_leftovers import held, settled
from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.yamux_frames import Flag, Header, Kind
from testnet.fuzz.network_inputs import FOREIGN_PROTOCOLS, frames, handshake, message, name

WORKERS = 4
STREAMS_PER_CONNECTION = 12
ANSWER_S = 0.3
"""How long an attack waits for the end that it deserves; a victim that ignores it gets the next one."""

SETTLE_S = 40.0
OBJECTS_MAX = 20_000

PROTOCOLS = (NAMES.protocol("kad"), READ, *FOREIGN_PROTOCOLS)


class Attack:
    """Malformed things for one victim, in the proportions of a seed."""

    def __init__(self, victim: Libp2pNetwork, rng: random.Random) -> None:
        """Aim at a network that runs."""
        self._rng = rng
        self._endpoint, self._peer_id = endpoint_of(address_of(victim))
        self.done: Counter[str] = Counter()
        # A connection for streams carries a dozen malformed things, the others one each.
        self._kinds: Sequence[Callable[[], Awaitable[None]]] = (
            [self._handshakes] * 5 + [self._frames] * 5 + [self._streams]
        )

    async def run(self, count: int) -> None:
        """Send about `count` malformed things, WORKERS at a time."""
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(self._work, count)

    async def _work(self, count: int) -> None:
        while self.done.total() < count:
            await self._rng.choice(self._kinds)()

    async def _handshakes(self) -> None:
        self.done["handshakes"] += 1
        data = handshake(self._rng)
        try:
            stream = await TcpTransport().dial(self._endpoint)
            try:
                await stream.send_all(data)
                with trio.move_on_after(ANSWER_S / 10):
                    while await stream.receive_some(1_000):
                        pass
            finally:
                stream.abort()
        except (OSError, trio.BrokenResourceError):
            await trio.lowlevel.checkpoint()

    async def _frames(self) -> None:
        self.done["frames"] += 1
        data = frames(self._rng)

        async def send(raw: Raw) -> None:
            with trio.move_on_after(ANSWER_S / 10):
                await raw.write(data)
                await raw.drain()

        await self._connected(send)

    async def _streams(self) -> None:
        async def send(raw: Raw) -> None:
            for _ in range(STREAMS_PER_CONNECTION):
                kind, make = self._rng.choice((("names", name), ("messages", message)))
                self.done[kind] += 1
                data = make(self._rng, PROTOCOLS)
                number = raw.next_id()
                await raw.write(Header(Kind.DATA, Flag.SYN, number, len(data)).encode() + data)
                end = self._rng.choice((Flag.FIN, Flag.RST, Flag.NONE))
                if end:
                    await raw.write(Header(Kind.WINDOW_UPDATE, end, number, 0).encode())
            with trio.move_on_after(ANSWER_S):
                await raw.drain()

        await self._connected(send)

    async def _connected(self, send: Callable[[Raw], Awaitable[None]]) -> None:
        """Prove to be a new stranger, and send."""
        socket: GuardedSocket | None = None
        try:
            socket = GuardedSocket(await TcpTransport().dial(self._endpoint))
            key = SigningKey(self._rng.randbytes(SEED_BYTES))
            raw = Raw(await Handshaker(key).secure_outbound(socket, self._peer_id))
            await send(raw)
        except (OSError, HandshakeError, ConnectionLostError):
            await trio.lowlevel.checkpoint()
        finally:
            if socket is not None:
                socket.abort()


async def fuzz(count: int, *, seed: int) -> dict[str, object]:
    """Attack a network and return what was sent and what was left behind; raises when an honest peer is turned away."""
    rng = random.Random(seed)  # noqa: S311 - a failing seed is to be repeated
    victim, honest = make_network(rng), make_network(rng)
    async with running(victim, honest):
        attack = Attack(victim, rng)
        await attack.run(WORKERS * 10)  # Whatever the libraries load and remember at first.
        base = await settled(held(), victim, timeout_s=SETTLE_S)
        attack.done.clear()
        await attack.run(count)
        after = await settled(base, victim, timeout_s=SETTLE_S, objects=OBJECTS_MAX)
        await honest.bootstrap(address_of(victim))
        try:
            await honest.open_stream(victim.peer_id, READ)
        except PeerUnavailableError as error:
            error.add_note("an honest peer is not served after the attack")
            raise
        return {
            "sent": dict(attack.done),
            "base": base,
            "after": after,
            "is_clean": after.is_at(base, objects=OBJECTS_MAX),
        }


def main() -> None:
    """Run the attack and print what came of it; exit status 1 when anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = trio.run(lambda: fuzz(options.count, seed=options.seed))
    print(json.dumps(outcome, default=str))  # noqa: T201 - it is what the benchmark is for
    sys.exit(not outcome["is_clean"])


if __name__ == "__main__":
    main()
