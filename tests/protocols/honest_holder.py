"""An honest holder as a state machine over the rules of `protocols`, and whatever can happen to it, drawn from a seed.

Its disk is a value, so that it can rot, be full, lose power between two steps and be put back from a copy. The rules
are those that ship: what it signs comes from `make_batch`, `make_proof` and `make_retraction`. `services/prove.py` and
`services/retract.py` do the same around a real store.
"""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache

from p2pnode.coding import EncodedBlob, encode, pair_of_shard
from p2pnode.errors import CorruptSliverError
from p2pnode.protocols.challenge import Question, check_absence, check_answer, make_proof, open_challenge, sliver_of
from p2pnode.protocols.evidence import evidence_in
from p2pnode.protocols.leases import blob_page
from p2pnode.protocols.receipts import make_batch, receipt_for, shard_set
from p2pnode.protocols.retractions import make_retraction
from tests import factories
from tests.factories import NETWORK, key, peer_id
from wire.challenges import Absent, Challenge, Proven
from wire.ids import Axis, BlobId, Digest, ShardIndex
from wire.records import HolderReceipts, Receipt

HOLDER, ASKERS = 1, (50, 51)
N = 4
BLOBS = 3
SHARD = ShardIndex(2)


@cache
def blobs() -> tuple[EncodedBlob, ...]:
    """Return the few blobs that all histories are about."""
    return tuple(encode(factories.seed_bytes("blob", number) * 20, n=N) for number in range(BLOBS))


@dataclass
class Disk:
    """What survives the process."""

    slivers: dict[BlobId, dict[Axis, bytes]] = field(default_factory=dict)
    """Of pairs that are here, as they are read: the checksums that a real store has would only find rot earlier."""
    number: int = 0
    """The highest number that may have been signed."""
    ended: dict[BlobId, int] = field(default_factory=dict)
    """By blob the number of the latest retraction."""
    is_full: bool = False


class DiskFullError(Exception):
    """Nothing could be noted, so nothing was signed."""


