"""What a member does for owners: it keeps heads of catalogues, ends leases that they end, knows who succeeded whom."""

from __future__ import annotations

import logging
from collections import Counter

from crypto.signing import BadSignatureError
from p2pnode.errors import DiskFullError, LeaseError, LocalStorageError, QuotaError
from p2pnode.protocols.heads import HEADS_KEPT_MAX, HEADS_PER_PEER_MAX, check_head, is_newer
from p2pnode.protocols.lease_merging import open_tombstone
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.successions import check_succession
from p2pnode.services.context import Context
from p2pnode.services.peers import Answer
from p2pnode.storage.owner_store import KeptHead, OwnerStore
from wire.errors import WireError
from wire.ids import PeerId, PublicKey
from wire.messages import RefusalCode
from wire.ownership import (
    Buried,
    Bury,
    CatalogueHead,
    GetHead,
    GetSuccession,
    HeadKept,
    KeepHead,
    KeepSuccession,
    SuccessionKept,
)
from wire.signed import Signed, open_envelope

log = logging.getLogger(__name__)

REQUESTS = (KeepHead, GetHead, Bury, KeepSuccession, GetSuccession)
"""The requests of the `owner` protocol."""


class OwnerServer:
    """Answers the requests of the `owner` protocol."""

    def __init__(self, context: Context, store: OwnerStore) -> None:
        """Call `load` before anything else."""
        self._context = context
        self._store = store
        self._heads: dict[PublicKey, tuple[Signed[CatalogueHead], PeerId]] = {}

    async def load(self) -> None:
        """Read the heads that are kept; one that does not open is left out, its owner brings it again."""
        for kept in await self._store.heads():
            try:
                signed = open_envelope(kept.envelope, CatalogueHead, network=self._context.network_name)
            except (WireError, BadSignatureError) as error:
                log.warning("the head of an owner's catalogue does not count: %s", error)
                continue
            self._heads[kept.owner] = (signed, kept.brought_by)

    async def answer(self, peer_id: PeerId, message: object, payload: bytes) -> Answer:
        """Answer one request. Raises `RefusalError`."""
        del payload
        try:
            match message:
                case KeepHead():
                    return await self._keep(peer_id, message), ()
                case GetHead():
                    return self._newest(message.owner), ()
                case Bury():
                    return await self._bury(message), ()
                case KeepSuccession():
                    return await self._keep_succession(message), ()
                case GetSuccession():
                    return SuccessionKept(succession=await self._context.store.succession(message.owner)), ()
                case _:
                    raise RefusalError(RefusalCode.INVALID, f"{type(message).__name__} is no request of an owner")
        except (QuotaError, DiskFullError) as error:
            raise RefusalError(RefusalCode.NO_SPACE, str(error)) from error
        except LeaseError as error:
            raise RefusalError(RefusalCode.LEASE, str(error)) from error
        except LocalStorageError as error:
            raise RefusalError(RefusalCode.DAMAGED, str(error)) from error

    async def _keep(self, peer_id: PeerId, request: KeepHead) -> HeadKept:
        context = self._context
        signed = check_head(request.head, network=context.network_name, wall=context.clock.wall())
        if await context.store.succession(signed.signer) is not None:
            raise RefusalError(RefusalCode.LEASE, "another owner key has succeeded the one that signed this head")
        known = self._heads.get(signed.signer)
        if known is None or is_newer(signed, known[0]):
            over = self._over()
            self._check_room(peer_id, signed.signer)
            self._heads[signed.signer] = (signed, peer_id)
            kept = KeptHead(owner=signed.signer, envelope=signed.envelope, until=signed.record.end, brought_by=peer_id)
            await self._store.save_head(kept, over)
        return self._newest(signed.signer)

    def _over(self) -> list[PublicKey]:
        """Forget the heads whose catalogue has no lease any more; return their owners."""
        now = self._context.clock.wall()
        over = [owner for owner, (head, _) in self._heads.items() if head.record.end <= now]
        for owner in over:
            del self._heads[owner]
        return over

    def _check_room(self, peer_id: PeerId, owner: PublicKey) -> None:
        """Keep to what one peer, and all of them, may have us keep; our own heads always have room."""
        if owner in self._heads or peer_id == self._context.own:
            return
        if len(self._heads) >= HEADS_KEPT_MAX:
            raise RefusalError(RefusalCode.NO_SPACE, f"{HEADS_KEPT_MAX} heads are kept already")
        if Counter(brought_by for _, brought_by in self._heads.values())[peer_id] >= HEADS_PER_PEER_MAX:
            raise RefusalError(RefusalCode.NO_SPACE, f"{HEADS_PER_PEER_MAX} heads of this peer are kept already")

    def _newest(self, owner: PublicKey) -> HeadKept:
        known = self._heads.get(owner)
        is_over = known is None or known[0].record.end <= self._context.clock.wall()
        return HeadKept(head=None if is_over or known is None else known[0].envelope)

    async def _bury(self, request: Bury) -> Buried:
        context = self._context
        tombstone = open_tombstone(request.tombstone, network=context.network_name, wall=context.clock.wall())
        await context.store.bury(tombstone)
        return Buried()

    async def _keep_succession(self, request: KeepSuccession) -> SuccessionKept:
        context = self._context
        succession = check_succession(request.succession, network=context.network_name, wall=context.clock.wall())
        predecessor = succession.record.predecessor
        is_needed = predecessor in self._heads or predecessor == PublicKey(context.owner.public)
        await context.store.succeed(succession, is_needed=is_needed)
        return SuccessionKept(succession=await context.store.succession(predecessor))
