"""How often something may happen: a bucket of tokens for each peer's costly habits, and one gate for handshakes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import trio

from p2pnode.network import limits


class TokenBucket:
    """Allows `burst` events at once, and `per_s` a second on average. It takes the time and never waits."""

    def __init__(self, *, per_s: float, burst: float, now: float) -> None:
        """Start full."""
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._since = now

    def take(self, now: float) -> float:
        """Count one event, and return how many seconds too early it came; 0 when it is in time."""
        self._tokens = min(self._burst, self._tokens + (now - self._since) * self._per_s) - 1.0
        self._since = now
        return max(0.0, -self._tokens / self._per_s)


class Turnstile:
    """Lets one task through at a time, in the order of their arrival, and the next one HANDSHAKE_PAUSE_S later.

    Arithmetic of a hundred handshakes in one round of the loop would hold up everything else for a tenth of a second.
    """

    def __init__(self) -> None:
        """Start open."""
        self._lock = trio.StrictFIFOLock()
        self._opens_at = float("-inf")

    async def enter(self) -> None:
        """Wait for our turn."""
        async with self._lock:
            await trio.sleep_until(max(self._opens_at, trio.current_time()))
            self._opens_at = trio.current_time() + limits.HANDSHAKE_PAUSE_S


@dataclass(slots=True)
class _Kind:
    since: float
    count: int = 0


class Warnings:
    """Warnings that a peer can cause at will: each kind is logged at most once in WARN_EVERY_S, with a count."""

    def __init__(self, logger: logging.Logger) -> None:
        """Log there. The kinds are our own words, so they are few."""
        self._logger = logger
        self._kinds: dict[str, _Kind] = {}

    def warn(self, kind: str, detail: str) -> None:
        """Log the kind and this detail, or count it for the next time."""
        now = trio.current_time()
        known = self._kinds.get(kind)
        if known is not None and now - known.since < limits.WARN_EVERY_S:
            known.count += 1
            return
        more = f" (and {known.count} more since the last such warning)" if known is not None and known.count else ""
        self._kinds[kind] = _Kind(now)
        self._logger.warning("%s: %s%s", kind, detail, more)
