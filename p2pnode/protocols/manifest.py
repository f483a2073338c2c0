"""Manifests: the blob that lists the segments of a file; manifests nest when one would be too long for a blob.

The format is a canonical wire type behind a magic, so that a manifest is known by its content and not by what a lease
says of it. Level 0 lists segments, level k lists manifests of level k - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from p2pnode.coding import blob_bytes_max
from p2pnode.errors import CallerError, IntegrityError
from wire import limits
from wire.codec import Nested, decode, encode, wire_type
from wire.errors import WireError
from wire.ids import BlobId, Digest, FileSalt
from wire.records import Version1
from wire.shapes import Fixed, ListOf, UInt

MAGIC = b"p2pnode manifest\n"

ENTRY_BYTES_MAX = 48
"""An entry has an array head, a tag, 34 bytes of blob id and at most 9 of length."""

_HEAD_BYTES_MAX = 160
"""Everything of a manifest but its entries."""


@wire_type(0x41)
@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One part: a segment or a lower manifest, and the file bytes under it."""

    blob_id: Annotated[BlobId, Fixed(BlobId)]
    file_bytes: Annotated[int, UInt(limits.FILE_BYTES_MAX)]


@wire_type(0x40)
@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The parts of a file, or of a run of it, in order.

    `content` is the BLAKE2b-256 of the whole file; every manifest of a file carries it, with n, the segment length and
    the salt of the committee that keeps the parts.
    """

    version: Version1 = 1
    level: Annotated[int, UInt(limits.MANIFEST_DEPTH_MAX - 1)]
    n: Annotated[int, UInt(limits.SHARDS_MAX, low=limits.SHARDS_MIN)]
    segment_bytes: Annotated[int, UInt(limits.BLOB_BYTES_MAX, low=1)]
    salt: Annotated[FileSalt, Fixed(FileSalt)]
    content: Annotated[Digest, Fixed(Digest)]
    file_bytes: Annotated[int, UInt(limits.FILE_BYTES_MAX)]
    entries: Annotated[tuple[ManifestEntry, ...], ListOf(Nested(ManifestEntry), limits.MANIFEST_ENTRIES_MAX, low=1)]


def segment_bytes(n: int) -> int:
    """Return the length at which a file is cut: the blob limit of n, at most BLOB_BYTES_MAX."""
    return min(limits.BLOB_BYTES_MAX, blob_bytes_max(n))


def entries_max(n: int) -> int:
    """Return how many entries a manifest may have, so that it is a single blob at this n."""
    return min(limits.MANIFEST_ENTRIES_MAX, (segment_bytes(n) - len(MAGIC) - _HEAD_BYTES_MAX) // ENTRY_BYTES_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileShape:
    """What all manifests of one file share."""

    n: int
    salt: FileSalt
    content: Digest


def make_level(shape: FileShape, level: int, parts: Sequence[ManifestEntry]) -> list[Manifest]:
    """Cut the parts into manifests of one level; the file is done when one is left.

    Raises `CallerError` when the file needs more levels than manifests may nest.
    """
    if level >= limits.MANIFEST_DEPTH_MAX:
        message = f"the file is too long for n = {shape.n}: store it with more shards"
        raise CallerError(message)
    count = entries_max(shape.n)
    return [
        Manifest(
            level=level,
            n=shape.n,
            segment_bytes=segment_bytes(shape.n),
            salt=shape.salt,
            content=shape.content,
            file_bytes=sum(part.file_bytes for part in parts[start : start + count]),
            entries=tuple(parts[start : start + count]),
        )
        for start in range(0, len(parts), count)
    ]


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the content of a manifest's blob."""
    return MAGIC + encode(manifest)


def manifest_from_bytes(data: bytes, blob_id: BlobId) -> Manifest:
    """Read a manifest's blob. Raises `IntegrityError` when it is none, or contradicts itself."""
    if not data.startswith(MAGIC):
        message = f"blob {blob_id.text()} is no manifest: read it as '{blob_id.text()}', without 'file:'"
        raise IntegrityError(message)
    try:
        manifest = decode(data[len(MAGIC) :], Manifest, bytes_max=limits.BLOB_BYTES_MAX)
    except WireError as error:
        message = f"the manifest {blob_id.text()} is damaged or of a later version: {error}"
        raise IntegrityError(message) from error
    if manifest.file_bytes != sum(entry.file_bytes for entry in manifest.entries):
        message = f"the manifest {blob_id.text()} contradicts itself about the file's length"
        raise IntegrityError(message)
    return manifest


def check_child(parent: Manifest, entry: ManifestEntry, child: Manifest) -> None:
    """Check that a nested manifest is the part that its parent says. Raises `IntegrityError`.

    The level goes down by one at each step, so that no chain of manifests is endless.
    """
    same = (
        child.level == parent.level - 1
        and child.file_bytes == entry.file_bytes
        and (child.n, child.salt, child.content) == (parent.n, parent.salt, parent.content)
    )
    if not same:
        message = f"the nested manifest {entry.blob_id.text()} does not fit its parent"
        raise IntegrityError(message)
