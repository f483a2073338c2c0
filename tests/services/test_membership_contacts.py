"""Claims about who is dialled, and what is done when nobody answers: one node's contacts on simulated networks."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import pytest
import trio

from p2pnode.config import PUBLIC
from p2pnode.membership.table import MemberTable
from p2pnode.services import contacts as contacts_service
from p2pnode.services.contacts import Contacts
from p2pnode.services.context import Context
from testnet.sim.clock import NodeClock, SimClock, run_in_virtual_time
from testnet.sim.fabric import Fabric
from testnet.sim.network import SimNetwork
from testnet.sim.rng import SimRng, generator
from testnet.sim.trace import Trace
from tests.factories import full_address, key, member_record, peer_id, signed
from wire.ids import PeerId

OWN = 0
WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class FakeContext:
    """The part of a context that contacts use."""

    network: SimNetwork
    clock: NodeClock
    rng: SimRng
    profile = PUBLIC

    @property
    def own(self) -> PeerId:
        """Our own peer id."""
        return self.network.peer_id


def place(number: int) -> str:
    """Return where machine `number` is, in a failure domain of its own."""
    return f"/ip4/20.{number // 256}.{number % 256}.7/tcp/4710"


class Lab:
    """Our node's contacts, and others that only have a network."""

    def __init__(self, clock: SimClock, seed: int, nursery: trio.Nursery) -> None:
        """Start with our own network only."""
        self.fabric = Fabric(clock=clock, rng=generator(seed, "fabric"), trace=Trace(clock))
        self._nursery = nursery
        self._rng = SimRng(generator(seed, "contacts"))
        self.own = self.network(OWN)
        self.table = MemberTable(self.own.peer_id, PUBLIC, started_at=0.0)
        self.greeted: list[PeerId] = []
        self.greeting: Callable[[PeerId], Awaitable[None]] = self._greet
        self.contacts: Contacts | None = None

    def network(self, number: int, address: str = "") -> SimNetwork:
        """Return the network of a machine; it does not run yet."""
        return SimNetwork(self.fabric, name=f"n{number}", peer_id=peer_id(number), listen=[address or place(number)])

    async def start(self, number: int, address: str = "") -> SimNetwork:
        """Start a machine."""
        network = self.network(number, address)
        await self._nursery.start(network.run)
        return network

    def know(self, number: int, *addresses: str, sequence: int = 1) -> None:
        """Put a member with these claimed addresses into our table."""
        record = member_record(number, sequence=sequence, time=int(NodeClock().wall()))
        claim = addresses or (place(number),)
        wall = NodeClock().wall()
        new = type(record)(**{**{name: getattr(record, name) for name in record.__slots__}, "addresses": claim})
        assert self.table.consider(signed(new, key(number)), now=trio.current_time(), wall=wall)
        self.own.learn_addresses(peer_id(number), self.table.addresses(peer_id(number)))

    async def look_after(self, *bootstrap: str) -> Contacts:
        """Let our node look after its contacts from now on."""
        context = cast("Context", FakeContext(self.own, NodeClock(), self._rng))
        contacts = Contacts(
            context,
            self.table,
            bootstrap=bootstrap,
            greet=self.greeting,
            on_look=lambda: None,
        )
        await self._nursery.start(self.own.run)
        self._nursery.start_soon(contacts.run)
        self.contacts = contacts
        return contacts

    async def _greet(self, peer: PeerId) -> None:
        await trio.lowlevel.checkpoint()
        self.greeted.append(peer)

    def connected(self) -> set[PeerId]:
        """Return whom our node is connected with."""
        return {each.peer_id for each in self.own.connected()}

    async def until(self, condition: Callable[[], bool], *, within_s: float = WITHIN_S) -> None:
        """Wait in virtual time. Raises `TooSlowError`."""
        with trio.fail_after(within_s):
            while not condition():  # noqa: ASYNC110 - what is waited for sets no event
                await trio.sleep(0.1)


def run(rng: random.Random, body: Callable[[Lab], Awaitable[None]]) -> None:
    """Run a claim in virtual time."""
    seed = rng.getrandbits(32)

    async def main(clock: SimClock) -> None:
        async with trio.open_nursery() as nursery:
            await body(Lab(clock, seed, nursery))
            nursery.cancel_scope.cancel()

    run_in_virtual_time(main, seed=seed)


def seed_of(number: int) -> str:
    """Return a bootstrap address of a machine."""
    return place(number) + full_address(number)[full_address(number).index("/p2p/") :]


def test_a_member_that_moved_is_found_by_asking_others(rng: random.Random) -> None:
    async def body(lab: Lab) -> None:
        await lab.start(2, address=place(99))  # The record, and what worked earlier, name another place.
        friend = await lab.start(1)
        friend.learn_addresses(peer_id(2), [place(99)])
        await friend.connect(peer_id(2))
        lab.know(1)
        lab.know(2)
        await lab.look_after()
        await lab.until(lambda: lab.connected() == {peer_id(1), peer_id(2)})
        await lab.until(lambda: lab.table.addresses(peer_id(2)) == (place(99), place(2)))

    run(rng, body)


def test_the_address_that_worked_is_learnt_and_comes_first_next_time(rng: random.Random) -> None:
    async def body(lab: Lab) -> None:
        await lab.start(1)
        lab.know(1, "/ip4/20.9.9.9/tcp/1", place(1))
        lab.own.learn_addresses(peer_id(1), [place(1)])
        await lab.look_after()
        await lab.own.connect(peer_id(1))
        await lab.until(lambda: lab.own.known_addresses(peer_id(1)) == (place(1), "/ip4/20.9.9.9/tcp/1"))

    run(rng, body)


