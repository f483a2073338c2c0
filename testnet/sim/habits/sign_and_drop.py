"""Sign and drop: receipts are signed as by anybody, and the slivers are gone soon after, or were never written."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from p2pnode.seams import Files, Stream
from p2pnode.storage.names import PAIRS_DIRECTORY, directory_of, pair_name
from testnet.sim.habits.bending import BadHabit, Spoken
from testnet.sim.habits.passing import PassingFiles
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire.messages import Stored, StorePair

LOOK_EVERY_S = 1.0


class ForgetfulFiles(PassingFiles):
    """A disk that keeps sliver files in memory only, and forgets them when told; all else it writes as it should."""

    def __init__(self, inner: Files) -> None:
        """Keep everything but slivers on `inner`."""
        super().__init__(inner)
        self._memory: dict[str, bytes] = {}

    def forget(self, name: str) -> bool:
        """Let a sliver file be gone; return whether it was here."""
        return self._memory.pop(name, None) is not None

    def write_new(self, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        """Pretend to write a sliver file."""
        if not name.startswith(f"{PAIRS_DIRECTORY}/"):
            self._inner.write_new(name, data, mode=mode)
            return
        if name in self._memory:
            raise FileExistsError(f"{name} exists")
        self._memory[name] = b"".join(data)

    def rename(self, old: str, new: str) -> None:
        """Rename a file, wherever it is."""
        if old in self._memory:
            self._memory[new] = self._memory.pop(old)
        else:
            self._inner.rename(old, new)

    def read(self, name: str, *, offset: int = 0, count: int | None = None) -> bytes:
        """Return a part of a file, or all."""
        if name not in self._memory:
            return self._inner.read(name, offset=offset, count=count)
        data = self._memory[name]
        return data[offset:] if count is None else data[offset : offset + count]

    def remove(self, name: str) -> None:
        """Remove a file."""
        if not self.forget(name):
            self._inner.remove(name)

    def names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory."""
        kept = [name.rpartition("/")[2] for name in self._memory if directory_of(name) == directory]
        return sorted([*self._inner.names(directory), *kept])

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return len(self._memory[name]) if name in self._memory else self._inner.size(name)


class SignAndDrop(BadHabit):
    """Sells room that it does not have."""

    name: ClassVar[str] = "sign-and-drop"

    def __init__(self, *, keep_s: float = 0.0) -> None:
        """Let slivers go so many seconds after the receipt; with 0 nothing was there when it was signed."""
        super().__init__()
        self._keep_s = keep_s
        self._due: deque[tuple[float, str]] = deque()

    def bend(self, parts: NodeParts, world: World) -> NodeParts:
        """Give the node a disk that forgets."""
        self._files = ForgetfulFiles(parts.files)
        self._due.clear()
        return super().bend(replace(parts, files=self._files), world)

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """Let the sliver go before its receipt leaves, or note when it will."""
        del stream
        if isinstance(asked.message, StorePair) and isinstance(answer.message, Stored):
            name = pair_name(asked.message.blob_id, asked.message.shard)
            if self._keep_s:
                self._due.append((self.parts.clock.monotonic() + self._keep_s, name))
            else:
                self._drop(name)
        return answer

    async def run(self, parts: NodeParts, world: World) -> None:
        """Drop what is due, for ever."""
        del world
        while True:
            await parts.clock.sleep(LOOK_EVERY_S)
            while self._due and self._due[0][0] <= parts.clock.monotonic():
                self._drop(self._due.popleft()[1])

    def _drop(self, name: str) -> None:
        if self._files.forget(name):
            self.did("dropped a pair that it has signed for")
