"""What gossip says to whom, without a network: neighbours are queues that the test reads."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.pubsub.pb import rpc_pb2

from crypto.peer_id import peer_id_of
from p2pnode.network import gossip_limits
from p2pnode.network.libp2p_gossip_router import Router
from p2pnode.network.libp2p_gossip_streams import Neighbour, Outbox
from p2pnode.network.libp2p_gossip_wire import (
    ControlFrame,
    Frame,
    Message,
    sign_message,
    split_length,
    subscriptions_frame,
)
from p2pnode.seams import Verdict
from p2pnode.system import SystemRng
from tests import factories
from wire.ids import PeerId

TOPIC = "topic"


class Bench:
    """A router with neighbours that take part in the topic."""

    def __init__(self, rng: random.Random, neighbours: int) -> None:
        """Let so many neighbours subscribe."""
        self._key = Ed25519PrivateKey.new(rng.randbytes(32))
        self.author = PeerId(peer_id_of(self._key.get_public_key().to_bytes()))
        self._number = 0
        self.router = Router(factories.peer_id(99), {TOPIC: lambda _via, _data: Verdict.ACCEPT}, SystemRng(), now=0)
        self.neighbours = [self._subscriber(number) for number in range(1, neighbours + 1)]

    def _subscriber(self, number: int) -> Neighbour:
        neighbour = self.router.neighbour(factories.peer_id(number), now=0)
        self.router.hear_subscriptions(neighbour, heard(subscriptions_frame([TOPIC])), now=0)
        return neighbour

    def message(self, data: bytes = b"data") -> Message:
        """Sign the next message."""
        self._number += 1
        return sign_message(self._key, self.author, number=self._number, topic=TOPIC, data=data)


def heard(frame: bytes) -> Frame:
    """Read what was written."""
    head = split_length(frame)
    assert head is not None
    return Frame(frame[head[1] :])


def told(neighbour: Neighbour) -> list[Frame]:
    """Empty a neighbour's queue."""
    frames: list[Frame] = []
    outbox = neighbour.outbox
    for queue in (outbox._control, outbox._messages):
        while queue:
            frame = queue.popleft()
            outbox._bytes -= len(frame)
            frames.append(heard(frame))
    return frames


def offers(frames: list[Frame]) -> list[bytes]:
    """Return the names that were offered."""
    return [name for frame in frames for _, names in frame.offers() for name in names]


def asking(names: list[bytes]) -> Frame:
    """Ask for messages."""
    control = ControlFrame()
    control.wish(names)
    return heard(control.frame())


def offering(names: list[bytes], topic: str = TOPIC) -> Frame:
    """Offer messages."""
    control = ControlFrame()
    control.offer(topic, names)
    return heard(control.frame())


def test_a_message_goes_to_some_of_the_mesh_at_once_and_its_name_to_the_others_but_not_back(rng: random.Random) -> None:
    bench = Bench(rng, 4)
    for neighbour in bench.neighbours:
        assert [frame.grafts() for frame in told(neighbour)] == [[TOPIC]]
    message = bench.message()
    source, *others = bench.neighbours
    bench.router.hear_message(source, message, now=1)
    assert told(source) == []
    at_once = [[sent for frame in told(neighbour) for sent in frame.messages()] for neighbour in others]
    heard_it = [neighbour for neighbour, sent in zip(others, at_once, strict=True) if sent == [message]]
    (left_out,) = [neighbour for neighbour in others if neighbour not in heard_it]
    assert len(heard_it) == gossip_limits.EAGER
    bench.router.hear_message(others[0], message, now=1)
    assert [told(neighbour) for neighbour in bench.neighbours] == [[], [], [], []]
    bench.router.heartbeat(now=2)
    is_owed = left_out is not others[0]  # It has sent it to us by then.
    assert [offers(told(neighbour)) for neighbour in (source, *heard_it)] == [[], [], []]
    assert offers(told(left_out)) == [message.name] * is_owed
    bench.router.heartbeat(now=3)
    assert [told(neighbour) for neighbour in bench.neighbours] == [[], [], [], []]


def test_our_own_message_goes_to_the_whole_mesh_at_once(rng: random.Random) -> None:
    bench = Bench(rng, 4)
    message = bench.message()
    bench.router.publish(message, now=1)
    for neighbour in bench.neighbours:
        assert [list(frame.messages()) for frame in told(neighbour)] == [[], [message]]
    bench.router.heartbeat(now=2)
    assert [told(neighbour) for neighbour in bench.neighbours] == [[], [], [], []]


def test_who_offers_what_we_were_about_to_offer_is_not_told_and_a_peer_that_left_is_owed_nothing(
    rng: random.Random,
) -> None:
    bench = Bench(rng, 4)
    message = bench.message()
    bench.router.hear_message(bench.neighbours[0], message, now=1)
    for neighbour in bench.neighbours:
        told(neighbour)
    for neighbour in bench.neighbours[1:3]:
        bench.router.hear_control(neighbour, offering([message.name]), now=1)
    bench.router.forget(bench.neighbours[3].peer_id)
    bench.router.heartbeat(now=2)
    assert [offers(told(neighbour)) for neighbour in bench.neighbours] == [[], [], [], []]


