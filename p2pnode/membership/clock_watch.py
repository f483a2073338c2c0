"""Noticing that our wall clock was set: it moved against the monotonic clock, which nobody sets.

It may have been wrong before, or be wrong now, or the machine slept; the jump alone does not tell. But whatever was
concluded from the wall clock has to be looked at again.
"""

from __future__ import annotations

CLOCK_SET_S = 60.0
"""A smaller change is no jump: clocks are kept right by steps of seconds, and half an hour of skew changes nothing."""


class ClockWatch:
    """Compares the two clocks from look to look."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._offset_s: float | None = None

    def was_set(self, *, now: float, wall: float) -> bool:
        """Tell whether the wall clock was set since the last look, in monotonic and in wall seconds."""
        before, self._offset_s = self._offset_s, wall - now
        return before is not None and abs(self._offset_s - before) > CLOCK_SET_S