def test_a_failed_greeting_is_repeated_seldom_and_a_good_one_never(rng: random.Random) -> None:
    async def body(lab: Lab) -> None:
        times: list[float] = []

        async def greet(peer: PeerId) -> None:
            times.append(trio.current_time())
            if len(times) < 4:
                await trio.lowlevel.checkpoint()
                message = "not now"
                raise trio.TooSlowError(message)
            await lab._greet(peer)

        lab.greeting = greet
        await lab.start(1)
        lab.know(1)
        await lab.look_after()
        await trio.sleep(20 * contacts_service.GREET_AGAIN_S)
        assert len(times) == 4
        assert times[3] - times[0] >= 3 * contacts_service.GREET_AGAIN_S
        assert lab.greeted == [peer_id(1)]

    run(rng, body)


def test_bootstrap_addresses_are_dialled_often_when_alone_and_seldom_otherwise(rng: random.Random) -> None:
    async def body(lab: Lab) -> None:
        dials: list[float] = []
        real = lab.own.bootstrap

        async def bootstrap(address: str) -> PeerId:
            dials.append(trio.current_time())
            return await real(address)

        lab.own.bootstrap = bootstrap  # type: ignore[method-assign] # To count them.
        await lab.look_after(seed_of(7))
        await trio.sleep(600)
        alone = len(dials)
        assert 600 / 20 <= alone <= 600 / 5
        await lab.start(1)
        lab.know(1)
        await lab.until(lambda: lab.connected() == {peer_id(1)})
        dials.clear()
        await trio.sleep(4 * contacts_service.SEED_EVERY_S)
        assert 2 <= len(dials) <= 5  # Never given up: it may lead to another half of the network.
        await lab.start(7)
        await lab.until(lambda: peer_id(7) in lab.connected(), within_s=2 * contacts_service.SEED_EVERY_S)

    run(rng, body)


def test_an_address_that_cannot_be_is_said_once_and_forgotten(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(lab: Lab) -> None:
        await lab.look_after("/ip4/20.0.0.1/tcp/4710", seed_of(1))
        await lab.start(1)
        await lab.until(lambda: lab.connected() == {peer_id(1)})
        await trio.sleep(600)

    run(rng, body)
    warnings = [each for each in caplog.records if each.name == contacts_service.__name__]
    assert [each.levelname for each in warnings] == ["WARNING"]


def test_hints_are_dialled_and_bounded(rng: random.Random) -> None:
    async def body(lab: Lab) -> None:
        await lab.start(5)
        contacts = await lab.look_after()
        contacts.hint(seed_of(6))
        for number in range(100, 100 + 2 * contacts_service.HINTS_MAX):
            contacts.hint(seed_of(number))
        contacts.hint(seed_of(5))
        assert len(contacts._hints) == contacts_service.HINTS_MAX
        await lab.until(lambda: lab.connected() == {peer_id(5)})

    run(rng, body)


def test_a_large_network_gets_a_bounded_number_of_connections_with_all_anchors_among_them(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newcomers, also those that dial us, change neither who the anchors are nor that they are connected."""
    monkeypatch.setattr(contacts_service, "CONNECTIONS_WANTED", 12)

    async def body(lab: Lab) -> None:
        for number in range(1, 9):
            await lab.start(number)
            lab.know(number)
        await lab.look_after()
        await lab.until(lambda: len(lab.table.anchors) == 8)
        anchors = lab.table.anchors
        assert lab.own.protected == anchors
        for number in range(100, 160):
            await lab.start(number)
            lab.know(number)
        await trio.sleep(60)
        assert len(lab.connected()) == 12
        assert anchors == lab.table.anchors == lab.own.protected
        for peer in sorted(lab.connected()):
            await lab.own.disconnect(peer)
        await lab.until(lambda: anchors <= lab.connected(), within_s=30)
        assert len(lab.connected()) <= 12

    run(rng, body)


def test_after_a_week_a_large_circle_of_dead_members_makes_room_for_those_that_live(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts_service, "CONNECTIONS_WANTED", 10)

    async def body(lab: Lab) -> None:
        await lab.start(150)
        for number in range(100, 160):
            lab.know(number)
        await trio.sleep(7 * 24 * 3600)
        lab.table = _restarted(lab.table)
        await lab.look_after()
        await lab.until(lambda: lab.connected() == {peer_id(150)}, within_s=600)

    run(rng, body)


def test_news_of_an_absent_member_brings_it_back_at_once(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its turn among the absent nor the next thinking over is waited for."""

    async def body(lab: Lab) -> None:
        lab.know(1)
        contacts = await lab.look_after()
        await trio.sleep(2 * PUBLIC.offline_after_s)
        monkeypatch.setattr(contacts_service, "CHOOSE_EVERY_S", 1e6)
        monkeypatch.setattr(contacts_service, "ABSENT_EVERY_FACTOR", 1e6)
        await trio.sleep(60)
        await lab.start(1)
        await trio.sleep(600)
        assert lab.connected() == set()
        lab.know(1, sequence=2)
        contacts.has_news_of(peer_id(1))
        await lab.until(lambda: lab.connected() == {peer_id(1)}, within_s=10)

    run(rng, body)


def _restarted(table: MemberTable) -> MemberTable:
    """Return the table of the next life, which starts now."""
    later = MemberTable(peer_id(OWN), PUBLIC, started_at=trio.current_time())
    for _, member in table.members():
        later.consider(member.signed, now=trio.current_time(), wall=NodeClock().wall())
    return later
