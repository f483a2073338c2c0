"""What every `Network` promises: py-libp2p over loopback TCP and in memory, and the simulated one."""

import itertools

import pytest
import trio

from crypto.keys import SigningKey
from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.errors import CallerError, PeerUnavailableError
from p2pnode.seams import GossipHandler, Verdict
from tests.contract.network_lab import (
    PROTOCOL,
    SOON_S,
    TOPIC,
    Lab,
    Run,
    ask_echo,
    ask_echo_flat,
    introduce,
    is_connected,
    two,
    wait_until,
)
from wire.ids import PeerId

NOBODY = PeerId(peer_id_of(SigningKey(bytes(32)).public))


def test_a_peer_is_dialled_by_the_address_that_was_learnt(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        assert not one.connected()
        await introduce(one, other)
        assert [each.peer_id for each in one.connected()] == [other.peer_id]
        assert one.connected()[0].address in other.addresses()
        assert [(each.peer_id, each.address) for each in other.connected()] == [(one.peer_id, "")]
        await one.connect(other.peer_id)
        assert len(one.connected()) == 1

    run_network(claim)


def test_a_network_listens_on_concrete_addresses_without_its_peer_id(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        (address,) = network.addresses()
        assert "/p2p/" not in address
        assert not address.endswith("/tcp/0")

    run_network(claim)


def test_bootstrap_connects_to_an_address_with_a_peer_id(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        address = f"{other.addresses()[0]}/p2p/{peer_id_to_text(other.peer_id)}"
        assert await one.bootstrap(address) == other.peer_id
        assert is_connected(one, other)

    run_network(claim)


@pytest.mark.parametrize(
    "address", ["", "nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/", "/ip4/127.0.0.1/tcp/1/p2p/junk"]
)
def test_bootstrap_refuses_an_address_without_a_peer_id(run_network: Run, address: str) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        with pytest.raises(CallerError):
            await network.bootstrap(address)

    run_network(claim)


def test_a_peer_without_a_known_address_is_unavailable_at_once(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        network = (await lab.start()).network
        with trio.fail_after(SOON_S):
            with pytest.raises(PeerUnavailableError):
                await network.connect(NOBODY)
            with pytest.raises(PeerUnavailableError):
                await network.open_stream(NOBODY, PROTOCOL)

    run_network(claim)


def test_an_address_where_nobody_listens_is_refused_soon(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, gone = await lab.start(), await lab.start()
        one.network.learn_addresses(gone.network.peer_id, gone.network.addresses())
        await gone.die()
        with trio.fail_after(SOON_S), pytest.raises(PeerUnavailableError):
            await one.network.connect(gone.network.peer_id)

    run_network(claim)


def test_a_peer_with_another_id_at_the_address_is_not_taken_for_the_wanted_one(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = (await lab.start()).network, (await lab.start()).network
        one.learn_addresses(NOBODY, other.addresses())
        with trio.fail_after(SOON_S), pytest.raises(PeerUnavailableError):
            await one.connect(NOBODY)
        assert all(each.peer_id != NOBODY for each in one.connected())
        with pytest.raises(PeerUnavailableError):
            await one.bootstrap(f"{other.addresses()[0]}/p2p/{peer_id_to_text(NOBODY)}")

    run_network(claim)


def test_a_network_that_has_stopped_reaches_nobody_and_keeps_nobody_waiting(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        stopped, other = await lab.start(), (await lab.start()).network
        stopped.network.learn_addresses(other.peer_id, other.addresses())
        await stopped.die()
        with trio.fail_after(SOON_S):
            for _ in range(2):
                with pytest.raises(PeerUnavailableError):
                    await stopped.network.connect(other.peer_id)
                with pytest.raises(PeerUnavailableError):
                    await stopped.network.open_stream(other.peer_id, PROTOCOL)
        assert not stopped.network.connected()
        assert not other.connected()

    run_network(claim)


def test_a_good_address_is_found_among_bad_ones(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other, gone = await lab.start(), await lab.start(), await lab.start()
        dead = gone.network.addresses()
        await gone.die()
        one.network.learn_addresses(other.network.peer_id, [*dead, *other.network.addresses()])
        await one.network.connect(other.network.peer_id)
        assert one.network.connected()[0].address in other.network.addresses()

    run_network(claim)


def test_disconnect_is_seen_by_both_sides_and_connecting_again_works(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, other = await two(lab)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        await one.disconnect(other.peer_id)
        assert not is_connected(one, other)
        with pytest.raises(PeerUnavailableError):
            await ask_echo_flat(stream)
        await wait_until(lambda: not is_connected(other, one))
        await one.disconnect(other.peer_id)
        await one.connect(other.peer_id)
        stream = await one.open_stream(other.peer_id, PROTOCOL)
        assert await ask_echo(stream, b"again") == b"again"
        await stream.close()

    run_network(claim)


def test_connected_is_in_the_order_of_peer_ids(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        centre = (await lab.start()).network
        for _ in range(4):
            await introduce((await lab.start()).network, centre)
        peers = [each.peer_id for each in centre.connected()]
        assert peers == sorted(peers)
        assert len(peers) == 4

    run_network(claim)


def test_gossip_reaches_everyone_through_a_chain_once(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        heard: dict[int, list[bytes]] = {number: [] for number in range(4)}

        def listen(number: int) -> GossipHandler:
            def handler(via: PeerId, data: bytes) -> Verdict:
                del via
                heard[number].append(data)
                return Verdict.ACCEPT

            return handler

        chain = [(await lab.start(topics={TOPIC: listen(number)})).network for number in range(4)]
        for one, other in itertools.pairwise(chain):
            await introduce(one, other)

        async def publish_until_heard() -> None:
            # A mesh of subscriptions needs a moment to form; a message sent before it is rightly lost.
            number = 0
            while not heard[3]:
                await chain[0].publish(TOPIC, b"early %d" % number)
                number += 1
                await trio.sleep(0.25)

        await publish_until_heard()
        await chain[0].publish(TOPIC, b"last")
        await wait_until(lambda: all(b"last" in heard[number] for number in (1, 2, 3)))
        assert heard[0] == []
        assert all(len(set(heard[number])) == len(heard[number]) for number in (1, 2, 3))

    run_network(claim)


def test_gossip_that_a_node_does_not_want_is_not_forwarded(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        heard: dict[str, list[bytes]] = {"middle": [], "end": []}

        def choosy(_via: PeerId, data: bytes) -> Verdict:
            heard["middle"].append(data)
            if data == b"raise":
                raise LookupError
            return Verdict.REJECT if data == b"bad" else Verdict.ACCEPT

        def listen(_via: PeerId, data: bytes) -> Verdict:
            heard["end"].append(data)
            return Verdict.ACCEPT

        first = (await lab.start(topics={TOPIC: listen})).network
        middle = (await lab.start(topics={TOPIC: choosy})).network
        last = (await lab.start(topics={TOPIC: listen})).network
        await introduce(first, middle)
        await introduce(middle, last)
        number = 0
        while not heard["end"]:
            await first.publish(TOPIC, b"early %d" % number)
            number += 1
            await trio.sleep(0.25)
        for data in (b"bad", b"raise", b"good"):
            await first.publish(TOPIC, data)
        await wait_until(lambda: b"good" in heard["end"])
        assert {b"bad", b"raise", b"good"} <= set(heard["middle"])
        assert not {b"bad", b"raise"} & set(heard["end"])

    run_network(claim)


def test_gossip_that_is_decided_on_later_is_passed_on_as_the_same_message_once_it_is_published(
    run_network: Run,
) -> None:
    async def claim(lab: Lab) -> None:
        heard: dict[str, list[bytes]] = {"first": [], "middle": [], "last": []}

        def listen(name: str) -> GossipHandler:
            def handler(_via: PeerId, data: bytes) -> Verdict:
                heard[name].append(data)
                return Verdict.LATER if (name, data[:5]) == ("middle", b"later") else Verdict.ACCEPT

            return handler

        first, middle, last = [(await lab.start(topics={TOPIC: listen(name)})).network for name in heard]
        await introduce(first, middle)
        await introduce(middle, last)
        number = 0
        while not heard["last"]:
            await first.publish(TOPIC, b"early %d" % number)
            number += 1
            await trio.sleep(0.25)
        await first.publish(TOPIC, b"later, far")
        await first.publish(TOPIC, b"next")
        await wait_until(lambda: b"later, far" in heard["middle"] and b"next" in heard["last"])
        assert b"later, far" not in heard["last"]
        await middle.publish(TOPIC, b"later, far")
        await wait_until(lambda: b"later, far" in heard["last"])
        # Who has the message already knows it by its name, though another one published it.
        await introduce(first, last)
        while b"later, near" not in heard["last"]:
            await first.publish(TOPIC, b"later, near")
            await trio.sleep(0.25)
        await wait_until(lambda: b"later, near" in heard["middle"])
        copies = heard["last"].count(b"later, near")
        for data in (b"later, near", b"end"):
            await middle.publish(TOPIC, data)
        await wait_until(lambda: b"end" in heard["last"] and b"end" in heard["first"])
        assert heard["last"].count(b"later, near") == copies
        assert not {b"later, near", b"later, far"} & set(heard["first"])

    run_network(claim)


def test_a_third_node_finds_addresses_by_asking_the_others(run_network: Run) -> None:
    async def claim(lab: Lab) -> None:
        one, hub, other = [(await lab.start()).network for _ in range(3)]
        await introduce(one, hub)
        await introduce(other, hub)
        found: tuple[str, ...] = ()
        while not found:  # A routing table fills in its own time.
            found = await one.find_addresses(other.peer_id)
        assert set(found) & set(other.addresses())
        assert await one.find_addresses(NOBODY) == ()

    run_network(claim)
