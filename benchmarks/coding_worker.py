"""A contestant of `benchmarks/coding.py` in Python: our code, or the wheel with hashlib.

Run as `python -m benchmarks.coding_worker ours|wheel [--threads 2]`. P2PNODE_KERNEL chooses our kernel.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from benchmarks import coding_probes
from benchmarks.coding_questions import Question, symbols_for_first_primary
from benchmarks.coding_wheel import Wheel
from p2pnode.coding import (
    DecodeJob,
    EncodedBlob,
    EncodeJob,
    Job,
    Sliver,
    SpareMemory,
    SymbolProof,
    blob_id,
    encode,
    recover_sliver,
    run,
    verify_sliver,
)
from p2pnode.services.coding_jobs import run_job
from p2pnode.system import ThreadOffload
from wire.ids import Axis

Work = Callable[[], object]


class Contestant(Protocol):
    """What is measured. What `prepare` does is not."""

    def prepare(self, data: bytes, question: Question) -> None:
        """Make what the question needs."""
        ...

    def works(self) -> dict[str, Work]:
        """Return what it can do."""
        ...

    def blob_id(self) -> bytes:
        """Return the id of the prepared blob, computed as an encode does."""
        ...


class Ours:
    """`p2pnode.coding` as a node uses it: with memory that is used again."""

    def __init__(self) -> None:
        """Nothing is prepared."""
        self.memory = SpareMemory()
        self.data = b""
        self.n = 0
        self.encoded: EncodedBlob | None = None
        self.slivers: list[Sliver] = []
        self.symbols: tuple[SymbolProof, ...] = ()

    def prepare(self, data: bytes, question: Question) -> None:
        """Encode once, unless encoding is what is measured."""
        if data is not self.data or question.n != self.n:
            self.data, self.n, self.encoded, self.symbols = data, question.n, None, ()
        if question.work in {"verify", "decode", "recover"}:
            self.encoded = self.encoded or encode(data, self.n)
            self.slivers = [self.encoded.primary(index) for index in question.chosen]
        if question.work == "recover" and self.encoded and not self.symbols:
            self.symbols = symbols_for_first_primary(self.encoded)

    def works(self) -> dict[str, Work]:
        """Return what one thread does."""
        return {
            "encode": lambda: run(self.encode_job()),
            "metadata": lambda: blob_id(self.data, self.n),
            "verify": self._verify,
            "decode": lambda: run(self.decode_job()),
            "recover": lambda: recover_sliver(self._prepared.metadata, Axis.PRIMARY, 0, self.symbols),
        }

    def blob_id(self) -> bytes:
        """Return the id of the prepared blob."""
        return run(self.encode_job()).blob_id

    def encode_job(self) -> EncodeJob:
        """Return the work of an encode."""
        return EncodeJob(self.data, self.n, memory=self.memory)

    def decode_job(self) -> DecodeJob:
        """Return the work of a decode, which hashes the rows that it decoded."""
        return DecodeJob(self._prepared.metadata, self.slivers)

    @property
    def _prepared(self) -> EncodedBlob:
        assert self.encoded is not None
        return self.encoded

    def _verify(self) -> None:
        encoded = self._prepared
        for sliver in (encoded.primary(0), encoded.secondary(self.n - 1)):
            verify_sliver(encoded.metadata, sliver.axis, sliver.index, sliver.data)


class OursInThreads(Ours):
    """The same through `ThreadOffload`, as a node does it."""

    def __init__(self, threads: int) -> None:
        """Work with so many threads."""
        super().__init__()
        self._threads = threads

    def works(self) -> dict[str, Work]:
        """Return what is split over threads: the rest is one call each."""
        return {"encode": partial(self._run, self.encode_job), "decode": partial(self._run, self.decode_job)}

    async def _run(self, make: Callable[[], Job[object]]) -> object:
        return await run_job(ThreadOffload(self._threads), make())


def seconds_of(work: Work, repeat: int) -> float:
    """Return the seconds of one time, the mean of some."""
    if inspect.iscoroutinefunction(work):
        return trio.run(_awaited_seconds, work, repeat)
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    return (time.perf_counter() - start) / repeat


async def _awaited_seconds(work: Callable[[], Awaitable[object]], repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        await work()
    return (time.perf_counter() - start) / repeat


class Worker:
    """Answers questions, keeping the last blob."""

    def __init__(self, contestant: Contestant) -> None:
        """Nothing was asked yet."""
        self._contestant = contestant
        self._file = ""
        self._data = b""

    def answer(self, question: Question) -> dict[str, object]:
        """Return the answer to one question."""
        if question.work in coding_probes.PROBES:
            return coding_probes.PROBES[question.work](self._read(question), question.n)
        data = self._read(question)
        if question.work not in {*self._contestant.works(), "id"}:
            return {"unsupported": "it is not offered"}
        self._contestant.prepare(data, question)
        if question.work == "id":
            return {"id": self._contestant.blob_id().hex()}
        if question.work == "encode" and not question.repeat:  # For the peak of memory: once, and nothing else.
            self._contestant.blob_id()
            return {}
        return {"seconds": seconds_of(self._contestant.works()[question.work], question.repeat)}

    def _read(self, question: Question) -> bytes:
        if question.file and question.file != self._file:
            self._file, self._data = question.file, Path(question.file).read_bytes()
        return self._data


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contestant", choices=["ours", "wheel"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    contestant: Contestant = Wheel() if options.contestant == "wheel" else Ours()
    if options.threads > 1:
        contestant = OursInThreads(options.threads)
    worker = Worker(contestant)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(worker.answer(Question.of_line(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
