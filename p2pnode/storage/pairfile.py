"""The file of one sliver pair: a sealed header, then the primary's bytes, then the secondary's. Pure.

The header is the durable truth of what is held: the index is rebuilt from it. It carries a hash of each sliver, so
one sliver is read and checked without touching the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from crypto.hashing import blake2b_256
from p2pnode.storage.sealed import PREFIX_BYTES, DamagedFileError, seal, sealed_bytes, unseal
from wire import limits
from wire.codec import Nested, decode, encode, wire_type
from wire.errors import WireError
from wire.ids import Axis, BlobId, Digest, PairIndex, ShardIndex
from wire.records import Envelope, MetadataRecord
from wire.shapes import Fixed, ListOf, UInt

MAGIC = b"p2p-pair"
VERSION = 1

HEADER_BODY_BYTES_MAX = 256 * 1024
"""64 bytes a shard of metadata are 64,000, and two leases that name a thousand holders each about 90,000."""

HEADER_READ_BYTES = 8 * 1024
"""What the first read of a file asks for: the whole header up to n = 100, in one page run of the disk."""


@wire_type(0x80)
@dataclass(frozen=True, slots=True, kw_only=True)
class PairHeader:
    """What a pair's file says of itself: the leases are those that came with the pair, provisional or final."""

    blob_id: Annotated[BlobId, Fixed(BlobId)]
    shard: Annotated[int, UInt(limits.SHARDS_MAX - 1)]
    metadata: Annotated[MetadataRecord, Nested(MetadataRecord)]
    leases: Annotated[tuple[Envelope, ...], ListOf(Nested(Envelope), limits.LEASES_PER_MESSAGE_MAX, low=1)]
    primary_bytes: Annotated[int, UInt(limits.SLIVER_BYTES_MAX, low=1)]
    secondary_bytes: Annotated[int, UInt(limits.SLIVER_BYTES_MAX, low=1)]
    primary_hash: Annotated[Digest, Fixed(Digest)]
    secondary_hash: Annotated[Digest, Fixed(Digest)]


@dataclass(frozen=True, slots=True)
class PairHeaderSize:
    """A header with its own length in the file."""

    header: PairHeader
    header_bytes: int

    @property
    def file_bytes(self) -> int:
        """The length of the whole file."""
        return self.header_bytes + self.header.primary_bytes + self.header.secondary_bytes


def pair_of_shard(blob_id: BlobId, *, shard: int, n: int) -> PairIndex:
    """Return which pair of the blob a shard keeps (spec section 2): committees are rotated by the blob id."""
    return PairIndex((shard - int.from_bytes(blob_id, "big") % n) % n)


def make_header(
    *,
    blob_id: BlobId,
    shard: ShardIndex,
    metadata: MetadataRecord,
    leases: tuple[Envelope, ...],
    primary: bytes | memoryview,
    secondary: bytes | memoryview,
) -> PairHeader:
    """Return the header for these slivers; it hashes both."""
    return PairHeader(
        blob_id=blob_id,
        shard=shard,
        metadata=metadata,
        leases=leases,
        primary_bytes=len(primary),
        secondary_bytes=len(secondary),
        primary_hash=Digest(blake2b_256(primary)),
        secondary_hash=Digest(blake2b_256(secondary)),
    )


def sealed_header(header: PairHeader) -> bytes:
    """Return the start of the file, up to the primary's first byte. Raises `WireError` when a field is out of range."""
    body = encode(header)
    if len(body) > HEADER_BODY_BYTES_MAX:
        message = f"a pair file's header has at most {HEADER_BODY_BYTES_MAX} bytes, got {len(body)}"
        raise WireError(message)
    return seal(MAGIC, VERSION, body)


def header_bytes_of(start: bytes) -> int:
    """Return how many bytes the header has, told from the file's first ones. Raises `DamagedFileError`."""
    return sealed_bytes(start[:PREFIX_BYTES], magic=MAGIC, body_bytes_max=HEADER_BODY_BYTES_MAX)


def header_of(start: bytes, *, blob_id: BlobId, shard: int) -> PairHeaderSize:
    """Return the checked header from a file's first bytes, of which there may be more than the header.

    Raises `DamagedFileError` when it is damaged, cut, or of another pair than the file's name says; `NewerFormatError`.
    """
    header_bytes = header_bytes_of(start)
    body = unseal(start[:header_bytes], magic=MAGIC, version=VERSION, body_bytes_max=HEADER_BODY_BYTES_MAX)
    try:
        header = decode(body, PairHeader, bytes_max=HEADER_BODY_BYTES_MAX)
    except WireError as error:
        message = f"the header cannot be read: {error}"
        raise DamagedFileError(message) from error
    if header.blob_id != blob_id or header.shard != shard:  # The disk gave back another file's blocks.
        message = f"the header is of shard {header.shard} of blob {header.blob_id}"
        raise DamagedFileError(message)
    if not header.shard < header.metadata.n:
        message = f"shard {header.shard} of n = {header.metadata.n}"
        raise DamagedFileError(message)
    return PairHeaderSize(header, header_bytes)


def sliver_place(size: PairHeaderSize, axis: Axis) -> tuple[int, int]:
    """Return where a sliver starts in the file, and its length."""
    header = size.header
    if axis is Axis.PRIMARY:
        return size.header_bytes, header.primary_bytes
    return size.header_bytes + header.primary_bytes, header.secondary_bytes


def check_sliver(header: PairHeader, axis: Axis, data: bytes | memoryview) -> None:
    """Check one sliver's bytes against the header. Raises `DamagedFileError`."""
    is_primary = axis is Axis.PRIMARY
    expected = header.primary_hash if is_primary else header.secondary_hash
    expected_bytes = header.primary_bytes if is_primary else header.secondary_bytes
    if len(data) != expected_bytes:
        message = f"the {axis.name.lower()} sliver has {len(data)} bytes instead of {expected_bytes}"
        raise DamagedFileError(message)
    if blake2b_256(data) != expected:
        message = f"the {axis.name.lower()} sliver's checksum does not match"
        raise DamagedFileError(message)


def verify_pair_file(data: bytes, *, blob_id: BlobId, shard: int) -> PairHeader:
    """Check a whole file, every byte of it. Raises `DamagedFileError` or `NewerFormatError`."""
    size = header_of(data, blob_id=blob_id, shard=shard)
    if len(data) != size.file_bytes:
        message = f"the file has {len(data)} bytes instead of {size.file_bytes}"
        raise DamagedFileError(message)
    view = memoryview(data)
    for axis in Axis:
        start, count = sliver_place(size, axis)
        check_sliver(size.header, axis, view[start : start + count])
    return size.header
