"""What every `Network` promises while ways are cut and machines lose power: py-libp2p in memory and the simulated one.

Loopback cannot be cut, so these claims are run in virtual time only (`network_lab.py` says why that is no gap).
"""

import itertools
import random
import statistics

import pytest
import trio

from p2pnode.errors import PeerUnavailableError
from tests.contract.conversations import (
    ANSWER_S,
    GOSSIP_SOON_S,
    NOTICED_S,
    everybody,
    gossips_to_all,
    hear,
    keep_dialling,
    pairs_between,
    talks,
    until_all_talk,
    until_talks,
)
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

LARGE_BYTES = 3_000_000
"""More than every window on the way."""


@pytest.mark.parametrize("count", [5, 10, 20])
def test_after_a_partition_heals_every_pair_talks_again_within_30_s(run_virtually: Run, count: int) -> None:
    async def claim(lab: Lab) -> None:
        members = await everybody(lab, count)
        ones, others = members[: count // 2], members[count // 2 :]
        across = pairs_between(ones, others)
        async with trio.open_nursery() as nursery:
            lab.cuts.partition(ones, others)
            nursery.start_soon(keep_dialling, members)
            with trio.fail_after(NOTICED_S):
                await wait_until(lambda: not any(is_connected(one.network, other.network) for one, other in across))
            with trio.fail_after(NOTICED_S):
                await until_all_talk([*itertools.combinations(ones, 2), *itertools.combinations(others, 2)])
            assert not await talks(ones[0].network, others[0].network, b"cut off")
            lab.cuts.heal()
            with trio.fail_after(NOTICED_S):
                await until_all_talk(list(itertools.combinations(members, 2)))
            nursery.cancel_scope.cancel()

    run_virtually(claim)


def test_a_peer_that_no_byte_reaches_is_noticed_and_costs_the_others_nothing(
    run_virtually: Run, rng: random.Random
) -> None:
    async def claim(lab: Lab) -> None:
        *others, victim = await everybody(lab, 5)

        async def usual_answer() -> float:
            took = []
            for one, other in itertools.permutations(others, 2):
                started = trio.current_time()
                assert await talks(one.network, other.network, rng.randbytes(10_000))
                took.append(trio.current_time() - started)
            assert max(took) < 1.0  # A packet that is lost and sent again costs a part of this, a stall far more.
            return statistics.median(took)

        before = await usual_answer()
        streams = [await each.network.open_stream(victim.network.peer_id, PROTOCOL) for each in others]
        lab.cuts.partition(others, [victim])
        started = trio.current_time()
        for stream in streams:
            await stream.send((1).to_bytes(4, "big") + b"x")
        assert await usual_answer() < 1.3 * before
        for stream in streams:
            with trio.fail_after(NOTICED_S), pytest.raises(PeerUnavailableError):
                await stream.receive_exactly(5)
        with trio.move_on_at(started + NOTICED_S):
            await wait_until(lambda: not any(is_connected(each.network, victim.network) for each in others))
        assert not victim.network.connected()
        assert await usual_answer() < 1.3 * before
        assert all(len(each.network.connected()) == len(others) - 1 for each in others)

    run_virtually(claim)


def test_opening_a_stream_to_a_peer_that_is_cut_off_fails_soon(run_virtually: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        lab.cuts.partition([one], [other])
        with trio.fail_after(15), pytest.raises(PeerUnavailableError):
            await one.network.open_stream(other.network.peer_id, PROTOCOL)
        await one.network.disconnect(other.network.peer_id)
        with trio.fail_after(15), pytest.raises(PeerUnavailableError):
            await one.network.connect(other.network.peer_id)

    run_virtually(claim)


@pytest.mark.parametrize("is_dialler_mute", [True, False])
def test_a_way_that_is_cut_in_one_direction_is_noticed_by_both_sides(
    run_virtually: Run, *, is_dialler_mute: bool
) -> None:
    async def claim(lab: Lab) -> None:
        one, other, witness = await everybody(lab, 3)
        mute, deaf = (one, other) if is_dialler_mute else (other, one)
        lab.cuts.cut_one_way(mute, deaf)
        with trio.fail_after(NOTICED_S):
            await wait_until(lambda: not is_connected(mute.network, deaf.network))
            await wait_until(lambda: not is_connected(deaf.network, mute.network))
        for dialler, dialled in ((mute, deaf), (deaf, mute)):
            with trio.fail_after(NOTICED_S), pytest.raises(PeerUnavailableError):
                await dialler.network.connect(dialled.network.peer_id)
        assert is_connected(mute.network, witness.network)
        assert is_connected(deaf.network, witness.network)
        lab.cuts.heal()
        await introduce(mute.network, deaf.network)
        assert await talks(deaf.network, mute.network, b"both ways")

    run_virtually(claim)


@pytest.mark.parametrize("is_one_way", [True, False])
def test_a_stream_that_is_cut_and_healed_in_time_goes_on(
    run_virtually: Run, *, is_one_way: bool, rng: random.Random
) -> None:
    data = rng.randbytes(LARGE_BYTES)

    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        idle = await other.network.open_stream(one.network.peer_id, PROTOCOL)
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(await ask_echo(stream, data))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(rng.uniform(0.0, 0.2))
            if is_one_way:
                lab.cuts.cut_one_way(one, other)
            else:
                lab.cuts.partition([one], [other])
            await trio.sleep(12)
            assert not answers
            lab.cuts.heal()
        assert answers == [data]
        lab.cuts.partition([one], [other])
        await trio.sleep(20)
        lab.cuts.heal()
        assert await ask_echo(idle, b"quiet") == b"quiet"
        assert await ask_echo(stream, b"not lost") == b"not lost"

    run_virtually(claim)


def test_a_peer_that_lost_its_power_is_noticed_and_found_again_after_a_restart(run_virtually: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        lab.cuts.lose_power(other)
        await other.die()
        with trio.fail_after(NOTICED_S), pytest.raises(PeerUnavailableError):
            await ask_echo_flat(stream)
        assert not is_connected(one.network, other.network)
        with trio.fail_after(NOTICED_S), pytest.raises(PeerUnavailableError):
            await one.network.connect(other.network.peer_id)
        again = await lab.start({PROTOCOL: echo}, key=other.key, place=other.place)
        assert await talks(one.network, again.network, b"again")

    run_virtually(claim)


def test_a_peer_that_restarts_before_anybody_noticed_is_talked_to_within_30_s(run_virtually: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        stream = await one.network.open_stream(other.network.peer_id, PROTOCOL)
        lab.cuts.lose_power(other)
        await other.die()
        again = await lab.start({PROTOCOL: echo}, key=other.key, place=other.place)
        with trio.fail_after(NOTICED_S), pytest.raises(PeerUnavailableError):
            await ask_echo_flat(stream)
        with trio.fail_after(NOTICED_S):
            await until_talks(one.network, again.network)

    run_virtually(claim)


@pytest.mark.parametrize("loses_power", [True, False])
def test_a_peer_that_moved_is_reached_at_its_new_address(run_virtually: Run, *, loses_power: bool) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        if loses_power:
            lab.cuts.lose_power(other)
        await other.die()
        moved = await lab.start({PROTOCOL: echo}, key=other.key)
        assert set(moved.network.addresses()).isdisjoint(other.network.addresses())
        one.network.learn_addresses(moved.network.peer_id, moved.network.addresses())
        with trio.fail_after(NOTICED_S):
            await until_talks(one.network, moved.network)
        assert one.network.connected()[0].address in moved.network.addresses()

    run_virtually(claim)


def test_a_peer_that_moved_and_dials_is_talked_to_at_once(run_virtually: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await everybody(lab, 2)
        lab.cuts.lose_power(other)
        await other.die()
        moved = await lab.start({PROTOCOL: echo}, key=other.key)
        moved.network.learn_addresses(one.network.peer_id, one.network.addresses())
        await moved.network.connect(one.network.peer_id)
        await trio.sleep(1)
        with trio.fail_after(1):
            assert await talks(one.network, moved.network, b"here")

    run_virtually(claim)


def test_gossip_goes_on_after_a_heal(run_virtually: Run) -> None:
    heard: dict[int, list[bytes]] = {number: [] for number in range(6)}

    async def claim(lab: Lab) -> None:
        members = [await lab.start({PROTOCOL: echo}, {TOPIC: hear(heard[number])}) for number in range(6)]
        for one, other in itertools.combinations(members, 2):
            await introduce(one.network, other.network)
        await gossips_to_all(members, heard, b"before")
        lab.cuts.partition(members[:3], members[3:])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_dialling, members)
            await trio.sleep(2 * NOTICED_S)
            await members[0].network.publish(TOPIC, b"while cut")
            await trio.sleep(GOSSIP_SOON_S)
            assert all(b"while cut" in heard[number] for number in (1, 2))
            lab.cuts.heal()
            await wait_until(lambda: all(len(each.network.connected()) == 5 for each in members))
            await gossips_to_all(members, heard, b"after")
            nursery.cancel_scope.cancel()

    run_virtually(claim)


def test_addresses_are_found_after_a_heal(run_virtually: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, hub, other = [await lab.start({PROTOCOL: echo}) for _ in range(3)]
        await introduce(one.network, hub.network)
        await introduce(other.network, hub.network)
        lab.cuts.partition([one], [hub, other])
        with trio.fail_after(NOTICED_S):
            await wait_until(lambda: not is_connected(one.network, hub.network))
        with trio.fail_after(ANSWER_S):
            await one.network.find_addresses(other.network.peer_id)
        lab.cuts.heal()
        await introduce(one.network, hub.network)
        with trio.fail_after(NOTICED_S):
            found: set[str] = set()
            while not found:
                found = set(await one.network.find_addresses(other.network.peer_id)) & set(other.network.addresses())

    run_virtually(claim)
