"""A budget that fills up with time: who spends more than there is has to wait, nothing is refused.

It takes the time as an argument, so that it can be tested without waiting.
"""

from __future__ import annotations


class Pace:
    """So many units a second, and so many at once after a pause."""

    def __init__(self, *, per_s: float, burst: float, now: float) -> None:
        """Start with a full budget."""
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = now

    def spend(self, units: float, *, now: float) -> float:
        """Take units, beyond what is there too, and return the seconds to wait before going on."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s) - units
        self._at = now
        return max(0.0, -self._left / self._per_s)
