"""What the services tell the people and programs above them: plain values, ready for JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from p2pnode.placement.shape import StoragePlan
from p2pnode.services.owner_face import NO_OPTIONS, OwnerFace, PutOptions
from wire.ids import PeerId
from wire.references import Reference

__all__ = [
    "AddressReach",
    "Audited",
    "BlobStatus",
    "Convicted",
    "Download",
    "EvidenceFace",
    "KnownCertificate",
    "KnownEvidence",
    "NodeFace",
    "NodeInfo",
    "PeerStatus",
    "PutResult",
    "ReachReport",
    "StoragePlan",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutResult:
    """A finished write. It is certified, or an error was raised instead."""

    id: str
    """The reference that `get` takes."""
    kind: str
    size: int
    """Bytes."""
    n: int
    healthy: int
    """Shards of the least stored blob with a receipt; n when the tail was reached too."""
    segments: int
    nodes_that_may_fail: int
    seconds: float
    lease_end: int
    """Seconds since 1970; the daemon renews it before then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStatus:
    """What `stat` shows of a blob or file; of a file, the figures of its weakest blob."""

    id: str
    kind: str
    size: int
    n: int
    healthy: int
    """h: distinct shards with a live receipt whose holder is not lost."""
    reachable: int
    """a: those whose holder is connected now."""
    shards_to_read: int
    """So many give the data back, whichever they are."""
    certified: bool
    lease_end: int | None
    """Seconds since 1970, None without a certificate."""
    segments: int
    stored_bytes: int
    """What all n shards take together."""
    nodes: int
    """Nodes that hold it and are not lost."""
    domains: int
    """Failure domains that these are in."""
    nodes_that_may_fail: int
    """How many nodes, whichever they are, may vanish now before the data cannot be read."""
    domains_that_may_fail: int
    """The same of failure domains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One member as this node sees it."""

    peer_id: str
    state: str
    """active, suspect, offline, lost or condemned; maintenance or draining when it says so itself and is no worse."""
    addresses: tuple[str, ...]
    connected: bool
    seconds_since_contact: float | None
    fresh: bool
    """Whether its record was renewed lately; new data goes to no other."""
    capacity_bytes: int
    free_bytes: int
    software: str
    score: float
    """From 0 to 1, how well it kept its promises in our own audits."""
    trust: str
    """full; below 0.9 no new data; below 0.8 quarantine, in which it is still read from."""
    domain: str
    """The failure domain that it counts for here."""
    vetted: bool
    """Whether this node relies on it."""
    receipts_of_it: int
    """Audit receipts that are kept: of audits of it by this node, signed by both."""
    receipts_by_it: int
    """The same of its audits of this node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What came of one audit."""

    peer_id: str
    verdict: str
    """ok, wrong, absent or timeout, which are scored; offline or busy, which are not."""
    reason: str
    asked_on: str
    """What the question was about that it signed: `receipt`, or `commitment for epoch 500000`."""
    blob_id: str
    shard: int
    answer_bytes: int
    """The length of the answer; 0 when none came."""
    seconds: float
    score: float
    """The peer's score after it."""
    receipt: str
    """`signed by both`, that it is asked for later, or `none` with the reason, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCertificate:
    """A certificate as its owner signed it, for whoever checks it."""

    network: str
    envelope: str
    """Its bytes, in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convicted:
    """A piece of evidence that this node keeps."""

    id: str
    """Of all evidence of this kind against this peer, in hex."""
    accused: str
    """Whose signature convicts it."""
    kind: str
    """`false proof` or `two commitments`."""
    about: str
    """What was signed about: `shard 3 of <blob id>`, or `epoch 500000`."""
    reason: str
    blob_id: str | None
    shard: int | None
    """The pair that a false proof is about."""
    signed_about: int
    """When it was signed, by the clock of who asked or of who signed, in seconds since 1970."""
    heard_at: int
    """When this node learned of it, in seconds since 1970."""
    is_us: bool
    """Whether it convicts this node itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairTask:
    """One missing shard of one blob, or of several that are alike."""

    blob_id: str
    """The blob, or the first of them."""
    pairs: int
    """How many pairs that makes."""
    pair_bytes: int
    """Their bytes, and about what rebuilding them moves; 0 while nothing here tells how long the blobs are."""
    shard: int
    level: str
    """`normal`, `short grace` or `urgent`."""
    pairs_to_spare: int
    """How many more pairs may go before the blob cannot be read."""
    rank: int | None
    """Our place among those who may rebuild it; None when it is for others."""
    waits_for: str
    """Why it is not rebuilt here now; empty when it is next."""
    last_failure: str
    """Why the last try failed; empty when none has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What is missing as this node sees it, what it would do about it, and what it has done since it started."""

    tasks: tuple[RepairTask, ...]
    """The most endangered first; of very many only the first ones."""
    pairs_missing: int
    pairs_ours: int
    """Those of them that this node may rebuild."""
    pairs_rebuilt: int
    bytes_rebuilt: int
    bytes_moved: int
    """What was sent and received for them: about as much as was rebuilt."""
    bytes_served: int
    """Symbols that were given to others for theirs."""
    bad_symbols: int
    """Symbols of others that were wrong, and were replaced."""
    bytes_per_s_max: int
    """How fast pairs are rebuilt in the long run."""
    credit_in_s: float
    """How long until more may be rebuilt; 0 when nothing speaks against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEvidence:
    """A piece of evidence, which whoever has its bytes can check."""

    network: str
    evidence: str
    """Its bytes, in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """This node."""

    peer_id: str
    network: str
    profile: str
    addresses: tuple[str, ...]
    version: str
    members: int
    """Members with a fresh record, without ourselves."""
    connected: int
    quota_bytes: int
    used_bytes: int
    uptime_s: float
    reach: str = "unknown"
    """Whether others can dial it: `reachable`, `not reachable` or `unknown`."""
    frozen: bool = False
    """Whether its own link seems to be down, so that it declares nobody lost for now."""
    restored: bool = False
    """Whether its disk was put back from an old copy, since when it looks for what is missing."""
    committed_epoch: int | None = None
    """The epoch of its last commitment since it started; None before the first one."""
    committed_pairs: int | None = None
    """How many pairs that one says are held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressReach:
    """Whether peers could dial one of our addresses."""

    address: str
    origin: str
    """`listened`, `announced`, `mapped` (by the router) or `observed` (by peers)."""
    reach: str
    reached_by: int
    """Peers that got through."""
    tried_by: int
    """Peers that tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachReport:
    """What the last check of our reachability found."""

    reach: str
    """As `NodeInfo.reach`."""
    addresses: tuple[AddressReach, ...]
    peers_asked: int
    peers_answered: int
    seen_at: tuple[str, ...]
    """IP addresses at which peers of several networks agree that they see us."""
    port_mapping: str
    """`off`, `searching`, `mapped` or `failed`."""
    port_mapping_detail: str
    advice: str
    """What the user may do; empty when nothing is to be done."""
    seconds_since_check: float | None
    """None before the first check."""


@dataclass(frozen=True, slots=True)
class Download:
    """An open read: its size is known, its first bytes are decoded and checked; the rest follows as it is consumed."""

    reference: Reference
    size: int
    chunks: AsyncIterator[bytes | memoryview]


class EvidenceFace(Protocol):
    """The evidence that a node keeps."""

    def listed(self) -> list[Convicted]:
        """Tell which evidence is known here, the earliest first."""
        ...

    async def piece(self, evidence_id: str) -> KnownEvidence:
        """Return one piece, for whoever checks it. Raises `NotFoundError`."""
        ...


class NodeFace(OwnerFace, Protocol):
    """What the API needs of a node. Every method may raise a `P2PNodeError`."""

    async def put(
        self,
        source: AsyncIterator[bytes],
        *,
        shards: int | None,
        size: int | None,
        options: PutOptions = NO_OPTIONS,
    ) -> PutResult:
        """Store what the source yields; `size` is its length when known in advance."""
        ...

    def get(self, reference: Reference) -> AbstractAsyncContextManager[Download]:
        """Open a read; errors that are known at once are raised on entering, later ones by the iterator."""
        ...

    async def stat(self, reference: Reference) -> BlobStatus:
        """Tell how a blob or file is doing."""
        ...

    async def plan(self, size: int, *, shards: int | None) -> StoragePlan:
        """Tell what storing so many bytes would mean now."""
        ...

    def peers(self) -> tuple[PeerStatus, ...]:
        """Tell which members are known, in the order of their ids."""
        ...

    async def audit(self, peer_id: PeerId) -> Audited:
        """Have a peer prove now that it holds a pair drawn from those that it signed for, and tell what came of it."""
        ...

    async def audit_holders(self, reference: Reference) -> list[Audited]:
        """Have every other holder of a blob or file prove now that it holds one of its pairs.

        Raises as a read does, `NotFoundError` without a certificate, `CallerError` when this node has no part in it.
        """
        ...

    async def certificate(self, reference: Reference) -> KnownCertificate:
        """Return the certificate that tells who holds something; raises as a read does, or `NotFoundError`."""
        ...

    @property
    def evidence(self) -> EvidenceFace:
        """What convicts peers, or this node."""
        ...

    def repairs(self) -> RepairReport:
        """Tell what is missing, what this node would rebuild, and what it has rebuilt; nothing is done by asking."""
        ...

    def refused(self) -> dict[str, int]:
        """Tell how often something that peers said was refused since the start, by the reason; `Refused` names them."""
        ...

    def info(self) -> NodeInfo:
        """Tell about this node."""
        ...

    def reach(self) -> ReachReport:
        """Tell what the last check of our reachability found."""
        ...

    async def check_reach(self) -> ReachReport:
        """Check now whether others can dial us, and tell; a check that has just ended is not repeated."""
        ...
