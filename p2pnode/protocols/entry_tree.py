"""The tree over everything that a node holds, that an epoch's commitment is the root of (PROTOCOL section 8).

Rules: blob ids are spread evenly by themselves, so their first two bytes choose one of 65,536 buckets; a bucket of a
node with a million pairs has sixteen. What changed costs its bucket and one path; what did not is shared with the tree
of the epoch before, which is answered for as well. A tree is a value: `changed` makes another one.

The sliver hashes of a pair are no part of its entry: the blob id commits to them already.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from crypto.merkle import (
    EMPTY_NODE,
    BadProofError,
    MerkleProof,
    MerkleTree,
    leaf_hash,
    merkle_root,
    node_hash,
    verify_proof,
)
from p2pnode.errors import PeerFaultError
from wire.commitments import Commitment, CommittedBucket, CommittedEntry
from wire.ids import BlobId, Digest, ShardIndex

PREFIX_BYTES = 2
"""Of a blob id, for its bucket."""

TREE_HEIGHT = 8 * PREFIX_BYTES
BUCKETS = 1 << TREE_HEIGHT

_KEY_BYTES = BlobId.length + 2
_NUMBER_BYTES = 8
_ENTRY_BYTES = _KEY_BYTES + 2 * _NUMBER_BYTES
_COUNT_BYTES = 4

Key = tuple[BlobId, ShardIndex]
"""Which pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a commitment says of one pair."""

    blob_id: BlobId
    shard: ShardIndex
    pair_bytes: int
    lease_end: int
    """Whole seconds since 1970."""

    def packed(self) -> bytes:
        """Return the entry as it is hashed; packed entries sort as their pairs do."""
        numbers = (self.pair_bytes.to_bytes(_NUMBER_BYTES, "big"), self.lease_end.to_bytes(_NUMBER_BYTES, "big"))
        return b"".join((_packed_key((self.blob_id, self.shard)), *numbers))

    @classmethod
    def unpacked(cls, data: bytes) -> Entry:
        """Return the entry that `packed` gave."""
        numbers = data[_KEY_BYTES:]
        return cls(
            blob_id=BlobId(data[: BlobId.length]),
            shard=ShardIndex(int.from_bytes(data[BlobId.length : _KEY_BYTES], "big")),
            pair_bytes=int.from_bytes(numbers[:_NUMBER_BYTES], "big"),
            lease_end=int.from_bytes(numbers[_NUMBER_BYTES:], "big"),
        )


def _packed_key(key: Key) -> bytes:
    blob_id, shard = key
    return bytes(blob_id) + shard.to_bytes(2, "big")


def _bucket_of(blob_id: BlobId) -> int:
    return int.from_bytes(blob_id[:PREFIX_BYTES], "big")


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The entries of one bucket, sorted, one behind the other."""

    packed: bytes

    @property
    def count(self) -> int:
        return len(self.packed) // _ENTRY_BYTES

    def entries(self) -> list[bytes]:
        return [self.packed[start : start + _ENTRY_BYTES] for start in range(0, len(self.packed), _ENTRY_BYTES)]

    def changed(self, changes: Mapping[bytes, bytes | None]) -> _Bucket:
        """Return it with other entries under some keys, None to have none there."""
        entries = {each[:_KEY_BYTES]: each for each in self.entries()}
        for key, entry in changes.items():
            if entry is None:
                entries.pop(key, None)
            else:
                entries[key] = entry
        return _Bucket(b"".join(entries[key] for key in sorted(entries)))

    def pair_bytes(self) -> int:
        end = _KEY_BYTES + _NUMBER_BYTES
        return sum(int.from_bytes(each[_KEY_BYTES:end], "big") for each in self.entries())


_NOTHING = _Bucket(b"")


def _leaf(count: int, root: bytes) -> bytes:
    """Return what the tree has for a bucket."""
    return count.to_bytes(_COUNT_BYTES, "big") + root


@cache
def _blank(level: int) -> bytes:
    """Return the node of a level that has only empty buckets below it."""
    if not level:
        return leaf_hash(_leaf(0, EMPTY_NODE))
    return node_hash(_blank(level - 1), _blank(level - 1))


def _no_nodes() -> tuple[dict[int, bytes], ...]:
    return tuple({} for _ in range(TREE_HEIGHT + 1))


