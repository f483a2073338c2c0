"""Who gets a connection slot when strangers want them all."""

# ruff: noqa: ARG001 - the clock works by being asked for.

from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from p2pnode.network import limits
from p2pnode.network.admission import fullest, place_of
from p2pnode.network.connection_slots import ConnectionSlots, NoSlotError
from p2pnode.network.resources import Claim, Reservation, Resource, Resources, Scope
from wire.ids import PEER_ID_BYTES, PeerId


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(PEER_ID_BYTES, "big"))


class Held:
    """A connection that is nothing but its slot."""

    def __init__(self, peer_id: PeerId, reservation: Reservation, block: str, *, is_outbound: bool) -> None:
        """Hold it."""
        self.peer_id = peer_id
        self.block = block
        self.is_outbound = is_outbound
        self.reservation = reservation
        self.is_gone = False

    def give_way(self, _reason: str) -> None:
        """Be gone."""
        self.is_gone = True
        self.reservation.release()


class Lab:
    """Slots and the connections that have them."""

    def __init__(self) -> None:
        """Start without any."""
        self.resources = Resources()
        self.all: list[Held] = []
        self.slots = ConnectionSlots(self.resources, lambda: [each for each in self.all if not each.is_gone])

    def inbound(self, number: int, host: str) -> Held:
        """Have a peer dial us."""
        place = place_of(host)
        return self._keep(Held(peer(number), self.slots.admit(peer(number), place), place.block, is_outbound=False))

    def outbound(self, number: int) -> Held:
        """Dial a peer."""
        return self._keep(Held(peer(number), self.slots.admit(peer(number), None), "", is_outbound=True))

    def _keep(self, held: Held) -> Held:
        self.all.append(held)
        return held

    def close(self) -> None:
        """Let go of everything, and see that nothing is left."""
        for held in self.all:
            held.reservation.release()
        assert self.resources.is_idle


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for ten connections, six of them inbound."""
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(limits, "CONNECTIONS_INBOUND_MAX", 6)


def test_a_place_is_what_one_household_and_one_operator_has() -> None:
    assert (place_of("8.8.8.8").address, place_of("8.8.8.8").block) == ("8.8.8.8/32", "8.8.8.0/24")
    home = place_of("2a00:1450:4001:81a::200e")
    assert (home.address, home.block) == ("2a00:1450:4001:800::/56", "2a00:1450:4001::/48")
    assert place_of("::ffff:8.8.8.8") == place_of("8.8.8.8")
    assert place_of("8.8.8.8").is_public


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.1.1", "::1", "fe80::1%eth0", "fd00::1", ""]
)
def test_a_private_place_is_not_capped(host: str) -> None:
    assert not place_of(host).is_public
    assert place_of(host).claims(Resource.CONNECTIONS_INBOUND, Scope.ADDRESS, Scope.BLOCK) == ()


def test_the_fullest_block_is_the_most_frequent_and_then_the_latest() -> None:
    assert fullest(["a", "b", "b", "a", "c"]) == "a"
    assert fullest(["b", "a"]) == "a"


async def test_strangers_from_one_address_or_block_never_get_more_than_its_share(autojump_clock: MockClock) -> None:
    lab = Lab()
    for number in range(limits.CONNECTIONS_PER_ADDRESS_MAX):
        lab.inbound(number, "8.8.8.8")
    with pytest.raises(NoSlotError, match="address"):
        lab.inbound(1_000, "8.8.8.8")
    for number in range(limits.CONNECTIONS_PER_ADDRESS_MAX, limits.CONNECTIONS_PER_BLOCK_MAX):
        lab.inbound(number, f"8.8.8.{number}")
    with pytest.raises(NoSlotError, match="block"):
        lab.inbound(1_001, "8.8.8.200")
    lab.inbound(1_002, "8.8.9.1")
    lab.slots.protected = frozenset({peer(1_003)})
    lab.inbound(1_003, "8.8.8.8")  # Whom we know may live there too.
    lab.close()


async def test_a_hundred_nodes_on_one_machine_all_get_in(autojump_clock: MockClock) -> None:
    lab = Lab()
    for number in range(100):
        lab.inbound(number, "127.0.0.1")
    lab.close()


@pytest.mark.usefixtures("small")
async def test_a_flood_of_strangers_leaves_the_slots_for_connections_that_we_make(autojump_clock: MockClock) -> None:
    lab = Lab()
    for number in range(6):
        lab.inbound(number, f"8.8.{number}.1")
    with pytest.raises(NoSlotError):
        lab.inbound(50, "8.8.50.1")
    for number in range(100, 104):
        lab.outbound(number)
    assert not any(held.is_gone for held in lab.all)
    assert lab.outbound(104).reservation.count  # A fifth one takes the place of a stranger.
    assert [held.is_outbound for held in lab.all if held.is_gone] == [False]
    lab.close()


@pytest.mark.usefixtures("small")
async def test_the_newest_stranger_of_the_fullest_block_gives_way(autojump_clock: MockClock) -> None:
    lab = Lab()
    first, alone, second = lab.inbound(1, "8.8.8.1"), lab.inbound(2, "9.9.9.9"), lab.inbound(3, "8.8.8.2")
    others = [lab.inbound(10 + number, f"7.7.{number}.1") for number in range(3)]
    newcomer = lab.inbound(4, "6.6.6.6")
    assert second.is_gone
    assert not any(held.is_gone for held in (first, alone, *others, newcomer))
    lab.close()


@pytest.mark.usefixtures("small")
async def test_a_newcomer_of_the_fullest_block_is_turned_away_itself(autojump_clock: MockClock) -> None:
    lab = Lab()
    held = [lab.inbound(number, "8.8.8.1") for number in range(3)]
    held += [lab.inbound(10 + number, f"7.7.{number}.1") for number in range(3)]
    with pytest.raises(NoSlotError):
        lab.inbound(20, "8.8.8.9")
    assert not any(each.is_gone for each in held)
    lab.close()


@pytest.mark.usefixtures("small")
async def test_protected_peers_get_in_and_never_give_way(autojump_clock: MockClock) -> None:
    lab = Lab()
    lab.slots.protected = frozenset(peer(number) for number in range(6))
    strangers = [lab.inbound(10 + number, f"7.7.{number}.1") for number in range(6)]
    known = [lab.inbound(number, "8.8.8.8") for number in range(6)]
    assert all(held.is_gone for held in strangers)
    for newcomer in (50, 51):
        with pytest.raises(NoSlotError):
            lab.inbound(newcomer, f"6.6.{newcomer}.1")
    assert not any(held.is_gone for held in known)
    lab.close()


async def test_a_peers_oldest_connection_gives_way_to_its_newest(autojump_clock: MockClock) -> None:
    lab = Lab()
    held = [lab.inbound(1, "8.8.8.8") for _ in range(limits.CONNECTIONS_PER_PEER_MAX + 1)]
    assert [each.is_gone for each in held] == [True, *[False] * limits.CONNECTIONS_PER_PEER_MAX]
    lab.close()


HANDSHAKES = Claim(Scope.SYSTEM, Resource.HANDSHAKES)


async def test_slow_handshakes_from_one_place_leave_room_for_those_from_elsewhere(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKES_MAX", 8)
    monkeypatch.setattr(limits, "HANDSHAKES_PER_BLOCK_MAX", 3)
    lab = Lab()

    with ExitStack() as stack, caplog.at_level(logging.WARNING):
        slow = [stack.enter_context(lab.slots.handshaking(place_of("8.8.8.8"))) for _ in range(20)]
        assert [scope.cancel_called for scope in slow] == [True] * 17 + [False] * 3  # Its own oldest give way.
        private = [stack.enter_context(lab.slots.handshaking(place_of("127.0.0.1"))) for _ in range(5)]
        honest = stack.enter_context(lab.slots.handshaking(place_of("9.9.9.9")))
        assert lab.resources.used(HANDSHAKES) == 8
        assert [scope.cancel_called for scope in private] == [True, *[False] * 4]
        assert not honest.cancel_called
    assert len([each for each in caplog.records if "gave way" in each.message]) == 1  # Not one for each.
    await trio.sleep(limits.WARN_EVERY_S)
    with ExitStack() as stack, caplog.at_level(logging.WARNING):
        for _ in range(4):
            stack.enter_context(lab.slots.handshaking(place_of("8.8.8.8")))
    assert "17 more" in caplog.text
    assert lab.resources.is_idle
