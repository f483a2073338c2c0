"""What the owner and operator of a node may ask of it, and what is answered: plain values, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from wire.ids import BlobId, PublicKey
from wire.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOptions:
    """What the user says of a thing that is stored, besides its bytes."""

    name: str = ""
    """What it is called in `ls`."""
    keep_for_s: int | None = None
    """How long it is renewed; None for as long as the owner's daemons run."""
    renewers: tuple[PublicKey, ...] = ()
    """Further keys that may renew it on the owner's allowance."""


NO_OPTIONS = PutOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A lease that was renewed, or added."""

    id: str
    n: int
    healthy: int
    """Shards of the least stored blob whose holders signed for it."""
    lease_end: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A lease that its owner ended."""

    id: str
    holders: int
    """Nodes that are to end it."""
    told: int
    """Those that have done so; the others are told when they can be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedThing:
    """One thing that this owner stored."""

    id: str
    name: str
    size: int
    stored_at: int
    """Seconds since 1970."""
    lease_end: int
    wanted_until: int | None
    """Renewed until then; None for as long as the owner's daemons run."""
    state: str
    """`kept`, `ends soon`, `ended` or `removed`."""
    n: int
    healthy: int | None
    """As `BlobStatus.healthy`; None when it was not looked up or is not known now."""
    renewers: tuple[str, ...]
    """Keys in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueState:
    """Whether the list of what this owner stored can be had from the network with the key alone."""

    things: int
    is_published: bool
    """Whether the network has the list as it is here."""
    published_at: int | None
    detail: str
    """Why not, for a person; empty when it is."""
    is_replaced: bool = False
    """Whether another owner key has succeeded this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Bytes."""

    quota: int
    """What this node offers."""
    used: int
    """What it keeps for the network, with the trash."""
    trash: int
    disk_free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState:
    """What a node offers, and how much of it there is room for. Bytes."""

    quota: int
    used: int
    """As `Space.used`; more than the quota when that was lowered below it."""
    trash: int
    room: int
    """What may still be stored: what is left of the quota, or of the disk where that is less."""
    disk_free: int
    disk_free_min: int
    """What stays free on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the owner has in the network."""

    things: int
    size: int
    """Bytes of all of them, as the owner gave them."""
    ends_soon: int
    ended: int
    weak: int
    """Things of which fewer than n - f shards are healthy."""
    untold_removals: int
    """Removed things that some holder has not heard of yet."""
    is_listed: bool
    """Whether the network has the list, so that the owner key alone finds everything again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes on the wire with other nodes."""

    up: int
    """Sent, since the home was made."""
    down: int
    limit_up: int | None
    """Bytes a second now; None without a limit."""
    limit_down: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:  # noqa: A001 - the word that the user sees
    """Something to look after, and what to do."""

    kind: str
    """A stable word."""
    message: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubState:
    """The regular look at all that a node keeps. Times are seconds since 1970."""

    walks: bool
    """Whether one is under way."""
    pairs: int
    """Pairs that it has looked at, or the last one has."""
    lost: int
    """Those of them that were damaged or gone; they are rebuilt."""
    finished_at: int | None
    """When the last one ended; None when none has."""
    next_at: int | None
    """When the next one begins; None while one is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """All of it."""

    peer_id: str
    version: str
    network: str
    profile: str
    uptime_s: float
    reach: str
    members: int
    connected: int
    space: Space
    stored: Stored
    traffic: Traffic
    warnings: tuple[Warning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One piece of news."""

    id: int
    """Rises by one with each event, from the start of the daemon on."""
    time: int
    """Seconds since 1970."""
    kind: str
    """A stable word: `lease-ends-soon`, `renewed`, `renewal-failed`, `removed`, `quota-changed`, .."""
    message: str
    """For a person."""
    reference: str | None = None
    """What it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """A pair in the trash of this node."""

    blob_id: str
    shard: int
    size: int
    """Bytes on the disk."""
    trashed_at: int
    """Seconds since 1970."""
    removed_at: int
    """When its time there is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """What was removed from the trash."""

    pairs: int
    bytes_freed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceState:
    """What a node tells the others of its comings and goings."""

    state: str
    """`active`, or `maintenance`: then it is given no new data, and waited for."""
    until: int | None
    """The end of the maintenance, in seconds since 1970; None when none is announced."""


class AbsenceFace(Protocol):
    """Going away for a while. Every method may raise a `P2PNodeError`."""

    def state(self) -> AbsenceState:
        """Tell what is announced."""
        ...

    async def announce(self, for_s: int) -> AbsenceState:
        """Tell the others that this node may be away for so many seconds from now.

        Raises `CallerError` for longer than anybody waits.
        """
        ...

    async def end(self) -> AbsenceState:
        """Take it back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainState:
    """How far a node is that leaves for good."""

    state: str
    """`active`, `draining` or `drained`."""
    pairs: int
    """Pairs that it has promised to keep."""
    pairs_left: int
    """Those of them that no other node has proven to keep by now."""
    waits_for: str
    """Why one of them was not taken; empty when none waits."""


class DrainFace(Protocol):
    """Leaving for good. Every method may raise a `P2PNodeError`."""

    def state(self) -> DrainState:
        """Tell how far it is."""
        ...

    async def begin(self) -> DrainState:
        """Begin to hand over all that this node keeps, and go on with it after restarts; until the end all is kept."""
        ...

    async def stop(self) -> DrainState:
        """Stop it, and stay: what was not given up yet is still here."""
        ...


class TrashFace(Protocol):
    """The trash of a node. Every method may raise a `P2PNodeError`."""

    async def listed(self) -> list[Trashed]:
        """Return what is in it, the earliest first, at most ten thousand pairs."""
        ...

    async def restore(self, blob_id: BlobId) -> int:
        """Let the time of a blob's pairs begin anew; return how many there are. Raises `NotFoundError`."""
        ...

    async def empty(self) -> Emptied:
        """Remove all of it."""
        ...


class QuotaFace(Protocol):
    """The quota of a node."""

    def state(self) -> QuotaState:
        """Tell what is offered and used."""
        ...

    def change(self, quota_bytes: int) -> QuotaState:
        """Grow or shrink the quota of the running node. Raises `CallerError` for a quota that makes no sense.

        Below what is used nothing leased is dropped: new slivers are refused until enough leases have run out. The
        caller keeps the number for the next start.
        """
        ...


class EventLog(Protocol):
    """The events of a node."""

    def after(self, number: int) -> list[Event]:
        """Return the events that are kept with higher numbers."""
        ...

    async def wait_after(self, number: int) -> list[Event]:
        """Return the events after a number, at least one: wait for it if need be."""
        ...


class OwnerFace(Protocol):
    """The owner's and operator's side of a node. Every method may raise a `P2PNodeError`."""

    @property
    def events(self) -> EventLog:
        """What the owner or operator should hear of."""
        ...

    @property
    def trash(self) -> TrashFace:
        """What the node's own disk keeps of what has no lease any more."""
        ...

    @property
    def absence(self) -> AbsenceFace:
        """What the node tells the others of its comings and goings."""
        ...

    @property
    def drain(self) -> DrainFace:
        """Leaving for good."""
        ...

    @property
    def quota(self) -> QuotaFace:
        """What the node offers to others."""
        ...

    async def owned(self, *, with_removed: bool = False) -> list[OwnedThing]:
        """Tell what this owner stored, the oldest first, with how healthy it is as far as that can be found soon."""
        ...

    async def renew(self, reference: Reference, *, keep_for_s: int | None = None) -> Renewed:
        """Renew the lease on a thing, or add one of our own; with a time it is renewed by itself until then."""
        ...

    async def remove(self, reference: Reference) -> Removed:
        """End our lease on a thing: holders that are away are told when they are back."""
        ...

    def scrub(self) -> ScrubState:
        """Tell when all that this node keeps was last looked at, and what was found."""
        ...

    async def status(self) -> NodeStatus:
        """Tell how the node is doing."""
        ...
