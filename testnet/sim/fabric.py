"""The simulated wires between all nodes: who hears whom, when, and what a cut or a dead machine looks like.

Everything that one node sends to another goes through `Fabric.post`: it takes the time of the link, and while the way
is cut it is held and goes on once the cut is healed, as TCP does. A connection that was silent for `SILENCE_S` breaks
on both sides, as the real adapter's stall and idle limits make it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from testnet.sim.clock import SimClock
from testnet.sim.faults import FaultKind, FaultLog
from testnet.sim.trace import Trace
from wire.ids import PeerId

SILENCE_S = 24.0
"""How long a connection survives without a sign of life from the other side: three pings of the public profile."""

_RETRANSMIT_S = 0.2
"""What a lost packet costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How every pair of nodes is connected."""

    latency_s: float = 0.02
    """One way."""
    jitter_s: float = 0.01
    loss: float = 0.001
    """The share of packets that are sent again."""
    bytes_per_s: float = 12.5e6
    """The uplink of one node, shared by everything that it sends."""


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """An exception that left a handler of a node's code."""

    node: str
    where: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Packet:
    """Bytes that a node sends on a stream, as an observer sees them at the moment of sending."""

    stream: int
    source: str
    target: str
    data: bytes


class Host(Protocol):
    """What the fabric needs of a node's network."""

    @property
    def peer_id(self) -> PeerId:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """Its name in the trace."""
        ...


class Breakable(Protocol):
    """A connection, as the fabric sees it."""

    def ends(self) -> tuple[Host, Host]:
        """Return the two hosts."""
        ...

    def break_ends(self) -> None:
        """Let both sides notice that it is gone."""
        ...


@dataclass(slots=True)
class _Post:
    source: Host
    target: Host
    size: int
    deliver: Callable[[], None]


