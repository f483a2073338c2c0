"""Wrong symbols: who repairs gets symbols that were changed, or of another place, or with another's path."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from p2pnode.seams import Stream
from testnet.sim.habits.bending import BadHabit, Spoken
from wire.repair import RecoveredSymbols


class WrongSymbols(BadHabit):
    """Keeps what it should, and gives out something else to those who repair."""

    name: ClassVar[str] = "wrong-symbols"

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Spoil what a repairer asked for."""
        del stream, asked
        if not isinstance(answer.message, RecoveredSymbols) or not answer.payload:
            return answer
        self.did("a wrong symbol")
        return self.rng.choice([self._flipped, _without_paths])(answer)

    def _flipped(self, answer: Spoken) -> Spoken:
        data = bytearray(answer.payload)
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        return replace(answer, payload=bytes(data))


def _without_paths(answer: Spoken) -> Spoken:
    assert isinstance(answer.message, RecoveredSymbols)
    symbols = tuple(replace(each, path=()) for each in answer.message.symbols)
    return replace(answer, message=replace(answer.message, symbols=symbols))
