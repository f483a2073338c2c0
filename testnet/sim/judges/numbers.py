"""Numbers only rise: no honest node signs two records with one number, and none gives up a newer record for an older.

Whoever signs twice under one number has signed evidence against itself (invariant 5), so a number must be durable
before it is used. Watched is what nodes gossip, and at each check the newest record that each node has of each other.
"""

from __future__ import annotations

from crypto.peer_id import peer_id_of
from p2pnode.node import Node
from testnet.sim.fabric import Host
from testnet.sim.judges.judgement import Findings, JudgementError
from testnet.sim.machine import Life, Machine
from testnet.sim.world import World
from wire import limits
from wire.codec import decode
from wire.commitments import Commitment
from wire.errors import WireError
from wire.evidence import Evidence
from wire.ids import PeerId
from wire.records import AnnouncementBatch, Envelope, MemberRecord

NAME = "numbers-only-rise"

_BYTES_MAX = 2 * limits.RECORD_BYTES_MAX


class NumberJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World) -> None:
        """Watch all honest nodes from now on."""
        self._world = world
        self._findings = Findings(NAME)
        self._given: dict[tuple[str, str], tuple[int, bytes]] = {}
        """For each node and kind of record the highest number, and what was signed with it."""
        self._known: dict[str, tuple[Life, dict[PeerId, int]]] = {}
        world.fabric.on_publish.append(self._hear)

    def check(self) -> int:
        """Check what is known of members. Returns how much was looked at. Raises `JudgementError`."""
        count = self._findings.deliver()
        return count + sum(self._check_members(each) for each in self._world.running() if each.is_ready)

    def _hear(self, host: Host, topic: str, data: bytes) -> None:
        if not self._world.is_honest(host.name):
            return
        kind = topic.rpartition("/")[2]
        self._findings.looked()
        try:
            envelope = decode(data, Envelope, Evidence, bytes_max=_BYTES_MAX)
            if isinstance(envelope, Evidence):
                return  # It has no number: what it says of its subject others have signed.
            assert isinstance(envelope, Envelope)
            body = envelope.body
            record = decode(body, MemberRecord, AnnouncementBatch, Commitment, bytes_max=_BYTES_MAX)
        except WireError as error:
            self._findings.blame(f"it gossiped {kind} that nobody can read: {error}", node=host.name)
            return
        # The codec returns one of what it was given; the number of a commitment is the epoch that it is for.
        assert isinstance(record, MemberRecord | AnnouncementBatch | Commitment)
        number = record.epoch if isinstance(record, Commitment) else record.sequence
        if peer_id_of(envelope.signer) != self._world.machines[host.name].peer_id:
            return  # A newcomer's, which it checked and passes on.
        highest, signed = self._given.get((host.name, kind), (-1, b""))
        if number < highest or (number == highest and body != signed):
            what = f"it signed {kind} with number {number} after it had used number {highest}"
            self._findings.blame(what, node=host.name, subject=kind)
        else:
            self._given[host.name, kind] = (number, body)

    def _check_members(self, machine: Machine) -> int:
        if machine.habit is not None or machine.life is None or not isinstance(machine.node, Node):
            return 0
        table = machine.node._membership.table  # noqa: SLF001 - no node tells what numbers it knows
        now = {peer_id: member.record.sequence for peer_id, member in table.members()}
        life, before = self._known.get(machine.name, (machine.life, {}))
        for peer_id, sequence in sorted(now.items()):
            if life is machine.life and sequence < before.get(peer_id, sequence):
                what = f"a record with number {sequence} replaced one with number {before[peer_id]}"
                raise JudgementError(NAME, what, node=machine.name, subject=peer_id.hex())
        self._known[machine.name] = (machine.life, now)
        return len(now)
