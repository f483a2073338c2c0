"""Forged receipts: signatures that are for another shard, lease, network or kind, by another key, or by nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from crypto.signing import Domain, sign
from p2pnode.protocols.receipts import make_batch, pairs_of
from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from wire import limits
from wire.codec import decode
from wire.ids import BlobId, PublicKey, ShardIndex, Signature
from wire.messages import CommitLease, Committed, Stored, StorePair
from wire.records import Envelope, Lease
from wire.signed import Signed

RECEIPTS_KEPT = 16
"""Receipts of earlier writes that are given again."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a writer wants signed."""

    lease: Signed[Lease]
    pairs: tuple[tuple[BlobId, ShardIndex], ...]


class ForgedReceipts(BadHabit):
    """Keeps nothing that it is sent, and answers with receipts that are worth nothing."""

    name: ClassVar[str] = "forged-receipts"

    def __init__(self) -> None:
        """Nothing was forged yet."""
        super().__init__()
        self._earlier: deque[Envelope] = deque(maxlen=RECEIPTS_KEPT)
        self.share_too_few = 0.1
        """How often one receipt is missing, and those that are sent are good."""
        self.ways: tuple[Callable[[_Wanted], Envelope], ...] = (
            self._for_a_foreign_network,
            self._with_a_foreign_tag,
            self._with_a_bad_signature,
            self._in_the_name_of_another,
            self._by_another_key,
            self._for_another_shard,
            self._of_an_earlier_lease,
            self._for_one_pair_more,
        )

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Replace one receipt, or each, by something that looks like one."""
        del stream
        match asked.message, answer.message:
            case StorePair() as request, Stored() as stored:
                if len(stored.batches) > 1 and self.rng.random() < self.share_too_few:
                    self.did("a receipt too few")
                    return Spoken(replace(stored, batches=stored.batches[:1]))
                pair = (request.blob_id, ShardIndex(request.shard))
                forged = tuple(self._forge(_Wanted(_opened(each), (pair,))) for each in request.leases)
                self._earlier += stored.batches
                return Spoken(replace(stored, batches=forged))
            case CommitLease() as request, Committed() as committed:
                pairs = tuple(pairs_of(request.page, request.shard_sets))
                forged_batch = self._forge(_Wanted(_opened(request.lease), pairs))
                self._earlier.append(committed.batch)
                return Spoken(replace(committed, batch=forged_batch))
            case _:
                return answer

    def _forge(self, wanted: _Wanted) -> Envelope:
        way = self.rng.choice(self.ways)
        self.did(way.__name__.strip("_").replace("_", " "))
        return way(wanted)

    def _proper(self, wanted: _Wanted, *, network: str = "") -> Envelope:
        return make_batch(
            self.parts.identity,
            wanted.lease,
            wanted.pairs,
            network=network or self.network_name,
            time=self.wall_seconds(),
            sequence=self.rng.getrandbits(32),
        ).envelope

    def _for_a_foreign_network(self, wanted: _Wanted) -> Envelope:
        return self._proper(wanted, network="elsewhere")

    def _with_a_foreign_tag(self, wanted: _Wanted) -> Envelope:
        proper = self._proper(wanted)
        signature = sign(self.parts.identity, Domain("retraction", self.network_name, 1), proper.body)
        return replace(proper, signature=Signature(signature))

    def _with_a_bad_signature(self, wanted: _Wanted) -> Envelope:
        proper = self._proper(wanted)
        signature = bytearray(proper.signature)
        signature[self.rng.randrange(len(signature))] ^= 1
        return replace(proper, signature=Signature(bytes(signature)))

    def _in_the_name_of_another(self, wanted: _Wanted) -> Envelope:
        """Name a peer as the signer; its key is in its peer id."""
        named = self.rng.choice(self.peers())[-PublicKey.length :]
        return replace(self._proper(wanted), signer=PublicKey(named))

    def _by_another_key(self, wanted: _Wanted) -> Envelope:
        """Let somebody else sign, as a friend would who is elsewhere: all is valid but that he was not asked."""
        proper = make_batch(
            self.parts.owner,
            wanted.lease,
            wanted.pairs,
            network=self.network_name,
            time=self.wall_seconds(),
            sequence=1,
        )
        return proper.envelope

    def _for_another_shard(self, wanted: _Wanted) -> Envelope:
        n = wanted.lease.record.n
        pairs = tuple((blob_id, ShardIndex((shard + 1) % n)) for blob_id, shard in wanted.pairs)
        return self._proper(replace(wanted, pairs=pairs))

    def _of_an_earlier_lease(self, wanted: _Wanted) -> Envelope:
        if self._earlier:
            return self.rng.choice(self._earlier)
        lease = wanted.lease
        return self._proper(
            replace(wanted, lease=replace(lease, record=replace(lease.record, end=lease.record.end + 1)))
        )

    def _for_one_pair_more(self, wanted: _Wanted) -> Envelope:
        return self._proper(replace(wanted, pairs=(*wanted.pairs, (wanted.pairs[0][0], ShardIndex(0)))))


def _opened(envelope: Envelope) -> Signed[Lease]:
    return Signed(decode(envelope.body, Lease, bytes_max=limits.RECORD_BYTES_MAX), envelope)
