"""The simulator's own promises about time, order and escapes."""

import random
import secrets
import threading
import time
from collections.abc import Callable

import pytest
import trio

from testnet.sim.clock import (
    TRIO_VERSION,
    WALL_EPOCH_S,
    DeadlockError,
    NodeClock,
    SimClock,
    run_in_virtual_time,
)
from testnet.sim.escapes import EscapeError, trap_escapes
from testnet.sim.offload import SimOffload
from testnet.sim.rng import generator


def test_the_private_names_of_trio_that_the_clock_uses_were_checked_for_the_installed_version() -> None:
    assert trio.__version__ == TRIO_VERSION


def test_a_day_of_virtual_time_takes_no_real_time() -> None:
    async def main(clock: SimClock) -> float:
        await trio.sleep(24 * 3600)
        return clock.current_time()

    before = time.monotonic()
    assert run_in_virtual_time(main, seed=1) == 24 * 3600
    assert time.monotonic() - before < 5


def test_events_happen_at_their_moment_in_the_order_they_were_asked_for() -> None:
    async def main(clock: SimClock) -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []
        for moment, name in ((2.0, "b"), (1.0, "a"), (2.0, "c"), (-5.0, "past")):
            clock.call_at(moment, lambda name=name: seen.append((clock.current_time(), name)))  # type: ignore[misc]  # a default binds the loop's value
        await trio.sleep(1.5)
        assert [name for _, name in seen] == ["past", "a"]
        await trio.sleep(1.5)
        return seen

    assert run_in_virtual_time(main, seed=1) == [(0.0, "past"), (1.0, "a"), (2.0, "b"), (2.0, "c")]


def test_no_event_happens_after_the_run_and_events_that_follow_each_other_for_ever_do_not_keep_it_from_ending() -> None:
    async def main(clock: SimClock) -> None:
        def tick() -> None:
            moments.append(clock.current_time())
            if len(moments) < 1000:
                clock.call_at(clock.current_time() + 1, tick)

        tick()
        await trio.sleep(3.5)
        # Trio's own wake-up needs a turn, and nothing here has a deadline.
        woken = trio.Event()
        trio.lowlevel.current_trio_token().run_sync_soon(woken.set)
        await woken.wait()

    moments: list[float] = []
    run_in_virtual_time(main, seed=1)
    assert moments[:4] == [0, 1, 2, 3]
    assert len(moments) < 10


def test_a_deadline_before_an_event_comes_first() -> None:
    async def main(clock: SimClock) -> bool:
        woken = trio.Event()
        clock.call_at(5, woken.set)
        with trio.move_on_after(3) as scope:
            await woken.wait()
        assert clock.current_time() == 3
        await woken.wait()
        assert clock.current_time() == 5
        return scope.cancelled_caught

    assert run_in_virtual_time(main, seed=1)


def test_a_run_in_which_every_task_waits_for_ever_raises_deadlock() -> None:
    async def main(_clock: SimClock) -> None:
        await trio.sleep(1)
        await trio.Event().wait()

    with pytest.raises(DeadlockError):
        run_in_virtual_time(main, seed=1)


def test_an_exception_in_an_event_ends_the_run() -> None:
    def fail() -> None:
        raise LookupError

    async def main(clock: SimClock) -> None:
        clock.call_at(1, fail)
        await trio.sleep(10)

    with pytest.raises(LookupError):
        run_in_virtual_time(main, seed=1)


def _order_of_tasks(seed: int) -> list[int]:
    async def main(_clock: SimClock) -> list[int]:
        order: list[int] = []

        async def note(number: int) -> None:
            order.append(number)
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(note, number)
        return order

    return run_in_virtual_time(main, seed=seed)


def test_the_seed_alone_decides_the_order_of_tasks() -> None:
    assert _order_of_tasks(1) == _order_of_tasks(1)
    assert _order_of_tasks(1) != _order_of_tasks(2)


def test_the_schedulers_state_is_given_back_after_a_run() -> None:
    before = vars(trio._core._run)["_ALLOW_DETERMINISTIC_SCHEDULING"], trio._core._run._r.getstate()
    _order_of_tasks(3)
    assert before == (vars(trio._core._run)["_ALLOW_DETERMINISTIC_SCHEDULING"], trio._core._run._r.getstate())


def test_a_nodes_wall_clock_may_be_wrong_while_its_monotonic_one_is_not() -> None:
    async def main(clock: SimClock) -> None:
        right, wrong = NodeClock(), NodeClock(offset_s=-1800)
        await trio.sleep(10)
        assert right.wall() == WALL_EPOCH_S + 10
        assert wrong.wall() == WALL_EPOCH_S + 10 - 1800
        assert right.monotonic() == wrong.monotonic() == clock.current_time()

    run_in_virtual_time(main, seed=1)


ESCAPES: dict[str, Callable[[], object]] = {
    # Looked up when called: the trap replaces the names of modules, as code under test uses them.
    "wall clock": lambda: time.time(),  # noqa: PLW0108
    "real sleep": lambda: time.sleep(0),
    "system entropy": lambda: secrets.token_bytes(8),
    "system random": lambda: random.SystemRandom().random(),
    "shared generator": lambda: random.random(),  # noqa: PLW0108
    "thread": lambda: threading.Thread(target=print).start(),
    "trio thread": lambda: trio.to_thread.run_sync(print),
    "socket": lambda: trio.socket.socket(),  # noqa: PLW0108
}


@pytest.mark.parametrize("name", ESCAPES)
def test_every_way_out_of_the_simulation_raises(name: str) -> None:
    async def main(_clock: SimClock) -> None:
        with trap_escapes(), pytest.raises(EscapeError):
            ESCAPES[name]()

    run_in_virtual_time(main, seed=1)
    assert time.time() > 0


async def let_the_others_run() -> None:
    """Give every task that can run a few turns; virtual time stands still meanwhile."""
    for _ in range(5):
        await trio.lowlevel.checkpoint()


def test_an_offloaded_call_sees_what_its_arguments_are_when_it_is_done_not_when_it_was_asked() -> None:
    async def main(clock: SimClock) -> bytes:
        offload = SimOffload(clock, generator(1, "offload"))
        buffer = bytearray(b"before")
        results: list[bytes] = []

        async def call() -> None:
            results.append(await offload.run(bytes, buffer))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await let_the_others_run()
            buffer[:] = b"after!"
        return results[0]

    assert run_in_virtual_time(main, seed=1) == b"after!"


def test_a_cancelled_offloaded_call_is_still_done_and_its_caller_sometimes_waits_for_it() -> None:
    async def main(clock: SimClock) -> set[bool]:
        offload = SimOffload(clock, generator(1, "offload"))
        outcomes = set()
        for number in range(20):
            done: list[int] = []
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(offload.run, done.append, number)
                    await let_the_others_run()
                    scope.cancel()
            outcomes.add(bool(done))
            await trio.sleep(1)
            assert done == [number]
        return outcomes

    assert run_in_virtual_time(main, seed=1) == {True, False}
