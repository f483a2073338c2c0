"""Malformed handshakes, frames, protocol names and messages, from a seed: structured damage, not only random bytes.

`attack` sends them to a network that runs in the same process. Run: `python -m benchmarks.network_fuzz --count 10000`.
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
from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker
from p2pnode.network.negotiation import METHOD, encode_line
from p2pnode.network.tcp_transport import TcpTransport
from p2pnode.network.yamux_frames import Flag, Header, Kind
from wire.framing import frame
from wire.messages import NoRecord

WORKERS = 4
STREAMS_PER_CONNECTION = 12
ANSWER_S = 0.3
"""How long an attack waits for the end that it deserves; a victim that ignores it gets the next one."""

SETTLE_S = 40.0
OBJECTS_MAX = 20_000

PROTOCOLS = (
    NAMES.protocol("kad"),
    "/meshsub/1.1.0",
    "/ipfs/id/1.0.0",
    "/ipfs/ping/1.0.0",
    READ,
    "/nobody/speaks/this",
)
_VARINTS = (b"\xff" * 12, b"\x80", b"\x00", b"\xff\xff\xff\x7f", b"\x80\x80\x00", b"\x01")


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with one fault: cut, doubled, flipped, stuffed or preceded by another length."""
    position = rng.randrange(len(data) + 1)
    match rng.randrange(5):
        case 0:
            return data[:position]
        case 1:
            return data[:position] + data
        case 2:
            flipped = bytearray(data or b"\x00")
            flipped[position % len(flipped)] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case 3:
            return data[:position] + rng.randbytes(rng.randrange(1, 60)) + data[position:]
        case _:
            return rng.choice(_VARINTS) + data


def handshake(rng: random.Random) -> bytes:
    """Return what a stranger may say instead of a handshake."""
    hello = encode_line(METHOD) + encode_line("/noise")
    noise = (32).to_bytes(2, "big") + rng.randbytes(32)
    choices = (
        rng.randbytes(rng.randrange(1, 200)),
        damaged(rng, hello),
        damaged(rng, hello + noise),
        hello + noise + damaged(rng, (200).to_bytes(2, "big") + rng.randbytes(200)),
        hello + rng.choice((b"\x00\x00", b"\xff\xff" + rng.randbytes(1_000), b"\x00\x01x")),
        encode_line(METHOD) + b"".join(encode_line(f"/{number}") for number in range(20)),
        encode_line(METHOD) + bytes([5]) + b"\xff\xfe\xfd\xfc\n",
        b"GET / HTTP/1.1\r\n\r\n",
    )
    return rng.choice(choices)


def frames(rng: random.Random) -> bytes:
    """Return frames of which at least one is wrong, or odd."""
    number = rng.choice((0, 1, 2, 3, 999, 2**31, 2**32 - 1))
    flags = Flag(rng.randrange(16))
    length = rng.choice((0, 1, 5, 65_536, limits.STREAM_WINDOW_BYTES + 1, 2**31, 2**32 - 1))
    good = Header(Kind.DATA, Flag.SYN, 1, 5).encode() + b"hello"
    choices = (
        Header(Kind.DATA, flags, number, length).encode() + rng.randbytes(min(length, 100)),
        Header(Kind.WINDOW_UPDATE, flags, number, length).encode(),
        Header(Kind.PING, flags, number, length).encode(),
        Header(Kind.GO_AWAY, flags, number, length).encode(),
        damaged(rng, good),
        good + damaged(rng, good),
        good + Header(Kind.WINDOW_UPDATE, Flag.NONE, 1, 2**32 - 1).encode(),
        Header(Kind.WINDOW_UPDATE, Flag.SYN | Flag.FIN | Flag.RST, 1, 0).encode() * 2,
        bytes([rng.randrange(256) for _ in range(12)]),
    )
    return rng.choice(choices)


def name(rng: random.Random) -> bytes:
    """Return a protocol negotiation that is none."""
    good = encode_line(METHOD) + encode_line(rng.choice(PROTOCOLS))
    choices = (
        damaged(rng, good),
        encode_line(METHOD) + bytes([4]) + rng.randbytes(3) + b"\n",
        encode_line(METHOD) + b"\xff\xff\xff\xff",
        encode_line(METHOD) + b"\xff\x07" + b"a" * limits.NEGOTIATION_LINE_BYTES_MAX,
        encode_line(METHOD) + b"\x00",
        encode_line(METHOD) + encode_line("ls"),
        encode_line(METHOD) + encode_line("/" + "\N{SNOWMAN}" * 20),
        rng.randbytes(rng.randrange(1, 100)),
    )
    return rng.choice(choices)


def message(rng: random.Random) -> bytes:
    """Return a proper negotiation, and garbage in the protocol's own form: lengths, protobufs, our frames."""
    protobuf = b"".join(
        bytes([rng.randrange(1, 30) << 3 & 0xFF | rng.randrange(6)]) + rng.choice(_VARINTS) + rng.randbytes(4)
        for _ in range(rng.randrange(1, 6))
    )
    bodies = (
        bytes([len(protobuf) % 128]) + protobuf,
        rng.choice(_VARINTS) + protobuf,
        b"\x04\x08\x04\x12\x00",
        damaged(rng, frame(NoRecord())),
        rng.randrange(2**32).to_bytes(4, "big") + rng.randbytes(20),
        rng.randbytes(rng.randrange(1, 300)),
        b"",
    )
    return encode_line(METHOD) + encode_line(rng.choice(PROTOCOLS)) + rng.choice(bodies)


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
                data = make(self._rng)
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
