"""What the connections ask of the world below them: sockets, or a stand-in for them in virtual time.

The real one is `tcp_transport.py`. The other one stands in `testnet/sim/`, so that everything above it, libp2p's own
code included, can be cut, delayed and healed in a test without a second of real time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from p2pnode.network.addresses import Endpoint


class RawStream(Protocol):
    """A two-way stream of bytes to somebody who has not proven anything yet."""

    @property
    def remote(self) -> tuple[str, int]:
        """The other end's IP address and port; ("", 0) when it closed before it could be asked."""
        ...

    @property
    def is_relayed(self) -> bool:
        """Whether it leads through a third party, so that `remote` says nothing of where the other end is."""
        ...

    async def send_all(self, data: bytes | memoryview) -> None:
        """Send all bytes. Raises `trio.BrokenResourceError` or `trio.ClosedResourceError`."""
        ...

    async def receive_some(self, bytes_max: int) -> bytes | bytearray:
        """Return at least one byte, none at the end. Raises as `send_all`."""
        ...

    def abort(self) -> None:
        """Close at once, without a farewell; harmless when it is closed already."""
        ...


class Listener(Protocol):
    """Endpoints on which others reach us."""

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """What is listened on, with the ports that the system chose; a host may still be unspecified."""
        ...

    async def serve(
        self,
        accept: Callable[[RawStream], Awaitable[None]],
        nursery: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Run `accept` in the nursery for each stream that somebody opens to us, until cancelled."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Transport(Protocol):
    """How streams are made."""

    async def dial(self, endpoint: Endpoint) -> RawStream:
        """Open a stream. Raises `OSError`; the caller sets the deadline."""
        ...

    async def listen(self, endpoints: Sequence[Endpoint]) -> Listener:
        """Listen on all of these. Raises `PortInUseError`, and `CallerError` for one that is not ours."""
        ...

    def interface_addresses(self) -> list[str]:
        """Return the IP addresses of this machine under which others could reach us."""
        ...
