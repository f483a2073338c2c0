"""Owners who store, renew and remove while everything fails: what one of them keeps stays, and what none keeps goes."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.config import DAY_S, MINUTE_S
from p2pnode.errors import NotFoundError, P2PNodeError
from testnet.sim import users
from testnet.sim.faults import FaultKind
from testnet.sim.judges import JudgementError
from testnet.sim.machine import NodeDiedError
from testnet.sim.run import HEALED, Run
from testnet.sim.scenarios import scenario
from testnet.sim.scenarios.leases import BRIEF, until_ended

MINDS = "owners-have-their-way"

_FAULTS = (FaultKind.CUT, FaultKind.POWER_LOSS, FaultKind.CLOCK_JUMP)
_ACTS_PER_FAULT = 2
_THINGS_MAX = 4
_MOMENTS_MAX = 40
_JUMPS_S = (-DAY_S, 7 * DAY_S)
"""A clock that was set back a day, or forward a week."""


class _Owners:
    """What owners wanted of what they stored, as far as they were told."""

    def __init__(self, run: Run) -> None:
        """Nothing is stored yet."""
        self._run = run
        self.keepers: dict[str, set[str]] = {}
        """The machines whose owners were told that they lease a thing, and have not begun to end that since."""
        self.settled: set[str] = set()
        """Things that nobody is to change any more."""
        self._involved: dict[str, set[str]] = {}
        """The machines whose owners have ever begun to lease it."""

    async def put(self, name: str) -> None:
        """Store something new, unless that fails as it may."""
        result = await self._run.try_put(name)
        if result is not None:
            self.keepers[result.id], self._involved[result.id] = {name}, {name}

    async def act(self, name: str) -> None:
        """Let the owner of a machine's node do something, which may fail while something is broken."""
        rng = self._run.rng
        kept = sorted(text for text, keepers in self.keepers.items() if keepers)
        own = [text for text in kept if name in self.keepers[text] and text not in self.settled]
        others = [text for text in kept if name not in self.keepers[text]]
        if own and rng.random() < 0.5:  # noqa: PLR2004 - half of the time
            await self.remove(name, rng.choice(own))
        elif others:
            await self.join(name, rng.choice(others))
        elif len(self.keepers) < _THINGS_MAX:
            await self.put(name)

    async def join(self, name: str, text: str) -> None:
        """Lease what others lease."""
        self._involved[text].add(name)
        try:
            done = await users.renew(self._run.machine(name), text)
        except (P2PNodeError, NodeDiedError) as error:
            self._run.world.trace.record("renewal failed", name, type(error).__name__)
            return
        self._run.world.trace.record("renewal", name, text, done.healthy)
        if done.healthy == done.n and self.keepers[text]:
            self.keepers[text].add(name)

    async def remove(self, name: str, text: str) -> None:
        """End one owner's lease."""
        self.keepers[text].discard(name)
        self._take_off_the_shelf()
        try:
            done = await users.remove(self._run.machine(name), text)
        except (P2PNodeError, NodeDiedError) as error:
            self._run.world.trace.record("removal failed", name, type(error).__name__)
            return
        self._run.world.trace.record("removal", name, text, done.told)

    async def make_up_their_minds(self) -> list[str]:
        """Let all that is not certainly kept be removed by everyone, once all is healed; returns what nobody keeps."""
        for text, involved in sorted(self._involved.items()):
            for name in sorted(involved - self.keepers[text]):
                try:
                    await users.remove(self._run.machine(name), text)
                except NotFoundError:
                    self._run.world.trace.record("was removed", name, text)
                except P2PNodeError as error:
                    message = f"a removal fails though {HEALED}: {error}"
                    raise JudgementError(MINDS, message, node=name, subject=text) from error
                self._run.count(MINDS)
        return sorted(text for text, keepers in self.keepers.items() if not keepers)

    def _take_off_the_shelf(self) -> None:
        shelf = self._run.shelf
        shelf[:] = [each for each in shelf if self.keepers[each.id]]


@scenario(*_FAULTS, nodes=4, profile=BRIEF, minds_own_things=True)
async def owners_change_their_minds_under_faults(run: Run) -> None:
    """Nodes are cut off, lose power and misread the time while owners store, share and remove, and daemons renew.

    Later everybody is done with most of it: that goes, and what somebody keeps is still there.
    """
    await run.start()
    owners = _Owners(run)
    for name in run.some(2):
        await owners.put(name)
    kept, gone = sorted(owners.keepers)
    owners.settled.add(kept)
    for fault in run.rng.sample(_FAULTS, len(_FAULTS)):
        broken = _break(run, fault)
        for _ in range(_ACTS_PER_FAULT):
            awake = [name for name in run.running() if fault is not FaultKind.CLOCK_JUMP or name not in broken]
            await owners.act(run.rng.choice(awake))
        if fault is FaultKind.POWER_LOSS and all(name in run.running() for name in broken):
            run.inject.power_loss(*broken)
        await run.wait(MINUTE_S / 2, 1.5 * MINUTE_S)
        await run.heal()
    for name in sorted(owners.keepers[gone]):
        await owners.remove(name, gone)
    ended = await owners.make_up_their_minds()
    await until_ended(run, ended, in_trash=False)
    for stored in list(run.shelf):
        await run.must_get(run.rng.choice(run.names()), stored, "the daemon of an owner renews it")
    await run.heal()
    await run.demand_progress()


def _break(run: Run, fault: FaultKind) -> Sequence[str]:
    """Let something go wrong; returns on which machines."""
    broken = run.some(run.spare())
    match fault:
        case FaultKind.CUT:
            run.inject.partition(broken, run.others(broken))
        case FaultKind.POWER_LOSS:
            for name in broken:
                run.inject.power_loss_within(name, moments=run.rng.randint(1, _MOMENTS_MAX))
        case _:
            for name in broken:
                run.inject.jump(name, run.rng.choice(_JUMPS_S))
    return broken
