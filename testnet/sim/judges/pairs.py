"""Sliver pairs as they really lie on a simulated disk, checked against the blob id and against nothing else.

The node's own checks may be what is broken, so a sliver counts as whole only when its hash, computed from all its
symbols, is the one that the blob id commits to. What was looked at once is not looked at again while it stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from crypto.hashing import blake2b_256, tagged_hash
from p2pnode.coding import BadShardCountError, BlobMetadata, CodingError, check_metadata
from p2pnode.coding.sliver import sliver_hash
from p2pnode.storage.names import (
    PAIRS_DIRECTORY,
    PairKey,
    is_prefix,
    pair_name,
    parse_pair_name,
    parse_trash_name,
)
from p2pnode.storage.pairfile import PairHeader, header_of
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from testnet.sim.files import SimFiles
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import Axis, BlobId, Digest, PublicKey
from wire.records import Envelope, Lease, LeaseKind, MetadataRecord

LEASES_REMEMBERED_MAX = 256
"""A lease comes with each pair of its blob; decoding it once is enough."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease in a pair's file or in a record, by its digest."""

    digest: Digest
    owner: PublicKey
    record: Lease

    @property
    def is_provisional(self) -> bool:
        """Whether it is in effect without a certificate."""
        return self.record.kind == LeaseKind.PROVISIONAL


@dataclass(frozen=True, slots=True)
class WholePair:
    """A pair of which every byte is as the blob id says."""

    key: PairKey
    metadata: BlobMetadata
    pair: int
    data: bytes
    """The whole file."""
    primary_start: int
    secondary_start: int
    leases: tuple[HeldLease, ...]

    def sliver(self, axis: Axis) -> memoryview:
        """Return one sliver's bytes."""
        view = memoryview(self.data)
        if axis is Axis.PRIMARY:
            return view[self.primary_start : self.secondary_start]
        return view[self.secondary_start :]


def lease_digest(envelope: Envelope) -> Digest:
    """Return the name of a signed lease."""
    return Digest(tagged_hash(b"p2pnode/record", envelope.signer, envelope.body))


@lru_cache(maxsize=LEASES_REMEMBERED_MAX)
def held_lease(envelope: Envelope) -> HeldLease:
    """Return a lease by its digest. Raises `WireError`."""
    lease = decode(envelope.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
    return HeldLease(lease_digest(envelope), envelope.signer, lease)


class PairInspector:
    """Looks at pair files and at slivers on the wire; remembers what was whole."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: dict[tuple[str, str], tuple[bytes, WholePair | str]] = {}
        self._metadata: dict[BlobId, BlobMetadata] = {}
        self._good: set[tuple[BlobId, Axis, int, bytes]] = set()

    def whole(self, node: str, name: str, data: bytes | None) -> WholePair | str:
        """Return the pair in a file of a node with these bytes, or what is wrong with it."""
        if data is None:
            return "there is no such file, or a power loss would take it"
        seen = self._seen.get((node, name))
        if seen is not None and seen[0] is data:
            return seen[1]
        try:
            found: WholePair | str = self._inspect(name, data)
        except (DamagedFileError, NewerFormatError, CodingError, BadShardCountError, WireError) as error:
            found = str(error)
        self._seen[node, name] = (data, found)
        return found

    def present(self, node: str, files: SimFiles, key: PairKey) -> WholePair | str:
        """Return the pair as the node's disk is now, or what is wrong with it."""
        name = pair_name(key.blob_id, key.shard)
        return self.whole(node, name, files.peek(name))

    def durable(self, node: str, files: SimFiles, key: PairKey) -> WholePair | str:
        """Return the pair as every power loss at this moment leaves it, or what is wrong with it."""
        name = pair_name(key.blob_id, key.shard)
        return self.whole(node, name, files.certain(name))

    def learn(self, blob_id: BlobId, record: MetadataRecord) -> BlobMetadata:
        """Return a blob's metadata after checking it against the id. Raises `CodingError`."""
        known = self._metadata.get(blob_id)
        if known is None:
            known = check_metadata(blob_id, n=record.n, length=record.length, pair_hashes=record.pair_hashes)
            if known.blob_id != blob_id:
                message = f"the metadata is of blob {known.blob_id.text()}"
                raise DamagedFileError(message)
            self._metadata[blob_id] = known
        return known

    def metadata(self, blob_id: BlobId) -> BlobMetadata | None:
        """Return the metadata of a blob that was seen on some disk or on the wire."""
        return self._metadata.get(blob_id)

    def is_good(self, metadata: BlobMetadata, axis: Axis, index: int, data: bytes | memoryview) -> bool:
        """Tell whether these bytes are that sliver."""
        shape = metadata.shape
        if not 0 <= index < metadata.n or len(data) != shape.sliver_bytes(axis):
            return False
        mark = (metadata.blob_id, axis, index, blake2b_256(data))
        if mark not in self._good and sliver_hash(shape, axis, data) == metadata.hash_of(axis, index):
            self._good.add(mark)
        return mark in self._good

    def _inspect(self, name: str, data: bytes) -> WholePair | str:
        key = parse_pair_name(name.rpartition("/")[2])
        assert key is not None, f"{name} is no pair's name"
        size = header_of(data, blob_id=key.blob_id, shard=key.shard)
        header: PairHeader = size.header
        metadata = self.learn(key.blob_id, header.metadata)
        if len(data) != size.header_bytes + header.primary_bytes + header.secondary_bytes:
            return f"the file has {len(data)} bytes instead of {size.file_bytes}"
        pair = (key.shard - int.from_bytes(key.blob_id, "big") % metadata.n) % metadata.n
        secondary_start = size.header_bytes + header.primary_bytes
        leases = tuple(held_lease(each) for each in header.leases)
        found = WholePair(key, metadata, pair, data, size.header_bytes, secondary_start, leases)
        for axis, index in ((Axis.PRIMARY, pair), (Axis.SECONDARY, metadata.n - 1 - pair)):
            if not self.is_good(metadata, axis, index, found.sliver(axis)):
                return f"the {axis.name.lower()} sliver is not the one that the blob id commits to"
        return found


def pair_files(files: SimFiles) -> Iterator[tuple[str, PairKey]]:
    """Yield the name and the pair of each pair file that is there now, in the order of the names."""
    for name in _names(files):
        key = parse_pair_name(name.rpartition("/")[2])
        if key is not None:
            yield name, key


def trash_files(files: SimFiles) -> Iterator[tuple[str, PairKey, int]]:
    """Yield the name, the pair and the time of each pair file in the trash, in the order of the names."""
    for name in _names(files):
        found = parse_trash_name(name.rpartition("/")[2])
        if found is not None:
            yield name, *found


def _names(files: SimFiles) -> Iterator[str]:
    for prefix in files.peek_names(PAIRS_DIRECTORY):
        if is_prefix(prefix):
            directory = f"{PAIRS_DIRECTORY}/{prefix}"
            yield from (f"{directory}/{base}" for base in files.peek_names(directory))
