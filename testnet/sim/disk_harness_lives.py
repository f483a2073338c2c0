"""Living through a history on a disk that works, while somebody looks on at each step."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Protocol

from p2pnode.storage.store import SliverStore
from testnet.sim.disk_harness_goods import open_store
from testnet.sim.disk_harness_history import Historian
from testnet.sim.disk_harness_told import Step, Told
from testnet.sim.files import SimFiles

STEPS = 14
"""Steps of one history: enough for a pair to be stored, certified, damaged, replaced and left to expire."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One step of a history while it is taken."""

    where: str
    """The history, the number of the step and its name, for whoever has to find it again."""
    step: Step
    historian: Historian
    disk: SimFiles


class Onlooker(Protocol):
    """Looks on at each step."""

    async def before(self, turn: Turn) -> None:
        """Nothing of the step has happened yet, and the disk has not changed yet either."""
        ...

    def begin(self, turn: Turn) -> None:
        """The step's work begins now."""
        ...

    async def after(self, turn: Turn, told: Told) -> None:
        """The store has told the step done; this is what it was told by now."""
        ...


async def live_through(seed: str, onlooker: Onlooker, *, steps: int = STEPS) -> None:
    """Take the steps of one history. Raises what the onlooker raises."""
    historian = Historian(random.Random(seed))
    disk = SimFiles()
    store: SliverStore | None = None
    for number in range(steps):
        step = historian.draw() if number else historian.opening()
        where = f"history {seed}, step {number} ({step.name})"
        await onlooker.before(Turn(where, step, historian, disk))
        if step.work is None:
            if store is not None:
                await store.close()
            disk = disk.stop()
        turn = Turn(where, step, historian, disk)
        if step.change is not None:
            step.change(disk)
        onlooker.begin(turn)
        historian.told = step.after
        if step.work is None:
            store = await open_store(disk)
        else:
            assert store is not None, "a history begins with an opening"
            sequence = await step.work(store)
            if sequence is not None:
                historian.told = replace(step.after, sequence=sequence)
        disk.hook = None
        await onlooker.after(turn, historian.told)
    assert store is not None, "a history has steps"
    await store.close()
