"""How a scenario injects faults: one method for each, counted, and undone for a core of the nodes by `heal`."""

from __future__ import annotations

from collections.abc import Sequence

from testnet.sim.faults import FaultKind
from testnet.sim.world import World


class Injector:
    """Does what a scenario wants to go wrong, as long as the log allows one more injection."""

    def __init__(self, world: World) -> None:
        """Injure this world."""
        self._world = world
        self._log = world.log

    # ------------------------------------------------------------------ machines

    def kill(self, name: str) -> None:
        """End a node's process at this instant; what it has written stays."""
        if self._log.may_inject(FaultKind.KILL, name):
            self._world.kill(name, power=False)
            self._log.fire(FaultKind.KILL)

    def power_loss(self, *names: str) -> None:
        """Take the power of these machines at this instant."""
        if self._log.may_inject(FaultKind.POWER_LOSS, *names):
            for name in names:
                self._world.kill(name, power=True)
                self._log.fire(FaultKind.POWER_LOSS)

    def lose_for_ever(self, *names: str) -> None:
        """Take machines away; a core never includes them, and nobody starts them again."""
        if self._log.may_inject(FaultKind.LEFT_FOR_EVER, *names):
            for name in names:
                self._world.kill(name, power=True)
                self._log.fire(FaultKind.LEFT_FOR_EVER)

    # ------------------------------------------------------------------ wires

    def partition(self, *groups: Sequence[str]) -> None:
        """Cut every way between nodes of different groups."""
        if self._log.may_inject(FaultKind.CUT, *("+".join(group) for group in groups)):
            self._world.fabric.partition(*groups)

    # ------------------------------------------------------------------ the end of it

    async def heal(self, core: Sequence[str]) -> None:
        """See `Run.heal`."""
        self._world.fabric.heal()
        for name in core:
            if not self._world.machines[name].is_running:
                await self._world.restart(name)
        await self._world.all_meet()
