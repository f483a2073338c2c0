"""Which slivers a reader asks for, from whom, and when it must give up. Nothing waits here.

Any P primary slivers give the blob back. The first P are the data itself, so they are asked first; a holder that is
connected comes before one that must be dialled, because a few milliseconds of decoding cost less than a dial.

One that is late is overtaken. What is late is told by those that answered, for all are asked for as many bytes: a
machine that has just gone would else cost each read as long as the slowest line may take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from p2pnode import bft
from p2pnode.coding import (
    BlobMetadata,
    InconsistentBlobError,
    NotInconsistentError,
    Sliver,
    find_inconsistency,
    shard_of_pair,
)
from p2pnode.errors import (
    HoldersSilentError,
    IntegrityError,
    ShortageError,
    TooFewPairsError,
)
from p2pnode.protocols.inconsistency import Contradiction, contradiction_of
from wire.ids import PairIndex, PeerId, ShardIndex

LATE_TIMES = 2.0
"""So many times as long as the answers that have come is waited for the next one."""

LATE_S_MIN = 0.1
"""As long is waited for anybody: less is what a busy processor or a lost packet takes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: this pair's primary sliver, from this peer."""

    pair: PairIndex
    peer_id: PeerId


class ReadPlan:
    """The state of one blob's read."""

    def __init__(
        self,
        metadata: BlobMetadata,
        holders: Mapping[ShardIndex, Sequence[PeerId]],
        *,
        distance: Mapping[PeerId, int],
    ) -> None:
        """Plan for these holders; `distance` is small for peers that answer soon, and large when missing."""
        self._metadata = metadata
        self._needed = bft.primary_source(metadata.n)
        far = max(distance.values(), default=0) + 1
        options = [
            (distance.get(peer_id, far), pair >= self._needed, pair, Ask(PairIndex(pair), peer_id))
            for pair in range(metadata.n)
            for peer_id in holders.get(shard_of_pair(metadata.blob_id, PairIndex(pair), metadata.n), ())
        ]
        self._options = [option[-1] for option in sorted(options, key=lambda option: option[:3])]
        self._asked: set[Ask] = set()
        self._slivers: dict[PairIndex, Sliver] = {}
        self._took_s: list[float] = []
        self._silent = 0
        self._reasons: list[str] = []

    @property
    def is_complete(self) -> bool:
        """Enough slivers are here."""
        return len(self._slivers) >= self._needed

    @property
    def is_hopeless(self) -> bool:
        """Not enough slivers are here, and nobody is left to ask or to wait for."""
        return not self.is_complete and not self._asked and self._next() is None

    @property
    def slivers(self) -> list[Sliver]:
        """The slivers that arrived and were verified."""
        return list(self._slivers.values())

    def start(self) -> list[Ask]:
        """Return the questions to send now, so that with those under way enough answers may come."""
        asks = []
        while len(self._slivers) + len(self._asked) < self._needed and (ask := self.hedge()) is not None:
            asks.append(ask)
        return asks

    def hedge(self) -> Ask | None:
        """Return one more question, because some answer is late; None when everyone was asked."""
        ask = self._next()
        if ask is not None:
            self._options.remove(ask)
            self._asked.add(ask)
        return ask

    def arrived(self, ask: Ask, sliver: Sliver, *, took_s: float) -> None:
        """Take a verified sliver, which came so long after it was asked for."""
        self._asked.discard(ask)
        self._slivers[ask.pair] = sliver
        self._took_s.append(took_s)

    def patience_s(self, most_s: float) -> float:
        """Return how long to wait for the next answer before a further holder is asked; `most_s` before any came."""
        if not self._took_s:
            return most_s
        return min(most_s, max(LATE_S_MIN, LATE_TIMES * median(self._took_s)))

    def failed(self, ask: Ask, *, reason: str, was_silent: bool) -> None:
        """Note that a question got no sliver, and why."""
        self._asked.discard(ask)
        self._silent += was_silent
        self._reasons.append(reason)

    def abandon(self) -> None:
        """Count every question under way as one to a silent holder: the deadline has passed."""
        for ask in list(self._asked):
            self.failed(ask, reason="silent until the deadline", was_silent=True)
        self._options.clear()

    def shortage(self) -> ShortageError:
        """Return the error for a read that cannot be completed."""
        found = len(self._slivers)
        name = self._metadata.blob_id.text()
        last = f"; the last failure: {self._reasons[-1]}" if self._reasons else ""
        if self._silent:
            return HoldersSilentError(
                f"blob {name}: {found} of the {self._needed} pairs needed arrived, {self._silent} holders were silent "
                f"until the deadline; try again when the network is better{last}"
            )
        return TooFewPairsError(
            f"blob {name}: {found} pairs are left and {self._needed} are needed; every other known holder refused or "
            f"is gone; it can be read again when some of them come back{last}"
        )

    def _next(self) -> Ask | None:
        busy = {ask.pair for ask in self._asked}
        for ask in self._options:
            if ask.pair not in busy and ask.pair not in self._slivers:
                return ask
        return None


def why_unreadable(
    metadata: BlobMetadata, slivers: Sequence[Sliver], error: InconsistentBlobError
) -> tuple[IntegrityError, Contradiction | None]:
    """Return what a reader is told when verified slivers decode to something that the metadata denies; and the proof.

    It is the writer's doing only when it is proven, as anybody could prove it from the same slivers. Encodes the blob
    once more: call it in a worker.
    """
    try:
        contradiction = contradiction_of(metadata, find_inconsistency(metadata, slivers))
    except NotInconsistentError:
        name = f"blob {metadata.blob_id.text()}"
        return IntegrityError(f"{name} was encoded wrongly by its writer and cannot be read: {error}"), None
    return contradiction.error, contradiction
