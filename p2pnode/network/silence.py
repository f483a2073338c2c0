"""For how long a peer was silent while we listened: what we slept through does not count against it.

A process that gets no processor for seconds (a busy machine, a debugger, SIGSTOP) finds every peer silent for as long
when it goes on, although their bytes wait in its sockets. If that counted, each such stall would cost all connections
at once, and their redials.
"""

from __future__ import annotations


class Silence:
    """The silence of one peer, looked at regularly. Times are monotonic, in seconds."""

    def __init__(self, *, every_s: float, now: float) -> None:
        """It is meant to be looked at every `every_s`."""
        self._every_s = every_s
        self._looked_at = now
        self._missed_s = 0.0
        """By how much looks since the last arrival came later than twice the interval after it or the look before."""

    def look(self, *, now: float, last_arrival: float) -> float:
        """Return the seconds of silence since the last bytes came, those not counted in which we did not run."""
        if last_arrival > self._looked_at:
            self._missed_s = 0.0
        self._missed_s += max(0.0, now - max(self._looked_at, last_arrival) - 2 * self._every_s)
        self._looked_at = now
        return now - last_arrival - self._missed_s
