"""Invariant 7: the space accounted is the space used, nothing leased goes early, and what has expired goes in time.

Used is all that the disk has, in whole blocks and with its directories; the node's account must agree at every check.
A pair that was once there so that no power loss could take it must stay until its leases have ended, or their own
owners have ended them. Then it must be gone, or in the trash if it had a final lease, and gone from there after the
trash time: each once the node has been up, undisturbed and in contact for as long as its profile asks before it
collects.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnode.node import Node
from p2pnode.storage.names import PairKey
from testnet.sim.clock import WALL_EPOCH_S
from testnet.sim.files import CAPACITY_BYTES
from testnet.sim.judges.crooked import crooked_blobs
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.judges.leases import RecordInspector, end_of
from testnet.sim.judges.pairs import (
    HeldLease,
    PairInspector,
    WholePair,
    held_lease,
    lease_digest,
    pair_files,
    trash_files,
)
from testnet.sim.machine import Life, Machine
from testnet.sim.world import World
from wire import limits
from wire.ids import BlobId, Digest

NAME = "space-adds-up"

RESERVED_S_MAX = 1_000.0
"""No write takes so long, on the slowest disk of a scenario and through its longest pause."""

COLLECTIONS_MISSED_MAX = 2
"""How often a node may look without collecting: it may have looked just before, and the first look starts its wait.

