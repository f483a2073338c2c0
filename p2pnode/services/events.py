"""Events: what the owner or operator of this node should hear of, numbered, in a bounded buffer.

An event is news, not a state: `status` shows the states. A reader says which number it saw last and gets what came
after; one that was away for too long sees from the first number that it gets how many it missed.
"""

from __future__ import annotations

from collections import deque

import trio

from p2pnode.seams import Clock
from p2pnode.services.owner_face import Event

EVENTS_KEPT_MAX = 1_000
"""Events that are kept for readers that come back: some days of an ordinary node, at 200 bytes each."""


class Events:
    """The last EVENTS_KEPT_MAX events."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has happened."""
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=EVENTS_KEPT_MAX)
        self._last = 0
        self._news = trio.Event()

    def tell(self, kind: str, message: str, *, reference: str | None = None) -> None:
        """Add an event."""
        self._last += 1
        self._kept.append(
            Event(id=self._last, time=int(self._clock.wall()), kind=kind, message=message, reference=reference)
        )
        self._news.set()
        self._news = trio.Event()

    def after(self, number: int) -> list[Event]:
        """Return the events that are kept with higher numbers."""
        return [each for each in self._kept if each.id > number]

    async def wait_after(self, number: int) -> list[Event]:
        """Return the events after a number, at least one: wait for it if need be.

        A number that was not given out yet is of an earlier daemon on this home, and says nothing about ours.
        """
        if number > self._last:
            number = 0
        while not (found := self.after(number)):
            await self._news.wait()
        return found
