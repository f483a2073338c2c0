"""Invariant 8: repair of a pair moves symbols, as many as it takes, and never the slivers of a whole blob.

Nobody reads while a scenario judges this, so that every sliver that is asked for is asked for by a repairer.
"""

from __future__ import annotations

from collections import Counter

from p2pnode import bft
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.judges.wiretap import Told, Wiretap
from testnet.sim.world import World
from wire import limits
from wire.codec import decode
from wire.ids import Axis, BlobId
from wire.messages import GetSliver, SliverData
from wire.repair import RecoveredSymbols, RecoverSymbols, RepairIntent

NAME = "repair-moves-symbols"

TIMES_MAX = 2
"""So often one node may be given the symbols of a pair: once more because something failed."""


class RepairJudge:
    """Counts what repairers were given since it was made."""

    def __init__(self, world: World, wiretap: Wiretap, *, n: int) -> None:
        """Watch a world in which all blobs have n shards."""
        self._world = world
        self._n = n
        self._slivers: dict[tuple[str, BlobId], set[int]] = {}
        """Different primary slivers: one that takes a pair over may fetch its own again."""
        self._symbols: Counter[tuple[str, BlobId, int]] = Counter()
        wiretap.listeners.append(self._hear)

    def _hear(self, told: Told) -> None:
        if not self._world.is_honest(told.asker):
            return
        match told.question, told.answer:
            case GetSliver() as question, SliverData() if question.axis == Axis.PRIMARY:
                self._slivers.setdefault((told.asker, question.blob_id), set()).add(question.index)
            case RecoverSymbols() as request, RecoveredSymbols() as answer:
                intent = decode(request.intent.body, RepairIntent, bytes_max=limits.RECORD_BYTES_MAX)
                for symbol in answer.symbols:
                    blob_id = intent.blob_ids[request.wanted[symbol.wanted].blob]
                    self._symbols[told.asker, blob_id, intent.shard] += 1
            case _:
                pass

    def check(self) -> int:
        """Return how many pairs were given symbols for. Raises `JudgementError`."""
        for (node, blob_id), indices in self._slivers.items():
            count = len(indices)
            if count >= bft.primary_source(self._n):
                what = f"it fetched {count} whole slivers though symbols were to be had"
                raise JudgementError(NAME, what, node=node, subject=blob_id.text())
        most = TIMES_MAX * (bft.secondary_source(self._n) + bft.primary_source(self._n))
        for (node, blob_id, shard), count in self._symbols.items():
            if count > most:
                what = f"it was given {count} symbols for one pair (shard {shard})"
                raise JudgementError(NAME, what, node=node, subject=blob_id.text())
        return len(self._symbols)
