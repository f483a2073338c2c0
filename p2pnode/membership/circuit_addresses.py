"""Circuit addresses: where a node is reached that nobody can dial, by way of another one (libp2p circuit relay v2).

The multiaddr is that of the relay, then `/p2p/<the relay's id>/p2p-circuit`.
"""

from __future__ import annotations

from dataclasses import dataclass

from crypto.peer_id import BadPeerIdError, peer_id_from_text, peer_id_to_text
from p2pnode.membership.endpoints import BadAddressError, Endpoint, parse_endpoint
from wire import limits
from wire.ids import PeerId

SUFFIX = "/p2p-circuit"
_RELAY = "/p2p/"


@dataclass(frozen=True, slots=True)
class CircuitAddress:
    """Where a peer is reached through a relay."""

    relay: Endpoint
    relay_id: PeerId

    def text(self) -> str:
        """Return the multiaddr."""
        return f"{self.relay.text()}{_RELAY}{peer_id_to_text(self.relay_id)}{SUFFIX}"

    @property
    def is_unspecified(self) -> bool:
        """Whether the relay's address is none that can be dialled."""
        return self.relay.is_unspecified

    @property
    def is_link_local(self) -> bool:
        """Whether the relay's address means another machine on each cable."""
        return self.relay.is_link_local

    @property
    def is_private(self) -> bool:
        """Whether the relay's address means another machine elsewhere."""
        return self.relay.is_private


Dialable = Endpoint | CircuitAddress


def is_circuit(text: str) -> bool:
    """Tell whether a multiaddr leads through a relay."""
    return text.endswith(SUFFIX)


def parse_dialable(text: str) -> Dialable:
    """Read the multiaddr of a TCP endpoint, or of a circuit over one. Raises `BadAddressError` for anything else."""
    if not is_circuit(text):
        return parse_endpoint(text)
    address, marker, relay_text = text.removesuffix(SUFFIX).rpartition(_RELAY)
    if not marker or len(text) > limits.ADDRESS_CHARS_MAX:
        message = f"{text[:80]!r} does not name the relay of its circuit"
        raise BadAddressError(message)
    try:
        return CircuitAddress(parse_endpoint(address), PeerId(peer_id_from_text(relay_text)))
    except BadPeerIdError as error:
        message = f"{relay_text[:80]!r} is no peer id of a relay"
        raise BadAddressError(message) from error


def without_peer(text: str) -> str:
    """Return a multiaddr without the `/p2p/<peer id>` at its end; that of a relay stays."""
    address, marker, peer_text = text.rpartition(_RELAY)
    return address if marker and "/" not in peer_text else text
