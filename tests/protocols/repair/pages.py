"""What the tests of this package share: a certified blob, what is signed of it later, and eyes to see it with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from p2pnode.protocols.page_records import NamedHolder, PageRecords, make_holder_record, page_name
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.repair.health import Presence
from p2pnode.protocols.repair.survey import Claim, Eyes, PageView, survey
from p2pnode.protocols.retractions import make_retraction
from tests import factories
from tests.factories import NETWORK, TIME, key, peer_id
from wire.ids import BlobId, LeaseTarget, PeerId, PublicKey, ShardIndex
from wire.records import Retraction
from wire.signed import Signed

N = 10
BLOBS = [factories.blob_id(number) for number in range(3)]
LEASE = factories.signed(factories.file_lease(BLOBS, n=N), factories.owner_key())
GROUP = factories.file_pages(BLOBS)[0]
PAGE = page_name(PublicKey(factories.owner_key().public), LeaseTarget(LEASE.record.target), 0)
CERTIFICATE = factories.signed(
    factories.certificate(LEASE, GROUP, {shard + 1: (shard,) for shard in range(N)}), factories.owner_key()
)
CERTIFIED = PageRecords(certificates=(CERTIFICATE,))
"""Node i + 1 holds shard i of each of three blobs."""


def holder(number: int, shard: int, *, sequence: int = 9, blobs: Collection[int] = (0, 1, 2)) -> NamedHolder:
    """Return what a node signed for a shard outside of the certificate."""
    sets = (shard_set(ShardIndex(shard), sorted(blobs), blob_count=len(BLOBS)),)
    return make_holder_record(key(number), LEASE, GROUP, sets, network=NETWORK, sequence=sequence, time=TIME)


def retraction(number: int, shard: int, *, blob: BlobId = BLOBS[0], sequence: int = 5) -> Signed[Retraction]:
    """Return a node's end of its receipts for a pair."""
    return make_retraction(key(number), (blob, ShardIndex(shard)), network=NETWORK, sequence=sequence, time=TIME)


def eyes(
    away: Mapping[int, Presence] | None = None,
    *,
    audited: Mapping[Pair, frozenset[PeerId]] | None = None,
    doubted: Collection[int] = (),
    wall: float = TIME,
) -> Eyes:
    """Return the eyes of a node that sees everybody but those who are away, and doubts what some claim."""
    presences = {peer_id(number): presence for number, presence in (away or {}).items()}
    doubts = {peer_id(number) for number in doubted}

    def is_believed(claim: Claim) -> bool:
        return claim[1] not in doubts

    return Eyes(
        presence=lambda peer: presences.get(peer, Presence.HERE),
        audited=audited or {},
        is_believed=is_believed,
        wall=wall,
    )


def look(records: PageRecords = CERTIFIED, seen: Eyes | None = None) -> PageView:
    """Look at the page."""
    view = survey(PAGE, records, seen or eyes())
    assert view is not None
    return view


def with_records(*holders: NamedHolder, retractions: Collection[Signed[Retraction]] = ()) -> PageRecords:
    """Return the certificate and what came after it."""
    return replace(CERTIFIED, holders=tuple(holders), retractions=tuple(retractions))
