"""The five seams to the outside world: small interfaces with a real and a simulated implementation each.

Everything above them is the same code in production and in the simulator. Their contract suites stand in
`tests/contract/`. This file has types only: nothing here waits, reads a clock or draws a random number.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from wire.ids import PeerId

T = TypeVar("T")


class Clock(Protocol):
    """Time. Timeouts use the monotonic clock; the wall clock is for leases, epochs and record times only."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970 as this machine believes; may jump."""
        ...

    def asleep(self) -> float:
        """Return for how many seconds the machine has slept in all, in which `monotonic` stood still.

        It is always 0 where `monotonic` goes on meanwhile, or nobody can tell.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a cancellation point."""
        ...


class Rng(Protocol):
    """Chance: cryptographically strong in production, seeded in the simulator."""

    def random_bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a random number from low to high (jitter)."""
        ...

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in a random order."""
        ...


class Offload(Protocol):
    """Worker threads for work above about 10 ms and for every file call.

    The arguments are passed by reference and must not change until the call returns. A cancelled call may still finish.
    """

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run `function(*args)` in a worker and return its result or raise its error."""
        ...


class Files(Protocol):
    """One directory tree on disk. Names are relative, with `/`; every call blocks, so call it through `Offload`.

    Raises plain `OSError` as the system does (FileNotFoundError, FileExistsError, ENOSPC, EIO, ..).
    """

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """Create a file with these parts, one after the other, and fsync it. Raises FileExistsError when it exists."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Rename atomically, replacing `new`; durable only after `sync_directory`."""
        ...

    def sync_directory(self, name: str) -> None:
        """Make the directory's entries durable; `""` is the root."""
        ...

    def make_directory(self, name: str) -> None:
        """Create a directory and its parents durably; no error when it exists."""
        ...

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """Return `count` bytes from `offset` (fewer at the end of the file), or all."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; durable only after `sync_directory`."""
        ...

    def names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory; `[]` when it does not exist."""
        ...

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        ...

    def space_bytes(self, name: str) -> int:
        """Return what a file takes on the disk in whole blocks, or a directory without what is in it; `""` is the root.

        What `du` counts. Raises FileNotFoundError.
        """
        ...

    def free_bytes(self) -> int:
        """Return the bytes that may still be written to the disk."""
        ...

    def away(self) -> tuple[str, ...]:
        """Look which parts of the tree are not here now, such as a disk that is not mounted; return their names.

        Raises `OSError` when nothing can be done without what is away.
        """
        ...

    def database(self, name: str) -> sqlite3.Connection:
        """Open (or create) an SQLite database: WAL, `synchronous=FULL`, usable from worker threads one at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Connected:
    """A peer that we are connected to, and the address that we really reached it at (empty when it dialled us)."""

    peer_id: PeerId
    address: str
    source: str = ""
    """Where it dialled us from, `/ip4/<address>` without a port; it tells a failure domain, and is never dialled."""


class Stream(Protocol):
    """A two-way byte stream to one peer. Losing the peer in the middle raises `PeerUnavailableError`."""

    @property
    def peer_id(self) -> PeerId:
        """The authenticated peer at the other end."""
        ...

    async def send(self, data: bytes | memoryview) -> None:
        """Send all bytes; waits while the peer does not read. Raises `PeerUnavailableError`."""
        ...

    async def receive_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Raises `StreamEndedError` at a clean end before the first byte, `PeerUnavailableError` at any other.
        """
        ...

    async def close(self) -> None:
        """End our side cleanly and let go of the stream; never raises for a peer that is gone."""
        ...

    async def reset(self) -> None:
        """Abort at once, for both sides; never raises for a peer that is gone."""
        ...


StreamHandler = Callable[[Stream], Awaitable[None]]


class Verdict(enum.Enum):
    """What becomes of a gossiped message, and of the standing of the peer that passed it on."""

    ACCEPT = "accept"
    """News: forward it."""
    IGNORE = "ignore"
    """Nothing new, or not for us now: go no further with it; an honest peer may have sent it."""
    LATER = "later"
    """Not known yet: go no further with it until we publish the same bytes, which passes this very message on."""
    REJECT = "reject"
    """No honest peer would have passed it on, because it would have checked: it costs the peer standing."""


GossipHandler = Callable[[PeerId, bytes], Verdict]
"""Called with the peer that passed the message on (not its author) and the bytes.

