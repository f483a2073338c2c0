"""What answering challenges may cost a holder: questions of each asker, and bytes that are read for them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from wire.ids import PeerId

QUESTIONS_PER_EPOCH_MAX = 64
"""Questions of one asker in an epoch: regular audits take two of them, the others are for what was written lately."""

READ_BYTES_PER_S = 1 << 20
"""How fast slivers are read for challenges in the long run: a tenth of what a slow disk does, next to nothing of a
line."""

READ_BYTES_MAX = 64 << 20
"""What may be read at once after a quiet minute: a hundred slivers of the usual size."""

ASKERS_MAX = 10_000
"""Askers that are remembered, as many as there may be members; who asked longest ago makes room."""


@dataclass(slots=True)
class _Asker:
    epoch: int
    questions: int = 0


class ProverBudget:
    """Says whether a challenge is answered now. Times are monotonic, in seconds."""

    def __init__(self, *, epoch_s: float) -> None:
        """Owe nothing."""
        self._epoch_s = epoch_s
        self._askers: OrderedDict[PeerId, _Asker] = OrderedDict()
        self._level = float(READ_BYTES_MAX)
        self._at = 0.0

    def __len__(self) -> int:
        """Return how many askers are remembered."""
        return len(self._askers)

    def take_question(self, peer_id: PeerId, *, now: float) -> bool:
        """Count a question; False when its asker has had its share of this epoch."""
        epoch = int(now // self._epoch_s)
        asker = self._askers.pop(peer_id, None)
        if asker is None or asker.epoch != epoch:
            asker = _Asker(epoch)
        self._askers[peer_id] = asker
        if len(self._askers) > ASKERS_MAX:
            self._askers.popitem(last=False)
        asker.questions += 1
        return asker.questions <= QUESTIONS_PER_EPOCH_MAX

    def take_bytes(self, count: int, *, now: float) -> bool:
        """Pay for reading so many bytes; False, and nothing is paid, when too much was read lately."""
        self._level = min(float(READ_BYTES_MAX), self._level + (now - self._at) * READ_BYTES_PER_S)
        self._at = now
        if count > self._level:
            return False
        self._level -= count
        return True
