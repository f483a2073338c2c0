"""What every service of one node shares: its keys, its seams, its store and its view of the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from crypto.keys import SigningKey
from p2pnode.config import Profile
from p2pnode.membership.refusals import Refusals
from p2pnode.protocols.inconsistency import InconsistentBlobs
from p2pnode.protocols.successions import Predecessor
from p2pnode.reputation.passed import PassedAudits
from p2pnode.reputation.scores import Scores
from p2pnode.seams import Clock, Network, Offload, Rng
from p2pnode.services.peers import Peers
from p2pnode.storage.store import SliverStore
from wire.ids import PeerId
from wire.protocol_ids import NetworkNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Built once, in `p2pnode.node`."""

    identity: SigningKey
    owner: SigningKey
    predecessors: tuple[Predecessor, ...] = ()
    """The owner's earlier keys, the earliest first."""
    names: NetworkNames
    profile: Profile
    network: Network
    clock: Clock
    rng: Rng
    offload: Offload
    store: SliverStore
    peers: Peers
    refusals: Refusals = field(default_factory=Refusals)
    """Whatever is refused is counted here."""

    scores: Scores = field(default_factory=Scores)
    """What our own audits say of others."""
    passed: PassedAudits = field(default_factory=PassedAudits)
    """Which receipts have passed them."""

    inconsistent: InconsistentBlobs = field(default_factory=InconsistentBlobs)
    """Blobs of which this node has checked that nobody can read them."""

    @property
    def own(self) -> PeerId:
        """Our own peer id."""
        return self.network.peer_id

    @property
    def network_name(self) -> str:
        """The network's name, as it stands in every signed body."""
        return self.names.network

    def wall_seconds(self) -> int:
        """Return the wall clock in whole seconds since 1970, as records carry it."""
        return int(self.clock.wall())
