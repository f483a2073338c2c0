"""What every `Offload` promises: worker threads and the simulated ones."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from p2pnode.seams import Offload
from p2pnode.system import ThreadOffload
from testnet.sim.clock import run_in_virtual_time
from testnet.sim.offload import SimOffload
from testnet.sim.rng import generator

DEADLINE_S = 10

Claim = Callable[[Offload], Awaitable[None]]
Run = Callable[[Claim], None]


@pytest.fixture(params=["threads", "simulated"])
def run(request: pytest.FixtureRequest, seed: int) -> Run:
    """Run a claim with an offload of one kind, that does two calls at a time."""

    def with_threads(claim: Claim) -> None:
        async def main() -> None:
            with trio.fail_after(DEADLINE_S):
                await claim(ThreadOffload(2))

        trio.run(main)

    def simulated(claim: Claim) -> None:
        run_in_virtual_time(
            lambda clock: claim(SimOffload(clock, generator(seed, "offload"), threads_max=2)), seed=seed
        )

    return with_threads if request.param == "threads" else simulated


def test_it_returns_what_the_function_returns(run: Run) -> None:
    async def claim(offload: Offload) -> None:
        assert await offload.run(divmod, 17, 5) == (3, 2)

    run(claim)


def test_it_raises_what_the_function_raises(run: Run) -> None:
    async def claim(offload: Offload) -> None:
        with pytest.raises(ZeroDivisionError):
            await offload.run(divmod, 1, 0)

    run(claim)


def test_arguments_are_passed_by_reference(run: Run) -> None:
    async def claim(offload: Offload) -> None:
        buffer = bytearray(4)
        await offload.run(buffer.__setitem__, 0, 7)
        assert buffer[0] == 7

    run(claim)


def test_more_calls_than_threads_are_all_done(run: Run) -> None:
    async def claim(offload: Offload) -> None:
        done: list[int] = []
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(offload.run, done.append, number)
        assert sorted(done) == list(range(20))

    run(claim)


def test_a_cancelled_call_was_done_once_or_not_at_all(run: Run) -> None:
    async def claim(offload: Offload) -> None:
        done: list[int] = []
        for number in range(20):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(offload.run, done.append, number)
                    await trio.lowlevel.checkpoint()
                    scope.cancel()
        await offload.run(len, done)
        assert len(done) == len(set(done))

    run(claim)
