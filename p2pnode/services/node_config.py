"""Who a node is and how it behaves: all that whoever starts one says of it."""

from __future__ import annotations

from dataclasses import dataclass

from crypto.keys import SigningKey
from p2pnode import __version__
from p2pnode.config import Profile
from p2pnode.protocols.members import OwnFacts
from p2pnode.protocols.successions import Predecessor
from wire.ids import PublicKey
from wire.protocol_ids import NetworkNames

SOFTWARE = f"p2pnode/{__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Who a node is and how it behaves."""

    network_name: str
    profile: Profile
    identity: SigningKey
    owner: SigningKey
    predecessors: tuple[Predecessor, ...] = ()
    """The owner's earlier keys, the earliest first."""
    bootstrap: tuple[str, ...]
    quota_bytes: int
    disk_free_min_bytes: int | None = None
    """How much stays free on the disk; None for the least that a store needs."""
    work: bytes = b""
    """The solution of the admission work, in a network that asks for it."""
    domain_tag: str = ""
    """The operator's name for machines that fail together."""
    minds_own_things: bool = True
    """Whether the node renews what its owner stored and publishes the list of it: not in worlds that count pairs."""
    repairs: bool = True
    """Whether the node rebuilds what is missing: not in worlds that count pairs."""
    has_announced: bool = False
    """Whether the user named the addresses to announce: then no others are looked for."""

    def names(self) -> NetworkNames:
        """Return the names that this network uses on the wire."""
        return NetworkNames(self.network_name, self.profile.shared())

    def facts(self) -> OwnFacts:
        """Return what stands in each of our member records."""
        return OwnFacts(
            network=self.network_name,
            owner=PublicKey(self.owner.public),
            work=self.work,
            domain_tag=self.domain_tag,
            software=SOFTWARE,
        )
