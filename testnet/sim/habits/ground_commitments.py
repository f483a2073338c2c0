"""Ground commitments: of many that it could sign for an epoch it signs the one that seems to suit it best.

It keeps half of each sliver. What is asked on a commitment follows from it and from a secret of the asker;
so it tries one number of bytes after the other in its commitment, which are its own word, and guesses the secrets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from crypto.hashing import tagged_hash
from p2pnode.node import Node
from p2pnode.protocols.challenge import draw
from p2pnode.protocols.commitments import is_envelope
from testnet.sim.habits.half_slivers import KEPT_SHARE, Bluff, HalfSlivers
from testnet.sim.habits.two_commitments import EVIDENCE
from wire import limits
from wire.codec import decode, encode
from wire.commitments import Commitment
from wire.records import Envelope
from wire.signed import Signed, sign_record

TRIES = 32
"""Commitments of which it signs one."""

GUESSES = 8
"""Secrets that it tries each with."""

_N = 7
_SYMBOL_BYTES = 2


class GroundCommitments(HalfSlivers):
    """Answers audits from half of what it was given, and grinds for questions about that half."""

    name: ClassVar[str] = "ground-commitments"

    def __init__(self) -> None:
        """Be silent where the half is not enough."""
        super().__init__(Bluff.SILENT)

    def gossip(self, topic: str, data: bytes) -> bytes:
        """Let the best of many commitments out, and answer for that one."""
        if topic != EVIDENCE or not is_envelope(data):
            return data
        envelope = decode(data, Envelope, bytes_max=limits.GOSSIP_BYTES_MAX)
        record = decode(envelope.body, Commitment, bytes_max=limits.RECORD_BYTES_MAX)
        tried = [
            sign_record(
                replace(record, pair_bytes=record.pair_bytes + more), key=self.parts.identity, network=self.network_name
            )
            for more in range(TRIES)
        ]
        best = max(tried, key=self._promise)
        self._answer_for(best)
        self.did("signed the best of many commitments")
        return encode(best.envelope)

    def _promise(self, commitment: Signed[Commitment]) -> int:
        """Return how many of the guessed questions on a commitment could be answered."""
        seeds = [tagged_hash(b"testnet/guess", commitment.digest, bytes([number])) for number in range(GUESSES)]
        draws = [draw(seed, n=_N, symbol_size=_SYMBOL_BYTES).indices for seed in seeds]
        return sum(all(index < _N * KEPT_SHARE for index in each) for each in draws)

    def _answer_for(self, commitment: Signed[Commitment]) -> None:
        for machine in self.world.machines.values():
            if machine.peer_id == self.parts.network.peer_id:
                assert isinstance(machine.node, Node)
                answered = machine.node.commitments._answered  # noqa: SLF001 - it is its own
                answered[-1] = replace(answered[-1], signed=commitment)
