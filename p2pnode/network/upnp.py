"""UPnP: asking the router to open a TCP port, through the library miniupnpc.

The library blocks and raises bare `Exception`s. So it runs in a worker thread, which is left behind when it takes too
long (its own timeouts end it), and its errors are translated here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

import miniupnpc  # type: ignore[import-not-found]  # It is a compiled module without type information.
import trio

from p2pnode.membership.endpoints import Endpoint
from p2pnode.network import router_limits as limits
from p2pnode.network.router import Opened, RouterError

T = TypeVar("T")

_DESCRIPTION = "p2pnode"
_FOREVER_S = 0
"""Old routers take no other lifetime."""


_ADDRESS_CHARS_MAX = len("255.255.255.255")


class _Library(Protocol):
    """What is used of the library."""

    def discover(self) -> int: ...

    def selectigd(self) -> str: ...

    def externalipaddress(self) -> str: ...

    def addportmapping(
        self, outer_port: int, protocol: str, host: str, port: int, description: str, remote: str, lifetime_s: int, /
    ) -> bool: ...

    def deleteportmapping(self, outer_port: int, protocol: str, /) -> bool: ...


class UpnpRouter:
    """The Internet gateway device of the local network, if there is one."""

    name = "UPnP"

    def __init__(self, *, interface: str = "", discover_ms: int = limits.UPNP_DISCOVER_MS) -> None:
        """`interface` is the address of the interface to look on; empty: that of the default route."""
        self._interface = interface
        self._discover_ms = discover_ms
        self._found: _Library | None = None
        self._outer_port: int | None = None
        self._limiter = trio.CapacityLimiter(1)

    async def open(self, local: Endpoint, *, lifetime_s: int) -> Opened:
        """Open a port that leads to ours, or renew it. Raises `RouterError`."""
        first = local.port if self._outer_port is None else self._outer_port
        library, opened = await self._run(lambda: self._open(local, first, lifetime_s))
        self._found, self._outer_port = library, opened.outer.port
        return opened

    async def close(self) -> None:
        """Give the port back. Raises `RouterError`."""
        library, port = self._found, self._outer_port
        self._found = self._outer_port = None
        if library is not None and port is not None:
            await self._run(lambda: library.deleteportmapping(port, "TCP"))

    def _open(self, local: Endpoint, first_port: int, lifetime_s: int) -> tuple[_Library, Opened]:
        """Look for the router each time: it may be another one by now. Blocks."""
        where = {"multicastif": self._interface} if self._interface else {}
        library = cast("_Library", miniupnpc.UPnP(discoverdelay=self._discover_ms, **where))
        if not library.discover():
            message = "no router answered"
            raise RouterError(message)
        library.selectigd()
        # A router may answer anything: what is longer than an address is none, and is not taken apart to say so.
        outer = str(ipaddress.IPv4Address(library.externalipaddress()[: _ADDRESS_CHARS_MAX + 1]))
        refusal: Exception | None = None
        for port in range(first_port, first_port + limits.EXTERNAL_PORTS_TRIED_MAX):
            for asked_s in (lifetime_s, _FOREVER_S):
                try:
                    library.addportmapping(port, "TCP", local.host, local.port, _DESCRIPTION, "", asked_s)
                except Exception as error:  # noqa: BLE001 - the library raises nothing more special
                    refusal = error
                    continue
                return library, Opened(Endpoint("ip4", outer, port), lifetime_s)
        message = f"the router refused: {refusal}"
        raise RouterError(message)

    async def _run(self, function: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=self._limiter)
        except RouterError:
            raise
        except Exception as error:
            reason = str(error)
            # The library says so when nobody answered.
            message = "no router that opens ports was found" + ("" if reason == "Success" else f" ({reason})")
            raise RouterError(message) from error
