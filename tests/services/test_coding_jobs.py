"""Coding in worker threads: the same results, errors as they are, and memory that is safe when a caller gives up."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
import trio
import trio.testing

from p2pnode.coding import (
    DecodeJob,
    EncodedBlob,
    EncodeJob,
    InconsistentBlobError,
    Part,
    SpareMemory,
    encode,
    jobs,
    run,
)
from p2pnode.services.coding_jobs import THREADS_PER_JOB, run_job
from p2pnode.system import ThreadOffload
from testnet.sim.clock import SimClock, run_in_virtual_time
from testnet.sim.offload import SimOffload
from testnet.sim.rng import generator

DEADLINE_S = 60


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut even small work into as many parts as there may be."""
    monkeypatch.setattr(jobs, "PART_BYTES_MIN", 1)


@pytest.mark.parametrize("size", [100, 3_000_000])
async def test_threads_give_what_a_single_call_gives(rng: random.Random, size: int) -> None:
    data = rng.randbytes(size)
    expected = encode(data, 31)
    with trio.fail_after(DEADLINE_S):
        offload = ThreadOffload(4)
        encoded = await run_job(offload, EncodeJob(data, 31))
        slivers = [encoded.primary(index) for index in range(20, 31)]
        decoded = await run_job(offload, DecodeJob(encoded.metadata, slivers))
    assert encoded.metadata == expected.metadata
    assert decoded == data


class Counting:
    """A job that counts how many of its parts run at a time."""

    is_small = False

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.order: list[int] = []

    def stages(self) -> Iterator[Sequence[Part]]:
        for stage in range(3):
            yield [partial(self._part, stage)] * 5

    def finish(self) -> list[int]:
        return self.order

    def _part(self, stage: int) -> None:
        self.order.append(stage)


class CountingOffload:
    """Counts calls that run at the same time."""

    def __init__(self, job: Counting) -> None:
        self.job = job

    async def run(self, function: object, /, *args: object) -> object:
        self.job.running += 1
        self.job.most = max(self.job.most, self.job.running)
        await trio.lowlevel.checkpoint()
        self.job.running -= 1
        assert callable(function)
        return function(*args)


async def test_stages_follow_each_other_and_a_few_parts_run_at_a_time() -> None:
    job = Counting()
    order = await run_job(CountingOffload(job), job)  # type: ignore[arg-type]  # It returns what it is given.
    assert order == [0] * 5 + [1] * 5 + [2] * 5
    assert job.most == THREADS_PER_JOB


class Failing:
    """A job in which every part fails."""

    is_small = False

    def stages(self) -> Iterator[Sequence[Part]]:
        yield [self._part] * 4

    def finish(self) -> None:
        raise AssertionError

    def _part(self) -> None:
        message = "a part"
        raise InconsistentBlobError(message)


async def test_the_error_of_a_part_comes_out_alone() -> None:
    """Two parts may fail at the same moment; who reads a blob expects one error, not a group."""
    with trio.fail_after(DEADLINE_S), pytest.raises(InconsistentBlobError, match="a part"):
        await run_job(ThreadOffload(2), Failing())


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("attempt", range(8))
def test_memory_of_a_cancelled_encode_is_never_given_to_the_next_while_a_part_may_still_write(
    rng: random.Random, seed: int, attempt: int
) -> None:
    """The simulated threads finish after their caller has gone; what they write to must not be used again yet."""
    blobs = [rng.randbytes(rng.randrange(900, 1500)) for _ in range(30)]
    patience = [rng.uniform(0.0, 0.03) for _ in blobs]

    async def main(clock: SimClock) -> None:
        offload = SimOffload(clock, generator(seed + attempt, "offload"), threads_max=3)
        memory = SpareMemory()
        for data, seconds in zip(blobs, patience, strict=True):
            # Another blob of the same shape: what is left behind of it would show.
            with trio.move_on_after(seconds):
                await run_job(offload, EncodeJob(bytes(each ^ 0xFF for each in data), 10, memory=memory))
            encoded = await run_job(offload, EncodeJob(data, 10, memory=memory))
            expected = encode(data, 10)
            assert encoded.metadata == expected.metadata
            await trio.sleep(0.05)  # Whatever was left behind has been done by now.
            assert (encoded.top == expected.top).all()
            assert (encoded.bottom == expected.bottom).all()

    run_in_virtual_time(main, seed=seed)


