"""What the disk harness stores: pairs of random bytes with signed leases and certificates, and what a store runs on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.protocols.leases import blob_page
from p2pnode.protocols.receipts import make_batch, pairs_of, shard_set
from p2pnode.seams import Files
from p2pnode.storage.names import pair_name, record_name
from p2pnode.storage.pairfile import pair_of_shard
from p2pnode.storage.recordfile import lease_record_digest
from p2pnode.storage.store import SliverStore
from wire.ids import BLOB_ID_BYTES, BlobId, Digest, LeaseTarget, PublicKey, ShardIndex
from wire.messages import CommitLease
from wire.records import (
    Certificate,
    Envelope,
    GroupPage,
    HolderReceipts,
    Lease,
    LeaseKind,
    LeaseScope,
    MemberRecord,
    MemberState,
    MetadataRecord,
    ShardSet,
)
from wire.signed import Signed, sign_record

T = TypeVar("T")

NETWORK = "disk-harness"
TIME = 1_800_000_000
"""What the clock of every store shows, in seconds since 1970."""

N = 4
"""The smallest committee: three receipts certify."""

QUOTA_BYTES = 10 * 1024 * 1024
DAY_S = 24 * 3600
FINAL_END = TIME + 30 * DAY_S
PROVISIONAL_ENDS = (TIME + DAY_S // 3, TIME + DAY_S // 2, TIME + DAY_S)
"""Provisional leases end at different times, so that a collection finds some that have ended and some that have not."""

AFTER_PROVISIONAL = PROVISIONAL_ENDS[-1] + 1

_PRIMARY_BYTES, _SECONDARY_BYTES = 60, 30


class InlineOffload:
    """Does the call at once."""

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run the call."""
        return function(*args)


class StillClock:
    """A clock that stands still."""

    def monotonic(self) -> float:
        """Return the one time there is."""
        return TIME

    def wall(self) -> float:
        """Return seconds since 1970."""
        return TIME

    def asleep(self) -> float:
        """Return that it never sleeps."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Do not wait."""
        del seconds
        await trio.lowlevel.checkpoint()


async def open_store(files: Files) -> SliverStore:
    """Open the production store on a disk. Raises as `SliverStore.open`."""
    return await SliverStore.open(files, InlineOffload(), StillClock(), quota_bytes=QUOTA_BYTES)


@cache
def key_of(number: int) -> SigningKey:
    """Return one of the keys that everything here is signed with."""
    return SigningKey(random.Random(number).randbytes(SEED_BYTES))


