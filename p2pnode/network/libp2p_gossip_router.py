"""What gossip does with what it hears. It never waits: frames to send go into the neighbours' queues."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import assert_never

from p2pnode.network import gossip_limits, gossip_standing
from p2pnode.network.gossip_memory import HeldMessages, OwedNames, RecentMessages, SeenNames
from p2pnode.network.gossip_mesh import GraftAnswer, TopicMesh
from p2pnode.network.gossip_standing import StandingOf, Standings
from p2pnode.network.libp2p_gossip_streams import Neighbour
from p2pnode.network.libp2p_gossip_wire import NAME_BYTES, BadMessageError, ControlFrame, Frame, Message
from p2pnode.seams import GossipHandler, Rng, Verdict
from wire.ids import PeerId

logger = logging.getLogger(__name__)


class Router:
    """The meshes of our topics, and what is remembered of messages and peers."""

    def __init__(self, own_id: PeerId, topics: Mapping[str, GossipHandler], rng: Rng, *, now: float) -> None:
        """Take part in these topics, and in no other, whatever peers say of others."""
        self._own_id = own_id
        self._handlers = dict(topics)
        self._rng = rng
        self.neighbours: dict[PeerId, Neighbour] = {}
        self.meshes = {topic: TopicMesh() for topic in topics}
        self.standings = Standings()
        self.seen = SeenNames(now=now)
        self.recent = RecentMessages()
        self.owed = OwedNames[bytes]()
        self.held = HeldMessages[tuple[PeerId, Message]]()
        """Each with the peer that brought it."""
        self.drops: Counter[str] = Counter()
        """What was dropped since somebody looked, by the reason."""

    def neighbour(self, peer_id: PeerId, *, now: float) -> Neighbour:
        """Return what is known of a connected peer."""
        if peer_id not in self.neighbours:
            self.neighbours[peer_id] = Neighbour(peer_id, now=now)
        return self.neighbours[peer_id]

    def is_current(self, neighbour: Neighbour) -> bool:
        """Tell whether this is still a connected peer: what is read of its old streams later counts no more."""
        return self.neighbours.get(neighbour.peer_id) is neighbour

    def forget(self, peer_id: PeerId) -> None:
        """Let go of a peer that has no connection any more; its deeds stay known."""
        self.neighbours.pop(peer_id, None)
        self.standings.left(peer_id)
        self.owed.forget(peer_id)
        for mesh in self.meshes.values():
            mesh.leave(peer_id)

    def is_graylisted(self, peer_id: PeerId, *, now: float) -> bool:
        """Tell whether nothing that a peer says is looked at for now."""
        return self.standings.of(peer_id, now=now) < gossip_standing.GRAYLIST_BELOW

    # What peers say.

    def hear_subscriptions(self, neighbour: Neighbour, frame: Frame, *, now: float) -> None:
        """Note which of our topics a peer enters or leaves; others are none of our business. Raises `BadFrameError`."""
        for topic, is_entering in frame.subscriptions():
            mesh = self.meshes.get(topic)
            if mesh is None:
                continue
            if not is_entering:
                mesh.leave(neighbour.peer_id)
            elif neighbour.peer_id not in mesh:
                self._welcome(neighbour, topic, mesh, now)

    def _welcome(self, neighbour: Neighbour, topic: str, mesh: TopicMesh, now: float) -> None:
        """Ask a new participant in if there is room, and offer it what it may have missed while it connected."""
        control = ControlFrame()
        if mesh.join(neighbour.peer_id, now=now, standing=self.standings.of(neighbour.peer_id, now=now)):
            control.graft(topic)
        names = self.recent.names(topic)
        if names:
            control.offer(topic, names)
        if control:
            neighbour.outbox.put(control.frame(), is_control=True)

    def hear_control(self, neighbour: Neighbour, frame: Frame, *, now: float) -> None:
        """Answer what a peer wants of our meshes, and what it offers and asks for. Raises `BadFrameError`."""
        answer = ControlFrame()
        for topic in frame.grafts():
            self._hear_graft(neighbour, topic, answer, now)
        for topic, backoff_s in frame.prunes():
            if topic in self.meshes:
                self.meshes[topic].prune(neighbour.peer_id, now=now, backoff_s=backoff_s)
        if self.standings.of(neighbour.peer_id, now=now) >= gossip_standing.GOSSIP_BELOW:
            self._hear_offers(neighbour, frame, answer)
            self._hear_wishes(neighbour, frame)
        if answer:
            neighbour.outbox.put(answer.frame(), is_control=True)

    def _hear_graft(self, neighbour: Neighbour, topic: str, answer: ControlFrame, now: float) -> None:
        mesh = self.meshes.get(topic)
        if mesh is None:
            return
        standing = self.standings.of(neighbour.peer_id, now=now)
        outcome = mesh.graft(neighbour.peer_id, now=now, standing=standing)
        match outcome:
            case GraftAnswer.WELCOME | GraftAnswer.STRANGER:
                pass
            case GraftAnswer.REFUSED:
                answer.prune(topic)
            case GraftAnswer.TOO_EARLY:
                self.standings.broke_rules(neighbour.peer_id, now=now)
                answer.prune(topic)
            case _:
                assert_never(outcome)

    def _hear_offers(self, neighbour: Neighbour, frame: Frame, answer: ControlFrame) -> None:
        offered = [name for topic, names in frame.offers() if topic in self.meshes for name in names]
        self.owed.has(neighbour.peer_id, offered)
        room = gossip_limits.ASKED_MAX - neighbour.asked
        wanted = [name for name in dict.fromkeys(offered) if len(name) == NAME_BYTES and name not in self.seen][:room]
        if wanted:
            neighbour.asked += len(wanted)
            answer.wish(wanted)

    def _hear_wishes(self, neighbour: Neighbour, frame: Frame) -> None:
        for name in frame.wishes():
            if neighbour.served >= gossip_limits.SERVED_PER_HEARTBEAT_MAX or neighbour.outbox.is_half_full:
                return
            message = self.recent.serve(name, neighbour.peer_id)
            if message is not None:
                neighbour.served += 1
                neighbour.outbox.put(message)

    def is_news(self, message: Message) -> bool:
        """Tell whether a message is in a topic of ours and not seen yet."""
        return message.topic in self._handlers and message.name not in self.seen

    def hear_message(self, neighbour: Neighbour, message: Message, *, now: float) -> None:
        """Check a message, and pass it on if it is accepted."""
        self.owed.has(neighbour.peer_id, [message.name])
        if not self.is_news(message):
            return
        try:
            message.check_signature()
        except BadMessageError as error:
            self.reject(neighbour, error, now=now)
            return
        # Only now: else a stranger could use up the name of a message that its author has yet to send.
        self.seen.add(message.name, now=now)
        verdict = self._verdict(neighbour, message)
        match verdict:
            case Verdict.ACCEPT:
                self.standings.brought_news(neighbour.peer_id, now=now)
                self._pass_on(message, via=neighbour.peer_id)
            case Verdict.REJECT:
                self.reject(neighbour, BadMessageError(f"rejected in {message.topic}"), now=now)
            case Verdict.LATER:
                self.held.put(message.topic, message.data, (neighbour.peer_id, message))
            case Verdict.IGNORE:
                pass
            case _:
                assert_never(verdict)

    def reject(self, neighbour: Neighbour, error: BadMessageError, *, now: float) -> None:
        """Take a message off a peer's standing."""
        logger.debug("gossip from %s: %s", neighbour.peer_id, error)
        self.standings.was_rejected(neighbour.peer_id, now=now)

    def _verdict(self, neighbour: Neighbour, message: Message) -> Verdict:
        if message.author == self._own_id:
            return Verdict.IGNORE  # From before a restart.
        try:
            return self._handlers[message.topic](neighbour.peer_id, message.data)
        except Exception:  # The fault is ours, and one bad message must not end the stream of an honest peer.
            logger.exception("the handler of gossip in %s failed", message.topic)
            return Verdict.IGNORE

    # What we say.

    def publish(self, message: Message, *, now: float) -> None:
        """Send a message of our own."""
        self.seen.add(message.name, now=now)
        hearers = self.meshes[message.topic].first_hearers(standing=self._standing_at(now), shuffle=self._rng.shuffled)
        self._send(message, [peer_id for peer_id in hearers if peer_id != message.author])

    def pass_on_held(self, topic: str, data: bytes, *, now: float) -> bool:
        """Pass on the message with these bytes that is held, as if it were accepted now; return whether one was."""
        held = self.held.take(topic, data)
        if held is None:
            return False
        via, message = held
        self.standings.brought_news(via, now=now)
        self._pass_on(message, via=via)
        return True

    def _pass_on(self, message: Message, *, via: PeerId) -> None:
        """Send a message to some of the mesh, and remember to offer it to the others."""
        has_it = (via, message.author)
        at_once, later = self.meshes[message.topic].next_hearers(but=has_it, shuffle=self._rng.shuffled)
        self.owed.owe(later, message.name, message.topic)
        self._send(message, at_once)

    def _send(self, message: Message, hearers: list[PeerId]) -> None:
        frame = message.frame()
        self.recent.put(message.name, message.topic, frame)
        for peer_id in hearers:
            if not self.neighbours[peer_id].outbox.put(frame):
                self.neighbours[peer_id].missed.add(message.topic)
                self.drops["messages to a neighbour that reads too slowly; it is offered them later"] += 1

    def heartbeat(self, *, now: float) -> None:
        """Mend the meshes and offer recent messages. Once a second."""
        standing = self._standing_at(now)
        shuffle = self._rng.shuffled
        said: defaultdict[PeerId, ControlFrame] = defaultdict(ControlFrame)
        for topic, mesh in self.meshes.items():
            changes = mesh.heartbeat(now=now, standing=standing, shuffle=shuffle)
            for peer_id in changes.grafts:
                said[peer_id].graft(topic)
            for peer_id in changes.prunes:
                said[peer_id].prune(topic)
            names = self.recent.names(topic)
            if names:
                hearers = mesh.offered(standing=standing, shuffle=shuffle)
                hearers += [peer_id for peer_id in mesh.members if self._has_caught_up(peer_id, topic)]
                for peer_id in hearers:
                    said[peer_id].offer(topic, names)
        for peer_id, topic, owed in self.owed.take():
            if standing(peer_id) >= gossip_standing.GOSSIP_BELOW:
                said[peer_id].offer(topic, owed)
        for peer_id, control in said.items():
            self.neighbours[peer_id].outbox.put(control.frame(), is_control=True)
        for neighbour in self.neighbours.values():
            neighbour.asked = neighbour.served = 0
        self.recent.age()
        self.seen.age(now=now)

    def _has_caught_up(self, peer_id: PeerId, topic: str) -> bool:
        """Tell whether a neighbour in the mesh that missed messages has room for them now; told once."""
        neighbour = self.neighbours[peer_id]
        if topic not in neighbour.missed or neighbour.outbox.is_half_full:
            return False
        neighbour.missed.discard(topic)
        return True

    def _standing_at(self, now: float) -> StandingOf:
        return lambda peer_id: self.standings.of(peer_id, now=now)
