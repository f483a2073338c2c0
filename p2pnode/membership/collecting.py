"""When a node may collect what has expired: while others are there and agree with it about the time.

A node that was away, or asleep, must first learn of newer leases, so it has to have been in contact for a while. And a
wall clock that has jumped ahead would end every lease at once: what it says counts only while the median of the others
says the same, within the skew that is tolerated (PROTOCOL section 5). Until then nothing is lost by waiting.
"""

from __future__ import annotations

from p2pnode.config import Profile
from p2pnode.membership.clock_watch import SleepWatch
from wire import limits


class CollectionGate:
    """Decides from look to look; it remembers only since when all has been well."""

    def __init__(self, profile: Profile) -> None:
        """Nothing may be collected before the first looks."""
        self._profile = profile
        self._since: float | None = None
        self._sleep = SleepWatch()

    def may_collect(self, lead_s: float | None, *, now: float, asleep: float) -> bool:
        """Tell whether to collect now, in monotonic seconds and those that the machine has slept in all.

        `lead_s` is by how much our wall clock is ahead of the others, None while there is no contact with anybody.
        """
        if self._sleep.slept_s(asleep):
            self._since = None
        if lead_s is None or abs(lead_s) > limits.CLOCK_SKEW_SECONDS:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._profile.collection_after_uptime_s
