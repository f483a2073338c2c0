"""What others say of us: which audits of theirs we failed. It is hearsay and decides nothing; the operator sees it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from wire.evidence import Failure
from wire.ids import BlobId, PeerId, ShardIndex

REPROACHES_MAX = 100
"""Peers whose last reproach is remembered; whose is oldest makes room. A liar has one line of a hundred."""

SHOWN_S = 24 * 3600
"""How long a reproach is news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproach:
    """One audit that we failed, as its asker says."""

    by: PeerId
    failure: Failure
    blob_id: BlobId
    shard: ShardIndex
    at: int
    """Our wall clock when we were told."""


class Reproaches:
    """The last reproach of each peer."""

    def __init__(self) -> None:
        """Nobody has complained."""
        self._last: OrderedDict[PeerId, Reproach] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._last)

    def note(self, reproach: Reproach) -> None:
        """Take a reproach in; it replaces the earlier one of the same peer."""
        self._last.pop(reproach.by, None)
        self._last[reproach.by] = reproach
        if len(self._last) > REPROACHES_MAX:
            self._last.popitem(last=False)

    def lately(self, *, wall: float) -> list[Reproach]:
        """Return those that are news, the latest last."""
        return [each for each in self._last.values() if each.at + SHOWN_S > wall]
