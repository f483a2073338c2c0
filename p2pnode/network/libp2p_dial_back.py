"""Dialling a peer afresh, to tell it whether it can be reached: a connection of its own, proven and closed at once."""

from __future__ import annotations

import socket

import trio

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerSilentError, PeerUnavailableError
from p2pnode.network import limits
from p2pnode.network.addresses import Endpoint, endpoint_of
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_noise import HandshakeError, Handshaker
from p2pnode.network.transport import Transport
from wire.ids import PeerId

_FAMILIES = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}


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


async def resolve(endpoint: Endpoint) -> tuple[str, ...]:
    """Return the multiaddrs of the IP addresses behind an endpoint; none for a name that nobody knows."""
    if endpoint.ip is not None:
        return (endpoint.text(),)
    try:
        with trio.fail_after(limits.RESOLVE_S):
            rows = await trio.socket.getaddrinfo(
                endpoint.host, endpoint.port, family=_FAMILIES[endpoint.kind], type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError, trio.TooSlowError):
        return ()
    found = [endpoint_of(str(place[0]), endpoint.port).text() for *_, place in rows]
    return tuple(dict.fromkeys(found))