class Fabric:
    """The world's network. Hosts that listen are found here by their address."""

    def __init__(
        self,
        *,
        clock: SimClock,
        rng: random.Random,
        trace: Trace,
        log: FaultLog | None = None,
        link: Link | None = None,
    ) -> None:
        """Start with no host and no cut; `log` is told of each fault that a node meets here."""
        self.clock = clock
        self.rng = rng
        self.trace = trace
        self.log = log or FaultLog(trace)
        self.link = link or Link()
        self.failures: list[NodeFailure] = []
        self.connections: list[Breakable] = []
        self.observers: list[Callable[[Packet], None]] = []
        self._listeners: dict[str, Host] = {}
        self._silent_addresses: set[str] = set()
        self._uplink_free_at: dict[str, float] = {}
        self._cuts: set[tuple[str, str]] = set()
        self._held: list[_Post] = []
        self._heals = 0
        self._changed = trio.Event()
        self._numbers = itertools.count(1)

    def new_number(self) -> int:
        """Return a number that nothing else in this world has."""
        return next(self._numbers)

    # ------------------------------------------------------------------ who is there

    def listen(self, host: Host, addresses: Sequence[str]) -> None:
        """Make a host reachable. Raises `OSError` when an address is taken."""
        taken = [address for address in addresses if address in self._listeners]
        if taken:
            raise OSError(f"{taken[0]} is taken by {self._listeners[taken[0]].name}")
        for address in addresses:
            self._listeners[address] = host
            self._silent_addresses.discard(address)
        self.trace.record("up", host.name)
        self.notify()

    def leave(self, host: Host, *, is_silent: bool) -> None:
        """Take a host out: dials are refused, or time out when its machine is gone as well (`is_silent`)."""
        for address in [address for address, owner in self._listeners.items() if owner is host]:
            del self._listeners[address]
            if is_silent:
                self._silent_addresses.add(address)
        self.trace.record("silent" if is_silent else "down", host.name)
        self.notify()

    def listener(self, address: str) -> Host | None:
        """Return who listens at an address now."""
        return self._listeners.get(address)

    def is_live(self, host: Host) -> bool:
        """Tell whether this very host (not a later one of the same name) listens."""
        return host in self._listeners.values()

    def is_silent_address(self, address: str) -> bool:
        """Tell whether a dial to this address gets no answer at all."""
        return address in self._silent_addresses

    # ------------------------------------------------------------------ cuts

    def partition(self, *groups: Sequence[str]) -> None:
        """Cut every way between nodes of different groups, both ways, in addition to the cuts that exist."""
        for group in groups:
            others = [name for other in groups if other is not group for name in other]
            self._cuts |= {(source, target) for source in group for target in others}
        self._cuts_changed()

    def cut_one_way(self, source: str, target: str) -> None:
        """Cut the way from one node to another; the way back stays."""
        self._cuts.add((source, target))
        self._cuts_changed()

    def heal(self) -> None:
        """End every cut; what was held goes on its way."""
        self._cuts.clear()
        self._heals += 1
        self._cuts_changed()
        held, self._held = self._held, []
        for post in held:
            self._send(post)

    def is_cut(self, source: Host, target: Host) -> bool:
        """Tell whether nothing gets from one host to the other."""
        return (source.name, target.name) in self._cuts

    def is_cut_either_way(self, one: Host, other: Host) -> bool:
        """Tell whether the two cannot have a conversation."""
        return self.is_cut(one, other) or self.is_cut(other, one)

    def _cuts_changed(self) -> None:
        self.trace.record("cuts", *(f"{source}>{target}" for source, target in sorted(self._cuts)))
        for connection in self.connections:
            if self.is_cut_either_way(*connection.ends()):
                self.break_after_silence(partial(self._break_if_still_cut, connection, self._heals))
        self.notify()

    def _break_if_still_cut(self, connection: Breakable, heals: int) -> None:
        """Break a connection unless it was healed meanwhile: a cut that came later has a patience of its own."""
        if heals != self._heals or connection not in self.connections:
            return
        if self.is_cut_either_way(*connection.ends()):
            connection.break_ends()

    def break_after_silence(self, function: Callable[[], None]) -> None:
        """Call `function` when a side that hears nothing from now on has lost its patience."""
        self.clock.call_at(self.clock.current_time() + SILENCE_S, function)

    # ------------------------------------------------------------------ sending

    def post(
        self, source: Host, target: Host, size: int, deliver: Callable[[], None], *, not_before: float = 0.0
    ) -> float:
        """Call `deliver` when `size` bytes have arrived; return that moment unless a cut comes between."""
        return self._send(_Post(source, target, size, deliver), not_before=not_before)

    def round_trip_s(self) -> float:
        """Return how long a short question and its answer take now."""
        return 2 * self.link.latency_s + 2 * self.link.jitter_s * self.rng.random()

    def _send(self, post: _Post, *, not_before: float = 0.0) -> float:
        link, now = self.link, self.clock.current_time()
        sent_at = max(now, self._uplink_free_at.get(post.source.name, 0.0)) + post.size / link.bytes_per_s
        self._uplink_free_at[post.source.name] = sent_at
        arrival = sent_at + link.latency_s + link.jitter_s * self.rng.random()
        while self.rng.random() < link.loss:
            arrival += _RETRANSMIT_S
        arrival = max(arrival, not_before)
        self.clock.call_at(arrival, partial(self._arrive, post))
        return arrival

    def _arrive(self, post: _Post) -> None:
        if self.is_cut(post.source, post.target):
            self.log.fire(FaultKind.CUT)
            self._held.append(post)
            return
        self.trace.record("arrive", post.source.name, post.target.name, post.size)
        post.deliver()

    # ------------------------------------------------------------------ for those who wait

    def notify(self) -> None:
        """Wake everyone who waits for a change of cuts, hosts or connections."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for_change(self) -> None:
        """Wait until cuts, hosts or connections change."""
        await self._changed.wait()

    def report(self, host: Host, where: str, error: Exception) -> None:
        """Note an exception that left a handler; the end of the run raises it unless the test expects it."""
        self.trace.record("failure", host.name, where, type(error).__name__)
        self.failures.append(NodeFailure(host.name, where, error))


def is_only(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """Tell whether an exception, or every leaf of a group, is of these kinds."""
    if isinstance(error, ExceptionGroup):
        return all(is_only(inner, kinds) for inner in error.exceptions)
    return isinstance(error, kinds)
