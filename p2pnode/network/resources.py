"""Who may hold how much of what: one table of limits by scope, and the one place that counts what is held.

The scopes are those of go-libp2p's resource manager. A claim on something counts in several scopes at once, and is
granted in all of them or in none. `TABLE` is the whole policy; its numbers stand in `limits.py`, each with its reason.

Rules of this file: it never waits and knows no clock; what is reserved is released exactly once, at the latest when
nobody refers to the reservation any more (which is a bug, and warns).
"""

from __future__ import annotations

import enum
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from p2pnode.network import limits


class Scope(enum.Enum):
    """For whom a limit holds."""

    SYSTEM = "system"
    BLOCK = "block"
    """The network of a public address: an IPv4 /24, an IPv6 /48."""
    ADDRESS = "address"
    """A public IPv4 address, or an IPv6 /56."""
    PEER = "peer"
    PROTOCOL = "protocol"
    """One protocol, over all peers."""
    PROTOCOL_OF_PEER = "protocol of a peer"
    CONNECTION = "connection"
    STREAM = "stream"


class Resource(enum.Enum):
    """What is counted."""

    CONNECTIONS = "connections"
    CONNECTIONS_INBOUND = "inbound connections"
    HANDSHAKES = "inbound handshakes"
    STREAMS = "streams"
    STREAMS_INBOUND = "inbound streams"
    STREAMS_OUTBOUND = "outbound streams"
    UNREAD_BYTES = "unread bytes"
    PAYLOAD_BYTES = "payload bytes"
    REQUESTS = "requests served"


@dataclass(frozen=True, slots=True)
class Row:
    """One limit. `kind` narrows it to one protocol; one without a kind holds for those without a row of their own."""

    scope: Scope
    resource: Resource
    limit: str
    """The name of the number in `limits.py`."""
    reason: str
    kind: str = ""

    @property
    def most(self) -> int:
        """The number."""
        number: int = getattr(limits, self.limit)
        return number


_OWN = "What an honest client has under way and keeps open; the other streams of the peer are for other protocols."

TABLE: tuple[Row, ...] = (
    Row(Scope.SYSTEM, Resource.CONNECTIONS, "CONNECTIONS_MAX", "Each costs a socket, tasks and about 100 KB."),
    Row(
        Scope.SYSTEM,
        Resource.CONNECTIONS_INBOUND,
        "CONNECTIONS_INBOUND_MAX",
        "The rest is for connections that we make: strangers cannot keep us from our members.",
    ),
    Row(
        Scope.BLOCK,
        Resource.CONNECTIONS_INBOUND,
        "CONNECTIONS_PER_BLOCK_MAX",
        "One operator shall not fill the slots from addresses that come together.",
    ),
    Row(
        Scope.ADDRESS,
        Resource.CONNECTIONS_INBOUND,
        "CONNECTIONS_PER_ADDRESS_MAX",
        "One machine shall not fill the slots of its block.",
    ),
    Row(Scope.PEER, Resource.CONNECTIONS, "CONNECTIONS_PER_PEER_MAX", "Two that cross, and two dead ones unnoticed."),
    Row(Scope.SYSTEM, Resource.HANDSHAKES, "HANDSHAKES_MAX", "A stranger pays nothing for them yet."),
    Row(Scope.BLOCK, Resource.HANDSHAKES, "HANDSHAKES_PER_BLOCK_MAX", "Slow ones from one place stop nobody else."),
    Row(Scope.SYSTEM, Resource.STREAMS_INBOUND, "INBOUND_STREAMS_MAX", "Each costs a task and a window."),
    Row(Scope.SYSTEM, Resource.STREAMS_OUTBOUND, "OUTBOUND_STREAMS_MAX", "The mirror of the inbound limit."),
    Row(Scope.PEER, Resource.STREAMS_INBOUND, "INBOUND_STREAMS_PER_PEER_MAX", "Four times what an honest one needs."),
    Row(Scope.PEER, Resource.STREAMS_OUTBOUND, "OUTBOUND_STREAMS_PER_PEER_MAX", "The peer would reset further ones."),
    Row(Scope.CONNECTION, Resource.STREAMS, "STREAMS_PER_CONNECTION_MAX", "Ended streams that linger count too."),
    Row(
        Scope.PROTOCOL,
        Resource.STREAMS_INBOUND,
        "PROTOCOL_STREAMS_MAX",
        "A flood on one protocol leaves streams for the others.",
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "INBOUND_STREAMS_PER_PEER_MAX",
        "A protocol without a row of its own may take all streams of its peer.",
    ),
    *(
        Row(Scope.PROTOCOL_OF_PEER, Resource.STREAMS_INBOUND, "REQUEST_STREAMS_PER_PEER_MAX", _OWN, kind)
        for kind in ("store", "read", "members")
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "DHT_STREAMS_PER_PEER_MAX",
        "py-libp2p serves twelve at a time, over all peers.",
        "kad",
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "PING_STREAMS_PER_PEER_MAX",
        "What the specification of ping asks for.",
        "ping",
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "IDENTIFY_STREAMS_PER_PEER_MAX",
        "A peer asks once for each connection.",
        "identify",
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "GOSSIP_STREAMS_PER_PEER_MAX",
        "One, and one that replaces it.",
        "meshsub",
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "HOP_STREAMS_PER_PEER_MAX",
        "The circuits that it may open through us.",
        "hop",
    ),
    Row(
        Scope.PROTOCOL_OF_PEER,
        Resource.STREAMS_INBOUND,
        "RELAY_CIRCUITS_TO_PEER_MAX",
        "What a relay of ours may bring.",
        "stop",
    ),
    Row(Scope.SYSTEM, Resource.UNREAD_BYTES, "UNREAD_BYTES_MAX", "What slow handlers may let pile up."),
    Row(Scope.PEER, Resource.UNREAD_BYTES, "UNREAD_BYTES_PER_PEER_MAX", "An eighth of it for each peer."),
    Row(Scope.STREAM, Resource.UNREAD_BYTES, "STREAM_WINDOW_BYTES", "Yamux counts it itself, by the window it gave."),
    Row(Scope.SYSTEM, Resource.PAYLOAD_BYTES, "PAYLOAD_BYTES_IN_MEMORY_MAX", "Slivers being received or answered."),
    Row(Scope.PEER, Resource.PAYLOAD_BYTES, "PAYLOAD_BYTES_PER_PEER_MAX", "A slow reader holds up itself only."),
    Row(Scope.SYSTEM, Resource.REQUESTS, "REQUESTS_SERVED_MAX", "Handlers that wait for the disk at a time."),
    Row(Scope.PEER, Resource.REQUESTS, "REQUESTS_SERVED_PER_PEER_MAX", "A flood works like one busy honest peer."),
)

