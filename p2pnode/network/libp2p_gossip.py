"""Gossip: py-libp2p's GossipSub with our validators, limits and guards.

It runs from before the first connection on, because peers that connected earlier would never be told of.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio
from libp2p.abc import ISubscriptionAPI
from libp2p.custom_types import SyncValidatorFn, TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2

from p2pnode.errors import CallerError
from p2pnode.network import limits
from p2pnode.network.libp2p_host import ForeignHost
from p2pnode.network.libp2p_patches import SteadyPubsub, guarded_service
from p2pnode.seams import Clock, GossipHandler, Verdict
from wire import limits as wire_limits
from wire.errors import WireError
from wire.ids import PeerId

logger = logging.getLogger(__name__)

_PROTOCOLS = [TProtocol("/meshsub/1.1.0"), TProtocol("/meshsub/1.0.0")]
_DEGREE, _DEGREE_LOW, _DEGREE_HIGH = 6, 4, 12
"""The mesh sizes of the GossipSub specification."""
_MICROSECONDS = 1_000_000


class Gossip:
    """The topics that we take part in."""

    def __init__(self, host: ForeignHost, topics: Mapping[str, GossipHandler], clock: Clock) -> None:
        """Build the mesh for these topics; `running` runs it."""
        self._own_id = host.get_id()
        self._topics = topics
        self._router = GossipSub(
            protocols=_PROTOCOLS,
            degree=_DEGREE,
            degree_low=_DEGREE_LOW,
            degree_high=_DEGREE_HIGH,
            heartbeat_interval=limits.GOSSIP_HEARTBEAT_S,
            max_messages_per_topic_per_second=limits.GOSSIP_MESSAGES_PER_S,
        )
        self._pubsub = SteadyPubsub(host.as_host(), self._router)
        # A message is known by author and number. The default starts at the second of the start, so that after a
        # restart the numbers of a node that had sent more than one message a second would look like old ones.
        self._pubsub.counter = int(clock.wall() * _MICROSECONDS)
        for topic, handler in topics.items():
            self._pubsub.set_topic_validator(topic, self._validator(topic, handler), is_async_validator=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part for as long as the block lasts."""
        try:
            async with guarded_service(self._router), guarded_service(self._pubsub), trio.open_nursery() as nursery:
                await self._pubsub.wait_until_ready()
                for topic in self._topics:
                    nursery.start_soon(_drain, await self._pubsub.subscribe(topic))
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._pubsub.seen_messages.stop()  # It has a thread of its own, which nobody else would end.

    async def publish(self, topic: str, data: bytes) -> None:
        """Send a message to the mesh. Raises `CallerError` when it is too long or we do not take part in the topic."""
        if topic not in self._topics:
            message = f"publishing in {topic!r}, which nobody subscribed to here"
            raise CallerError(message)
        if len(data) > wire_limits.GOSSIP_BYTES_MAX:
            message = f"a gossiped message may have {wire_limits.GOSSIP_BYTES_MAX} bytes, got {len(data)}"
            raise CallerError(message)
        with trio.move_on_after(limits.GOSSIP_PUBLISH_S):
            await trio.lowlevel.checkpoint()
            while self._pubsub.longest_queue * 2 > limits.GOSSIP_QUEUE_MESSAGES_MAX:  # noqa: ASYNC110 - it has no event
                await trio.sleep(limits.GOSSIP_QUEUE_CHECK_S)
        with trio.move_on_after(limits.GOSSIP_PUBLISH_S) as deadline:
            await self._pubsub.publish(topic, data)
        if deadline.cancelled_caught:
            logger.warning("gossip in %s was not handed to every neighbour in time", topic)

    def _validator(self, topic: str, handler: GossipHandler) -> SyncValidatorFn:
        def is_valid(forwarder: ID, message: rpc_pb2.Message) -> bool:
            if forwarder == self._own_id:
                return True
            if list(message.topicIDs) != [topic] or len(message.data) > wire_limits.GOSSIP_BYTES_MAX:
                return False
            try:
                return handler(PeerId(forwarder.to_bytes()), bytes(message.data)) is Verdict.ACCEPT
            except WireError:
                return False
            except Exception:
                logger.exception("the handler of gossip in %s failed", topic)
                return False

        return is_valid


async def _drain(subscription: ISubscriptionAPI) -> None:
    """Throw away what was validated: the validator has handed it on already, and a full queue would hold it back."""
    while True:
        await subscription.get()
