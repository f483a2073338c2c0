"""How a scenario injects faults: one method for each, counted, and undone for a core of the nodes by `heal`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import trio

from testnet.sim.disk_events import DiskEvent
from testnet.sim.disk_faults import COMMITS, READS, WRITES
from testnet.sim.faults import FaultKind
from testnet.sim.files import SimFiles
from testnet.sim.links import Link, Pair
from testnet.sim.machine import current_life
from testnet.sim.world import World

ROTTING = ("pairs/", "records/", "index.db")
"""Where bits rot unless told otherwise. A damaged `sequences.rec` keeps a node from starting: a matter for people."""

HEAL_TIMEOUT_S = 300.0
"""How long a healed core may take until everybody knows everybody: as long as nodes that start may. One whose clock was
wrong greets anew once it is right."""


class Injector:
    """Does what a scenario wants to go wrong, as long as the log allows one more injection."""

    def __init__(self, world: World) -> None:
        """Injure this world."""
        self._world = world
        self._log = world.log
        self._spared: list[set[str]] = []
        """For each `resets` the nodes that were healed since; only asked for, never gone through."""
        self._unmet: dict[str, list[FaultKind]] = {}
        """What is wrong with a node's clock that it has not looked at since."""

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
                self._world.machines[name].has_left = True
                self._log.fire(FaultKind.LEFT_FOR_EVER)

    async def flap(self, name: str, *, times: int, up_s: float, down_s: float) -> None:
        """Kill a node and start it again, so many times; it is up and down for a random time of about these lengths."""
        rng = self._world.generator(f"flap/{self._log.injected}")
        for _ in range(times):
            self.kill(name)
            await trio.sleep(rng.uniform(0.5, 1.5) * down_s)
            if not self._world.machines[name].is_running:
                await self._world.restart(name)
            await trio.sleep(rng.uniform(0.5, 1.5) * up_s)

    def pause(self, *names: str) -> None:
        """Let these nodes stand still, as with SIGSTOP; a call on one of them waits until it goes on."""
        if self._log.may_inject(FaultKind.PAUSE, *names):
            for name in names:
                life = self._world.machines[name].life
                if life is not None and not life.was_killed:
                    self._world.pauses.pause(life)

    def put_to_sleep(self, *names: str) -> None:
        """Let these machines sleep, with all that runs on them, until they are resumed."""
        if self._log.may_inject(FaultKind.SLEEP, *names):
            for name in names:
                machine = self._world.machines[name]
                if machine.life is not None and not machine.life.was_killed:
                    self._world.pauses.put_to_sleep(machine.life, machine.clock)

    def resume(self, *names: str) -> None:
        """Let paused nodes go on, and wake machines; no error for one that does neither."""
        for name in names:
            self._world.pauses.resume(name)

    # ------------------------------------------------------------------ clocks

    def skew(self, name: str, seconds: float) -> None:
        """Let a wall clock be ahead by so much, or behind if negative. It fires when the node looks at it."""
        self._set_clock(FaultKind.CLOCK_SKEW, name, error_s=seconds)

    def jump(self, name: str, seconds: float) -> None:
        """Move a wall clock by so much at this instant. It fires when the node looks at it."""
        clock = self._world.machines[name].clock
        self._set_clock(FaultKind.CLOCK_JUMP, name, error_s=clock.error_s + seconds, drift=clock.drift)

    def drift(self, name: str, seconds_per_hour: float) -> None:
        """Let a wall clock gain so much, or lose it if negative, in each hour. It fires when the node looks at it."""
        error_s = self._world.machines[name].clock.error_s
        self._set_clock(FaultKind.CLOCK_SKEW, name, error_s=error_s, drift=seconds_per_hour / 3600)

    def _set_clock(self, kind: FaultKind, name: str, *, error_s: float, drift: float = 0.0) -> None:
        if not self._log.may_inject(kind, name, repr(error_s), repr(drift)):
            return
        clock = self._world.machines[name].clock
        unmet = self._unmet.setdefault(name, [])
        unmet.append(kind)

        def met() -> None:
            while unmet and current_life.get() is not None:  # A judge may look at the clock as well.
                self._log.fire(unmet.pop())

        clock.set_wrong(error_s, drift=drift, on_read=met)

    # ------------------------------------------------------------------ wires

    def partition(self, *groups: Sequence[str]) -> None:
        """Cut every way between nodes of different groups."""
        if self._log.may_inject(FaultKind.CUT, *("+".join(group) for group in groups)):
            self._world.fabric.partition(*groups)

    def cut_one_way(self, source: str, target: str) -> None:
        """Let nothing come from one node to another, while the way back stays."""
        if self._log.may_inject(FaultKind.ONE_WAY_CUT, source, target):
            self._world.fabric.cut_one_way(source, target)

    def reset(self, one: str, other: str) -> None:
        """Break the connections between two nodes, with whatever is under way on them; both see it and live on."""
        if self._log.may_inject(FaultKind.RESET, one, other):
            self._log.fired[FaultKind.RESET] += self._world.fabric.reset(one, other)

    def resets(self, *, every_s: float, among: Sequence[str] | None = None) -> None:
        """From now on break a random connection (between these nodes) at random moments, `every_s` on average.

        Each is an injection of its own. It goes on until both ends belong to a core that is healed.
        """
        rng = self._world.generator(f"resets/{self._log.injected}")
        spared: set[str] = set()
        self._spared.append(spared)
        clock = self._world.clock

        def reset_later() -> None:
            clock.call_at(clock.current_time() + rng.expovariate(1 / every_s), reset_one)

        def reset_one() -> None:
            names = {name for name in self._world.machines if among is None or name in among}
            pairs = [pair for pair in self._world.fabric.connected_pairs() if names.issuperset(pair)]
            pairs = [pair for pair in pairs if not spared.issuperset(pair)]
            if pairs:
                self.reset(*rng.choice(pairs))
            if not spared.issuperset(names):
                reset_later()

        reset_later()

    def slow_links(self, *names: str, latency_s: float = 1.0, bytes_per_s: float = 50_000.0) -> None:
        """Let all that these nodes send and get take so long, on a link of so little bandwidth to each other node."""
        self._change_links(
            FaultKind.SLOW_LINK, names, lambda link: replace(link, latency_s=latency_s, bytes_per_s=bytes_per_s)
        )

    def lossy_links(self, *names: str, share: float) -> None:
        """Lose a share of the packets that these nodes send and get; each is sent again, later and later."""
        self._change_links(FaultKind.LOSS, names, lambda link: replace(link, loss=share))

    def duplicates(self, *names: str, share: float) -> None:
        """Let a share of the gossip that these nodes send and get arrive a second time, two to five minutes later."""
        self._change_links(FaultKind.DUPLICATE, names, lambda link: replace(link, duplicates=share))

    def reorders(self, *names: str, share: float) -> None:
        """Let a share of the gossip that these nodes send and get be late by seconds: other messages pass it."""
        self._change_links(FaultKind.REORDER, names, lambda link: replace(link, reorders=share))

    def _change_links(self, kind: FaultKind, names: Collection[str], change: Callable[[Link], Link]) -> None:
        """Change every link from and to these nodes, of all nodes without names."""
        if self._log.may_inject(kind, *names):
            everyone = sorted(self._world.machines)
            chosen = frozenset(names or everyone)
            pairs: list[Pair] = [
                (one, other) for one in everyone for other in everyone if one in chosen or other in chosen
            ]
            self._world.fabric.links.change(pairs, change)

    # ------------------------------------------------------------------ disks

    def stall(self, *names: str, low_s: float = 1.0, high_s: float = 10.0) -> None:
        """Let every disk call of these nodes take so many seconds longer, before or after its work is done."""
        if self._log.may_inject(FaultKind.STALL, *names):
            for name in names:
                self._world.machines[name].files.faults.stall(low_s=low_s, high_s=high_s)

    def read_errors(self, name: str, *, calls: int | None = None, probability: float = 1.0) -> None:
        """Fail the next reads of a disk, or without `calls` each with a probability."""
        if self._log.may_inject(FaultKind.READ_ERROR, name):
            self._world.machines[name].files.faults.fail(READS, calls=calls, probability=probability)

    def write_errors(self, name: str, *, calls: int | None = None, probability: float = 1.0) -> None:
        """Fail the next writes, syncs, renames or removals of a disk; after one the node writes no more."""
        if self._log.may_inject(FaultKind.WRITE_ERROR, name, "file"):
            self._world.machines[name].files.faults.fail(WRITES, calls=calls, probability=probability)

    def commit_errors(self, name: str, *, calls: int | None = None, probability: float = 1.0) -> None:
        """Fail the next commits of a node's database; after one the node writes no more."""
        if self._log.may_inject(FaultKind.WRITE_ERROR, name, "database"):
            self._world.machines[name].files.faults.fail(COMMITS, calls=calls, probability=probability)

    def disk_full(self, *names: str, room_bytes: int = 0) -> None:
        """Leave these disks with so little room; a node keeps 16 MiB of what is left in reserve."""
        if self._log.may_inject(FaultKind.DISK_FULL, *names):
            for name in names:
                self._world.machines[name].files.fill(room_bytes=room_bytes)

    def bit_rot(self, name: str, *, under: Sequence[str] = ROTTING) -> str:
        """Flip one bit in a random file of a node whose name starts so; return its name, "" when there is none.

        It fires when the node reads it. `SimFiles.injured` tells which files have such damage.
        """
        if not self._log.may_inject(FaultKind.BIT_ROT, name):
            return ""
        files = self._world.machines[name].files
        injured = files.rot(self._world.generator(f"rot/{self._log.injected}"), under=under)
        self._world.trace.record("rot", name, injured)
        return injured

    def image(self, name: str) -> SimFiles:
        """Return an image of a disk as it is now, for `old_disk`; it is none of the faults."""
        return self._world.machines[name].files.image(self._world.generator(f"image/{name}"))

    def old_disk(self, name: str, image: SimFiles) -> None:
        """Kill a node and put its disk back from an earlier image, which is used up; the machine stays down."""
        if self._log.may_inject(FaultKind.OLD_DISK, name):
            self._world.kill(name, power=False)
            self._world.machines[name].files.put_back(image)
            self._log.fire(FaultKind.OLD_DISK)

    def power_loss_within(self, name: str, *, moments: int) -> None:
        """Take a machine's power in the middle of its disk's work: after so many moments from now.

        Each change of the disk has two, before and after it takes effect. Only so does a write get lost or torn: the
        whole of a disk call happens at one virtual instant.
        """
        if not self._log.may_inject(FaultKind.POWER_LOSS, name, moments):
            return
        left = itertools.count(moments - 1, -1)

        def cut(event: DiskEvent) -> None:
            if event.operation not in READS and next(left) == 0:
                self._log.fire(FaultKind.POWER_LOSS)
                self._world.kill(name, power=True)

        self._world.machines[name].files.hook = cut

    # ------------------------------------------------------------------ the end of it

    async def heal(self, core: Sequence[str]) -> None:
        """See `Run.heal`."""
        left = [name for name in core if self._world.machines[name].has_left]
        if left:
            raise ValueError(f"left for ever, and so in no core: {', '.join(left)}")
        for spared in self._spared:
            spared |= set(core)
        self._world.fabric.heal(core)
        self._world.fabric.links.heal(core)
        self._heal_disks(core)
        for name in core:
            self._world.pauses.resume(name)
            self._world.machines[name].clock.set_wrong(0.0)
            self._unmet.pop(name, None)
        async with trio.open_nursery() as nursery:
            for name in core:
                if not self._world.machines[name].is_running:
                    nursery.start_soon(self._world.restart, name)
        await self._world.all_meet(core, timeout_s=HEAL_TIMEOUT_S)

    def _heal_disks(self, core: Sequence[str]) -> None:
        """Let disks work again; a node that was told of a failed write ends, as its message asks its operator for."""
        for name in core:
            machine = self._world.machines[name]
            machine.files.hook = None
            if machine.files.heal() and machine.is_running:
                self._world.kill(name, power=False)
