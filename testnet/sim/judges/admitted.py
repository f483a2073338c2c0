"""Members have worked: whoever stands in the table of an honest node has solved the admission work, itself."""

from __future__ import annotations

from crypto.work import BadWorkError, Task, check_work
from p2pnode.node import Node
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.machine import Machine
from testnet.sim.world import NETWORK_NAME, World
from wire.ids import PublicKey

NAME = "members-have-worked"


class AdmissionJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World) -> None:
        """Judge running honest nodes at each check."""
        self._world = world
        self._good: set[tuple[PublicKey, bytes]] = set()
        """What was checked before: the work itself, not who believes in it."""

    def check(self) -> int:
        """Check the work of each member that a node knows. Returns how many. Raises `JudgementError`."""
        honest = [each for each in self._world.running() if each.is_ready and self._world.is_honest(each.name)]
        return sum(self._check_members(each) for each in honest)

    def _check_members(self, machine: Machine) -> int:
        cost = self._world.profile.admission_work
        if not cost or not isinstance(machine.node, Node):
            return 0
        members = machine.node._membership.table.members()  # noqa: SLF001 - no node tells whose work it has checked
        for peer_id, member in members:
            signer, work = member.signed.signer, member.record.work
            if (signer, work) in self._good:
                continue
            try:
                check_work(Task(signer, NETWORK_NAME, cost), work)
            except BadWorkError as error:
                what = f"it takes somebody for a member who has not worked: {error}"
                raise JudgementError(NAME, what, node=machine.name, subject=peer_id.hex()) from error
            self._good.add((signer, work))
        return len(members)
