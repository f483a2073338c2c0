"""NAT-PMP (RFC 6886): asking the router to open a TCP port, in datagrams of a few bytes.

The codec above knows bytes only; `NatPmpRouter` below sends them to the default gateway and nobody else.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from p2pnode.membership.endpoints import Endpoint
from p2pnode.network import router_limits as limits
from p2pnode.network.router import Opened, RouterError

T = TypeVar("T")

SERVER_PORT = 5351

_VERSION = 0
_EXTERNAL_ADDRESS = 0
_MAP_TCP = 2
_IS_ANSWER = 128
_MAP_REQUEST = struct.Struct("!BBHHHI")
_HEADER = struct.Struct("!BBHI")
_ADDRESS_ANSWER = struct.Struct("!BBHI4s")
_MAP_ANSWER = struct.Struct("!BBHIHHI")
_ANSWER_BYTES_MAX = 64
"""More than any answer has: what is longer is none."""

_ROUTES = Path("/proc/net/route")
_ROUTE_COLUMNS_MIN = 4
_IS_GATEWAY = 0x2


class ResultCode(enum.IntEnum):
    """What a router answers."""

    OK = 0
    UNSUPPORTED_VERSION = 1
    NOT_AUTHORISED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPPORTED_OPERATION = 5


def address_request() -> bytes:
    """Return the question for the router's outer address."""
    return bytes((_VERSION, _EXTERNAL_ADDRESS))


def map_request(*, internal_port: int, external_port: int, lifetime_s: int) -> bytes:
    """Return the request to open a TCP port; a lifetime of 0 takes the mapping of the internal port away."""
    return _MAP_REQUEST.pack(_VERSION, _MAP_TCP, 0, internal_port, external_port, lifetime_s)


def read_address(data: bytes) -> str | None:
    """Return the outer address that an answer gives, None for what answers something else. Raises `RouterError`."""
    if not _answers(data, _EXTERNAL_ADDRESS, _ADDRESS_ANSWER.size):
        return None
    return str(ipaddress.IPv4Address(_ADDRESS_ANSWER.unpack(data)[4]))


def read_mapping(data: bytes, *, internal_port: int) -> tuple[int, int] | None:
    """Return the outer port and its lifetime in seconds, None for what answers something else. Raises `RouterError`."""
    if not _answers(data, _MAP_TCP, _MAP_ANSWER.size):
        return None
    *_, internal, external, lifetime_s = _MAP_ANSWER.unpack(data)
    return (external, lifetime_s) if internal == internal_port else None


def _answers(data: bytes, operation: int, count: int) -> bool:
    """Tell whether this is the whole answer to an operation. Raises `RouterError` for one that says no."""
    if len(data) < _HEADER.size:
        return False
    version, answered, code, _ = _HEADER.unpack_from(data)
    if version != _VERSION or answered != _IS_ANSWER + operation:
        return False
    if code != ResultCode.OK:
        known = {each.value for each in ResultCode}
        reason = ResultCode(code).name.lower().replace("_", " ") if code in known else f"code {code}"
        message = f"the router refused: {reason}"
        raise RouterError(message)
    return len(data) == count


def default_gateway(routes: str) -> str | None:
    """Return the IPv4 gateway to the world from the text of Linux's table of routes; None when there is none."""
    for line in routes.splitlines()[1:]:
        columns = line.split()
        if len(columns) < _ROUTE_COLUMNS_MIN or columns[1] != "00000000":
            continue
        try:
            if int(columns[3], 16) & _IS_GATEWAY:
                return str(ipaddress.IPv4Address(struct.pack("=I", int(columns[2], 16))))
        except (ValueError, struct.error):  # A line that is no route.
            continue
    return None


def system_gateway() -> str | None:
    """Return this machine's gateway; None where the table of routes cannot be read, as on systems other than Linux."""
    try:
        return default_gateway(_ROUTES.read_text("ascii"))
    except (OSError, ValueError):
        return None


class NatPmpRouter:
    """The default gateway, if it speaks NAT-PMP."""

    name = "NAT-PMP"

    def __init__(self, *, gateway: Callable[[], str | None] = system_gateway, port: int = SERVER_PORT) -> None:
        """`gateway` is called in a worker thread."""
        self._gateway = gateway
        self._port = port
        self._opened: tuple[str, int] | None = None

    async def open(self, local: Endpoint, *, lifetime_s: int) -> Opened:
        """Open a port that leads to ours, or renew it. Raises `RouterError`."""
        gateway = await trio.to_thread.run_sync(self._gateway)
        if gateway is None:
            message = "this machine's gateway is not known"
            raise RouterError(message)
        outer = await self._ask(gateway, address_request(), read_address)
        request = map_request(internal_port=local.port, external_port=local.port, lifetime_s=lifetime_s)
        read = functools.partial(read_mapping, internal_port=local.port)
        port, granted_s = await self._ask(gateway, request, read)
        self._opened = (gateway, local.port)
        return Opened(Endpoint("ip4", outer, port), granted_s)

    async def close(self) -> None:
        """Give the port back. Raises `RouterError`."""
        if self._opened is None:
            return
        gateway, port = self._opened
        self._opened = None
        request = map_request(internal_port=port, external_port=0, lifetime_s=0)
        await self._ask(gateway, request, functools.partial(read_mapping, internal_port=port))

    async def _ask(self, gateway: str, request: bytes, read: Callable[[bytes], T | None]) -> T:
        """Send until an answer comes. A connected socket hears nobody but the gateway."""
        try:
            with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
                await socket.connect((gateway, self._port))
                wait_s = limits.NAT_PMP_FIRST_WAIT_S
                for _ in range(limits.NAT_PMP_TRIES):
                    with trio.move_on_after(wait_s):
                        await socket.send(request)
                        while True:
                            answer = read(await socket.recv(_ANSWER_BYTES_MAX))
                            if answer is not None:
                                return answer
                    wait_s *= 2
        except OSError as error:
            message = f"the gateway {gateway} does not listen: {error.strerror or error}"
            raise RouterError(message) from error
        message = f"the gateway {gateway} does not answer"
        raise RouterError(message)