def test_what_a_slow_neighbour_missed_is_counted_and_offered_when_it_has_caught_up(rng: random.Random) -> None:
    bench = Bench(rng, 2)
    slow, source = bench.neighbours
    told(slow)
    messages = [bench.message(b"%d" % number) for number in range(gossip_limits.QUEUE_MESSAGES_MAX + 10)]
    for message in messages:
        bench.router.hear_message(source, message, now=1)
    assert len(slow.outbox) == gossip_limits.QUEUE_MESSAGES_MAX
    assert sum(bench.router.drops.values()) == 10
    bench.router.heartbeat(now=2)
    assert offers(told(slow)) == []  # It had not caught up yet.
    bench.router.heartbeat(now=3)
    assert {message.name for message in messages[-10:]} <= set(offers(told(slow)))
    bench.router.heartbeat(now=4)
    assert offers(told(slow)) == []  # Once is enough.


def test_neighbours_outside_the_mesh_are_offered_names_and_get_what_they_ask_for(rng: random.Random) -> None:
    bench = Bench(rng, 5)
    *_, outside = bench.neighbours
    message = bench.message()
    bench.router.hear_message(bench.neighbours[0], message, now=1)
    assert told(outside) == []
    bench.router.heartbeat(now=2)
    assert offers(told(outside)) == [message.name]
    bench.router.hear_control(outside, asking([message.name, b"unknown"]), now=2)
    assert [list(frame.messages()) for frame in told(outside)] == [[message]]


def test_names_are_asked_for_once_a_heartbeat_up_to_a_limit_and_only_if_they_are_names(rng: random.Random) -> None:
    bench = Bench(rng, 1)
    (neighbour,) = bench.neighbours
    told(neighbour)
    known, news = bench.message(), bench.message()
    bench.router.hear_message(neighbour, known, now=1)
    bench.router.hear_control(neighbour, offering([known.name, news.name, news.name, bytes(40_000)]), now=1)
    assert [frame.wishes() for frame in told(neighbour)] == [[news.name]]
    bench.router.hear_control(neighbour, offering([news.name], "elsewhere"), now=1)
    assert told(neighbour) == []
    names = [bench.message().name for _ in range(gossip_limits.ASKED_MAX + 100)]
    bench.router.hear_control(neighbour, offering(names), now=1)
    bench.router.hear_control(neighbour, offering(names), now=1)
    assert sum(len(frame.wishes()) for frame in told(neighbour)) == gossip_limits.ASKED_MAX - 1


def test_who_asks_for_everything_all_the_time_gets_a_bounded_share(rng: random.Random) -> None:
    bench = Bench(rng, 2)
    greedy, source = bench.neighbours
    messages = [bench.message() for _ in range(100)]
    for message in messages:
        bench.router.hear_message(source, message, now=1)
    told(greedy)
    sent = 0
    for _ in range(50):
        bench.router.hear_control(greedy, asking([message.name for message in messages]), now=1)
        sent += len(told(greedy))
    assert sent == gossip_limits.SERVED_PER_HEARTBEAT_MAX


def test_a_peer_of_bad_standing_is_neither_served_nor_asked_and_leaves_the_mesh(rng: random.Random) -> None:
    bench = Bench(rng, 1)
    (bad,) = bench.neighbours
    message = bench.message()
    bench.router.publish(message, now=1)
    told(bad)
    for _ in range(2):
        bench.router.standings.was_rejected(bad.peer_id, now=1)
    bench.router.hear_control(bad, asking([message.name]), now=1)
    bench.router.hear_control(bad, offering([bench.message().name]), now=1)
    assert told(bad) == []
    bench.router.heartbeat(now=2)
    assert [[topic for topic, _ in frame.prunes()] for frame in told(bad)] == [[TOPIC]]
    bench.router.publish(bench.message(), now=3)
    assert told(bad) == []


def test_grafting_again_and_again_against_the_rules_ends_in_silence(rng: random.Random) -> None:
    bench = Bench(rng, 1)
    (peer,) = bench.neighbours
    graft, prune = ControlFrame(), ControlFrame()
    graft.graft(TOPIC)
    prune.prune(TOPIC)
    bench.router.hear_control(peer, heard(prune.frame()), now=1)
    for _ in range(10):
        bench.router.hear_control(peer, heard(graft.frame()), now=2)
    assert bench.router.is_graylisted(peer.peer_id, now=2)
    assert bench.router.meshes[TOPIC].members == []


def test_deeds_are_remembered_when_a_peer_comes_back(rng: random.Random) -> None:
    bench = Bench(rng, 1)
    (peer,) = bench.neighbours
    for _ in range(3):
        bench.router.standings.was_rejected(peer.peer_id, now=1)
    bench.router.forget(peer.peer_id)
    assert not bench.router.is_current(peer)
    assert bench.router.neighbours == {}
    assert bench.router.is_graylisted(peer.peer_id, now=2)


def test_who_leaves_a_topic_gets_nothing_more(rng: random.Random) -> None:
    bench = Bench(rng, 1)
    (peer,) = bench.neighbours
    told(peer)
    leaving = rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=False, topicid=TOPIC)])
    bench.router.hear_subscriptions(peer, Frame(leaving.SerializeToString()), now=1)
    bench.router.publish(bench.message(), now=1)
    bench.router.heartbeat(now=2)
    assert told(peer) == []


async def test_a_queue_is_bounded_by_its_bytes_and_puts_control_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip_limits, "QUEUE_BYTES_MAX", 100)
    outbox = Outbox()
    assert outbox.put(b"message")
    assert outbox.put(b"control", is_control=True)
    assert not outbox.put(bytes(90))
    assert await outbox.take() == b"controlmessage"
    assert outbox.put(bytes(90))
    assert outbox.is_half_full
    outbox.put(b"x")
    monkeypatch.setattr(gossip_limits, "WRITE_BYTES", 90)
    assert await outbox.take() == bytes(90)
    assert await outbox.take() == b"x"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.take)
        await trio.testing.wait_all_tasks_blocked()
        outbox.poke()
