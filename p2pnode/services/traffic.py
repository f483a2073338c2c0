"""The bytes that this node ever sent and received, kept over restarts."""

from __future__ import annotations

import logging
import struct

from p2pnode.errors import LocalStorageError
from p2pnode.network.bandwidth import Meter
from p2pnode.seams import Clock
from p2pnode.services.owner_face import Traffic
from p2pnode.storage.owner_store import OwnerStore

log = logging.getLogger(__name__)

SAVED_EVERY_S = 60.0
"""A crash loses the count of this time at most."""

_FACT = "traffic"
_TOTALS = struct.Struct(">QQ")


class TrafficLog:
    """What the meter counts, on top of what earlier lives of the node counted."""

    def __init__(self, meter: Meter, store: OwnerStore, clock: Clock) -> None:
        """Call `load` before anything else."""
        self._meter = meter
        self._store = store
        self._clock = clock
        self._before = (0, 0)
        self._saved = (0, 0)

    async def load(self) -> None:
        """Read what earlier lives counted."""
        value = await self._store.fact(_FACT)
        if value is not None and len(value) == _TOTALS.size:
            up, down = _TOTALS.unpack(value)
            self._before = self._saved = (up, down)

    @property
    def traffic(self) -> Traffic:
        """The totals, and the limits of this hour."""
        up, down = self._totals()
        limit_up, limit_down = self._meter.limit_now()
        return Traffic(up=up, down=down, limit_up=limit_up, limit_down=limit_down)

    def _totals(self) -> tuple[int, int]:
        return self._before[0] + self._meter.up, self._before[1] + self._meter.down

    async def run(self) -> None:
        """Save regularly, until cancelled."""
        while True:
            await self._clock.sleep(SAVED_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Keep the totals, if they have changed; a disk that fails costs their memory only."""
        totals = self._totals()
        if totals == self._saved:
            return
        try:
            await self._store.note_fact(_FACT, _TOTALS.pack(*totals))
        except LocalStorageError as error:
            log.warning("the traffic counted so far cannot be saved: %s", error)
            return
        self._saved = totals
