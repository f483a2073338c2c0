"""Keeping data for others: the holder's side of a write. Verify, make durable, and only then sign."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from p2pnode.errors import (
    DiskFullError,
    LeaseError,
    LocalStorageError,
    NewcomersQuotaError,
    NotFoundError,
    PeerFaultError,
    QuotaError,
)
from p2pnode.membership.refusals import Refused
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.certificates import CheckedCertificate, check_certificate, check_is_ours
from p2pnode.protocols.owners_cap import OwnersCap, owners_cap
from p2pnode.protocols.receipts import make_batch, pairs_of
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.store import CheckedPair, check_commit, check_store_pair
from p2pnode.services.context import Context
from p2pnode.services.peers import Answer
from wire.errors import WireError
from wire.ids import BlobId, PeerId, PublicKey, ShardIndex
from wire.messages import Certified, Certify, CommitLease, Committed, RefusalCode, Stored, StorePair
from wire.records import Certificate, Envelope, Lease, ReceiptBatch
from wire.signed import Signed

RECEIPTS = "receipt"
"""The numbers that receipts and retractions of one signer share."""

CAP_KEPT_S = 30.0
"""For so long the cap on newcomers' owners is used again: to look through ten thousand members takes some ms."""

REQUESTS = (StorePair, CommitLease, Certify)
"""The requests of the `store` protocol."""


class Keeper:
    """Answers the requests of the `store` protocol."""

    def __init__(
        self, context: Context, table: MemberTable, *, on_certified: Callable[[Signed[Certificate]], None]
    ) -> None:
        """Keep in the node's own store, sign with its identity key; tell of certificates that others bring.

        `table` tells who is vetted.
        """
        self._context = context
        self._table = table
        self._on_certified = on_certified
        self._cap: OwnersCap | None = None
        self._cap_until = -math.inf

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        try:
            match message:
                case StorePair():
                    return await self._store_pair(message, payload), ()
                case CommitLease():
                    return await self._commit(message), ()
                case Certify():
                    return await self._certify(peer_id, message), ()
                case _:
                    raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request to store")
        except NewcomersQuotaError as error:
            self._context.refusals.count(Refused.NEWCOMERS_FULL)
            raise RefusalError(RefusalCode.NO_SPACE, str(error)) from error
        except (QuotaError, DiskFullError) as error:
            raise RefusalError(RefusalCode.NO_SPACE, str(error)) from error
        except LeaseError as error:
            raise RefusalError(RefusalCode.LEASE, str(error)) from error
        except NotFoundError as error:
            raise RefusalError(RefusalCode.NOT_HELD, str(error)) from error
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error

    async def _store_pair(self, request: StorePair, payload: bytes) -> Stored:
        context = self._context
        wall = context.clock.wall()
        checked = await context.offload.run(_check_store_pair, request, payload, context.network_name, wall)
        await context.store.store_pair(
            checked.blob_id,
            checked.shard,
            checked.metadata,
            checked.primary.data,
            checked.secondary.data,
            checked.leases,
            cap=self._owners_cap(),
        )
        pairs = [(checked.blob_id, checked.shard)]
        batches = [await self._sign(lease, pairs) for lease in checked.leases]
        return Stored(batches=tuple(batch.envelope for batch in batches))

    async def _commit(self, request: CommitLease) -> Committed:
        context = self._context
        lease = check_commit(request, network=context.network_name, wall=context.clock.wall())
        try:
            pairs = list(pairs_of(request.page, request.shard_sets))
        except WireError as error:
            raise RefusalError(RefusalCode.INVALID, str(error)) from error
        # A pair in the trash comes back by it; that one is not here at all is its `NotFoundError`.
        await context.store.commit_lease(lease, request.page, request.shard_sets, cap=self._owners_cap())
        batch = await self._sign(lease, pairs)
        return Committed(batch=batch.envelope)

    def _owners_cap(self) -> OwnersCap | None:
        """Return the cap on what newcomers may have kept, looked up anew every CAP_KEPT_S."""
        context, now = self._context, self._context.clock.monotonic()
        if now >= self._cap_until:
            self._cap_until = now + CAP_KEPT_S
            self._cap = owners_cap(
                self._table,
                own_owner=PublicKey(context.owner.public),
                quota_bytes=context.store.usage().quota_bytes,
                now=now,
                wall=context.clock.wall(),
            )
        return self._cap

    async def _sign(self, lease: Signed[Lease], pairs: Sequence[tuple[BlobId, ShardIndex]]) -> Signed[ReceiptBatch]:
        """Sign for pairs that are durable under this lease, with a number that is taken after they were."""
        context = self._context
        return make_batch(
            context.identity,
            lease,
            pairs,
            network=context.network_name,
            time=context.wall_seconds(),
            sequence=await context.store.take_number(RECEIPTS),
        )

    async def _certify(self, peer_id: PeerId, request: Certify) -> Certified:
        context = self._context
        try:
            checked = await context.offload.run(_check_certificate, request.certificate, context.network_name)
        except PeerFaultError as error:
            raise RefusalError(RefusalCode.INVALID, str(error)) from error
        check_is_ours(checked, own=context.own, asker=peer_id)
        await context.store.certify(checked.signed, checked.lease)
        if peer_id != context.own:  # Of what we wrote ourselves the writer tells.
            self._on_certified(checked.signed)
        return Certified()


def _check_store_pair(request: StorePair, payload: bytes, network: str, wall: float) -> CheckedPair:
    return check_store_pair(request, payload, network=network, wall=wall)


def _check_certificate(envelope: Envelope, network: str) -> CheckedCertificate:
    return check_certificate(envelope, network=network)
