"""Scrub: a slow walk over every pair on the disk, so that damage is found while others can still make it good.

Audits ask for a few symbols of a pair now and then, and reads for what somebody wants; a pair that nobody asks for can
rot. The walk reads all of every file at a gentle rate, keeps its place over restarts, and begins anew every
`scrub_every_s`. A damaged pair is never served from then on, is retracted at once (`retract.py`), and rebuilt by
repair. On a disk that was put back from an old copy (`restoring.py`) the walk begins at once, and does not linger.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass, replace

import trio

from p2pnode.config import HOUR_S
from p2pnode.errors import LocalStorageError
from p2pnode.services.context import Context
from p2pnode.services.events import Events
from p2pnode.services.owner_face import (
    ScrubState,
    Warning,  # noqa: A004 - the word that the user sees
)
from p2pnode.storage.names import PairKey
from p2pnode.storage.owner_store import OwnerStore
from p2pnode.wording import counted, human_date
from wire.ids import BLOB_ID_BYTES, BlobId, ShardIndex

log = logging.getLogger(__name__)

_FACT = "scrub"
_STRUCT = struct.Struct(f">QQQQQ?{BLOB_ID_BYTES}sH")

REST = 1.0
"""How long the walk rests after a step at least, in lengths of that step: half of the disk's time stays for others."""

RETRY_S = 60.0
"""After so long a disk that failed is tried again."""

LOOK_EVERY_S = float(HOUR_S)
"""How often it is looked whether it is time again: the wall clock tells, and that may be set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the walk is, and what the one before has found. Times are seconds since 1970."""

    due_at: int
    """When the next walk begins; in the past during one."""
    finished_at: int = 0
    """When the last one ended; 0 when none has."""
    found_lost: int = 0
    """The pairs that it found damaged or gone."""
    pairs: int = 0
    """Pairs that this walk has looked at, or the last one."""
    lost: int = 0
    """Those of them that this one has found damaged or gone."""
    last: PairKey | None = None
    """The last pair that this walk has looked at."""

    def packed(self) -> bytes:
        """Return it as it is kept."""
        blob_id, shard = (bytes(BLOB_ID_BYTES), 0) if self.last is None else (bytes(self.last[0]), int(self.last[1]))
        counts = self.due_at, self.finished_at, self.found_lost, self.pairs, self.lost
        return _STRUCT.pack(*counts, self.last is not None, blob_id, shard)


def _unpacked(value: bytes) -> _Place:
    due_at, finished_at, found_lost, pairs, lost, is_between, blob_id, shard = _STRUCT.unpack(value)
    last = PairKey(BlobId(blob_id), ShardIndex(shard)) if is_between else None
    return _Place(due_at=due_at, finished_at=finished_at, found_lost=found_lost, pairs=pairs, lost=lost, last=last)


class Scrubber:
    """Walks over this node's pairs."""

    def __init__(self, context: Context, store: OwnerStore, events: Events, *, restored: trio.Event) -> None:
        """Call `load` before `run`; `restored` is set when the disk turns out to be an old one."""
        self._context = context
        self._store = store
        self._events = events
        self._restored = restored
        self._hurries = self._has_begun_anew = False
        self._place = _Place(due_at=self._next())

    def _next(self) -> int:
        return int(self._context.clock.wall() + self._context.profile.scrub_every_s)

    async def load(self) -> None:
        """Read where an earlier life was; the first one notes when it begins."""
        value = await self._store.fact(_FACT)
        if value is not None and len(value) == _STRUCT.size:
            self._place = _unpacked(value)
        else:
            await self._keep(self._place)

    async def _keep(self, place: _Place) -> None:
        self._place = place
        await self._store.note_fact(_FACT, place.packed())

    # ------------------------------------------------------------------ being seen

    def state(self) -> ScrubState:
        """Tell when the last walk ended and what it found, and how far this one is."""
        place, walks = self._place, self._walks()
        return ScrubState(
            walks=walks,
            pairs=place.pairs,
            lost=place.lost if walks else place.found_lost,
            finished_at=place.finished_at or None,
            next_at=None if walks else place.due_at,
        )

    def warnings(self) -> tuple[Warning, ...]:
        """Say that the disk has damaged something, which its operator should look into."""
        state = self.state()
        if not state.lost:
            return ()
        when = "so far" if state.finished_at is None or state.walks else f"until {human_date(state.finished_at)}"
        message = f"the last look at all that is kept here found {counted(state.lost, 'pair')} damaged or gone, {when}"
        advice = "They are rebuilt from other nodes. Check the disk: what happened once will happen again."
        return (Warning(kind="disk-damage", message=message, advice=advice),)

    # ------------------------------------------------------------------ walking

    def _walks(self) -> bool:
        """Tell whether it is time, or the middle of a walk."""
        return self._place.last is not None or self._place.due_at <= self._context.clock.wall()

    async def run(self) -> None:
        """Walk whenever it is time, until cancelled."""
        while True:
            try:
                if self._restored.is_set() and not self._has_begun_anew:
                    await self._begin_anew()
                rest_s = await self._step() if self._walks() else self._due_in_s()
            except LocalStorageError as error:
                log.warning("the walk over all pairs waits until the disk works again: %s", error)
                rest_s = RETRY_S
            await self._rest(rest_s)

    def _due_in_s(self) -> float:
        return min(LOOK_EVERY_S, self._place.due_at - self._context.clock.wall())

    async def _begin_anew(self) -> None:
        """Begin at once, and at the first pair: nobody knows what is on the disk."""
        now = self._context.wall_seconds()
        await self._keep(replace(self._place, due_at=now, pairs=0, lost=0, last=None))
        self._has_begun_anew = self._hurries = True

    async def _rest(self, rest_s: float) -> None:
        """Wait, but no longer when the disk turns out to be an old one."""
        if self._restored.is_set():
            await self._context.clock.sleep(rest_s)
            return
        with trio.move_on_after(rest_s):
            await self._restored.wait()

    async def _step(self) -> float:
        """Look at the next pairs; return how long to rest then. Raises `LocalStorageError`."""
        context, place = self._context, self._place
        started_at = context.clock.monotonic()
        step = await context.store.rescan(place.last)
        took_s = context.clock.monotonic() - started_at
        pairs, lost = (0, 0) if place.last is None else (place.pairs, place.lost)
        place = replace(place, pairs=pairs + step.pairs, lost=lost + step.lost, last=step.last)
        if step.lost:
            what = f"{counted(step.lost, 'pair')} on this disk are damaged or gone: they are rebuilt from other nodes"
            self._events.tell("damage", what)
        gentle_s = 0.0 if self._hurries else step.file_bytes / context.profile.scrub_bytes_per_s
        await self._keep(self._finished(place) if step.last is None else place)
        return max(REST * took_s, gentle_s)

    def _finished(self, place: _Place) -> _Place:
        if self._hurries or place.lost:
            log.warning("all %d pairs were looked at: %d are damaged or gone", place.pairs, place.lost)
        self._hurries = False
        now = self._context.wall_seconds()
        return replace(place, due_at=self._next(), finished_at=now, found_lost=place.lost, lost=0)