_ROWS = {(row.scope, row.resource, row.kind): row for row in TABLE}


@dataclass(frozen=True, slots=True)
class Claim:
    """Something wanted in one scope; `key` says of whom (a peer, a block, a connection), `kind` the protocol."""

    scope: Scope
    resource: Resource
    key: Hashable = None
    kind: str = ""

    @property
    def row(self) -> Row:
        """The limit that this claim counts against."""
        return _ROWS.get((self.scope, self.resource, self.kind)) or _ROWS[self.scope, self.resource, ""]


class LimitReachedError(Exception):
    """A claim would go above a limit; `row` says which."""

    def __init__(self, claim: Claim, used: int) -> None:
        """Keep the row, for callers that make room by it."""
        row = claim.row
        super().__init__(f"{used} {row.resource.value} of {row.most} for this {row.scope.value} are taken")
        self.row = row


@dataclass(frozen=True, slots=True)
class Usage:
    """A row of the table and what is in use: `used` is that of the busiest holder, `holders` how many there are."""

    row: Row
    used: int
    holders: int


class Reservation:
    """What somebody holds, in all its scopes. Release it, or use it as a context manager."""

    __slots__ = ("_claims", "_count", "_resources")

    def __init__(self, resources: Resources, claims: tuple[Claim, ...], count: int) -> None:
        """Made by `Resources.reserve` only."""
        self._resources = resources
        self._claims = claims
        self._count = count

    def extend(self, *claims: Claim) -> None:
        """Let it count in further scopes: a stream has its protocol later. Raises `LimitReachedError`."""
        self._resources.take(claims, self._count)
        self._claims += claims

    def resize(self, count: int) -> None:
        """Hold `count` from now on. Raises `LimitReachedError`, and then holds what it held."""
        if count > self._count:
            self._resources.take(self._claims, count - self._count)
        else:
            self._resources.give_back(self._claims, self._count - count)
        self._count = count

    @property
    def count(self) -> int:
        """What it holds."""
        return self._count

    def release(self) -> None:
        """Hold nothing any more; harmless when it is released already."""
        claims, self._claims = self._claims, ()
        self._resources.give_back(claims, self._count)
        self._count = 0

    def __enter__(self) -> Self:
        """Hold it for as long as the block lasts."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()

    def __del__(self) -> None:
        """Give back what was forgotten: a slot that nobody can release would be lost for the life of the node."""
        if self._claims and self._count:
            warnings.warn(f"never released: {self._claims}", ResourceWarning, stacklevel=2)
            self.release()


class Resources:
    """Counts what is held against the table."""

    def __init__(self) -> None:
        """Start with nothing held."""
        self._used: Counter[Claim] = Counter()

    def reserve(self, claims: Iterable[Claim], count: int = 1) -> Reservation:
        """Hold `count` in all these scopes. Raises `LimitReachedError`, and then holds nothing."""
        wanted = tuple(claims)
        self.take(wanted, count)
        return Reservation(self, wanted, count)

    def used(self, claim: Claim) -> int:
        """Return what is held of one claim."""
        return self._used.get(claim, 0)

    def check(self, claims: Iterable[Claim], count: int = 1) -> None:
        """Raise `LimitReachedError` for the first claim that would go above its limit."""
        for claim in claims:
            used = self._used.get(claim, 0)
            if used + count > claim.row.most:
                raise LimitReachedError(claim, used)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is held at all."""
        return not self._used

    def snapshot(self) -> tuple[Usage, ...]:
        """Return every row of the table with what is in use, for people."""
        found: dict[Row, list[int]] = {row: [] for row in TABLE}
        for claim, used in self._used.items():
            found[claim.row].append(used)
        return tuple(Usage(row, max(each, default=0), len(each)) for row, each in found.items())

    def take(self, claims: Iterable[Claim], count: int) -> None:
        """Count something in; reservations call it. Raises `LimitReachedError`."""
        wanted = tuple(claims)
        self.check(wanted, count)
        for claim in wanted:
            self._used[claim] += count

    def give_back(self, claims: Iterable[Claim], count: int) -> None:
        """Count something out; reservations call it."""
        for claim in claims:
            self._used[claim] -= count
            assert self._used[claim] >= 0, f"more was given back than was held: {claim}"
            if not self._used[claim]:
                del self._used[claim]
