"""Profiles: named sets of parameters (ARCHITECTURE section 3). Every parameter has its unit in its name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wire import limits
from wire.protocol_ids import SharedParameters

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 24 * HOUR_S

LIMIT_BYTES_PER_S_MIN = 100_000
"""The lowest limit of bandwidth: below it requests would break their deadlines, for a sliver is waited for at 64 KiB a
second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One set of parameters. Those in `shared()` must be equal for all members of a network; the rest is local."""

    name: str

    member_record_every_s: float
    """How often a node signs and gossips its member record."""
    member_stale_after_s: float
    """A member whose record was not renewed for this long is not chosen for new data."""
    suspect_after_s: float
    """Silence after which a member is suspect."""
    offline_after_s: float
    """Silence after which a member is offline."""
    short_grace_s: float
    """Silence after which repair may start for blobs near their limit."""
    long_grace_s: float
    """Silence after which a member's shards count as lost."""
    epoch_s: int
    """The length of an epoch."""
    provisional_lease_s: int
    """How long an upload that was not finished stays."""
    lease_s: int
    """How long a new final lease lasts."""
    trash_s: int
    """How long expired data stays in the trash."""
    collection_after_uptime_s: float
    """Uptime and contact that collection waits for, so that a node that was away learns of renewals first."""
    collect_every_s: float
    """How often expired data is looked for."""
    sync_every_s: float
    """How often a node compares with each peer, on average, which receipts they know of what both hold."""
    sync_soon_s: float
    """Within how long it does so when they have met again, or something has changed."""
    audit_every_s: float
    """How often a neighbour is asked to prove that it holds a pair, at most; 0 switches audits off."""
    asked_again_after_s: tuple[float, float]
    """The earliest and the latest that a new receipt is asked about after it came."""
    commit_after_s: float
    """How long a node is up before it commits to what it holds: until every epoch is over that an earlier life of it
    may have signed for, by a clock that was off by as much as ours is now, to the other side."""
    repair_rank_step_s: float
    """How long each candidate for a lost pair waits for the one before it."""
    admission_work: int
    """scrypt cost (log2 of N) of the proof of work; 0 asks for none."""
    vetting_s: float
    """How long a newcomer is watched before it counts as vetted; 0 switches vetting off."""
    dials_private_addresses: bool
    """Whether loopback, private and link-local addresses are dialled and announced."""
    vetting_audits: int = 20
    """Audits of ours that a newcomer passes before it counts as vetted: at one in half an hour, ten hours' worth."""
    finds_lan_peers: bool = True
    """Whether a node may look for others on the local network, unless its settings say no."""

    scrub_every_s: float = 14 * DAY_S
    """How often all that is kept is read from the disk and checked: damage that no audit has met is found by then."""
    scrub_bytes_per_s: int = 1 << 20
    """How fast it is read: a hundred GB in a day, and a hundredth of what a disk does."""

    request_timeout_s: float = 20.0
    """How long one request may take from its first byte to the end of its answer, payload apart."""
    bytes_per_s_min: int = 64 * 1024
    """The slowest transfer that is waited for; it prolongs a request by its payload's share."""
    hedge_after_s: float = 1.0
    """A read asks a further holder when one has not answered for this long."""
    get_timeout_s: float = 60.0
    """How long a read waits for silent holders before it gives up."""
    tail_timeout_s: float = 10.0
    """How long a write, once certified, goes on to reach all n shards before it reports."""
    dial_timeout_s: float = 5.0
    """How long one dial to one address may take, with its handshakes."""
    reconnect_every_s: float = 5.0
    """How often members without a connection are dialled again, with jitter."""
    ping_every_s: float = 8.0
    """How often an idle connection is tried."""
    repair_missing_min: int = 1
    """With how many lost shards of a blob repair begins, unless the blob is nearer to its end."""
    repair_bytes_per_s: int = 2 << 20
    """How fast pairs are rebuilt in the long run, in bytes of symbols that are fetched: a fraction of a household's
    line."""
    repair_cpu_share: float = 0.25
    """How much of one core decoding for repair may take in the long run."""
    repair_serve_bytes_per_s: int = 4 << 20
    """How fast symbols are given to those who rebuild, in the long run: reads go before."""
    repair_credit_s: float = 60.0
    """For how long the parts of these rates that are not used carry over."""

    def shared(self) -> SharedParameters:
        """Return what all members must agree on; its hash is in the protocol ids."""
        return SharedParameters(
            record_format=2,
            lease_format=2,
            epoch_seconds=self.epoch_s,
            lease_seconds_max=limits.LEASE_SECONDS_MAX,
            admission_work=self.admission_work,
            shard_count_rule="3f+1<=100, domains",
        )


PUBLIC = Profile(
    name="public",
    member_record_every_s=10 * MINUTE_S,
    member_stale_after_s=30 * MINUTE_S,
    suspect_after_s=15 * MINUTE_S,
    offline_after_s=4 * HOUR_S,
    short_grace_s=HOUR_S,
    long_grace_s=24 * HOUR_S,
    epoch_s=HOUR_S,
    provisional_lease_s=DAY_S,
    lease_s=31 * DAY_S,
    trash_s=7 * DAY_S,
    collection_after_uptime_s=HOUR_S,
    collect_every_s=10 * MINUTE_S,
    sync_every_s=HOUR_S,
    sync_soon_s=30,
    audit_every_s=30 * MINUTE_S,
    asked_again_after_s=(5 * MINUTE_S, 15 * MINUTE_S),
    commit_after_s=HOUR_S + 2 * limits.CLOCK_SKEW_SECONDS,
    repair_rank_step_s=30,
    admission_work=16,
    vetting_s=72 * HOUR_S,
    dials_private_addresses=False,
)

HOME = replace(PUBLIC, name="home", long_grace_s=72 * HOUR_S)

PRIVATE = replace(PUBLIC, name="private", admission_work=0, vetting_s=0, dials_private_addresses=True)

TESTNET = replace(
    PRIVATE,
    name="testnet",
    member_record_every_s=5,
    member_stale_after_s=15,
    suspect_after_s=10,
    offline_after_s=20,
    short_grace_s=15,
    long_grace_s=60,
    epoch_s=60,
    provisional_lease_s=HOUR_S,
    lease_s=30 * DAY_S,
    trash_s=10 * MINUTE_S,
    collection_after_uptime_s=30,
    collect_every_s=10,
    sync_every_s=10,
    sync_soon_s=2,
    audit_every_s=10,
    asked_again_after_s=(5, 15),
    commit_after_s=60,  # The clocks are one.
    repair_rank_step_s=2,
    scrub_every_s=HOUR_S,
    reconnect_every_s=1,
    finds_lan_peers=False,
)

PROFILES = {profile.name: profile for profile in (PUBLIC, HOME, PRIVATE, TESTNET)}