Besides, a clock that was just set right is believed only with the next records of others."""


@dataclass(slots=True)
class _Undisturbed:
    """Since when a node has run without anything that would keep it from collecting."""

    life: Life
    since: float
    injected: int


@dataclass(frozen=True, slots=True)
class _Lodger:
    """A pair on a disk and the leases that keep it: provisional ones, and final ones in effect."""

    leases: tuple[HeldLease, ...]


class SpaceJudge:
    """Watches a world."""

    name = NAME

    def __init__(self, world: World, pairs: PairInspector, records: RecordInspector) -> None:
        """Judge all honest nodes at each check."""
        self._world = world
        self._pairs = pairs
        self._records = records
        self._lodgers: dict[tuple[str, PairKey], _Lodger] = {}
        self._undisturbed: dict[str, _Undisturbed] = {}
        self._reserved: dict[str, tuple[Life, float]] = {}
        """Since when each check of a life has found room set aside for writes."""

    def check(self) -> int:
        """Check every honest machine. Returns how many pairs were looked at. Raises `JudgementError`."""
        count = 0
        for name, machine in sorted(self._world.machines.items()):
            if not self._world.is_honest(name):
                continue
            present = dict(pair_files(machine.files))
            trash = list(trash_files(machine.files))
            if machine.is_ready:
                self._check_account(machine)
                self._check_reserved(machine)
            lodgers = self._census(machine, present)
            self._check_gone(name, machine, set(present.values()))
            self._check_stays(machine, lodgers, trash)
            self._lodgers.update({(name, key): each for key, each in lodgers.items()})
            count += len(present) + len(trash)
        return count

    # ------------------------------------------------------------------ the account

    def _check_account(self, machine: Machine) -> None:
        used = machine.files.peek_space_bytes()
        told = machine.node.info().used_bytes
        if told != used:
            what = f"it accounts for {told} bytes and its disk has {used}"
            raise JudgementError(NAME, what, node=machine.name)

    def _check_reserved(self, machine: Machine) -> None:
        """Check that room which is set aside for writes is given back: each ends long before the time is over."""
        life, now = machine.life, self._world.clock.current_time()
        if life is None or not isinstance(life.node, Node):
            return
        reserved = life.node._store.usage().reserved_bytes  # noqa: SLF001 - no node tells what it has set aside
        known = self._reserved.get(machine.name)
        if not reserved:
            self._reserved.pop(machine.name, None)
        elif known is None or known[0] is not life:
            self._reserved[machine.name] = (life, now)
        elif now - known[1] > RESERVED_S_MAX:
            what = f"it has had room set aside for {now - known[1]:.0f} s, {reserved} bytes now"
            raise JudgementError(NAME, what, node=machine.name)

    # ------------------------------------------------------------------ who lodges here

    def _census(self, machine: Machine, present: dict[str, PairKey]) -> dict[PairKey, _Lodger]:
        """Return the pairs that no power loss could take, with their leases."""
        later = self._records.later_leases(machine.files)
        renewals = self._records.renewals(machine.files)
        in_effect: dict[Digest, set[BlobId]] = {}
        certified: dict[BlobId, list[HeldLease]] = {}  # A certificate puts every pair of its blobs under its lease.
        for certificate in self._records.certificates(machine.files):
            in_effect.setdefault(lease_digest(certificate.lease), set()).update(certificate.page.blob_ids)
            for blob_id in certificate.page.blob_ids:
                certified.setdefault(blob_id, []).append(held_lease(certificate.lease))
        found: dict[PairKey, _Lodger] = {}
        for name, key in present.items():
            pair = self._pairs.whole(machine.name, name, machine.files.certain(name))
            if isinstance(pair, WholePair):
                leases = [*pair.leases, *later.get(key, ()), *certified.get(key.blob_id, ())]
                renewed = renewals.get(key, set())
                final = [
                    each for each in leases if each.digest in renewed or key.blob_id in in_effect.get(each.digest, ())
                ]
                found[key] = _Lodger((*(each for each in leases if each.is_provisional), *final))
        return found

    def _end(self, machine: Machine, lodger: _Lodger) -> int:
        """Return when the last lease ends, in seconds since 1970."""
        tombstones = self._records.tombstones(machine.files)
        return max((end_of(each, tombstones) for each in lodger.leases), default=0)

    def _check_gone(self, name: str, machine: Machine, present: set[PairKey]) -> None:
        """Check that whoever lodged here at the last check and is gone now had no lease any more."""
        now, crooked = self._now(), crooked_blobs(self._world)
        for owner, key in [each for each in self._lodgers if each[0] == name and each[1] not in present]:
            lodger = self._lodgers.pop((owner, key))
            left_s = self._end(machine, lodger) - now
            if left_s > limits.CLOCK_SKEW_SECONDS and key.blob_id not in crooked:
                what = f"shard {key.shard} of {key.blob_id.text()} is gone {left_s:.0f} s before its lease ends"
                raise JudgementError(NAME, what, node=machine.name, subject=key.blob_id.text())

    # ------------------------------------------------------------------ who should have left

    def _check_stays(
        self, machine: Machine, lodgers: dict[PairKey, _Lodger], trash: list[tuple[str, PairKey, int]]
    ) -> None:
        undisturbed_s = self._undisturbed_s(machine)
        profile = self._world.profile
        allowed_s = COLLECTIONS_MISSED_MAX * profile.collect_every_s + profile.member_record_every_s
        if undisturbed_s < profile.collection_after_uptime_s + allowed_s:
            return
        ends = {key: self._end(machine, lodger) for key, lodger in lodgers.items()}
        over = [(key, self._now() - end, "its last lease") for key, end in sorted(ends.items())]
        over += [(key, self._now() - at - profile.trash_s, "its time in the trash") for _, key, at in trash]
        for key, over_s, what_ended in over:
            if min(over_s, undisturbed_s) > limits.CLOCK_SKEW_SECONDS + allowed_s:
                what = f"shard {key.shard} of {key.blob_id.text()} stays {over_s:.0f} s after {what_ended}"
                raise JudgementError(NAME, what, node=machine.name, subject=key.blob_id.text())

    def _undisturbed_s(self, machine: Machine) -> float:
        """Return for how long a node has been able to collect, as far as the checks saw."""
        now, injected = self._world.clock.current_time(), self._world.log.injected
        known, life = self._undisturbed.get(machine.name), machine.life
        if life is None or not machine.is_ready or not self._can_collect(machine):
            self._undisturbed.pop(machine.name, None)
            return 0.0
        if known is None or known.life is not life or known.injected != injected:
            known = self._undisturbed[machine.name] = _Undisturbed(life, now, injected)
        return now - known.since

    def _can_collect(self, machine: Machine) -> bool:
        """Tell whether a node has the contact, the clock and the disk that collection needs."""
        has_contact = machine.node.info().members > 0 and machine.node.info().connected > 0
        clock_is_right = abs(machine.clock.error_s) <= limits.CLOCK_SKEW_SECONDS
        disk_works = machine.files.capacity_bytes >= CAPACITY_BYTES and not machine.files.faults.has_failed_to_write
        return has_contact and clock_is_right and disk_works and not self._world.pauses.is_paused(machine.name)

    def _now(self) -> float:
        return WALL_EPOCH_S + self._world.clock.current_time()
