"""What an owner's earlier keys listed: taken over once, by whoever has the new key and nothing but that.

A catalogue of a predecessor only adds what is not known yet, and only one that was signed before the succession: who
has stolen the old key must not remove what the owner has listed since.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from p2pnode.errors import IntegrityError, P2PNodeError
from p2pnode.protocols import catalogue as rules
from p2pnode.protocols import heads
from p2pnode.protocols.successions import Predecessor
from p2pnode.services.catalogue import Catalogue
from p2pnode.services.context import Context
from p2pnode.services.head_keepers import HeadKeepers
from p2pnode.storage.owner_store import OwnerStore
from wire.ownership import OwnedRecord
from wire.references import Reference
from wire.signed import Signed

log = logging.getLogger(__name__)

_INHERITED = "inherited by"


class Inheritance:
    """Reads the catalogues of earlier keys."""

    def __init__(
        self,
        context: Context,
        *,
        store: OwnerStore,
        catalogue: Catalogue,
        keepers: HeadKeepers,
        read: Callable[[Reference], Awaitable[bytes]],
    ) -> None:
        """Read sealed catalogues with `read`."""
        self._context = context
        self._store = store
        self._catalogue = catalogue
        self._keepers = keepers
        self._read = read

    async def take(self, *, is_published: bool) -> None:
        """Take over what earlier keys listed, unless that was done: here, or before the new key's list was published.

        When it cannot be read now that is tried again in the next round; what is known here goes on meanwhile.
        """
        owner = self._catalogue.owner
        if not self._context.predecessors or await self._store.fact(_INHERITED) == bytes(owner):
            return
        for each in self._context.predecessors:
            await self._keepers.herald.tell(await self._keepers.ranked(each.key, heads.HEADS_ASKED_MAX))
        if is_published or self._catalogue.has_inherited or await self._take_newest():
            await self._store.note_fact(_INHERITED, bytes(owner))

    async def _take_newest(self) -> bool:
        """Take over the catalogue of the latest key that has one; return whether nothing is left to do."""
        is_sure = True
        for each in reversed(self._context.predecessors):
            answers = await self._keepers.find(each.key, until=each.succession.record.time)
            if answers.best is None:
                is_sure = is_sure and answers.answered > 0
                continue
            try:
                sealed = await self._read(rules.reference_of(answers.best.record))
                records = await self._context.offload.run(_open, sealed, each, self._context.network_name)
            except IntegrityError as error:
                log.warning("the catalogue of an earlier owner key is damaged, and passed over: %s", error)
                continue
            except P2PNodeError as error:
                log.info("the catalogue of an earlier owner key cannot be read now: %s", error)
                return False
            await self._catalogue.inherit(records)
            return True
        return is_sure


def _open(sealed: bytes, predecessor: Predecessor, network: str) -> list[Signed[OwnedRecord]]:
    return rules.open_catalogue_of(predecessor.key, sealed, sealed_under=predecessor.catalogue_key, network=network)
