"""Repair: what a node says before it rebuilds pairs, what it asks of holders for it, and what they answer.

An intent names the pairs and is signed; requests carry it, so that holders can tell who is at work on what, and serve
the same symbols to few. A node that leaves for good hands its pairs over, whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId, Digest
from wire.records import Envelope, HolderRecord, Path, Time, Version1
from wire.shapes import Fixed, ListOf, UInt

Shard = Annotated[int, UInt(limits.SHARDS_MAX - 1)]
RepairedBlobs = Annotated[tuple[BlobId, ...], ListOf(Fixed(BlobId), limits.REPAIR_BLOBS_MAX, low=1)]


@wire_type(0x87)
@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """The pairs are durable here, and signed for."""

    holder: Annotated[HolderRecord, Nested(HolderRecord)]


@wire_type(0x88)
@dataclass(frozen=True, slots=True, kw_only=True)
class RepairIntent:
    """That its signer is about to rebuild one shard of these blobs of a page, for itself; signed with its identity key.

    `page` is the name by which the receipts of the blobs are compared.
    """

    version: Version1 = 1
    page: Annotated[Digest, Fixed(Digest)]
    blob_ids: RepairedBlobs
    shard: Shard
    time: Time


@wire_type(0x89)
@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSymbol:
    """One symbol: that of the sliver `index` on `axis`, of blob number `blob` of the intent, which the target needs.

    The target's own index follows from the intent's shard: a secondary gives a symbol of the lost primary, a primary
    one of the lost secondary.
    """

    blob: Annotated[int, UInt(limits.REPAIR_BLOBS_MAX - 1)]
    axis: Annotated[int, UInt(1)]
    index: Annotated[int, UInt(limits.SHARDS_MAX - 1)]


@wire_type(0x8A)
@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverSymbols:
    """Send these symbols for the pairs of my intent.

    With none it tells that the asker is about to read the blobs whole, because their symbols are not to be had.
    `retractions` are the asker's own: who once signed for a pair, and asks for its symbols, has ended that receipt.
    """

    intent: Annotated[Envelope, Nested(Envelope)]
    wanted: Annotated[tuple[WantedSymbol, ...], ListOf(Nested(WantedSymbol), limits.RECOVERY_SYMBOLS_MAX)]
    retractions: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.REPAIR_BLOBS_MAX)]


@wire_type(0x8B)
@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredSymbol:
    """Which of the wanted symbols it is, and its path to the hash of the sliver that it was asked of."""

    wanted: Annotated[int, UInt(limits.RECOVERY_SYMBOLS_MAX - 1)]
    path: Path


@wire_type(0x8C)
@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredSymbols:
    """Those of the wanted symbols that are here, in their order; their bytes follow, in the same order."""

    symbols: Annotated[tuple[RecoveredSymbol, ...], ListOf(Nested(RecoveredSymbol), limits.RECOVERY_SYMBOLS_MAX)]
    symbols_bytes: Annotated[int, UInt(limits.RECOVERY_BYTES_MAX)]

    @property
    def payload_bytes(self) -> int:
        """The raw bytes that follow."""
        return self.symbols_bytes


@wire_type(0x8D)
@dataclass(frozen=True, slots=True, kw_only=True)
class TellLoss:
    """One shard of these blobs of a page is missing as I see it, and you are among those who come next for it.

    The asked node looks for itself: the records of the page and the metadata are to be had from whoever told it.
    """

    page: Annotated[Digest, Fixed(Digest)]
    blob_ids: RepairedBlobs
    shard: Shard


@wire_type(0x8E)
@dataclass(frozen=True, slots=True, kw_only=True)
class LossNoted:
    """It was heard; whether anything comes of it is the asked node's own decision."""


@wire_type(0x8F)
@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """I leave for good, or have made what is missing: take the pairs of this shard of these blobs of a page over.

    The asked node fetches the records of the page, the metadata and both slivers from me, whole, and answers when it
    has signed for the pairs.
    """

    page: Annotated[Digest, Fixed(Digest)]
    blob_ids: RepairedBlobs
    shard: Shard
