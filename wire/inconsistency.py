"""Inconsistent blobs: the proof that a writer committed to slivers of no encoding, and how nodes tell of it.

The proof needs nothing but itself: the metadata in it gives the blob id, its symbols are proven against its hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wire import limits
from wire.codec import Nested, wire_type
from wire.ids import BlobId
from wire.records import MetadataRecord, Path
from wire.shapes import Fixed, ListOf, UInt


@wire_type(0x59)
@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictingSymbol:
    """One symbol of the sliver that the proof is about, as the sliver `source` across has it."""

    source: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    path: Path


@wire_type(0x5A)
@dataclass(frozen=True, slots=True, kw_only=True)
class InconsistentBlob:
    """The symbols decode to another sliver than the metadata says. They follow as raw bytes, in their order."""

    metadata: Annotated[MetadataRecord, Nested(MetadataRecord)]
    axis: Annotated[int, UInt(1)]
    index: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    symbols: Annotated[tuple[ContradictingSymbol, ...], ListOf(Nested(ContradictingSymbol), limits.SHARDS_MAX, low=1)]
    symbols_bytes: Annotated[int, UInt(limits.SLIVER_BYTES_MAX, low=1)]

    @property
    def payload_bytes(self) -> int:
        """How many raw bytes follow."""
        return self.symbols_bytes


@wire_type(0x5B)
@dataclass(frozen=True, slots=True, kw_only=True)
class TellInconsistent:
    """I have the proof that this blob is inconsistent: ask me for its record, and check it yourself."""

    blob_id: Annotated[BlobId, Fixed(BlobId)]


@wire_type(0x5C)
@dataclass(frozen=True, slots=True, kw_only=True)
class InconsistencyHeard:
    """It is looked into when there is time."""
