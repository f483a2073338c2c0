"""Gossip: our own GossipSub 1.1 over libp2p's streams and frames (ADR 0007 says why not py-libp2p's).

Every stream is read by its own task, one message after the other: what a peer sends is checked no faster than its
budget and that of all peers allow, and no task is ever started for a message. The order of the checks: the peer's
standing, the length, the topic, whether the message was seen, the author's signature, and then our handler's verdict.
Only then is a message passed on. What a message costs its forwarder depends on the verdict: a rejected one and a forged
signature cost standing; an ignored one and a repeated one cost nothing, because honest peers may send them.

It runs from before the first connection on, because it is told of connections as they come and go.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamEOF, StreamError
from libp2p.peer.id import ID

from p2pnode.errors import CallerError
from p2pnode.network import gossip_limits
from p2pnode.network.gossip_pace import Pace
from p2pnode.network.libp2p_gossip_router import Router
from p2pnode.network.libp2p_gossip_streams import FrameReader, Neighbour
from p2pnode.network.libp2p_gossip_wire import (
    PROTOCOLS,
    BadFrameError,
    BadMessageError,
    Frame,
    Message,
    sign_message,
    subscriptions_frame,
)
from p2pnode.network.libp2p_host import ForeignHost
from p2pnode.seams import Clock, GossipHandler, Rng
from wire import limits as wire_limits
from wire.ids import PeerId

logger = logging.getLogger(__name__)

_PROTOCOLS = [TProtocol(name) for name in PROTOCOLS]
_MICROSECONDS = 1_000_000


class Gossip:
    """The topics that we take part in."""

    def __init__(self, host: ForeignHost, topics: Mapping[str, GossipHandler], *, clock: Clock, rng: Rng) -> None:
        """Serve gossip for these topics; `running` runs it. Call it in trio."""
        self._host = host
        self._own_id = PeerId(host.get_id().to_bytes())
        self._topics = frozenset(topics)
        now = trio.current_time()
        self.router = Router(self._own_id, topics, rng, now=now)
        self._checks = Pace(per_s=gossip_limits.CHECKS_PER_S, burst=gossip_limits.CHECKS_BURST, now=now)
        # A message is known by author and number. Were the first number the second of the start, those of a node that
        # had sent more than one message a second would look like old ones after a restart.
        self._number = int(clock.wall() * _MICROSECONDS)
        self._room = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._reported_at = now
        for protocol in _PROTOCOLS:
            host.set_stream_handler(protocol, self._serve)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part for as long as the block lasts."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._beat)
            for peer_id in self._host.get_connected_peers():
                self.peer_changed(PeerId(peer_id.to_bytes()), is_connected=True)
            try:
                yield
            finally:
                self._nursery = None
                nursery.cancel_scope.cancel()

    def peer_changed(self, peer_id: PeerId, *, is_connected: bool) -> None:
        """Take note of a peer's first connection, or of the end of its last. Does nothing before or after it runs."""
        nursery = self._nursery
        if not is_connected:
            self._forget(peer_id)
        elif nursery is not None:
            neighbour = self.router.neighbour(peer_id, now=trio.current_time())
            if neighbour.sending is None:
                neighbour.sending = trio.CancelScope()
                nursery.start_soon(self._send_to, neighbour, neighbour.sending)

    async def publish(self, topic: str, data: bytes) -> None:
        """Send a message to the mesh, or pass on the held one with these bytes.

        Waits while neighbours are behind, but no longer than PUBLISH_S.

        Raises `CallerError` when it is too long or we do not take part in the topic.
        """
        if topic not in self._topics:
            message = f"publishing in {topic!r}, which nobody subscribed to here"
            raise CallerError(message)
        if len(data) > wire_limits.GOSSIP_BYTES_MAX:
            message = f"a gossiped message may have {wire_limits.GOSSIP_BYTES_MAX} bytes, got {len(data)}"
            raise CallerError(message)
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(gossip_limits.PUBLISH_S):
            while self._is_behind(topic):
                await self._room.wait()
        if self.router.pass_on_held(topic, data, now=trio.current_time()):
            return
        self._number += 1
        key = self._host.get_private_key()
        signed = sign_message(key, self._own_id, number=self._number, topic=topic, data=data)
        self.router.publish(signed, now=trio.current_time())

    def _is_behind(self, topic: str) -> bool:
        members = self.router.meshes[topic].members
        return any(self.router.neighbours[peer_id].outbox.is_half_full for peer_id in members)

    def _forget(self, peer_id: PeerId) -> None:
        neighbour = self.router.neighbours.get(peer_id)
        if neighbour is not None and neighbour.sending is not None:
            neighbour.sending.cancel()
        self.router.forget(peer_id)

    # Hearing.

    async def _serve(self, stream: INetStream) -> None:
        """Read one stream of a peer until it ends."""
        peer_id = PeerId(stream.muxed_conn.peer_id.to_bytes())
        neighbour = self.router.neighbour(peer_id, now=trio.current_time())
        remote = stream.get_remote_address()
        if remote is not None:
            self.router.standings.arrived(peer_id, remote[0])
        reader = FrameReader(stream)
        try:
            await neighbour.admit(stream)
            while self.router.is_current(neighbour):
                await self._hear(neighbour, await reader.next())
        except StreamEOF:
            await stream.close()
        except StreamError as error:
            logger.debug("a gossip stream of %s ended: %s", peer_id, error)
        except BadFrameError as error:
            logger.debug("gossip from %s: %s", peer_id, error)
            self.router.standings.was_rejected(peer_id, now=trio.current_time())
            await stream.reset()
        finally:
            neighbour.release(stream)

    async def _hear(self, neighbour: Neighbour, data: bytes) -> None:
        """Take one frame, no faster than the peer's budget allows. Raises `BadFrameError`."""
        await self._afford(neighbour.pace, 1 + len(data) // gossip_limits.UNIT_BYTES)
        if not self.router.is_current(neighbour):
            return
        frame = Frame(data)
        now = trio.current_time()
        self.router.hear_subscriptions(neighbour, frame, now=now)
        if self.router.is_graylisted(neighbour.peer_id, now=now):
            self.router.drops["frames of peers that sent what no honest one sends"] += 1
            return
        await self._afford(neighbour.pace, frame.units)
        if self.router.is_current(neighbour):
            self.router.hear_control(neighbour, frame, now=trio.current_time())
        for message in frame.messages():
            if isinstance(message, Message) and self.router.is_news(message):
                await self._afford(self._checks, 1)
            now = trio.current_time()
            if not self.router.is_current(neighbour) or self.router.is_graylisted(neighbour.peer_id, now=now):
                return
            if isinstance(message, BadMessageError):
                self.router.reject(neighbour, message, now=now)
            else:
                self.router.hear_message(neighbour, message, now=now)

    async def _afford(self, pace: Pace, units: float) -> None:
        """Wait until a budget allows for this; lets others run in any case."""
        await trio.sleep(pace.spend(units, now=trio.current_time()))

    # Telling.

    async def _send_to(self, neighbour: Neighbour, scope: trio.CancelScope) -> None:
        """Keep a stream to a neighbour for as long as it is connected. The outermost frame of its task."""
        pause_s = gossip_limits.RETRY_FIRST_S
        with scope:
            while True:
                started = trio.current_time()
                try:
                    await self._send_on_one_stream(neighbour)
                except (SwarmException, StreamError, trio.TooSlowError) as error:
                    logger.debug("no gossip stream to %s: %s", neighbour.peer_id, error)
                    neighbour.missed.update(self._topics)  # What was on its way may be lost.
                except Exception:
                    logger.exception("sending gossip failed")
                if trio.current_time() - started > gossip_limits.RETRY_MAX_S:
                    pause_s = gossip_limits.RETRY_FIRST_S
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, gossip_limits.RETRY_MAX_S)

    async def _send_on_one_stream(self, neighbour: Neighbour) -> None:
        """Say which topics we are in, then send what is queued, until the stream is gone."""
        stream = await self._host.new_stream(ID(bytes(neighbour.peer_id)), _PROTOCOLS)
        neighbour.outbound = stream
        try:
            frame = subscriptions_frame(sorted(self._topics))
            while not stream.muxed_conn.is_closed:
                with trio.fail_after(gossip_limits.WRITE_S):
                    await stream.write(frame)
                self._room.set()
                self._room = trio.Event()
                frame = await neighbour.outbox.take()
        finally:
            neighbour.outbound = None
            with trio.CancelScope(shield=True):
                await stream.reset()

    async def _beat(self) -> None:
        """Mend the meshes once a second. The outermost frame of its task."""
        while True:
            await trio.sleep(gossip_limits.HEARTBEAT_S)
            try:
                self._clean_up()
                self.router.heartbeat(now=trio.current_time())
            except Exception:
                logger.exception("the heartbeat of gossip failed")

    def _clean_up(self) -> None:
        """Let go of peers without a connection, wake those whose stream died unnoticed, and report what was dropped."""
        network = self._host.get_network()
        for peer_id, neighbour in list(self.router.neighbours.items()):
            if neighbour.sending is None and not network.get_connections(ID(bytes(peer_id))):
                self._forget(peer_id)  # It came and went before we were told.
            elif neighbour.outbound is not None and neighbour.outbound.muxed_conn.is_closed:
                neighbour.outbox.poke()
        now = trio.current_time()
        if self.router.drops and now - self._reported_at >= gossip_limits.REPORT_S:
            self._reported_at = now
            for reason, count in self.router.drops.items():
                logger.warning("gossip dropped %d %s", count, reason)
            self.router.drops.clear()
