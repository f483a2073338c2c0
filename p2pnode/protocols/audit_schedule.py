"""Whom to audit next, and when: a holder soon after it has signed, and everybody who shares pages with us regularly.

Every neighbour is asked once in a while, at random within bounds, so that nobody can do without the slivers in between.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wire.ids import Digest, PeerId

SOON_MAX = 10_000
"""Holders that wait to be asked about a new receipt: about 150 bytes each. Those beyond are met by regular audits."""

SOON_PER_PEER_MAX = 32
"""Of these, questions to one holder: half of what it answers to one asker in an epoch."""

REGULAR_SPREAD = 0.5
"""Regular audits come later than the interval by up to this part of it."""


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One audit."""

    at: float
    """Monotonic, in seconds."""
    peer_id: PeerId
    page: Digest | None
    """The page of a new receipt; None to choose any."""


class AuditSchedule:
    """When to ask whom. Times are monotonic, in seconds; chance comes in as a number from 0 to 1."""

    def __init__(self, *, every_s: float, soon_s: tuple[float, float]) -> None:
        """Ask a neighbour at most once in `every_s`, and about a new receipt between the two `soon_s`."""
        self._every_s = every_s
        self._soon_s = soon_s
        self._regular: dict[PeerId, float] = {}
        self._soon: list[tuple[float, PeerId, Digest]] = []
        self._waiting: Counter[PeerId] = Counter()

    def __len__(self) -> int:
        """Return how many audits have a date."""
        return len(self._regular) + len(self._soon)

    def meet(self, neighbours: Iterable[PeerId], *, now: float, chance: float) -> None:
        """Take note of who is here and shares pages with us: newcomers get a date, those that are gone lose it."""
        here = set(neighbours)
        for peer_id in [each for each in self._regular if each not in here]:
            del self._regular[peer_id]
        for place, peer_id in enumerate(sorted(here - self._regular.keys())):
            shifted = (chance + place / max(len(here), 1)) % 1.0  # One number spreads them all.
            self._regular[peer_id] = now + self._every_s * (1 + shifted * REGULAR_SPREAD)

    def signed(self, peer_id: PeerId, page: Digest, *, now: float, chance: float) -> None:
        """Take note of a new receipt."""
        if len(self._soon) < SOON_MAX and self._waiting[peer_id] < SOON_PER_PEER_MAX:
            least, most = self._soon_s
            heapq.heappush(self._soon, (now + least + chance * (most - least), peer_id, page))
            self._waiting[peer_id] += 1

    def due(self, *, now: float, chance: float) -> Sequence[Due]:
        """Return what is due, the earliest first; each is returned once, and neighbours get their next date."""
        found = []
        while self._soon and self._soon[0][0] <= now:
            at, peer_id, page = heapq.heappop(self._soon)
            self._waiting[peer_id] -= 1
            if not self._waiting[peer_id]:
                del self._waiting[peer_id]
            found.append(Due(at, peer_id, page))
        for peer_id, at in self._regular.items():
            if at <= now:
                found.append(Due(at, peer_id, None))
                self._regular[peer_id] = now + self._every_s * (1 + chance * REGULAR_SPREAD)
        return sorted(found, key=lambda each: (each.at, each.peer_id))


def whom_to_ask(holders: Sequence[PeerId], *, own: PeerId, is_writer: bool) -> list[PeerId]:
    """Return whom of the holders of a new page we ask about it.

    The writer asks all. A holder asks the next in the order of ids, so that each is asked by somebody although the
    writer may be gone by then.
    """
    others = sorted(set(holders) - {own})
    if is_writer or own not in holders or not others:
        return others if is_writer else []
    return [next((each for each in others if each > own), others[0])]