It must be quick and must not wait: it decides and puts away. An exception counts as IGNORE: the fault is ours.
"""


class OnRunning(Protocol):
    """What a network calls once it listens; trio's `task_status` fits."""

    def started(self) -> None:
        """Tell that it runs."""
        ...


class Network(Protocol):
    """The wire, as the services see it."""

    @property
    def peer_id(self) -> PeerId:
        """Our own peer id."""
        ...

    def addresses(self) -> tuple[str, ...]:
        """Return our concrete multiaddrs, without the peer id."""
        ...

    def announce_also(self, addresses: Sequence[str]) -> None:
        """Count these among our own addresses too: others reach us there; replaces what was given before."""
        ...

    def seen_at(self, peer_id: PeerId) -> tuple[str, ...]:
        """Return the multiaddrs at the other end of a peer's connections, those it made first; none through relays."""
        ...

    async def resolve(self, address: str) -> tuple[str, ...]:
        """Return what one of our addresses means with IP addresses for a name: several, or none when it is unknown."""
        ...

    async def dial_back(self, peer_id: PeerId, address: str) -> None:
        """Dial a peer at an IP address on a fresh connection, let it prove who it is, and close.

        Raises `PeerSilentError` when nothing came in time, `PeerUnavailableError` for anything else.
        """
        ...

    async def reserve_relay(self, peer_id: PeerId) -> tuple[str, ...]:
        """Have a connected peer relay for us for an hour, or go on with it; return where we are reached through it.

        These are among our addresses until `release_relay`, or until the connection to the relay is gone.
        Raises `PeerRefusedError` when it does not want to, `PeerUnavailableError`.
        """
        ...

    def release_relay(self, peer_id: PeerId) -> None:
        """Be reached through this relay no more; no error when we were not."""
        ...

    def relays(self) -> tuple[PeerId, ...]:
        """Return the relays through which we are reached now, in the order of their ids."""
        ...

    def learn_addresses(self, peer_id: PeerId, addresses: Sequence[str]) -> None:
        """Remember where a peer says it listens; replaces what was learnt before. Never dials."""
        ...

    async def connect(self, peer_id: PeerId) -> None:
        """Make sure that a connection exists, trying every known address. Raises `PeerUnavailableError`."""
        ...

    async def bootstrap(self, address: str) -> PeerId:
        """Connect to a multiaddr that ends in `/p2p/<peer id>`. Raises `CallerError` or `PeerUnavailableError`."""
        ...

    def connected(self) -> tuple[Connected, ...]:
        """Return the peers with an open connection, in the order of their ids."""
        ...

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close every connection with a peer; no error when there is none."""
        ...

    def protect(self, peer_ids: frozenset[PeerId]) -> None:
        """Keep these peers' connections when strangers fill the slots; replaces the earlier set."""
        ...

    async def open_stream(self, peer_id: PeerId, protocol: str) -> Stream:
        """Open a stream, dialling if need be. Raises `PeerUnavailableError`."""
        ...

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serve a protocol: each inbound stream runs in a task of its own; whatever it raises ends that stream only."""
        ...

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        """Take part in a topic; call it before the network runs."""
        ...

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip a message to everyone in the topic; our own handler is not called.

        Bytes that we heard and decided on `Verdict.LATER` go on as the message that they came in, so that nobody who
        has it gets it again.
        """
        ...

    async def run(self, *, task_status: OnRunning) -> None:
        """Listen and serve until cancelled; `started` is called once it listens. Raises `PortInUseError`."""
        ...

    async def find_addresses(self, peer_id: PeerId) -> tuple[str, ...]:
        """Ask the DHT where a peer listens; empty when it does not know."""
        ...


class StreamEndedError(Exception):
    """The peer ended the stream cleanly, between two messages."""