@dataclass(frozen=True, slots=True)
class EntryTree:
    """The entries of a moment, and the nodes above them that are not blank."""

    count: int = 0
    pair_bytes: int = 0
    _buckets: Mapping[int, _Bucket] = field(default_factory=dict)
    _levels: tuple[Mapping[int, bytes], ...] = field(default_factory=_no_nodes)
    """The leaves first, the root last."""

    @property
    def root(self) -> Digest:
        """What a commitment commits to."""
        return Digest(self._node(TREE_HEIGHT, 0))

    def changed(self, changes: Mapping[Key, Entry | None]) -> EntryTree:
        """Return the tree with other entries for some pairs, None for what is not held any more.

        Costs about ten microseconds a change, and some milliseconds for the copies that both trees need.
        """
        by_bucket: dict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        for key, entry in changes.items():
            by_bucket[_bucket_of(key[0])][_packed_key(key)] = None if entry is None else entry.packed()
        count, pair_bytes = self.count, self.pair_bytes
        buckets = dict(self._buckets)
        leaves = dict(self._levels[0])
        for number, new in by_bucket.items():
            before = buckets.pop(number, _NOTHING)
            after = before.changed(new)
            leaves.pop(number, None)
            if after.count:
                buckets[number] = after
                leaves[number] = leaf_hash(_leaf(after.count, merkle_root(after.entries())))
            count += after.count - before.count
            pair_bytes += after.pair_bytes() - before.pair_bytes()
        return EntryTree(count, pair_bytes, buckets, self._levels_above(leaves, by_bucket))

    def _levels_above(self, leaves: dict[int, bytes], dirty: Iterable[int]) -> tuple[Mapping[int, bytes], ...]:
        levels = [leaves]
        for level in range(TREE_HEIGHT):
            below, above = levels[level], dict(self._levels[level + 1])
            blank, dirty = _blank(level), {number >> 1 for number in dirty}
            for number in dirty:
                left, right = below.get(2 * number), below.get(2 * number + 1)
                if left is None and right is None:
                    above.pop(number, None)
                else:
                    above[number] = node_hash(left or blank, right or blank)
            levels.append(above)
        return tuple(levels)

    def _node(self, level: int, number: int) -> bytes:
        return self._levels[level].get(number, _blank(level))

    def show(self, key: Key) -> CommittedBucket:
        """Return what convinces anybody who knows the commitment that a pair is in it, or that it is not."""
        number = _bucket_of(key[0])
        bucket = self._buckets.get(number, _NOTHING)
        entries, packed = bucket.entries(), _packed_key(key)
        place = bisect.bisect_left(entries, packed)
        is_in = place < len(entries) and entries[place].startswith(packed)
        shown = [place] if is_in else [each for each in (place - 1, place) if 0 <= each < len(entries)]
        tree = MerkleTree.from_leaves(entries)
        path = [self._node(level, (number >> level) ^ 1) for level in range(TREE_HEIGHT)]
        return CommittedBucket(
            count=len(entries),
            root=Digest(tree.root),
            path=tuple(map(Digest, path)),
            entries=tuple(_shown(entries[each], each, tree) for each in shown),
        )

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry, in order."""
        for number in sorted(self._buckets):
            yield from map(Entry.unpacked, self._buckets[number].entries())


def _shown(packed: bytes, index: int, tree: MerkleTree) -> CommittedEntry:
    entry = Entry.unpacked(packed)
    return CommittedEntry(
        blob_id=entry.blob_id,
        shard=entry.shard,
        pair_bytes=entry.pair_bytes,
        lease_end=entry.lease_end,
        index=index,
        path=tuple(map(Digest, tree.prove(index).siblings)),
    )


def check_bucket(bucket: CommittedBucket, commitment: Commitment, key: Key) -> Entry | None:
    """Return the entry of a pair that a commitment has; None when it has none for it.

    Raises `PeerFaultError` when the one or the other is not shown.
    """
    try:
        return _check_bucket(bucket, commitment, key)
    except BadProofError as error:
        message = (
            f"the commitment for epoch {commitment.epoch} does not say this of shard {key[1]} of {key[0]}: {error}"
        )
        raise PeerFaultError(message) from error


def _check_bucket(bucket: CommittedBucket, commitment: Commitment, key: Key) -> Entry | None:
    number = _bucket_of(key[0])
    leaf = _leaf(bucket.count, bucket.root)
    verify_proof(commitment.root, leaf, index=number, leaf_count=BUCKETS, proof=MerkleProof(bucket.path))
    entries = [
        Entry(blob_id=each.blob_id, shard=ShardIndex(each.shard), pair_bytes=each.pair_bytes, lease_end=each.lease_end)
        for each in bucket.entries
    ]
    for each, entry in zip(bucket.entries, entries, strict=True):
        proof = MerkleProof(each.path)
        verify_proof(bucket.root, entry.packed(), index=each.index, leaf_count=bucket.count, proof=proof)
    wanted, keys = _packed_key(key), [each.packed()[:_KEY_BYTES] for each in entries]
    if keys == [wanted]:
        return entries[0]
    place = bisect.bisect_left(keys, wanted)
    # What stands beside the place: one before it and one behind it, and no more; at an end of the bucket only one.
    before = bucket.entries[0].index if place == 1 else -1
    behind = bucket.entries[-1].index if place < len(keys) else bucket.count
    if wanted in keys or keys != sorted(keys) or before + 1 != behind:
        message = "these are not its neighbours"
        raise BadProofError(message)
    return None