class Holder:
    """A holder that keeps to the rules."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.disk = Disk()
        self.copy = Disk()
        self.clock_error_s = 0
        self.receipts: list[Receipt] = []
        """All that it ever signed, as askers remember them."""
        self.proven = self.absent = self.refused = 0

    def store(self) -> None:
        """Take a pair, and sign for it once it is durable."""
        blob = self.rng.choice(blobs())
        blob_id = blob.blob_id
        try:
            number = self._next_number()
        except DiskFullError:
            return
        primary, secondary = blob.pair(pair_of_shard(blob_id, SHARD, N))
        self.disk.slivers[blob_id] = {Axis.PRIMARY: bytes(primary.data), Axis.SECONDARY: bytes(secondary.data)}
        if self._power_goes():
            return
        lease = factories.signed_lease(blob_id, n=N)
        batch = make_batch(key(HOLDER), lease, [(blob_id, SHARD)], network=NETWORK, time=self._time(), sequence=number)
        receipts = HolderReceipts(batch=batch.envelope, shard_sets=(shard_set(SHARD, [0], blob_count=1),))
        self.receipts.append(receipt_for(blob_page(blob_id), receipts, blob_id, SHARD))

    def ask(self) -> None:
        """Be asked about any receipt that it ever signed, old ones too, and answer, or not; then judge the answer."""
        if not self.receipts:
            return
        challenge = Challenge(
            receipt=self.rng.choice(self.receipts),
            number=self.rng.randrange(2**32),
            secret=Digest(self.rng.randbytes(32)),
            deadline=factories.TIME,
        )
        asker = peer_id(self.rng.choice(ASKERS))
        question = open_challenge(challenge, challenger=asker, network=NETWORK)
        try:
            answer = self._answer(question)
        except DiskFullError:
            self.refused += 1
            return
        if isinstance(answer, Absent):
            check_absence(answer, question)
            self.absent += 1
        else:
            check_answer(answer, question)
            assert evidence_in(answer, network=NETWORK) is None, "an honest holder has signed what convicts it"
            self.proven += 1

    def _answer(self, question: Question) -> Proven | Absent:
        blob = next(each for each in blobs() if each.blob_id == question.blob_id)
        held = self.disk.slivers.get(question.blob_id)
        if held is not None:
            axis, _, _ = sliver_of(question, blob.metadata)
            try:
                return make_proof(question, blob.metadata, held[axis], key=key(HOLDER))
            except CorruptSliverError:
                pass  # From here on the pair is lost.
        at_least = question.batch.record.sequence + 1
        if self.disk.ended.get(question.blob_id, 0) < at_least:
            number = self._next_number(at_least)
            self.disk.slivers.pop(question.blob_id, None)
            self.disk.ended[question.blob_id] = number
        signed = make_retraction(
            key(HOLDER),
            (question.blob_id, SHARD),
            network=NETWORK,
            sequence=self.disk.ended[question.blob_id],
            time=self._time(),
        )
        return Absent(retraction=signed.envelope)

    def _next_number(self, at_least: int = 0) -> int:
        if self.disk.is_full:
            raise DiskFullError
        self.disk.number = max(self.disk.number + 1, at_least)
        return self.disk.number

    def _power_goes(self) -> bool:
        """Tell whether the process ends between a durable step and its signature: the asker hears nothing."""
        return self.rng.random() < 0.1

    def _time(self) -> int:
        return max(0, factories.TIME + self.clock_error_s)

    # ------------------------------------------------------------------------------------ what happens to it

    def rot(self) -> None:
        """Flip a bit of a sliver, or cut its end off."""
        if not self.disk.slivers:
            return
        held = self.disk.slivers[self.rng.choice(sorted(self.disk.slivers))]
        axis = self.rng.choice(list(Axis))
        data = bytearray(held[axis])
        if self.rng.random() < 0.2 or not data:
            held[axis] = bytes(data[:-1])
            return
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        held[axis] = bytes(data)

    def lose(self) -> None:
        """Let a pair's file be gone."""
        if self.disk.slivers:
            del self.disk.slivers[self.rng.choice(sorted(self.disk.slivers))]

    def swap(self) -> None:
        """Put the bytes of one sliver where those of another belong."""
        if self.disk.slivers:
            held = self.disk.slivers[self.rng.choice(sorted(self.disk.slivers))]
            held[Axis.PRIMARY], held[Axis.SECONDARY] = held[Axis.SECONDARY], held[Axis.PRIMARY]

    def fill(self) -> None:
        """Let the disk be full, or have room again."""
        self.disk = replace(self.disk, is_full=not self.disk.is_full)

    def set_clock(self) -> None:
        """Set the clock anywhere."""
        self.clock_error_s = self.rng.randrange(-(10**9), 10**9)

    def back_up(self) -> None:
        """Take a copy of the disk."""
        self.copy = deepcopy(self.disk)

    def put_back(self) -> None:
        """Put the disk back from its copy; `services/restoring.py` sees to it that no number is used again."""
        seen = max((each.batch_number for each in map(_Seen, self.receipts)), default=0)
        self.disk = deepcopy(self.copy)
        self.disk.number = max(self.disk.number, seen)

    def live(self, steps: int) -> None:
        """Let so many things happen."""
        happenings = (self.rot, self.lose, self.swap, self.fill, self.set_clock, self.back_up, self.put_back)
        for _ in range(steps):
            step = self.rng.choices((self.store, self.ask, self.rng.choice(happenings)), (2, 5, 2))[0]
            step()


@dataclass(frozen=True)
class _Seen:
    receipt: Receipt

    @property
    def batch_number(self) -> int:
        return open_challenge(
            Challenge(receipt=self.receipt, number=0, secret=factories.digest(), deadline=0),
            challenger=peer_id(ASKERS[0]),
            network=NETWORK,
        ).batch.record.sequence
