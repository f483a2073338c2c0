"""What a node does when its own clocks have done something: the wall clock was set, or the machine slept and woke.

Both leave others with an old record of ours, and us with old ones of theirs, and both are made good at once instead of
with the next records. After a sleep a node is like one that was restarted: it holds nobody's silence against anyone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from p2pnode.membership.clock_watch import ClockWatch, SleepWatch
from p2pnode.membership.table import MemberTable
from p2pnode.services.context import Context
from p2pnode.wording import human_duration
from wire import limits

log = logging.getLogger(__name__)


class OwnClock:
    """Looks at the clocks of this machine."""

    def __init__(self, context: Context, table: MemberTable, *, meet_anew: Callable[[], None]) -> None:
        """`meet_anew` lets our record be renewed, and the neighbours be asked for theirs."""
        self._context = context
        self._table = table
        self._meet_anew = meet_anew
        self._watch = ClockWatch()
        self._sleep = SleepWatch()

    def look(self) -> None:
        """See what has happened since the last look; call it every few seconds."""
        self.look_for_sleep()
        clock = self._context.clock
        now, wall, asleep = clock.monotonic(), clock.wall(), clock.asleep()
        if self._watch.was_set(now=now, wall=wall, asleep=asleep):
            self._on_clock_set(now, wall)

    def look_for_sleep(self) -> None:
        """See whether the machine slept since the last look; call it before anything is noted by its time."""
        slept_s = self._sleep.slept_s(self._context.clock.asleep())
        if slept_s:
            log.info("this machine slept for %s: our record is renewed, nobody is missed yet", human_duration(slept_s))
            self._table.slept(slept_s, now=self._context.clock.monotonic())
            self._meet_anew()

    def _on_clock_set(self, now: float, wall: float) -> None:
        """Make good what a wrong clock did, if it is right now: we took fresh records for old, and others did ours.

        As long as it is wrong by what the others say, nothing is gained by telling them its time.
        """
        lead_s = self._table.clock_lead(now=now, wall=wall)
        if lead_s is not None and abs(lead_s) > limits.CLOCK_SKEW_SECONDS:
            log.warning("the clock of this machine was set, and is %.0f s ahead of the others now", lead_s)
            return
        log.info("the clock of this machine was set: our record is renewed, and all neighbours are asked for theirs")
        self._table.clock_was_set(now=now, wall=wall)
        self._meet_anew()
