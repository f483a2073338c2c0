"""The simulated wires between all nodes: who hears whom, when, and what a cut or a dead machine looks like.

Everything that one node sends to another goes through `Fabric.post`: it takes the time of the link, and while the way
is cut it is held and goes on once the cut is healed, as TCP does. What comes to a machine that is paused waits there. A
connection that was silent for `SILENCE_S` breaks on both sides, as the real adapter's stall and idle limits make it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from p2pnode.seams import Verdict
from testnet.sim.clock import SimClock
from testnet.sim.faults import FaultKind, FaultLog
from testnet.sim.links import Link as Link  # noqa: PLC0414 - a world's link is known by the name of its fabric
from testnet.sim.links import Links, Pair, is_within
from testnet.sim.trace import Trace
from testnet.sim.traffic import OTHER, Traffic
from wire.ids import PeerId

SILENCE_S = 24.0
"""How long a connection survives without a sign of life from the other side: three pings of the public profile."""


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

    def break_for_peer_of(self, host: Host) -> None:
        """Let the other side notice; this one hears of it when the news has travelled."""
        ...


@dataclass(slots=True)
class _Post:
    source: Host
    target: Host
    size: int
    deliver: Callable[[], None]


@dataclass(slots=True)
class _Pause:
    """A machine that stands still, and what waits in its sockets."""

    kind: FaultKind
    waiting: list[_Post] = field(default_factory=list)


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
        self.links = Links(link or Link(), rng=rng, log=self.log)
        self.traffic = Traffic()
        self.failures: list[NodeFailure] = []
        self.connections: dict[Breakable, None] = {}  # In the order in which they were made.
        self._lived: set[PeerId] = set()
        self.observers: list[Callable[[Packet], None]] = []
        self.on_verdict: list[Callable[[Host, PeerId, str, Verdict], None]] = []
        """Told what a host decided on gossip: who, passed on by whom, of which topic, and the verdict."""
        self.on_publish: list[Callable[[Host, str, bytes], None]] = []
        """Told what a host gossips of its own: who, on which topic, and the bytes."""
        self._listeners: dict[str, Host] = {}
        self._live: dict[int, Host] = {}
        """The hosts that listen, by their identity in this process: who is looked for is this very host."""
        self._silent_addresses: set[str] = set()
        self._cuts: dict[Pair, int] = {}
        self._cut_numbers = itertools.count(1)
        self._held: list[_Post] = []
        self._pauses: dict[str, _Pause] = {}
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
            self._live[id(host)] = host
            self._silent_addresses.discard(address)
        self.trace.record("up", host.name)
        self.notify()

    def leave(self, host: Host, *, is_silent: bool) -> None:
        """Take a host out: dials are refused, or time out when its machine is gone as well (`is_silent`)."""
        for address in [address for address, owner in self._listeners.items() if owner is host]:
            del self._listeners[address]
            if is_silent:
                self._silent_addresses.add(address)
        self._live.pop(id(host), None)
        self.trace.record("silent" if is_silent else "down", host.name)
        self.notify()

    def listener(self, address: str) -> Host | None:
        """Return who listens at an address now."""
        return self._listeners.get(address)

    def is_first_life(self, host: Host) -> bool:
        """Tell, once for each host, whether none with its id was here before."""
        is_first = host.peer_id not in self._lived
        self._lived.add(host.peer_id)
        return is_first

    def is_live(self, host: Host) -> bool:
        """Tell whether this very host (not a later one of the same name) listens."""
        return id(host) in self._live

    def is_silent_address(self, address: str) -> bool:
        """Tell whether a dial to this address gets no answer at all."""
        return address in self._silent_addresses

    # ------------------------------------------------------------------ cuts

    def partition(self, *groups: Sequence[str]) -> None:
        """Cut every way between nodes of different groups, both ways, in addition to the cuts that exist."""
        others = [(group, [name for other in groups if other is not group for name in other]) for group in groups]
        self._cut((source, target) for group, rest in others for source in group for target in rest)

    def cut_one_way(self, source: str, target: str) -> None:
        """Cut the way from one node to another; the way back stays."""
        self._cut([(source, target)])

    def heal(self, core: Collection[str] | None = None) -> None:
        """End every cut between nodes of the core, every cut when none is named; what was held goes on its way."""
        self._cuts = {pair: cut for pair, cut in self._cuts.items() if core is not None and not is_within(pair, core)}
        self.trace.record("cuts", *self._cuts_in_words(self._cuts))
        self.notify()
        held, self._held = self._held, []
        for post in held:
            if self.is_cut(post.source, post.target):
                self._held.append(post)
            else:
                self._send(post)

    def is_cut(self, source: Host, target: Host) -> bool:
        """Tell whether nothing gets from one host to the other."""
        return (source.name, target.name) in self._cuts

    def is_cut_either_way(self, one: Host, other: Host) -> bool:
        """Tell whether the two cannot have a conversation."""
        return self.is_cut(one, other) or self.is_cut(other, one)

    def hears_nothing(self, one: Host, other: Host) -> bool:
        """Tell whether one of the two gets no answer from the other: a way is cut, or a machine stands still."""
        if not self._cuts and not self._pauses:
            return False  # Mostly; and it is asked for every packet.
        return self.is_cut_either_way(one, other) or self.is_paused(one) or self.is_paused(other)

    def gets_no_answer(self, asking: Host, asked: Host) -> bool:
        """Tell whether a host that asks another one something now hears nothing; the fault that it meets has fired."""
        if self.is_cut_either_way(asking, asked):
            self._fire_cut(asking, asked)
        elif self.is_paused(asked):
            self.log.fire(self._pauses[asked.name].kind)
        return self.hears_nothing(asking, asked)

    def _fire_cut(self, one: Host, other: Host) -> None:
        is_both_ways = self.is_cut(one, other) and self.is_cut(other, one)
        self.log.fire(FaultKind.CUT if is_both_ways else FaultKind.ONE_WAY_CUT)

    def _cut(self, pairs: Iterable[Pair]) -> None:
        """Cut these ways. A connection breaks when it was cut for long enough by one and the same cut."""
        number = next(self._cut_numbers)
        new = {pair: number for pair in pairs if pair not in self._cuts}
        self._cuts |= new
        self.trace.record("cut", *self._cuts_in_words(new))
        for connection in self.connections:
            one, other = (host.name for host in connection.ends())
            if (one, other) in new or (other, one) in new:
                self.break_after_silence(partial(self._break_if_still_cut, connection, number))
        self.notify()

    def _break_if_still_cut(self, connection: Breakable, number: int) -> None:
        """Break a connection unless it was healed meanwhile: a cut that came later has a patience of its own."""
        one, other = (host.name for host in connection.ends())
        if number in (self._cuts.get((one, other)), self._cuts.get((other, one))) and connection in self.connections:
            connection.break_ends()

    def _cuts_in_words(self, cuts: Iterable[Pair]) -> list[str]:
        return [f"{source}>{target}" for source, target in sorted(cuts)]

    def break_after_silence(self, function: Callable[[], None]) -> None:
        """Call `function` when a side that hears nothing from now on has lost its patience."""
        self.clock.call_at(self.clock.current_time() + SILENCE_S, function)

    # ------------------------------------------------------------------ resets and pauses

    def connected_pairs(self) -> list[Pair]:
        """Return the names of those that live and have a connection with each other, each pair once, in order."""
        ends = [connection.ends() for connection in self.connections]
        return sorted({_pair(one, other) for one, other in ends if self.is_live(one) and self.is_live(other)})

    def reset(self, one: str, other: str) -> int:
        """Break every connection between two nodes that both live, at both ends at once; return how many there were."""
        wanted = (min(one, other), max(one, other))
        hit = [each for each in self.connections if _pair(*each.ends()) == wanted]
        hit = [each for each in hit if all(self.is_live(host) for host in each.ends())]
        for connection in hit:
            self.trace.record("reset", one, other)
            connection.break_ends()
        return len(hit)

    def pause(self, name: str, *, kind: FaultKind = FaultKind.PAUSE) -> None:
        """From now on this machine answers nobody: what comes waits there, and its peers lose their patience."""
        assert name not in self._pauses, f"{name} is paused already"
        pause = self._pauses[name] = _Pause(kind)
        self.trace.record("pause", name)
        for connection in self.connections:
            for host in connection.ends():
                if host.name == name:
                    self.break_after_silence(partial(self._break_if_still_paused, connection, host, pause))
        self.notify()

    def resume(self, name: str, *, is_dead: bool = False) -> None:
        """Let a paused machine go on: what has waited is there at once. What waits for a dead one is lost."""
        pause = self._pauses.pop(name)
        self.trace.record("resume", name, len(pause.waiting))
        for post in [] if is_dead else pause.waiting:
            self.clock.call_at(self.clock.current_time(), partial(self._arrive, post))
        self.notify()

    def is_paused(self, host: Host) -> bool:
        """Tell whether a host's machine stands still."""
        return host.name in self._pauses

    def _break_if_still_paused(self, connection: Breakable, host: Host, pause: _Pause) -> None:
        if self._pauses.get(host.name) is pause and connection in self.connections:
            connection.break_for_peer_of(host)

    # ------------------------------------------------------------------ sending

    def post(
        self,
        source: Host,
        target: Host,
        size: int,
        deliver: Callable[[], None],
        *,
        not_before: float = 0.0,
        kind: str = OTHER,
    ) -> float:
        """Call `deliver` when `size` bytes have arrived; return that moment unless a cut comes between.

        `kind` is the protocol or topic that they count for.
        """
        self.traffic.sent(source.name, target.name, kind, size)
        return self._send(_Post(source, target, size, deliver), not_before=not_before)

    def post_gossip(
        self,
        source: Host,
        target: Host,
        size: int,
        deliver: Callable[[], None],
        *,
        forget: Callable[[], None],
        kind: str = OTHER,
    ) -> None:
        """Post a message that others may pass, and that may come again: then `forget` is called before `deliver`.

        The second time is minutes later, when real gossip no longer knows that it has seen the message.
        """
        self.traffic.sent(source.name, target.name, kind, size)
        pair = (source.name, target.name)
        post = _Post(source, target, size, deliver)
        first = self._send(post, not_before=self.clock.current_time() + self.links.gossip_delay_s(pair))
        again_s = self.links.gossip_again_s(pair)
        if again_s is not None:
            self.clock.call_at(first + again_s, partial(self._arrive_again, post, forget))

    def spend(self, source: Host, target: Host, size: int, *, kind: str) -> None:
        """Take the uplink for bytes that would change nothing where they arrive, so that they need not travel."""
        self.traffic.sent(source.name, target.name, kind, size)
        self.links.spend(source.name, size, now=self.clock.current_time())

    def round_trip_s(self, one: Host | None = None, other: Host | None = None) -> float:
        """Return how long a short question and its answer take now, over the world's link if not told between whom."""
        return self.links.round_trip_s((one.name if one else "", other.name if other else ""))

    def _send(self, post: _Post, *, not_before: float = 0.0) -> float:
        pair = (post.source.name, post.target.name)
        arrival = max(self.links.arrival(pair, post.size, now=self.clock.current_time()), not_before)
        self.clock.call_at(arrival, partial(self._arrive, post))
        return arrival

    def _arrive(self, post: _Post) -> None:
        if self.is_cut(post.source, post.target):
            self._fire_cut(post.source, post.target)
            self._held.append(post)
            return
        pause = self._pauses.get(post.target.name)
        if pause is not None:
            self.log.fire(pause.kind)
            pause.waiting.append(post)
            return
        self.trace.record("arrive", post.source.name, post.target.name, post.size)
        post.deliver()

    def _arrive_again(self, post: _Post, forget: Callable[[], None]) -> None:
        if not self.hears_nothing(post.source, post.target):
            self.log.fire(FaultKind.DUPLICATE)
            forget()
            self._arrive(post)

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


def _pair(one: Host, other: Host) -> Pair:
    return (min(one.name, other.name), max(one.name, other.name))


def is_only(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """Tell whether an exception, or every leaf of a group, is of these kinds."""
    if isinstance(error, ExceptionGroup):
        return all(is_only(inner, kinds) for inner in error.exceptions)
    return isinstance(error, kinds)
