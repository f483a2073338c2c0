"""What is believed of a member from its signs of life: a state machine, its legal moves a table (PROTOCOL section 7).

A sign of life is whatever only a living member can have sent: an answer, a request, an open connection, a record of its
own that is news. Silence leads from one state to the next at the profile's times, all of them by the monotonic clock.
Two things excuse a member: maintenance that it announced, for a bounded time, and the suspicion that it is our own link
that is down (`freeze.py`): meanwhile nobody is declared lost, for what is lost is copied elsewhere.

Some members count as lost though they speak: who was condemned by evidence, or by what we saw ourselves. Nothing is for
ever: it is pardoned by whoever condemned it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from p2pnode.config import DAY_S, Profile
from p2pnode.errors import CallerError

MAINTENANCE_S_MAX = DAY_S
"""How much longer a member is waited for because it announced maintenance, counted from its last sign of life: a night
and a day of work on a machine. Whoever needs more drains it first; nobody is excused for ever."""


class Liveness(enum.StrEnum):
    """States, the first four in the order in which silence leads through them."""

    ACTIVE = "active"
    SUSPECT = "suspect"
    OFFLINE = "offline"
    LOST = "lost"
    CONDEMNED = "condemned"

    @property
    def counts_as_lost(self) -> bool:
        """Whether what it holds is to be made good elsewhere."""
        return self in (Liveness.LOST, Liveness.CONDEMNED)


class Event(enum.Enum):
    """What may happen to a member."""

    HEARD = "a sign of life"
    SILENT = "silence reached the suspect time"
    OVERDUE = "silence, without what was announced, reached the offline time"
    GRACE_OVER = "silence, without what was announced, reached the long grace, and our own link is up"
    EXCUSED = "a notice of maintenance that goes on"
    CONDEMNED = "it counts as lost whatever it says"
    PARDONED = "it does no more"


MOVES: dict[tuple[Liveness, Event], Liveness] = {
    (Liveness.ACTIVE, Event.HEARD): Liveness.ACTIVE,
    (Liveness.ACTIVE, Event.SILENT): Liveness.SUSPECT,
    (Liveness.ACTIVE, Event.EXCUSED): Liveness.ACTIVE,
    (Liveness.ACTIVE, Event.CONDEMNED): Liveness.CONDEMNED,
    (Liveness.SUSPECT, Event.HEARD): Liveness.ACTIVE,
    (Liveness.SUSPECT, Event.OVERDUE): Liveness.OFFLINE,
    (Liveness.SUSPECT, Event.EXCUSED): Liveness.SUSPECT,
    (Liveness.SUSPECT, Event.CONDEMNED): Liveness.CONDEMNED,
    (Liveness.OFFLINE, Event.HEARD): Liveness.ACTIVE,
    (Liveness.OFFLINE, Event.GRACE_OVER): Liveness.LOST,
    (Liveness.OFFLINE, Event.EXCUSED): Liveness.SUSPECT,
    (Liveness.OFFLINE, Event.CONDEMNED): Liveness.CONDEMNED,
    (Liveness.LOST, Event.HEARD): Liveness.ACTIVE,
    (Liveness.LOST, Event.EXCUSED): Liveness.SUSPECT,
    (Liveness.LOST, Event.CONDEMNED): Liveness.CONDEMNED,
    (Liveness.CONDEMNED, Event.HEARD): Liveness.CONDEMNED,
    (Liveness.CONDEMNED, Event.EXCUSED): Liveness.CONDEMNED,
    (Liveness.CONDEMNED, Event.CONDEMNED): Liveness.CONDEMNED,
    (Liveness.CONDEMNED, Event.PARDONED): Liveness.SUSPECT,  # Its next sign of life makes it active.
}
"""Every legal move."""


class IllegalMoveError(CallerError):
    """Something was told of a member that cannot happen in its state."""


@dataclass(slots=True)
class Pulse:
    """The signs of life of one member, and the state that follows from them. Times are monotonic, in seconds."""

    heard_at: float
    """The last sign of life; of a member that never gave one, when we began to wait for it."""
    state: Liveness = Liveness.ACTIVE
    excused_until: float = -math.inf
    """The end of the maintenance that it announced."""
    silent_before_s: float = 0.0
    """For how long an earlier life of ours had heard nothing of it. It counts once it was silent in this life too, for
    the short grace: whoever lives is heard by then, whatever an earlier life took for silence."""

    def tell(self, event: Event) -> None:
        """Move as the table says. Raises `IllegalMoveError`."""
        following = MOVES.get((self.state, event))
        if following is None:
            message = f"a member that is {self.state} cannot be told: {event.value}"
            raise IllegalMoveError(message)
        self.state = following

    def heard(self, at: float) -> None:
        """Note a sign of life; one that is older than the last one says nothing new."""
        if at > self.heard_at:
            self.heard_at = at
            self.silent_before_s = 0.0
            self.tell(Event.HEARD)

    def announced(self, until: float, *, now: float) -> None:
        """Note when the maintenance ends that its newest record announces; in the past when it announces none."""
        self.excused_until = until
        if self._waited_for_since() > now:
            self.tell(Event.EXCUSED)

    def was_silent(self, seconds: float) -> None:
        """Take in for how long an earlier life had heard nothing of it; what it had announced is no silence."""
        self.silent_before_s = max(0.0, min(seconds, self.heard_at - self.excused_until))

    def awoke(self, *, now: float) -> Pulse:
        """Return the pulse as a machine that has slept believes in it: like one of an earlier life of ours.

        Nobody could be heard meanwhile, and whoever died before has to be missed anew for the short grace.
        """
        following = Pulse(now, excused_until=self.excused_until)
        if self.state is Liveness.CONDEMNED:
            following.tell(Event.CONDEMNED)
        following.silent_before_s = self.overdue_s(now=now) + self.silent_before_s
        return following

    def look(self, profile: Profile, *, now: float, is_frozen: bool) -> Liveness:
        """Return the state after the silence until now; with `is_frozen` nobody becomes lost by it."""
        waited_s = now - self._waited_for_since()
        if waited_s >= profile.short_grace_s:
            waited_s += self.silent_before_s
        if self.state is Liveness.ACTIVE and now - self.heard_at >= profile.suspect_after_s:
            self.tell(Event.SILENT)
        if self.state is Liveness.SUSPECT and waited_s >= profile.offline_after_s:
            self.tell(Event.OVERDUE)
        if self.state is Liveness.OFFLINE and waited_s >= profile.long_grace_s and not is_frozen:
            self.tell(Event.GRACE_OVER)
        return self.state

    def overdue_s(self, *, now: float) -> float:
        """Return for how long it was silent beyond what it has announced."""
        return max(0.0, now - self._waited_for_since())

    def _waited_for_since(self) -> float:
        """Return from when on silence counts against it."""
        return max(self.heard_at, min(self.excused_until, self.heard_at + MAINTENANCE_S_MAX))
