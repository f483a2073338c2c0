"""Noticing what our clocks have done: that the wall clock was set, and that the machine slept.

A wall clock was set when it moved against the monotonic one, which nobody sets. It may have been wrong before, or be
wrong now; the jump alone does not tell. But whatever was concluded from it has to be looked at again. A machine that
sleeps stops its monotonic clock, and the wall clock is right when it wakes: that is no jump where the time asleep is
known, and looks like one where it is not.
"""

from __future__ import annotations

CLOCK_SET_S = 60.0
"""A smaller change is no jump: clocks are kept right by steps of seconds, and half an hour of skew changes nothing."""

NAP_S = 10.0
"""Whoever slept for less missed nothing that counts: connections outlive a longer silence."""


class ClockWatch:
    """Compares the two clocks from look to look."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._offset_s: float | None = None

    def was_set(self, *, now: float, wall: float, asleep: float) -> bool:
        """Tell whether the wall clock was set since the last look, in monotonic and wall seconds and those asleep."""
        before, self._offset_s = self._offset_s, wall - now - asleep
        return before is not None and abs(self._offset_s - before) > CLOCK_SET_S


class SleepWatch:
    """Tells a machine that has woken that it slept."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._asleep_s: float | None = None

    def slept_s(self, asleep: float) -> float:
        """Return for how long the machine slept since it was last told so, 0 for a nap that nobody need notice.

        `asleep` are the seconds that it has slept in all; naps add up until they are noticed.
        """
        if self._asleep_s is None:
            self._asleep_s = asleep
        slept_s = asleep - self._asleep_s
        if slept_s < NAP_S:
            return 0.0
        self._asleep_s = asleep
        return slept_s
