"""Gossip between simulated nodes: the mesh of the node's own decisions, over simulated wires.

Who is in whose mesh is decided by the code that ships (`p2pnode.network.gossip_mesh`), and what the mesh lost is
offered to others at a heartbeat. Two things are simpler than on real wires. A wish to be in a mesh is answered at once.
And a message to somebody who has it already takes its share of the uplink and is counted, but does not travel: it would
change nothing where it arrives, and in a large network most of what is gossiped is of this kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from p2pnode.network import gossip_limits
from p2pnode.network.gossip_memory import HeldMessages, OwedNames
from p2pnode.network.gossip_mesh import GraftAnswer, TopicMesh
from p2pnode.seams import GossipHandler, Verdict
from testnet.sim.fabric import Fabric, Host
from wire.ids import PeerId

SEEN_MAX = 100_000
"""Message ids kept, so that each message is handled once."""

OFFERED_FOR_S = gossip_limits.OFFERED_HEARTBEATS * gossip_limits.HEARTBEAT_S
"""How long a message is offered to neighbours outside the mesh."""

KEPT_FOR_S = gossip_limits.RECENT_HEARTBEATS * gossip_limits.HEARTBEAT_S
"""How long it is kept for those that ask for it."""

SEALED_BYTES = 12 + 2 + 16
"""What yamux and Noise put around each frame."""

MESSAGE_BYTES = 126
"""What GossipSub adds to the data and the topic of a message: author, number, signature and their tags."""

CONTROL_BYTES = 7
"""What it adds to the topic and the names in an offer; a wish names no topic."""

NAME_BYTES = 48
"""The name of a message where it is offered or asked for: its author and a number, and their tags."""


class MessageId(NamedTuple):
    """The name of one message."""

    author: PeerId
    number: int


def message_bytes(topic: str, data: bytes) -> int:
    """Return how long a message is on the wire; a test compares it with the real frame."""
    return SEALED_BYTES + MESSAGE_BYTES + len(topic) + len(data)


def offer_bytes(topic: str, count: int) -> int:
    """Return how long the offer of so many names is on the wire, within some bytes; a wish has no topic."""
    return SEALED_BYTES + CONTROL_BYTES + len(topic) + NAME_BYTES * count


class _Recent(NamedTuple):
    topic: str
    data: bytes
    came_at: float


class SimGossip:
    """What one node does for gossip. `hears` calls a handler as the node's own code, and says what it decided."""

    def __init__(
        self,
        fabric: Fabric,
        host: Host,
        *,
        hears: Callable[[GossipHandler, PeerId, bytes, str], Verdict],
        is_connected: Callable[[Host], bool],
    ) -> None:
        """Take part in nothing yet. `is_connected` tells whether we have a connection with this very host."""
        self._fabric = fabric
        self._host = host
        self._hears = hears
        self._is_connected = is_connected
        self._rng = random.Random(fabric.rng.getrandbits(64))
        self._handlers: dict[str, GossipHandler] = {}
        self._meshes: dict[str, TopicMesh] = {}
        self._neighbours: dict[PeerId, SimGossip] = {}
        self._seen: dict[MessageId, None] = {}
        self._recent: dict[MessageId, _Recent] = {}
        self._owed = OwedNames[MessageId]()
        self._held = HeldMessages[tuple[PeerId, MessageId]]()
        self._is_beating = False

    @property
    def peer_id(self) -> PeerId:
        """Whose gossip this is."""
        return self._host.peer_id

    @property
    def meshes(self) -> Mapping[str, TopicMesh]:
        """The mesh of each topic."""
        return self._meshes

    def subscribe(self, topic: str, handler: GossipHandler) -> None:
        """Take part in a topic; call it before anybody is met."""
        self._handlers[topic] = handler
        self._meshes.setdefault(topic, TopicMesh())

    # ------------------------------------------------------------------ neighbours

    def meet(self, other: SimGossip) -> None:
        """A connection is there, on both sides: each takes the other into its meshes where it has room."""
        self._neighbours[other.peer_id] = other
        other._neighbours[self.peer_id] = self
        now = self._fabric.clock.current_time()
        for topic in [topic for topic in self._meshes if topic in other._meshes]:
            ours, theirs = self._meshes[topic], other._meshes[topic]
            we_want = ours.join(other.peer_id, now=now, standing=0.0)
            they_want = theirs.join(self.peer_id, now=now, standing=0.0)
            if we_want and not they_want:
                self._graft(topic, other)
            elif they_want and not we_want:
                other._graft(topic, self)

    def lose(self, peer_id: PeerId) -> None:
        """Our end of the connection with a neighbour is gone."""
        self._neighbours.pop(peer_id, None)
        self._owed.forget(peer_id)
        for mesh in self._meshes.values():
            mesh.leave(peer_id)
        self._beat_soon()

    def _graft(self, topic: str, other: SimGossip) -> None:
        """Ask a neighbour whom we took into our mesh to take us into its own. A silent one is left where it is."""
        if self._fabric.hears_nothing(self._host, other._host) or other._neighbours.get(self.peer_id) is not self:
            return
        now = self._fabric.clock.current_time()
        if other._meshes[topic].graft(self.peer_id, now=now, standing=0.0) is not GraftAnswer.WELCOME:
            self._meshes[topic].prune(other.peer_id, now=now, backoff_s=gossip_limits.BACKOFF_S)
        if other._has_to_mend(other._meshes[topic]):
            other._beat_soon()

    def hear_prune(self, peer_id: PeerId, topic: str) -> None:
        """A neighbour has put us out of its mesh."""
        now = self._fabric.clock.current_time()
        self._meshes[topic].prune(peer_id, now=now, backoff_s=gossip_limits.BACKOFF_S)
        self._beat_soon()

    # ------------------------------------------------------------------ messages

    def publish(self, topic: str, data: bytes) -> None:
        """Gossip a message of our own, or pass on the held one with these bytes."""
        held = self._held.take(topic, data)
        if held is not None:
            via, message = held
            self._keep(message, topic, data)
            self._pass_on(message, topic, data, via=via)
            return
        message = MessageId(self.peer_id, self._fabric.new_number())
        for tell in self._fabric.on_publish:
            tell(self._host, topic, data)
        self._remember(message, topic, data)
        mesh = self._meshes.get(topic)
        if mesh is not None:
            self._send_all(mesh.first_hearers(standing=_equal, shuffle=self._shuffled), message, topic, data)

    def hear(self, source: SimGossip, message: MessageId, topic: str, data: bytes) -> None:
        """Handle a message that came, once."""
        if not self._is_connected(source._host):
            return
        self._owed.has(source.peer_id, [message])
        if message in self._seen:
            self._fabric.traffic.duplicate(self._host.name, topic, message_bytes(topic, data))
            return
        self._take(message, topic, data, via=source.peer_id)

    def hear_from_outside(self, author: PeerId, topic: str, data: bytes) -> None:
        """Handle a message as if a node that this world does not have had sent it; for worlds that are a sample."""
        self._take(MessageId(author, self._fabric.new_number()), topic, data, via=author)

    def _take(self, message: MessageId, topic: str, data: bytes, *, via: PeerId) -> None:
        self._remember(message, topic, data)
        verdict = self._hears(self._handlers[topic], via, data, topic)
        if verdict is Verdict.ACCEPT:
            self._pass_on(message, topic, data, via=via)
            return
        self._recent.pop(message, None)  # What we do not pass on, we do not offer either.
        if verdict is Verdict.LATER:
            self._held.put(topic, data, (via, message))

    def _pass_on(self, message: MessageId, topic: str, data: bytes, *, via: PeerId) -> None:
        at_once, later = self._meshes[topic].next_hearers(but=(via, message.author), shuffle=self._shuffled)
        self._owed.owe(later, message, topic)
        self._send_all(at_once, message, topic, data)

    def forget(self, message: MessageId) -> None:
        """Know no more that a message was seen, as real gossip does not after some minutes."""
        self._seen.pop(message, None)

    def _send_all(self, peers: Sequence[PeerId], message: MessageId, topic: str, data: bytes) -> None:
        for peer_id in peers:
            other = self._neighbours.get(peer_id)
            if other is not None:
                self._send(other, message, topic, data)

    def _send(self, other: SimGossip, message: MessageId, topic: str, data: bytes) -> None:
        size = message_bytes(topic, data)
        if message in other._seen:
            other._owed.has(self.peer_id, [message])
            self._fabric.spend(self._host, other._host, size, kind=topic)
            self._fabric.traffic.duplicate(other._host.name, topic, size)
        else:
            deliver = partial(other.hear, self, message, topic, data)
            forget = partial(other.forget, message)
            self._fabric.post_gossip(self._host, other._host, size, deliver, forget=forget, kind=topic)

    def _remember(self, message: MessageId, topic: str, data: bytes) -> None:
        self._seen[message] = None
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        self._keep(message, topic, data)

    def _keep(self, message: MessageId, topic: str, data: bytes) -> None:
        self._recent[message] = _Recent(topic, data, self._fabric.clock.current_time())
        self._beat_soon()

    # ------------------------------------------------------------------ heartbeats

    def _beat_soon(self) -> None:
        if not self._is_beating:
            self._is_beating = True
            self._fabric.clock.call_at(self._fabric.clock.current_time() + gossip_limits.HEARTBEAT_S, self._beat)

    def _beat(self) -> None:
        """Mend the meshes and offer what came lately. There is no heartbeat while there is nothing to do."""
        self._is_beating = False
        if self._fabric.is_paused(self._host):
            self._beat_soon()
            return
        for topic, mesh in self._meshes.items():
            self._mend(topic, mesh)
            if self._has_to_mend(mesh):
                self._beat_soon()
        now = self._fabric.clock.current_time()
        self._recent = {name: each for name, each in self._recent.items() if now - each.came_at < KEPT_FOR_S}
        if self._recent:
            self._offer(now)
            self._beat_soon()

    def _mend(self, topic: str, mesh: TopicMesh) -> None:
        changes = mesh.heartbeat(now=self._fabric.clock.current_time(), standing=_equal, shuffle=self._shuffled)
        for peer_id in changes.grafts:
            self._graft(topic, self._neighbours[peer_id])
        for peer_id in changes.prunes:
            self._neighbours[peer_id].hear_prune(self.peer_id, topic)

    def _has_to_mend(self, mesh: TopicMesh) -> bool:
        inside = len(mesh.members)
        is_small = inside < gossip_limits.DEGREE_LOW and inside < len(self._neighbours)
        return is_small or inside > gossip_limits.DEGREE_HIGH

    def _offer(self, now: float) -> None:
        """Tell the mesh what it did not get, and some outside of it what came lately; who lacks it asks for it."""
        for peer_id, topic, owed in self._owed.take():
            if peer_id in self._neighbours:
                self._offer_to(self._neighbours[peer_id], topic, owed)
        for topic, mesh in self._meshes.items():
            recent = [(name, each) for name, each in self._recent.items() if each.topic == topic]
            names = [name for name, each in recent if now - each.came_at <= OFFERED_FOR_S]
            if names:
                for peer_id in mesh.offered(standing=_equal, shuffle=self._shuffled):
                    self._offer_to(self._neighbours[peer_id], topic, names)

    def _offer_to(self, other: SimGossip, topic: str, names: Sequence[MessageId]) -> None:
        size = offer_bytes(topic, len(names))
        other._owed.has(self.peer_id, names)
        missing = [name for name in names if name not in other._seen]
        if missing:
            self._fabric.post(self._host, other._host, size, partial(other._ask, self, topic, missing), kind=topic)
        else:
            self._fabric.spend(self._host, other._host, size, kind=topic)

    def _ask(self, source: SimGossip, topic: str, names: Sequence[MessageId]) -> None:
        missing = [name for name in names if name not in self._seen]
        if missing and self._is_connected(source._host):
            size = offer_bytes("", len(missing))
            self._fabric.post(self._host, source._host, size, partial(source._give, self, missing), kind=topic)

    def _give(self, other: SimGossip, names: Sequence[MessageId]) -> None:
        for name in names:
            recent = self._recent.get(name)
            if recent is not None and self._is_connected(other._host):
                self._send(other, name, recent.topic, recent.data)

    def _shuffled(self, peers: Sequence[PeerId]) -> list[PeerId]:
        shuffled = list(peers)
        self._rng.shuffle(shuffled)
        return shuffled


def _equal(_peer_id: PeerId) -> float:
    """Return the standing of everybody: simulated networks keep none."""
    return 0.0
