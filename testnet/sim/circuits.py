"""Relays of simulated nodes: the places that one node has with others, and the ends of connections that lead through.

Once two nodes have met through a relay they talk as if it were a cable between them: what it would slow down is not
simulated, what it lets in and what ends with it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from crypto.peer_id import peer_id_to_text
from p2pnode.errors import PeerUnavailableError
from p2pnode.membership.circuit_addresses import SUFFIX, CircuitAddress, is_circuit
from p2pnode.membership.endpoints import parse_endpoint
from testnet.sim.connection import ConnectionEnd
from wire.ids import PeerId


class SimPlaces:
    """The relays of one node; a place hangs on the connection that it was asked on."""

    def __init__(self, ends: Mapping[PeerId, ConnectionEnd]) -> None:
        """`ends` are the node's connections, as they come and go."""
        self._ends = ends
        self._places: dict[PeerId, tuple[ConnectionEnd, str]] = {}

    def take(self, relay_id: PeerId, addresses: tuple[str, ...]) -> str:
        """Take a place with a connected relay, which is at these addresses. Raises `PeerUnavailableError`."""
        end = self._ends.get(relay_id)
        where = () if end is None or end.is_relayed else (end.address, *addresses)
        dialable = [each for each in where if each and not is_circuit(each)]
        if end is None or not dialable:
            raise PeerUnavailableError(f"{relay_id.hex()[-12:]} cannot relay: nobody else could dial it")
        self._places[relay_id] = (end, CircuitAddress(parse_endpoint(dialable[0]), relay_id).text())
        return self._places[relay_id][1]

    def give_back(self, relay_id: PeerId) -> None:
        """Have no place with this relay any more."""
        self._places.pop(relay_id, None)

    def relays(self) -> tuple[PeerId, ...]:
        """Return the relays whose connections are still there."""
        return tuple(relay_id for relay_id, (end, _) in sorted(self._places.items()) if self._ends.get(relay_id) is end)

    def addresses(self) -> list[str]:
        """Return where the node is reached through them."""
        return [self._places[relay_id][1] for relay_id in self.relays()]

    def break_through(self, relay_id: PeerId) -> None:
        """End the connections that led through a relay which is gone."""
        end = f"/p2p/{peer_id_to_text(relay_id)}{SUFFIX}"
        for _, each in sorted((peer_id, each) for peer_id, each in self._ends.items() if each.route.endswith(end)):
            each.break_now()
            each.break_other_later()
