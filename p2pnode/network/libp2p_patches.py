"""Every private or module-global name of py-libp2p that we depend on or bend, in one place, for one pinned version.

An upgrade reruns `tests/network/test_libp2p_patches.py` and the defect tests before the number here may change.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any, Protocol

import trio
from libp2p.kad_dht import common as kad_common
from libp2p.peer.id import ID
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.secure_session import SecureSession
from libp2p.tools.anyio_service.trio_manager import TrioManager

from p2pnode.network import limits

PINNED_VERSION = "0.8.1"

KAD_PROTOCOL = str(kad_common.PROTOCOL_ID)
"""What py-libp2p calls the DHT whatever `protocol_prefix` says. Our host gives each network's DHT its own name on the
wire (`libp2p_host.py`), so that several networks can live in one process; nothing global is changed."""

KAD_MODULES = ("common", "kad_dht", "peer_routing", "provider_store", "value_store")
"""The modules that carry a copy of the name; the test looks that no other one has come up."""

_RESTART_S = 1.0
"""The pause before a background loop of py-libp2p that failed is started again."""

logger = logging.getLogger(__name__)


class WrongVersionError(RuntimeError):
    """Another version of py-libp2p is installed than the one that was examined."""


def check_version() -> None:
    """Raise `WrongVersionError` unless the pinned version is installed."""
    installed = metadata.version("libp2p")
    if installed != PINNED_VERSION:
        message = f"libp2p {installed} is installed, this program was examined with {PINNED_VERSION}: run make setup"
        raise WrongVersionError(message)


def quieten_logging() -> None:
    """Silence py-libp2p: it logs expected ends of connections as errors, with tracebacks, to handlers of its own.

    What matters to a user is logged by our own modules.
    """
    for name in ("libp2p", "multiaddr", "root.libp2p"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def kad_protocol_copies() -> dict[str, str]:
    """Return the DHT's protocol id as each of its modules has it."""
    modules = {name: importlib.import_module(f"libp2p.kad_dht.{name}") for name in KAD_MODULES}
    return {name: str(module.PROTOCOL_ID) for name, module in modules.items()}


class NoiseCipher(Protocol):
    """Seals and opens the messages of one connection, each direction strictly in order."""

    def encrypt(self, data: bytes) -> bytes:
        """Return the sealed message."""
        ...

    def decrypt(self, data: bytes) -> bytes:
        """Return what was sealed. Raises whatever the library raises when it was not sealed by the peer."""
        ...


def cipher_of(session: SecureSession) -> NoiseCipher:
    """Return the keys that a Noise handshake agreed on, so that we can seal and open without py-libp2p's copies."""
    cipher: NoiseCipher = session.conn.noise_state  # type: ignore[attr-defined] # The Noise transport's own type has it.
    return cipher


class SteadyPubsub(Pubsub):
    """Pubsub that keeps one outbound stream per peer, and none to a peer that is gone.

    The plain one registers a peer after several waits: two connections at once give it two streams, one of which nobody
    ends, and a peer that goes away meanwhile stays registered with a dead stream.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - they are Pubsub's
        """Take what Pubsub takes."""
        super().__init__(*args, **kwargs)
        self._registering: set[ID] = set()

    async def _handle_new_peer(self, peer_id: ID) -> None:
        self._drop_if_dead(peer_id)
        if peer_id in self._registering:
            return
        self._registering.add(peer_id)
        try:
            await super()._handle_new_peer(peer_id)
        finally:
            self._registering.discard(peer_id)
        self._drop_if_dead(peer_id)
        if peer_id in self.peer_queues:
            self.peer_queues[peer_id]._queue.max_size = limits.GOSSIP_QUEUE_MESSAGES_MAX  # noqa: SLF001 - no other way

    @property
    def longest_queue(self) -> int:
        """Messages that wait for the slowest neighbour."""
        return max(map(len, self.peer_queues.values()), default=0)

    def _drop_if_dead(self, peer_id: ID) -> None:
        stream = self.peers.get(peer_id)
        if stream is not None and stream.muxed_conn.is_closed:
            self._handle_dead_peer(peer_id)


class GuardedManager(TrioManager):
    """Runs a py-libp2p service so that a failure in one of its tasks is logged instead of stopping the node.

    The plain manager cancels the whole service, and with it the host, when one message makes one task raise: a remote
    peer can cause that with a malformed key in a gossip message. Loops that ran for ever are started again.
    """

    def run_task(
        self,
        async_fn: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - the arguments belong to the task
        daemon: bool = False,
        name: str | None = None,
        _internal: bool = False,
    ) -> None:
        """Schedule a task behind a guard."""

        async def guarded() -> None:
            while True:
                try:
                    await async_fn(*args)
                except Exception:
                    logger.exception("a background task of the gossip layer failed: %s", name or async_fn)
                if not daemon:
                    return
                await trio.sleep(_RESTART_S)

        super().run_task(guarded, daemon=daemon, name=name, _internal=_internal)


@asynccontextmanager
async def guarded_service(service: Any) -> AsyncIterator[None]:  # noqa: ANN401 - py-libp2p's service type is private
    """Run a py-libp2p service behind guards for as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        manager = GuardedManager(service)
        service._manager = manager  # noqa: SLF001 - what py-libp2p's own context manager does
        nursery.start_soon(manager.run)
        await manager.wait_started()
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()