class LeftBehind(BaseException):
    """A part has begun, and goes on long after its caller has been cancelled."""


class WithOneSlowPart:
    """An encode of which one part is not done before the test does it."""

    is_small = False

    def __init__(self, job: EncodeJob, *, slow: int) -> None:
        self._job = job
        self._slow = slow
        self.begun = 0
        self.left: list[Part] = []

    def stages(self) -> Iterator[Sequence[Part]]:
        for stage in self._job.stages():
            yield [partial(self._begin, part) for part in stage]

    def finish(self) -> EncodedBlob:
        return self._job.finish()

    def _begin(self, part: Part) -> None:
        self.begun += 1
        if self.begun == self._slow:
            self.left.append(part)
            raise LeftBehind
        part()


class AbandoningOffload:
    """Does every call at once; one in which something is left behind does not return before its caller gives up."""

    def __init__(self) -> None:
        self.has_left = trio.Event()

    async def run(self, function: Callable[..., object], /, *args: object) -> object:
        await trio.lowlevel.checkpoint()
        try:
            return function(*args)
        except LeftBehind:
            self.has_left.set()
            await trio.sleep_forever()


@pytest.mark.usefixtures("many_parts")
async def test_a_part_that_ends_long_after_its_caller_never_writes_into_the_next_encode(rng: random.Random) -> None:
    """Whichever part is left behind, it is done when the next blob of the same shape has been encoded."""
    first, second = rng.randbytes(1200), rng.randbytes(1200)
    expected = encode(second, 10)
    whole = WithOneSlowPart(EncodeJob(first, 10), slow=0)
    await run_job(ThreadOffload(2), whole)
    assert whole.begun > 10
    for slow in range(1, whole.begun + 1):
        memory, offload = SpareMemory(), AbandoningOffload()
        job = WithOneSlowPart(EncodeJob(first, 10, memory=memory), slow=slow)
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_job, offload, job)  # type: ignore[arg-type]  # It returns what it is given.
                await offload.has_left.wait()
                nursery.cancel_scope.cancel()
        left = job.left.pop()
        del job  # Only the part that runs still holds the memory.
        encoded = run(EncodeJob(second, 10, memory=memory))
        left()
        assert encoded.metadata == expected.metadata
        assert (encoded.top == expected.top).all()
        assert (encoded.bottom == expected.bottom).all()


class Slow:
    """A job whose parts wait for the test."""

    is_small = False

    def __init__(self) -> None:
        self.begun = 0
        self.first = trio.Event()
        self.token = trio.lowlevel.current_trio_token()
        self.may_end = threading.Event()

    def stages(self) -> Iterator[Sequence[Part]]:
        for _ in range(2):
            yield [self._part] * 6

    def finish(self) -> None:
        raise AssertionError

    def _part(self) -> None:
        self.begun += 1
        self.token.run_sync_soon(self.first.set)
        assert self.may_end.wait(DEADLINE_S)


async def test_a_cancelled_caller_waits_for_the_parts_that_run_and_no_other_is_begun() -> None:
    job = Slow()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_job, ThreadOffload(2), job)
            await job.first.wait()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            job.may_end.set()
    assert 1 <= job.begun <= THREADS_PER_JOB


async def test_a_fault_in_a_part_ends_the_job() -> None:
    class Faulty(Failing):
        def _part(self) -> None:
            raise LookupError

    with trio.fail_after(DEADLINE_S), pytest.raises(LookupError):
        await run_job(ThreadOffload(1), Faulty())
