"""Gossip against peers that lie, flood, forge or read slowly. The hostile side speaks the wire format itself."""

from __future__ import annotations

import functools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.network.stream.exceptions import StreamReset
from libp2p.pubsub.pb import rpc_pb2

from crypto.peer_id import peer_id_of
from p2pnode.network import gossip_limits, gossip_standing
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.libp2p_gossip import Gossip
from p2pnode.network.libp2p_gossip_streams import FrameReader
from p2pnode.network.libp2p_gossip_wire import PROTOCOLS, Frame, Message, sign_message, subscriptions_frame
from p2pnode.seams import Verdict
from tests.network.lab import full_address, living_tasks, make_network, running, until
from wire.ids import PeerId

TOPIC = "topic"


class Author:
    """Somebody who signs messages, connected or not."""

    def __init__(self, rng: random.Random) -> None:
        """Draw a key."""
        self.key = Ed25519PrivateKey.new(rng.randbytes(32))
        self.peer_id = PeerId(peer_id_of(self.key.get_public_key().to_bytes()))
        self._number = 0

    def message(self, data: bytes, *, number: int | None = None) -> Message:
        """Sign the next message."""
        self._number += 1
        chosen = self._number if number is None else number
        return sign_message(self.key, self.peer_id, number=chosen, topic=TOPIC, data=data)


class Victim:
    """An honest network, and what its handler was asked to judge: data that begins with 'bad' is rejected."""

    def __init__(self, rng: random.Random) -> None:
        """Build it."""
        self.judged: list[bytes] = []
        self.network = make_network(rng)
        self.network.subscribe(TOPIC, self._judge)

    def _judge(self, _via: PeerId, data: bytes) -> Verdict:
        self.judged.append(data)
        if data.startswith(b"bad"):
            return Verdict.REJECT
        return Verdict.IGNORE if data.startswith(b"old") else Verdict.ACCEPT

    @property
    def gossip(self) -> Gossip:
        """Its gossip, once it runs."""
        assert self.network._gossip is not None
        return self.network._gossip

    def standing(self, network: Libp2pNetwork) -> float:
        """What it thinks of a peer."""
        return self.gossip.router.standings.of(network.peer_id, now=trio.current_time())


@pytest.fixture
async def victim(rng: random.Random) -> Victim:
    """An honest network that does not run yet."""
    return Victim(rng)


@pytest.fixture
def author(rng: random.Random) -> Author:
    """Somebody who signs."""
    return Author(rng)


@asynccontextmanager
async def stream_to(network: Libp2pNetwork, victim: Victim) -> AsyncIterator[INetStream]:
    """Connect, and open a gossip stream that is ours to write."""
    await network.bootstrap(full_address(victim.network))
    assert network._gossip is not None
    network._gossip.peer_changed(victim.network.peer_id, is_connected=False)  # Its own gossip must not interfere.
    yield await network._dispatcher.open_foreign(victim.network.peer_id, list(PROTOCOLS))


def garbled(message: Message) -> Message:
    """Break a signature."""
    return Message(message.author, message.number, message.topic, message.data, bytes(64))


def framed(rpc: rpc_pb2.RPC) -> bytes:
    """Frame what our own writer would never write."""
    body = rpc.SerializeToString()
    length, head = len(body), bytearray()
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes([*head, length]) + body


