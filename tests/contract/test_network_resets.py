"""What every `Network` promises when connections are reset, or dialled from both sides: in all three laboratories."""

import itertools
import random

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.seams import Network
from tests.contract.conversations import ANSWER_S, everybody, gossips_to_all, hear, talks
from tests.contract.network_lab import (
    PROTOCOL,
    TOPIC,
    Lab,
    Run,
    ask_echo,
    ask_echo_flat,
    echo,
    introduce,
    is_connected,
    wait_until,
)

ROUNDS = 15
LARGEST_ECHO_BYTES = 600_000
NOTICED_SOON_S = 10.0
"""A reset is no silence: whoever waits hears of it when it arrives."""


def test_a_reset_in_the_middle_of_streams_gives_typed_errors_and_never_wrong_bytes(
    run_network: Run, rng: random.Random
) -> None:
    async def claim(lab: Lab) -> None:
        members = await everybody(lab, 4)
        outcomes: list[bool] = []

        async def ask_again_and_again(one: Network, other: Network, chance: random.Random) -> None:
            for _ in range(ROUNDS):
                is_answered = await talks(one, other, chance.randbytes(chance.randrange(LARGEST_ECHO_BYTES)))
                outcomes.append(is_answered)

        async with trio.open_nursery() as nursery:
            for one, other in itertools.permutations(members, 2):
                nursery.start_soon(ask_again_and_again, one.network, other.network, random.Random(rng.random()))
            resets = 0
            while resets < ROUNDS:
                await trio.sleep(rng.uniform(0.0, 0.1))
                resets += lab.faults.reset(*rng.sample(members, 2))
        assert len(outcomes) == ROUNDS * 12
        assert outcomes.count(False) > 0
        assert outcomes.count(True) > 0
        for one, other in itertools.permutations(members, 2):
            assert await talks(one.network, other.network, b"all is well")

    run_network(claim)


def test_a_reset_is_noticed_by_both_sides_and_the_next_stream_dials_again(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"before") == b"before"
        assert lab.faults.reset(one, other) == 1
        with trio.fail_after(NOTICED_SOON_S):
            with pytest.raises(PeerUnavailableError):
                await ask_echo_flat(stream)
            await wait_until(lambda: not is_connected(one.network, other.network))
            await wait_until(lambda: not is_connected(other.network, one.network))
            assert await talks(one.network, other.network, b"after")

    run_network(claim)


def test_gossip_goes_on_after_resets(run_network: Run) -> None:
    heard: dict[int, list[bytes]] = {number: [] for number in range(4)}

    async def claim(lab: Lab) -> None:
        members = [await lab.start(topics={TOPIC: hear(heard[number])}) for number in range(4)]
        pairs = list(itertools.combinations(members, 2))
        for one, other in pairs:
            await introduce(one.network, other.network)
        await gossips_to_all(members, heard, b"before")
        for one, other in pairs:
            lab.faults.reset(one, other)
        await wait_until(lambda: not any(member.network.connected() for member in members))
        for one, other in pairs:
            await introduce(one.network, other.network)
        await gossips_to_all(members, heard, b"after")

    run_network(claim)


def test_two_that_dial_each_other_at_once_end_with_working_streams(run_network: Run, rng: random.Random) -> None:
    async def claim(lab: Lab) -> None:
        for _ in range(3):
            one, other = (await lab.start({PROTOCOL: echo})).network, (await lab.start({PROTOCOL: echo})).network
            await _dial_each_other(one, other, after_s=rng.uniform(0, 0.2))
            for _ in range(2):
                assert await talks(one, other, b"there")
                assert await talks(other, one, b"back")
                await trio.sleep(0.1)
            assert is_connected(one, other)
            assert is_connected(other, one)

    run_network(claim)


def test_streams_that_are_used_while_both_sides_dial_lose_nothing(run_network: Run, rng: random.Random) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start({PROTOCOL: echo})).network, (await lab.start({PROTOCOL: echo})).network
        one.learn_addresses(other.peer_id, other.addresses())
        other.learn_addresses(one.peer_id, one.addresses())
        data = rng.randbytes(LARGEST_ECHO_BYTES)

        async def ask(asker: Network, asked: Network) -> None:
            for _ in range(3):
                assert await talks(asker, asked, data)

        with trio.fail_after(ANSWER_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, one, other)
                nursery.start_soon(ask, other, one)

    run_network(claim)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_peer_that_was_stopped_and_started_elsewhere_is_reached_there(run_network: Run, *, is_told: bool) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        await other.die()
        await wait_until(lambda: not is_connected(one.network, other.network))
        moved = await lab.start({PROTOCOL: echo}, key=other.key)
        assert set(moved.network.addresses()).isdisjoint(other.network.addresses())
        if is_told:
            one.network.learn_addresses(moved.network.peer_id, moved.network.addresses())
        else:
            await introduce(moved.network, one.network)
        with trio.fail_after(NOTICED_SOON_S):
            assert await talks(one.network, moved.network, b"there")

    run_network(claim)


async def _dial_each_other(one: Network, other: Network, *, after_s: float) -> None:
    async def dial_later() -> None:
        await trio.sleep(after_s)
        await other.connect(one.peer_id)

    one.learn_addresses(other.peer_id, other.addresses())
    other.learn_addresses(one.peer_id, one.addresses())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.connect, other.peer_id)
        nursery.start_soon(dial_later)
