"""Dialling a peer afresh, to tell it whether it can be reached: a connection of its own, proven and closed at once."""

from __future__ import annotations

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.network.addresses import Endpoint
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker
from p2pnode.network.transport import Transport
from wire.ids import PeerId


class FreshDialler:
    """Dials without touching the connections that exist."""

    def __init__(self, *, transport: Transport, handshaker: Handshaker, timeout_s: float) -> None:
        """`timeout_s` is for one dial with its handshake."""
        self._transport = transport
        self._handshaker = handshaker
        self._timeout_s = timeout_s

    async def dial(self, peer_id: PeerId, endpoint: Endpoint) -> None:
        """Return when the peer has proven there that it is itself.

        Raises `PeerSilentError` when nothing came in time, `PeerUnavailableError` for anything else.
        """
        name = f"peer {peer_id_to_text(peer_id)} at {endpoint.text()}"
        opened: GuardedSocket | None = None
        try:
            with trio.fail_after(self._timeout_s):
                opened = GuardedSocket(await self._transport.dial(endpoint))
                await self._handshaker.secure_outbound(opened, peer_id)
        except trio.TooSlowError as error:
            message = f"{name} did not answer within {self._timeout_s:.0f} s"
            raise PeerSilentError(message) from error
        except (OSError, HandshakeError) as error:
            message = f"{name} cannot be reached: {error}"
            raise PeerUnavailableError(message) from error
        finally:
            if opened is not None:
                opened.abort()