async def test_a_peer_that_sends_invalid_messages_is_not_even_listened_to_and_recovers(
    victim: Victim, author: Author, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile, honest = make_network(rng), make_network(rng)
    honest.subscribe(TOPIC, lambda _via, _data: Verdict.ACCEPT)
    async with running(victim.network, hostile, honest), stream_to(hostile, victim) as stream:
        await honest.bootstrap(full_address(victim.network))
        for number in range(5):
            await stream.write(author.message(b"bad %d" % number).frame())
        await until(lambda: victim.standing(hostile) < gossip_standing.GRAYLIST_BELOW)
        await stream.write(author.message(b"good, but too late").frame())
        router = victim.gossip.router
        await until(lambda: sum(router.drops.values()) > 0)
        assert victim.judged == [b"bad 0", b"bad 1", b"bad 2"]  # The third was one too many.
        await honest.publish(TOPIC, b"from an honest peer")
        await until(lambda: b"from an honest peer" in victim.judged)
        assert victim.standing(honest) > 0
        monkeypatch.setattr(gossip_standing, "HALF_LIFE_S", 0.001)
        await until(lambda: victim.standing(hostile) > gossip_standing.GRAYLIST_BELOW)
        await stream.write(author.message(b"heard again").frame())
        await until(lambda: b"heard again" in victim.judged)
    assert b"good, but too late" not in victim.judged


async def test_a_forged_signature_costs_standing_and_never_uses_up_the_authors_name(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        real = author.message(b"real")
        await stream.write(garbled(real).frame())
        await until(lambda: victim.standing(hostile) < 0)
        await stream.write(real.frame())
        await until(lambda: victim.judged == [b"real"])


async def test_a_message_in_our_own_name_is_neither_judged_nor_passed_on(victim: Victim, rng: random.Random) -> None:
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        message = Message(victim.network.peer_id, bytes(8), TOPIC, b"not mine", bytes(64))
        await stream.write(message.frame())
        await until(lambda: victim.standing(hostile) < 0)
        own = sign_message(
            victim.network._host.get_private_key(), victim.network.peer_id, number=1, topic=TOPIC, data=b"before"
        )
        await stream.write(own.frame())
        await until(lambda: own.name in victim.gossip.router.seen)
        assert victim.judged == []
        assert victim.gossip.router.recent.names(TOPIC) == []


async def test_an_author_who_signs_two_messages_under_one_number_never_frames_an_honest_forwarder(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    hostile, honest = make_network(rng), make_network(rng)
    everyone = running(victim.network, hostile, honest)
    async with everyone, stream_to(hostile, victim) as first, stream_to(honest, victim) as second:
        await first.write(author.message(b"bad for you", number=7).frame())
        await until(lambda: victim.standing(hostile) < 0)
        await second.write(author.message(b"good for others", number=7).frame())
        await second.write(author.message(b"next", number=8).frame())
        await until(lambda: b"next" in victim.judged)
        assert victim.standing(honest) > 0


async def test_ignored_and_repeated_messages_never_cost_standing(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    sender = make_network(rng)
    async with running(victim.network, sender), stream_to(sender, victim) as stream:
        for number in range(50):
            frame = author.message(b"old %d" % number).frame()
            await stream.write(frame + frame)
        await until(lambda: len(victim.judged) == 50)
        await stream.write(author.message(b"last").frame())
        await until(lambda: b"last" in victim.judged)
        assert victim.standing(sender) > 0
    assert len(victim.judged) == 51  # None was judged twice.


async def test_a_frame_with_many_messages_starts_no_tasks_and_too_many_end_the_stream(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        await stream.write(author.message(b"first").frame())
        await until(lambda: victim.judged == [b"first"])
        tasks = living_tasks()
        most = 0
        many = rpc_pb2.RPC()
        for number in range(gossip_limits.MESSAGES_PER_FRAME_MAX):
            many.MergeFromString(_body(author.message(b"%d" % number)))
        await stream.write(framed(many))
        while len(victim.judged) <= gossip_limits.MESSAGES_PER_FRAME_MAX:
            most = max(most, living_tasks())
            await trio.lowlevel.checkpoint()
        assert most <= tasks + 4
        many.publish.add()
        await stream.write(framed(many))
        await until(lambda: victim.gossip.router.neighbours[hostile.peer_id].inbound is None)
        assert victim.standing(hostile) < 1  # What its news had earned, ten at most, is gone.


async def test_the_rest_of_a_frame_is_not_looked_at_once_its_beginning_was_bad_enough(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        frame = rpc_pb2.RPC()
        for number in range(20):
            frame.MergeFromString(_body(author.message(b"bad %d" % number)))
        await stream.write(framed(frame))
        await until(lambda: victim.standing(hostile) < gossip_standing.GRAYLIST_BELOW)
        await stream.write(author.message(b"later").frame())
        await until(lambda: sum(victim.gossip.router.drops.values()) > 0)
    assert victim.judged == [b"bad 0", b"bad 1", b"bad 2"]


def _body(message: Message) -> bytes:
    rpc = rpc_pb2.RPC()
    signed = rpc.publish.add(from_id=bytes(message.author), data=message.data, seqno=message.number)
    signed.topicIDs.append(message.topic)
    signed.signature = message.signature
    return rpc.SerializeToString()


async def test_a_length_that_nobody_would_wait_for_ends_the_stream_at_once(victim: Victim, rng: random.Random) -> None:
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        await stream.write(b"\xff\xff\xff\x7f")
        await until(lambda: victim.standing(hostile) < 0)


async def test_a_frame_that_does_not_end_ends_its_stream(
    victim: Victim, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip_limits, "FRAME_S", 0.05)
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        await stream.write(b"\x7fhalf")
        await until(lambda: victim.standing(hostile) < 0)


async def test_no_peer_makes_us_take_part_in_or_remember_other_topics(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    hostile = make_network(rng)
    async with running(victim.network, hostile), stream_to(hostile, victim) as stream:
        for number in range(20):
            names = [f"topic {number} {each}" for each in range(gossip_limits.CONTROL_PER_FRAME_MAX)]
            rpc = rpc_pb2.RPC()
            for name in names:
                rpc.control.graft.add(topicID=name)
                rpc.control.prune.add(topicID=name, backoff=10**9)
            await stream.write(subscriptions_frame(names) + framed(rpc))
        await stream.write(author.message(b"last").frame())
        await until(lambda: b"last" in victim.judged)
        assert list(victim.gossip.router.meshes) == [TOPIC]
        assert victim.gossip.router.meshes[TOPIC].backoff_count == 0


async def test_a_further_stream_of_a_peer_replaces_the_one_before(
    victim: Victim, author: Author, rng: random.Random
) -> None:
    sender = make_network(rng)
    async with running(victim.network, sender), stream_to(sender, victim) as first:
        await first.write(author.message(b"0").frame())
        await until(lambda: victim.judged == [b"0"])
        for number in range(1, 10):
            async with stream_to(sender, victim) as stream:
                await stream.write(author.message(b"%d" % number).frame())
                await until(functools.partial(victim.judged.__contains__, b"%d" % number))
        with pytest.raises(StreamReset):
            await first.write(author.message(b"on the first").frame())


async def test_a_flood_of_valid_messages_is_read_at_the_peers_pace_and_others_are_heard(
    victim: Victim, author: Author, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip_limits, "PEER_UNITS_PER_S", 100.0)
    monkeypatch.setattr(gossip_limits, "PEER_UNITS_BURST", 50.0)
    hostile, honest = make_network(rng), make_network(rng)
    honest.subscribe(TOPIC, lambda _via, _data: Verdict.ACCEPT)
    async with running(victim.network, hostile, honest), trio.open_nursery() as nursery:
        await honest.bootstrap(full_address(victim.network))
        await until(lambda: victim.network.peer_id in honest_hearers(honest))
        async with stream_to(hostile, victim) as stream:
            frames = [author.message(b"%d" % number).frame() for number in range(2_000)]
            started = trio.current_time()
            nursery.start_soon(stream.write, b"".join(frames))
            await until(lambda: len(victim.judged) >= 20)
            await honest.publish(TOPIC, b"honest")
            await until(lambda: b"honest" in victim.judged)
            await until(lambda: trio.current_time() > started + 1)
            # A frame with one message costs three units: one to read it, and two to look at it.
            assert len(victim.judged) <= (50 + 100 * (trio.current_time() - started)) / 3 + 5
            nursery.cancel_scope.cancel()


def honest_hearers(network: Libp2pNetwork) -> list[PeerId]:
    """Return who is in a network's mesh."""
    assert network._gossip is not None
    return network._gossip.router.meshes[TOPIC].members


async def test_what_was_published_before_anybody_came_is_offered_to_who_comes(
    victim: Victim, rng: random.Random
) -> None:
    early = make_network(rng)
    early.subscribe(TOPIC, lambda _via, _data: Verdict.ACCEPT)
    async with running(victim.network, early):
        await early.publish(TOPIC, b"early")
        await early.bootstrap(full_address(victim.network))
        await until(lambda: victim.judged == [b"early"])


async def test_gossip_goes_on_after_a_connection_was_lost(victim: Victim, rng: random.Random) -> None:
    sender = make_network(rng)
    sender.subscribe(TOPIC, lambda _via, _data: Verdict.ACCEPT)
    async with running(victim.network, sender):
        for number in range(5):
            await sender.bootstrap(full_address(victim.network))
            await sender.publish(TOPIC, b"%d" % number)
            await until(functools.partial(victim.judged.__contains__, b"%d" % number))
            await sender.disconnect(victim.network.peer_id)
            await until(lambda: not victim.network.connected())
            await until(lambda: victim.gossip.router.neighbours == {})
            assert victim.gossip.router.meshes[TOPIC].members == []


async def test_a_gossip_stream_that_the_peer_resets_is_opened_again(victim: Victim, rng: random.Random) -> None:
    sender = make_network(rng)
    sender.subscribe(TOPIC, lambda _via, _data: Verdict.ACCEPT)
    async with running(victim.network, sender):
        await sender.bootstrap(full_address(victim.network))
        await sender.publish(TOPIC, b"one")
        await until(lambda: b"one" in victim.judged)
        stream = victim.gossip.router.neighbours[sender.peer_id].inbound
        assert stream is not None
        await stream.reset()
        await sender.publish(TOPIC, b"two")
        await until(lambda: b"two" in victim.judged)


async def test_gossip_leaves_no_tasks_behind(rng: random.Random) -> None:
    tasks = living_tasks()
    one, other = Victim(rng), Victim(rng)
    async with running(one.network, other.network):
        await one.network.bootstrap(full_address(other.network))
        await one.network.publish(TOPIC, b"data")
        await until(lambda: other.judged == [b"data"])
    assert living_tasks() == tasks


async def test_the_reader_takes_frames_cut_anywhere(author: Author, rng: random.Random) -> None:
    frames = [author.message(rng.randbytes(rng.randrange(500))).frame() for _ in range(20)]
    whole = b"".join(frames)

    class Cut:
        """A stream that gives one to three bytes at a time."""

        def __init__(self) -> None:
            """Start at the first byte."""
            self.at = 0

        async def read(self, _most: int) -> bytes:
            await trio.lowlevel.checkpoint()
            part = whole[self.at : self.at + rng.randint(1, 3)]
            self.at += len(part)
            return part

    reader = FrameReader(Cut())  # type: ignore[arg-type] # It needs nothing but `read`.
    heard = [next(Frame(await reader.next()).messages()) for _ in frames]
    assert [message.frame() for message in heard if isinstance(message, Message)] == frames
