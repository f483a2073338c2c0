"""Relayed questions: of its pairs it keeps hashes of their symbols, and reads what is asked for from others, in time.

Each symbol of a sliver is also one of a sliver across, which another holder gives to every reader. Only the symbol in
which the two slivers of the pair itself cross is nowhere else, so that one is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import trio

from p2pnode.coding import pair_of_shard
from p2pnode.coding.metadata import BlobMetadata
from p2pnode.coding.recovery import claimed_symbols
from p2pnode.protocols.challenge import draw, seed_of
from p2pnode.protocols.store import open_metadata
from p2pnode.seams import Stream
from testnet.sim.habits.bending import MESSAGES, PEER_TROUBLE, READ, BadHabit, Spoken
from wire.challenges import Challenge, Proven, StorageProof
from wire.ids import Axis, BlobId, ShardIndex
from wire.messages import BlobRecord, GetRecord, GetSliver, SliverData
from wire.signed import open_envelope

DEADLINE_S = 20.0
"""How long an asker of the public profile waits."""


@dataclass(frozen=True, slots=True)
class _Cells:
    """What is asked for: symbols of one sliver, each also of a sliver of the axis across."""

    sliver: int
    across: Axis
    indices: Sequence[int]


class RelayedQuestions(BadHabit):
    """Sells room that others have."""

    name: ClassVar[str] = "relayed-questions"

    def __init__(self) -> None:
        """Nothing was read yet."""
        super().__init__()
        self.bytes_read = 0
        self.bytes_dropped = 0
        """Of the pairs that it was asked about, once for each question."""

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Let the true answer pass when others gave, in time, all that it is made of."""
        del stream
        if not isinstance(asked.message, Challenge) or not isinstance(answer.message, Proven):
            return answer
        proof = open_envelope(answer.message.proof, StorageProof, network=self.network_name).record
        seed = seed_of(proof, prover=self.parts.network.peer_id, network=self.network_name)
        what = draw(seed, n=proof.n, symbol_size=len(proof.symbols[0]))
        pair = pair_of_shard(proof.blob_id, ShardIndex(proof.shard), proof.n)
        cells = _Cells(what.sliver(pair, proof.n), Axis(1 - what.axis), what.indices)
        own_across = proof.n - 1 - cells.sliver
        try:
            with trio.fail_after(DEADLINE_S):
                metadata = await self._metadata(proof.blob_id)
                for index, symbol in zip(cells.indices, proof.symbols, strict=True):
                    if index != own_across and await self._cell(metadata, cells, index) != symbol:
                        return None
        except PEER_TROUBLE:
            self.did("could not answer a challenge in time")
            return None
        self.bytes_dropped += sum(metadata.shape.sliver_bytes(axis) for axis in Axis)
        self.did("answered a challenge with what others keep")
        return answer

    async def _metadata(self, blob_id: BlobId) -> BlobMetadata:
        message, _ = await self._ask_around(GetRecord(blob_id=blob_id, wants_certificates=False), BlobRecord)
        assert isinstance(message, BlobRecord)
        return open_metadata(blob_id, message.metadata)

    async def _cell(self, metadata: BlobMetadata, cells: _Cells, index: int) -> bytes:
        """Return one symbol, out of the sliver across with this index."""
        question = GetSliver(blob_id=metadata.blob_id, axis=cells.across, index=index)
        _, data = await self._ask_around(question, SliverData)
        self.bytes_read += len(data)
        (claim,) = claimed_symbols(metadata, cells.across, index, data, (cells.sliver,))
        return claim.data

    async def _ask_around(self, question: object, wanted: type[object]) -> tuple[object, bytes]:
        """Ask one peer after the other until one has it. Raises `trio.TooSlowError` when none has."""
        requester = self.requester()
        try:
            for peer_id in self.peers():
                try:
                    reply = await requester.request(peer_id, self.protocols[READ], question, expect=MESSAGES)
                except PEER_TROUBLE:
                    continue
                if isinstance(reply.message, wanted):
                    return reply.message, reply.payload
        finally:
            with trio.CancelScope(deadline=trio.current_time() + 1.0, shield=True):
                await requester.aclose()
        raise trio.TooSlowError
