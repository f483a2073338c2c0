"""Power loss at every disk operation of a history, and what every image of the disk then gives back.

The disk of the history goes on: at each moment, before and after each change, images of what a power loss would leave
are taken aside. They share all bytes with the disk, so they cost little; those of one step that hold the same are
checked once. Each is opened, checked, written to, loses its power again, and is opened once more.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from testnet.sim.disk_events import DiskEvent, DiskOperation
from testnet.sim.disk_harness_checks import Between, DiskHarnessError
from testnet.sim.disk_harness_goods import open_store
from testnet.sim.disk_harness_history import PURPOSE, Historian, store_work
from testnet.sim.disk_harness_lives import Turn
from testnet.sim.disk_harness_told import Step, Told
from testnet.sim.files import SimFiles

IMAGES_PER_MOMENT = 12


@dataclass(slots=True)
class CrashTally:
    """What was tried."""

    moments: int = 0
    drawn: int = 0
    """Images that were drawn."""
    images: int = 0
    """Those of them that were checked: no two of a step hold the same."""


class PowerLosses:
    """Looks on at a history and checks every image; raises `DiskHarnessError` with the step and the moment."""

    def __init__(self, seed: str, *, per_moment: int = IMAGES_PER_MOMENT) -> None:
        """Draw the images from a seed, so many at each moment."""
        self.tally = CrashTally()
        self._rng = random.Random(f"{seed}/power")
        self._per_moment = per_moment
        self._images: list[tuple[str, SimFiles]] = []
        self._seen: set[int] = set()

    async def before(self, turn: Turn) -> None:
        """Do nothing yet."""
        del turn

    def begin(self, turn: Turn) -> None:
        """Take images from now on."""
        count = 0

        def follow(event: DiskEvent) -> None:
            nonlocal count
            if event.operation is not DiskOperation.READ:
                count += 1
                when = "after" if event.is_done else "before"
                self._take(turn.disk, f"moment {count}, {when} {event.operation} {event.name}")

        turn.disk.hook = follow

    async def after(self, turn: Turn, told: Told) -> None:
        """Check the images of the step, and what a power loss leaves once it was told done."""
        await self._check(turn, turn.step)
        self._take(turn.disk, "after it was told done")
        await self._check(turn, replace(turn.step, before=told, after=told, work=None))

    def _take(self, disk: SimFiles, moment: str) -> None:
        self.tally.moments += 1
        for _ in range(self._per_moment):
            self.tally.drawn += 1
            image = disk.image(self._rng)
            mark = hash(image.contents())  # Of bytes it differs from process to process; only whether it is new counts.
            if mark not in self._seen:
                self._seen.add(mark)
                self._images.append((moment, image))

    async def _check(self, turn: Turn, step: Step) -> None:
        for moment, image in self._images:
            self.tally.images += 1
            try:
                await _check_image(image, step, turn.historian, self._rng)
            except Exception as error:
                raise DiskHarnessError(f"{turn.where}, {moment}: {type(error).__name__}: {error}") from error
        self._images.clear()
        self._seen.clear()


async def _check_image(disk: SimFiles, step: Step, historian: Historian, rng: random.Random) -> None:
    """Open, check, do the step again, write, lose power, open, check, collect."""
    pairs = tuple(historian.pairs)
    store = await open_store(disk)
    await Between(step.before, step.after, pairs).check(store, disk)
    if step.work is not None:
        await step.work(store)
    fresh = historian.fresh
    await store_work(fresh, fresh.provisional)(store)
    sequence = await store.next_sequence(PURPOSE)
    if sequence <= step.before.sequence:
        raise DiskHarnessError(f"the sequence number {sequence} comes again: {step.before.sequence} was given out")
    await store.close()
    told = replace(step.after, sequence=sequence).with_file(fresh, fresh.provisional)
    await check_last_life(disk.crash(rng), Between(told, told, (*pairs, fresh)), rng)


async def check_last_life(disk: SimFiles, between: Between, rng: random.Random) -> None:
    """Open a disk, check it, and see what a collection removes. Raises `DiskHarnessError`."""
    store = await open_store(disk)
    await between.check(store, disk)
    await between.check_collection(store, disk, rng)
    await store.close()
