"""What comes over sockets below our own messages: routers, yamux, negotiation, identify, relays, requests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any, cast

import trio

import p2pnode.network.exchange
import p2pnode.network.libp2p_identify
import p2pnode.network.libp2p_relay
import p2pnode.network.nat_pmp
import p2pnode.network.negotiation
import p2pnode.network.request_server
import p2pnode.network.upnp
import p2pnode.network.yamux
import p2pnode.network.yamux_frames
import p2pnode.network.yamux_stream
from p2pnode.membership.endpoints import Endpoint
from p2pnode.network import limits as network_limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.libp2p_identify import ask_identify
from p2pnode.network.libp2p_relay import _endpoint_of as endpoint_of_relay
from p2pnode.network.nat_pmp import default_gateway, read_address, read_mapping
from p2pnode.network.negotiation import METHOD, NegotiationError, answer_proposals, encode_line, propose
from p2pnode.network.payload_slots import PayloadSlots
from p2pnode.network.request_server import serve_requests
from p2pnode.network.resources import Resources
from p2pnode.network.router import RouterError
from p2pnode.network.upnp import UpnpRouter
from p2pnode.network.yamux import YamuxSession
from p2pnode.network.yamux_frames import HEADER_BYTES, Flag, FrameError, Header, Kind, decode_header
from p2pnode.network.yamux_stream import StreamEndError, YamuxStream
from testnet.fuzz import honest, network_inputs
from testnet.fuzz.fakes import FakeChannel, FakeStream
from testnet.fuzz.protobuf import Field, edited_message, varint, write_fields
from testnet.fuzz.target import Check, Mutate, Open, Target, plain
from testnet.fuzz.targets.texts import edited_text, text_of
from wire import limits
from wire.framing import frame
from wire.ids import PeerId
from wire.messages import GetRecord, GetSliver, NoRecord, SliverData

_SLOW_INPUTS = 20_000
"""Inputs of a target for which tasks are started: each costs about a millisecond."""

_IP4_MULTIADDR = bytes.fromhex("04c000020706126661")  # /ip4/192.0.2.7 and a port


def targets() -> list[Target]:
    """Return the targets of this file."""
    network = p2pnode.network
    return [
        _of("nat-pmp", plain(_nat_pmp), (RouterError,), _nat_pmp_answers(), network.nat_pmp),
        _of("gateway", plain(_gateway), (), [_ROUTES], network.nat_pmp, mutate=edited_text),
        _of("yamux-header", plain(_yamux_header), (FrameError,), _yamux_frames(), network.yamux_frames),
        _of("yamux-session", _asynchronous(_yamux_session), (), _yamux_frames(), network.yamux, network.yamux_stream,
            mutate=_edited_frames, inputs_max=_SLOW_INPUTS),
        _of("negotiation", _asynchronous(_negotiation), (NegotiationError, ConnectionLostError), _negotiations(),
            network.negotiation, mutate=_edited_lines, inputs_max=_SLOW_INPUTS),
        _of("identify", _asynchronous(_identify), (), _identifies(), network.libp2p_identify,
            mutate=_edited_prefixed, inputs_max=_SLOW_INPUTS),
        _of("relay-address", plain(_relay_address), (), [_IP4_MULTIADDR[:8], b"\x06\x12\x66"], network.libp2p_relay),
        _of("requests", _asynchronous(_requests), (), _framed_requests(), network.request_server, network.exchange,
            mutate=_edited_requests, inputs_max=_SLOW_INPUTS),
        _of("upnp", _upnp_target, (RouterError,), [b"203.0.113.7", b"\xff"], network.upnp,
            mutate=edited_text, inputs_max=_SLOW_INPUTS),
    ]  # fmt: skip


def _of(
    name: str,
    opened: Open,
    errors: tuple[type[Exception], ...],
    seeds: list[bytes],
    *modules: ModuleType,
    mutate: Mutate | None = None,
    framing: str = "",
    inputs_max: int | None = None,
) -> Target:
    return Target(
        name=f"network/{name}",
        open=opened,
        errors=errors,
        seeds=lambda _rng: seeds,
        modules=modules,
        mutate=mutate,
        framing=framing,
        inputs_max=inputs_max,
    )


def _asynchronous(check: Check) -> Open:
    @asynccontextmanager
    async def open_target(_rng: random.Random) -> AsyncIterator[Check]:
        yield check

    return open_target


# Routers.

_ROUTES = b"Iface\tDestination\tGateway\tFlags\nwlan0\t00000000\t0101A8C0\t0003\t0\nwlan0\t0001A8C0\t00000000\t0001\n"


def _nat_pmp_answers() -> list[bytes]:
    return [bytes.fromhex("00800000000000010a000001"), bytes.fromhex("00820000000000011266126600000e10")]


def _nat_pmp(data: bytes) -> str:
    address, mapping = read_address(data), read_mapping(data, internal_port=4710)
    assert mapping is None or (0 <= mapping[0] < 1 << 16 and 0 <= mapping[1] < 1 << 32)
    return f"{address is not None} {mapping is not None}"


def _gateway(data: bytes) -> str:
    return str(default_gateway(text_of(data)) is not None)


@asynccontextmanager
async def _upnp_target(_rng: random.Random) -> AsyncIterator[Check]:
    """A router whose answers are the input: its address, and whether it opens a port."""

    async def check(data: bytes) -> str:
        with _library(text_of(data)):
            opened = UpnpRouter()._open(Endpoint("ip4", "192.0.2.1", 4710), 4710, 60)  # noqa: SLF001 - without its thread
        return opened[1].outer.kind

    async def translated(data: bytes) -> str:
        await trio.lowlevel.checkpoint()
        try:
            return await check(data)
        except ValueError as error:  # `UpnpRouter._run` translates everything; here only what is expected of it.
            raise RouterError(str(error)) from error

    yield translated


@contextmanager
def _library(answer: str) -> Any:  # noqa: ANN401 - a generator
    class Library:
        UPnP: Any

        def __init__(self, **_options: object) -> None:
            self._answers = iter(answer)

        def discover(self) -> int:
            return len(answer) % 7

        def selectigd(self) -> str:
            return answer

        def externalipaddress(self) -> str:
            return answer

        def addportmapping(self, *_arguments: object) -> bool:
            if next(self._answers, "x") in "02468":
                raise Exception(answer)  # noqa: TRY002 - as the library does
            return True

    Library.UPnP = Library
    module = cast("Any", p2pnode.network.upnp)
    before, module.miniupnpc = module.miniupnpc, Library
    try:
        yield
    finally:
        module.miniupnpc = before


# Yamux.


def _yamux_frames() -> list[bytes]:
    opening = Header(Kind.DATA, Flag.SYN, 1, 5).encode() + b"hello"
    more = Header(Kind.DATA, Flag.NONE, 1, 3).encode() + b"you" + Header(Kind.WINDOW_UPDATE, Flag.FIN, 1, 9).encode()
    other = Header(Kind.WINDOW_UPDATE, Flag.SYN, 3, 0).encode() + Header(Kind.WINDOW_UPDATE, Flag.RST, 3, 0).encode()
    ping = Header(Kind.PING, Flag.SYN, 0, 7).encode()
    return [
        opening,
        opening + more,
        opening + other + more,
        ping + opening,
        Header(Kind.GO_AWAY, Flag.NONE, 0, 0).encode(),
    ]


def _edited_frames(rng: random.Random, data: bytes) -> bytes:
    """Put a frame with odd fields between two frames."""
    position = HEADER_BYTES * rng.randrange(len(data) // HEADER_BYTES + 1)
    return data[:position] + network_inputs.frames(rng) + data[position:]


def _yamux_header(data: bytes) -> str:
    header = decode_header(data[:HEADER_BYTES].ljust(HEADER_BYTES, b"\x00"))
    assert header.encode()
    return f"{header.kind} {header.flags}"


async def _yamux_session(data: bytes) -> str:
    """The session ends with the connection; nobody waits in it, and what was held is given back."""
    channel, resources = FakeChannel(data), Resources()
    accepted: list[YamuxStream] = []

    def accept(stream: YamuxStream) -> bool:
        accepted.append(stream)
        return len(accepted) % 4 != 0

    async def read(stream: YamuxStream) -> None:
        try:
            while await stream.read_some(1000):
                await stream.write(b"answer")
        except (StreamEndError, ConnectionLostError):
            stream.end()

    session = YamuxSession(channel, is_initiator=False, accept=accept, ping_every_s=10.0, unread=resources.reserve(()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await trio.lowlevel.checkpoint()
        for stream in accepted[:3]:
            nursery.start_soon(read, stream)
        with trio.fail_after(3600.0):
            await session.wait_over()
    assert session.stream_count == 0
    assert resources.is_idle
    assert channel.is_aborted
    return f"{session.is_breach} {min(len(accepted), 5)}"


# Negotiation, identify, relays.


def _negotiations() -> list[bytes]:
    hello = encode_line(METHOD)
    return [hello + encode_line(each) for each in ("/known", "/unknown", "na")] + [
        hello + encode_line("/unknown") + encode_line("/known")
    ]


def _edited_lines(rng: random.Random, data: bytes) -> bytes:
    """Add something that is no negotiation, or change what stands on a line."""
    if rng.random() < 0.5:  # noqa: PLR2004 - either
        return network_inputs.name(rng, ["/known"])
    text = edited_text(rng, data[21:])[:120].replace(b"\n", b" ")
    return encode_line(METHOD) + bytes([len(text) + 1]) + text + b"\n"


async def _negotiation(data: bytes) -> str:
    """Either side ends with a known protocol, or says that there is none."""
    if data[:1] > b"\x40":
        chosen = await propose(FakeChannel(data), ["/unknown", "/known"])
    else:
        chosen = await answer_proposals(FakeChannel(data), {"/known"})
    assert chosen in ("/known", "/unknown")
    return chosen


class _ForeignStream(FakeStream):
    """A stream in the shape of py-libp2p, as far as identify reads one."""

    async def read(self, n: int | None = None) -> bytes:
        """Return up to `n` bytes; none at the end."""
        try:
            return await self._channel.read_some(n or 1)
        except ConnectionLostError:
            return b""


def _identifies() -> list[bytes]:
    addresses = [Field(2, 2, _IP4_MULTIADDR[:8]), Field(2, 2, b"\x29" + bytes(15) + b"\x01\x06\x12\x66")]
    body = write_fields([Field(5, 2, b"ipfs/0.1.0"), Field(6, 2, b"p2pnode"), *addresses, Field(3, 2, b"/x")])
    return [varint(len(body)) + body]


def _edited_prefixed(rng: random.Random, data: bytes) -> bytes:
    """Change a protobuf message behind its length."""
    skipped = next((index + 1 for index, byte in enumerate(data) if byte < 1 << 7), 0)
    body = edited_message(rng, data[skipped:])
    return varint(len(body)) + body


async def _identify(data: bytes) -> str:
    """At most as many addresses as a record may have; never an error, and the stream is let go."""
    stream = _ForeignStream(honest.peer_id(1), data)
    found = await ask_identify(cast("Any", stream))
    assert len(found) <= limits.ADDRESSES_MAX
    assert stream.is_reset
    return str(len(found))


def _relay_address(data: bytes) -> str:
    return str(endpoint_of_relay(data) is not None)


# Requests.


def _framed_requests() -> list[bytes]:
    blob = honest.honest_blob()
    request, payload = blob.store_pair(0)
    asks = frame(GetRecord(blob_id=blob.blob_id, wants_certificates=True))
    sliver = frame(GetSliver(blob_id=blob.blob_id, axis=0, index=1))
    return [asks, sliver, asks + sliver, frame(request) + payload + asks, frame(NoRecord())]


def _edited_requests(rng: random.Random, data: bytes) -> bytes:
    """Say something else first, or go on with something else."""
    other = rng.choice(_framed_requests())
    return rng.choice((other + data, data + other, data + network_inputs.damaged(rng, other)))


async def _requests(data: bytes) -> str:
    """The stream is closed or reset, every answer is whole, and no slot stays taken."""
    resources = Resources()
    slots = PayloadSlots(resources, bytes_per_s_min=16_384)
    stream = FakeStream(honest.peer_id(1), data)
    asked: list[object] = []

    async def answer(_peer: PeerId, message: object, payload: bytes) -> tuple[object, list[bytes]]:
        await trio.lowlevel.checkpoint()
        asked.append(message)
        assert len(payload) <= 2 * limits.SLIVER_BYTES_MAX
        return (SliverData(sliver_bytes=3), [b"abc"]) if isinstance(message, GetSliver) else (NoRecord(), [])

    with trio.fail_after(2 * network_limits.SERVER_IDLE_S):
        await serve_requests(stream, answer, accepts=(GetRecord, GetSliver), slots=slots)
    assert stream.is_closed != stream.is_reset
    assert resources.is_idle
    return f"{min(len(asked), 3)} {stream.is_closed}"
