"""Numbers from memory, below a ceiling that is durable: one fsync for a thousand of them, and none comes twice.

Every receipt has a number, and a receipt must not cost an fsync more for it. So the numbers up to a ceiling are
reserved at once, the ceiling is made durable, and they are handed out from memory. After a restart counting goes on
above the ceiling: at most NUMBERS_STRIDE numbers are skipped, and nobody minds a gap.
"""

from __future__ import annotations

import threading

from p2pnode.errors import CallerError
from p2pnode.storage import sequences
from p2pnode.storage.engine import Engine
from p2pnode.storage.sequences import EVERY_PURPOSE, raise_ceiling
from wire import limits

NUMBERS_STRIDE = 1024
"""Numbers reserved at a time: under a thousand receipts a second the file is written once a second."""


class Numbers:
    """The reserved numbers of every purpose; several threads may ask at a time."""

    def __init__(self) -> None:
        """Nothing is reserved yet."""
        self._lock = threading.Lock()
        self._reserved: dict[str, tuple[int, int]] = {}
        """Per purpose, the last number that was handed out and the last one that may be."""

    def take(self, purpose: str, at_least: int) -> int | None:
        """Return the next number, not below `at_least`; None when more must be reserved first."""
        with self._lock:
            last, ceiling = self._reserved.get(purpose, (0, 0))
            number = max(last + 1, at_least)
            if number > ceiling:
                return None
            self._reserved[purpose] = (number, ceiling)
            return number

    def highest(self, purpose: str) -> int:
        """Return the highest number that counts as used."""
        with self._lock:
            return self._reserved.get(purpose, (0, 0))[0]

    def reserved(self, purpose: str, *, last: int, ceiling: int) -> None:
        """Take note that the numbers above `last`, up to `ceiling`, are reserved durably."""
        with self._lock:
            known, _ = self._reserved.get(purpose, (0, 0))
            self._reserved[purpose] = (max(known, last), ceiling)

    def forget(self) -> None:
        """Hand out no more of what is reserved."""
        with self._lock:
            self._reserved.clear()


def leave_behind(engine: Engine, numbers: Numbers, seen: int) -> None:
    """Let the numbers of all purposes go on far above `seen`. Raises as `SliverStore.leave_sequences_behind` says."""
    with engine.mutation:
        sequences.leave_behind(engine, seen)
        numbers.forget()


def reserve(engine: Engine, numbers: Numbers, purpose: str, at_least: int) -> None:
    """Reserve the next numbers, from `at_least` on if that is further. Raises as `SliverStore.take_number` says."""
    with engine.writing_disk(), engine.mutation:
        used = max(engine.ceilings.get(purpose, 0), engine.ceilings.get(EVERY_PURPOSE, 0))
        if max(used + 1, at_least) > limits.UINT64_MAX:
            message = f"the numbers {purpose!r} are used up: they have 64 bits"
            raise CallerError(message)
        ceiling = min(max(used, at_least - 1) + NUMBERS_STRIDE, limits.UINT64_MAX)
        raise_ceiling(engine, purpose, ceiling)
        numbers.reserved(purpose, last=used, ceiling=ceiling)
