"""Who takes part in one topic, and who of them hears of every message from us: the mesh of the GossipSub specification.

Decisions only: time, standing and chance come in as arguments, and what is to be sent goes out as values.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from p2pnode.network import gossip_limits, gossip_standing
from p2pnode.network.gossip_standing import StandingOf
from wire.ids import PeerId

Shuffle = Callable[[Sequence[PeerId]], list[PeerId]]


class GraftAnswer(enum.Enum):
    """What comes of a peer's wish to be in our mesh."""

    WELCOME = "welcome"
    REFUSED = "refused"
    """It is told to stay out; that is no fault of its own."""
    TOO_EARLY = "too early"
    """It was told when to come back, and came before: it is told again, and it counts as a fault."""
    STRANGER = "stranger"
    """It takes no part in the topic as far as we know: no answer, because an answer could be asked for a lot."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Whom a heartbeat asks in, and whom out."""

    grafts: list[PeerId]
    prunes: list[PeerId]


class TopicMesh:
    """One topic."""

    def __init__(self) -> None:
        """Nobody takes part yet."""
        self._subscribers: dict[PeerId, None] = {}  # Sets would put chance into simulations: their order is not fixed.
        self._mesh: dict[PeerId, None] = {}
        self._backoffs: dict[PeerId, float] = {}

    @property
    def members(self) -> list[PeerId]:
        """Those in the mesh."""
        return list(self._mesh)

    @property
    def backoff_count(self) -> int:
        """How many peers are not asked in again yet."""
        return len(self._backoffs)

    def __contains__(self, peer_id: PeerId) -> bool:
        """Tell whether a peer takes part in the topic."""
        return peer_id in self._subscribers

    def join(self, peer_id: PeerId, *, now: float, standing: float) -> bool:
        """Note that a peer takes part; return whether it is asked into the mesh right now."""
        self._subscribers[peer_id] = None
        if len(self._mesh) >= gossip_limits.DEGREE_LOW or not self._may_enter(peer_id, now, standing):
            return False
        self._mesh[peer_id] = None
        return True

    def leave(self, peer_id: PeerId) -> None:
        """Note that a peer takes no part any more, or is gone. When it may come back is not forgotten."""
        self._subscribers.pop(peer_id, None)
        self._mesh.pop(peer_id, None)

    def graft(self, peer_id: PeerId, *, now: float, standing: float) -> GraftAnswer:
        """Decide on a peer's wish to be in the mesh.

        A full mesh takes one more, and so is thinned out at the next heartbeat. Else no mesh would ever give up a place
        in a network that only grows, and the late would hear of nothing but by chance.
        """
        if peer_id not in self._subscribers:
            return GraftAnswer.STRANGER
        if peer_id in self._mesh:
            return GraftAnswer.WELCOME
        until = self._backoffs.get(peer_id, now)
        if until > now:
            self._stay_out(peer_id, now + gossip_limits.BACKOFF_S)
            is_early = until - now > gossip_limits.BACKOFF_SLACK_S
            return GraftAnswer.TOO_EARLY if is_early else GraftAnswer.REFUSED
        if standing < gossip_standing.LEAVE_MESH_BELOW or len(self._mesh) > gossip_limits.DEGREE_HIGH:
            self._stay_out(peer_id, now + gossip_limits.BACKOFF_S)
            return GraftAnswer.REFUSED
        self._mesh[peer_id] = None
        return GraftAnswer.WELCOME

    def prune(self, peer_id: PeerId, *, now: float, backoff_s: float) -> None:
        """Take a peer's word that we are out of its mesh, and when we may ask again (0: it did not say)."""
        if peer_id in self._subscribers:
            self._mesh.pop(peer_id, None)
            self._stay_out(peer_id, now + min(backoff_s or gossip_limits.BACKOFF_S, gossip_limits.BACKOFF_MAX_S))

    def heartbeat(self, *, now: float, standing: StandingOf, shuffle: Shuffle) -> Changes:
        """Mend the mesh: out with the bad, in with others when there are too few, out with some when too many."""
        self._backoffs = {peer_id: until for peer_id, until in self._backoffs.items() if until > now}
        prunes = [peer_id for peer_id in self._mesh if standing(peer_id) < gossip_standing.LEAVE_MESH_BELOW]
        for peer_id in prunes:
            del self._mesh[peer_id]
        grafts: list[PeerId] = []
        if len(self._mesh) < gossip_limits.DEGREE_LOW:
            outside = [peer for peer in self._subscribers if peer not in self._mesh]
            able = [peer for peer in outside if self._may_enter(peer, now, standing(peer)) and peer not in prunes]
            grafts = shuffle(able)[: gossip_limits.DEGREE - len(self._mesh)]
            self._mesh.update(dict.fromkeys(grafts))
        elif len(self._mesh) > gossip_limits.DEGREE_HIGH:
            ordered = sorted(shuffle(list(self._mesh)), key=standing, reverse=True)
            best, others = ordered[: gossip_limits.DEGREE_BEST], ordered[gossip_limits.DEGREE_BEST :]
            stay = best + shuffle(others)[: gossip_limits.DEGREE - len(best)]
            prunes += [peer_id for peer_id in self._mesh if peer_id not in stay]
            self._mesh = dict.fromkeys(stay)
        for peer_id in prunes:
            self._stay_out(peer_id, now + gossip_limits.BACKOFF_S)
        return Changes(grafts, prunes)

    def offered(self, *, standing: StandingOf, shuffle: Shuffle) -> list[PeerId]:
        """Return the peers outside the mesh that are told the names of recent messages at this heartbeat."""
        return shuffle(self._outside(standing, gossip_standing.GOSSIP_BELOW))[: gossip_limits.LAZY]

    def next_hearers(self, *, but: Collection[PeerId], shuffle: Shuffle) -> tuple[list[PeerId], list[PeerId]]:
        """Return who of the mesh gets a message that we pass on at once, and who is offered its name instead.

        `but` are those who have it.
        """
        able = shuffle([peer_id for peer_id in self._mesh if peer_id not in but])
        return able[: gossip_limits.EAGER], able[gossip_limits.EAGER :]

    def first_hearers(self, *, standing: StandingOf, shuffle: Shuffle) -> list[PeerId]:
        """Return who gets a message of our own: the mesh, and others as long as that is too small."""
        missing = gossip_limits.DEGREE - len(self._mesh)
        if len(self._mesh) >= gossip_limits.DEGREE_LOW:
            return list(self._mesh)
        return [*self._mesh, *shuffle(self._outside(standing, gossip_standing.PUBLISH_BELOW))[:missing]]

    def _outside(self, standing: StandingOf, mark: float) -> list[PeerId]:
        return _above(standing, mark, (peer_id for peer_id in self._subscribers if peer_id not in self._mesh))

    def _may_enter(self, peer_id: PeerId, now: float, standing: float) -> bool:
        is_back = self._backoffs.get(peer_id, now) <= now
        return is_back and standing >= gossip_standing.LEAVE_MESH_BELOW and peer_id not in self._mesh

    def _stay_out(self, peer_id: PeerId, until: float) -> None:
        until = max(until, self._backoffs.pop(peer_id, until))
        self._backoffs[peer_id] = until
        if len(self._backoffs) > gossip_limits.BACKOFFS_MAX:
            del self._backoffs[next(iter(self._backoffs))]


def _above(standing: StandingOf, mark: float, peers: Iterable[PeerId]) -> list[PeerId]:
    return [peer_id for peer_id in peers if standing(peer_id) >= mark]