_OWNER, _OTHER_OWNER, _MEMBERS = 0, 100, 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A pair to store, and everything signed that may come for it."""

    blob_id: BlobId
    shard: ShardIndex
    metadata: MetadataRecord
    primary: bytes
    secondary: bytes
    provisional: Signed[Lease]
    final: Signed[Lease]
    brief: Signed[Lease]
    """A provisional lease of another owner: it ends first."""
    another: Signed[Lease]
    """A final lease of another owner, which is never certified."""
    certificates: tuple[Signed[Certificate], Signed[Certificate]]
    """For the final lease: the later one names more holders."""
    record_names: dict[Digest, str]
    """By the digests of leases that may come after the pair, the names of the files that they are kept in."""

    @property
    def key(self) -> tuple[BlobId, ShardIndex]:
        """Which pair it is."""
        return self.blob_id, self.shard

    @property
    def index(self) -> int:
        """Which primary it has; the secondary is `n - 1 - index`."""
        return pair_of_shard(self.blob_id, shard=self.shard, n=N)

    @property
    def name(self) -> str:
        """The name of its file."""
        return pair_name(self.blob_id, self.shard)

    @property
    def page(self) -> GroupPage:
        """The page of its leases."""
        return blob_page(self.blob_id)

    @property
    def shard_sets(self) -> tuple[ShardSet, ...]:
        """This shard alone."""
        return (shard_set(self.shard, [0], blob_count=1),)


def make_pairs(rng: random.Random, shards: tuple[int, ...] = (1,)) -> list[Pair]:
    """Return pairs of one new blob. The store does not look into the code, so its bytes are random."""
    blob_id = BlobId(rng.randbytes(BLOB_ID_BYTES))
    metadata = MetadataRecord(n=N, length=1000, pair_hashes=rng.randbytes(2 * N * 32))
    provisional = _lease(blob_id, LeaseKind.PROVISIONAL, rng.choice(PROVISIONAL_ENDS))
    final = _signed_lease(_lease(blob_id, LeaseKind.FINAL, FINAL_END), _OWNER)
    another = _signed_lease(_lease(blob_id, LeaseKind.FINAL, FINAL_END), _OTHER_OWNER)
    signed = _signed_lease(provisional, _OWNER)
    brief = _signed_lease(_lease(blob_id, LeaseKind.PROVISIONAL, PROVISIONAL_ENDS[0]), _OTHER_OWNER)
    leases = signed, brief, final, another
    certificates = _certificate(blob_id, final, 3), _certificate(blob_id, final, 4)
    return [
        Pair(
            blob_id=blob_id,
            shard=ShardIndex(shard),
            metadata=metadata,
            primary=rng.randbytes(_PRIMARY_BYTES),
            secondary=rng.randbytes(_SECONDARY_BYTES),
            provisional=signed,
            final=final,
            brief=brief,
            another=another,
            certificates=certificates,
            record_names={lease.digest: _record_of(lease, blob_id, shard) for lease in leases},
        )
        for shard in shards
    ]


def make_member(number: int) -> Envelope:
    """Return the signed record of a member."""
    record = MemberRecord(
        sequence=1,
        time=TIME,
        addresses=(f"/ip4/10.0.0.{number % 250 + 1}/tcp/4710",),
        capacity_bytes=QUOTA_BYTES,
        free_bytes=QUOTA_BYTES,
        state=MemberState.ACTIVE,
        state_until=0,
        work=b"",
        owner=PublicKey(key_of(_MEMBERS + number).public),
        domain_tag="",
        software="harness",
    )
    return sign_record(record, key=key_of(_MEMBERS + number), network=NETWORK).envelope


def _lease(blob_id: BlobId, kind: LeaseKind, end: int) -> Lease:
    return Lease(
        kind=kind,
        scope=LeaseScope.BLOB,
        target=LeaseTarget(blob_id),
        salt=None,
        blob_count=1,
        n=N,
        sequence=1,
        start=TIME,
        end=end,
        is_deletable=True,
        renewers=(),
        holders=(),
    )


def _record_of(lease: Signed[Lease], blob_id: BlobId, shard: int) -> str:
    sets = (shard_set(ShardIndex(shard), [0], blob_count=1),)
    record = CommitLease(lease=lease.envelope, page=blob_page(blob_id), shard_sets=sets)
    return record_name(lease_record_digest(record))


def _signed_lease(lease: Lease, owner: int) -> Signed[Lease]:
    return sign_record(lease, key=key_of(owner), network=NETWORK)


def certificate_for(blob_id: BlobId, lease: Signed[Lease], owner: int) -> Signed[Certificate]:
    """Return the certificate of the owner with this key, for just enough holders."""
    return _certificate(blob_id, lease, N - 1, owner=owner)


def _certificate(blob_id: BlobId, lease: Signed[Lease], holders: int, *, owner: int = _OWNER) -> Signed[Certificate]:
    """Return the owner's certificate: node k + 1 holds shard k."""
    page = blob_page(blob_id)
    receipts = []
    for shard in range(holders):
        sets = (shard_set(ShardIndex(shard), [0], blob_count=1),)
        pairs = list(pairs_of(page, sets))
        batch = make_batch(key_of(shard + 1), lease, pairs, network=NETWORK, time=TIME, sequence=1)
        receipts.append(HolderReceipts(batch=batch.envelope, shard_sets=sets))
    certificate = Certificate(lease=lease.envelope, page=page, holders=tuple(receipts))
    return sign_record(certificate, key=key_of(owner), network=NETWORK)
