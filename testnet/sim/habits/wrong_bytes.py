"""Wrong bytes: the answers to readers are damaged, cut, for another blob, or no answers at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from wire.ids import PublicKey, Signature
from wire.messages import BlobRecord, Committed, NoRecord, SliverData
from wire.records import Envelope, MetadataRecord

ANSWERS_KEPT = 8
"""Earlier answers that are given again for other blobs."""

_SHARDS_CLAIMED = 16

_NOBODY = PublicKey(bytes(PublicKey.length))


class WrongBytes(BadHabit):
    """Keeps what it should, and gives out something else."""

    name: ClassVar[str] = "wrong-bytes"

    def __init__(self) -> None:
        """Nothing was given out yet."""
        super().__init__()
        self._earlier: deque[bytes] = deque(maxlen=ANSWERS_KEPT)
        self._records: deque[BlobRecord] = deque(maxlen=ANSWERS_KEPT)
        self._ways: list[Callable[[Spoken], Spoken]] = [
            _longer,
            _shorter,
            _of_another_type,
            self._flipped,
            self._others,
        ]
        self._record_ways = [self._other_hashes, self._other_record, _claims_everything, _bad_certificates, _nothing]

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Spoil what a reader asked for."""
        del asked
        if isinstance(answer.message, SliverData):
            return await self._spoil_sliver(stream, answer)
        if isinstance(answer.message, BlobRecord):
            way = self.rng.choice(self._record_ways)
            self._records.append(answer.message)
            self.did("a wrong record")
            return Spoken(way(answer.message))
        return answer

    async def _spoil_sliver(self, stream: Stream, answer: Spoken) -> Spoken | None:
        way = self.rng.choice([*self._ways, None])
        if way is None:
            framed = answer.framed()
            self.did("half a sliver")
            await stream.send(framed[: len(framed) // 2])
            await stream.reset()
            return None
        spoilt = way(answer)
        self._earlier.append(answer.payload)
        self.did("a wrong sliver")
        return spoilt

    def _flipped(self, answer: Spoken) -> Spoken:
        data = bytearray(answer.payload)
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        return replace(answer, payload=bytes(data))

    def _others(self, answer: Spoken) -> Spoken:
        """Answer with a sliver of another blob, or of another length."""
        others = [data for data in self._earlier if data != answer.payload]
        data = self.rng.choice(others) if others else self.rng.randbytes(len(answer.payload))
        return Spoken(SliverData(sliver_bytes=len(data)), data)

    def _other_hashes(self, record: BlobRecord) -> object:
        hashes = bytearray(record.metadata.pair_hashes)
        hashes[self.rng.randrange(len(hashes))] ^= 1 << self.rng.randrange(8)
        return replace(record, metadata=replace(record.metadata, pair_hashes=bytes(hashes)))

    def _other_record(self, record: BlobRecord) -> object:
        others = [each for each in self._records if each.metadata != record.metadata]
        if others:
            return self.rng.choice(others)
        longer: MetadataRecord = replace(record.metadata, length=record.metadata.length + 1)
        return replace(record, metadata=longer)


def _longer(answer: Spoken) -> Spoken:
    return Spoken(SliverData(sliver_bytes=len(answer.payload) + 2), answer.payload + bytes(2))


def _shorter(answer: Spoken) -> Spoken:
    half = answer.payload[: max(1, len(answer.payload) // 2)]
    return Spoken(SliverData(sliver_bytes=len(half)), half)


def _of_another_type(answer: Spoken) -> Spoken:
    del answer
    return Spoken(Committed(batch=Envelope(body=b"", signer=_NOBODY, signature=Signature(bytes(Signature.length)))))


def _claims_everything(record: BlobRecord) -> object:
    return replace(record, shards_held=tuple(range(_SHARDS_CLAIMED)))


def _bad_certificates(record: BlobRecord) -> object:
    spoilt = tuple(replace(each, signature=Signature(bytes(Signature.length))) for each in record.certificates)
    return replace(record, certificates=spoilt)


def _nothing(record: BlobRecord) -> object:
    del record
    return NoRecord()
