"""All judges of a run, sharing one wiretap and one memory of what lies on the disks."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.services.results import PutResult
from testnet.sim.judges.accusations import AccusationJudge
from testnet.sim.judges.admitted import AdmissionJudge
from testnet.sim.judges.audited import AuditReceiptJudge
from testnet.sim.judges.judgement import Judge
from testnet.sim.judges.leases import RecordInspector
from testnet.sim.judges.numbers import NumberJudge
from testnet.sim.judges.pairs import PairInspector
from testnet.sim.judges.promises import PromiseJudge
from testnet.sim.judges.puts import PutJudge
from testnet.sim.judges.readable import ReadableJudge, Stored
from testnet.sim.judges.reads import ReadJudge
from testnet.sim.judges.served import ServedJudge
from testnet.sim.judges.space import SpaceJudge
from testnet.sim.judges.tables import LimitJudge
from testnet.sim.judges.wiretap import Wiretap
from testnet.sim.world import World


class Bench:
    """The judges of one world. They watch from its making on: make it before the nodes start."""

    def __init__(self, world: World, shelf: Sequence[Stored] = ()) -> None:
        """Judge this world, and what is on the shelf of stored things, which may grow."""
        self._world = world
        self._is_dismissed = False
        self.wiretap = wiretap = Wiretap(world)
        pairs, records = PairInspector(), RecordInspector()
        self.promises = PromiseJudge(world, wiretap, pairs, records)
        self.puts = PutJudge(world, wiretap, pairs)
        self.reads = ReadJudge(world)
        self.all: list[Judge] = [
            self.promises,
            ServedJudge(world, wiretap, pairs),
            self.puts,
            ReadableJudge(world, pairs, shelf),
            self.reads,
            AccusationJudge(world, wiretap),
            AuditReceiptJudge(world, wiretap),
            LimitJudge(world),
            NumberJudge(world),
            AdmissionJudge(world),
            SpaceJudge(world, pairs, records),
        ]

    def dismiss(self) -> None:
        """Let these judges hear and check nothing, before anything happens; what a scenario judges itself stays."""
        self.wiretap.listeners.clear()
        self._world.fabric.on_publish.clear()
        self.all.clear()
        self._is_dismissed = True

    def put_done(self, writer: str, result: PutResult) -> None:
        """Judge a put that has just reported success. Raises `JudgementError`."""
        if not self._is_dismissed:
            self.puts.put_done(writer, result)
