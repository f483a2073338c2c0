"""The trace of a simulated run: a hash over everything that happened, so that two runs can be compared."""

from __future__ import annotations

import hashlib
from collections import deque

from testnet.sim.clock import SimClock

LINES_KEPT = 2_000
"""The last lines are kept for a person who looks for where two runs part."""

KEPT_FOR_STORIES = 1_000_000
"""About 100 MB: more than a day of ten nodes."""

_HASH_BYTES = 16


class Trace:
    """Hashes each event with its virtual moment."""

    def __init__(self, clock: SimClock) -> None:
        """Take the moments from this clock."""
        self._clock = clock
        self._hash = hashlib.blake2b(digest_size=_HASH_BYTES)
        self.count = 0
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)

    def record(self, event: str, *facts: str | int) -> None:
        """Add one event."""
        line = f"{self._clock.current_time()!r} {event} {' '.join(map(str, facts))}"
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)
        self.count += 1

    def keep_all(self) -> None:
        """Keep every line from now on, up to KEPT_FOR_STORIES: for a replay whose story is told."""
        self.lines = deque(self.lines, maxlen=KEPT_FOR_STORIES)

    def digest(self) -> str:
        """Return the hash of everything so far, in hex."""
        return self._hash.hexdigest()
