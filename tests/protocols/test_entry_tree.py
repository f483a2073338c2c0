"""The tree of entries: built in steps as at once, and what it shows convinces of nothing but the truth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pnode.errors import PeerFaultError
from p2pnode.protocols.entry_tree import Entry, EntryTree, Key, check_bucket
from tests import factories
from wire.commitments import Commitment, CommittedBucket
from wire.ids import BlobId, Digest, ShardIndex

CROWD = bytes(2)
"""The first bytes of blob ids in one bucket."""


def entry(rng: random.Random, prefix: bytes = b"") -> Entry:
    """Return a random entry, of a bucket with this prefix."""
    return Entry(
        blob_id=BlobId(prefix + rng.randbytes(32 - len(prefix))),
        shard=ShardIndex(rng.randrange(1000)),
        pair_bytes=rng.randrange(10_000),
        lease_end=rng.randrange(2**40),
    )


def key_of(one: Entry) -> Key:
    """Return which pair an entry is of."""
    return one.blob_id, one.shard


def tree_of(entries: list[Entry]) -> EntryTree:
    """Return the tree with these entries."""
    return EntryTree().changed({key_of(each): each for each in entries})


def commitment(tree: EntryTree) -> Commitment:
    """Return what its holder says of it."""
    return factories.commitment(root=tree.root, count=tree.count, pair_bytes=tree.pair_bytes)


def absent_from(tree: EntryTree, key: Key, bucket: CommittedBucket | None = None) -> bool:
    """Tell whether a tree shows that it has nothing for a pair."""
    return check_bucket(bucket or tree.show(key), commitment(tree), key) is None


def test_a_tree_that_was_changed_step_by_step_is_the_one_that_is_made_at_once(rng: random.Random) -> None:
    tree, held = EntryTree(), dict[Key, Entry]()
    for _ in range(60):
        new = [entry(rng, rng.choice((b"", CROWD))) for _ in range(rng.randrange(8))]
        gone = rng.sample(sorted(held), min(len(held), rng.randrange(8)))
        longer = [replace(held[key], lease_end=rng.randrange(2**40)) for key in sorted(held.keys() - set(gone))[:2]]
        changes: dict[Key, Entry | None] = dict.fromkeys(gone)
        changes |= {key_of(each): each for each in (*new, *longer)}
        changes[factories.blob_id(len(held)), ShardIndex(1)] = None  # It was never here.
        held = {key: each for key, each in held.items() if key not in gone}
        held |= {key_of(each): each for each in (*new, *longer)}
        before, root = tree, tree.root
        tree = tree.changed(changes)
        assert before.root == root
        at_once = tree_of(list(held.values()))
        assert (tree.root, tree.count, tree.pair_bytes) == (at_once.root, at_once.count, at_once.pair_bytes)
        assert list(tree) == sorted(held.values(), key=key_of)
        assert tree.count == len(held)
        assert tree.pair_bytes == sum(each.pair_bytes for each in held.values())
    emptied = tree.changed(dict.fromkeys(held))
    assert (emptied.root, emptied.count, emptied.pair_bytes) == (EntryTree().root, 0, 0)
    assert emptied == EntryTree()


def test_every_entry_is_shown_and_every_other_pair_is_shown_not_to_be_there(rng: random.Random) -> None:
    entries = [entry(rng, prefix) for prefix in (b"", CROWD) for _ in range(rng.randrange(1, 9))]
    tree = tree_of(entries)
    for each in entries:
        assert check_bucket(tree.show(key_of(each)), commitment(tree), key_of(each)) == each
    first, last = (BlobId(CROWD + bytes([byte]) * 30) for byte in (0, 255))
    others = [key_of(entry(rng, rng.choice((b"", CROWD)))) for _ in range(40)]
    for key in (*others, (first, ShardIndex(0)), (last, ShardIndex(999))):
        assert absent_from(tree, key)
    assert absent_from(EntryTree(), others[0])


def test_what_is_in_a_commitment_is_not_shown_to_be_absent(rng: random.Random) -> None:
    entries = sorted((entry(rng, CROWD) for _ in range(5)), key=key_of)
    tree = tree_of(entries)
    shown = [tree.show(key_of(each)).entries[0] for each in entries]
    bucket = tree.show(key_of(entries[2]))
    lies = [
        (),
        (shown[1], shown[3]),
        (shown[3], shown[1]),
        (shown[2], shown[3]),
        (shown[1],),
        (shown[3],),
        (shown[0], shown[1]),
        (shown[3], shown[4]),
        (shown[0],),
        (shown[4],),
    ]
    for lie in lies:
        with pytest.raises(PeerFaultError, match="does not say this"):
            absent_from(tree, key_of(entries[2]), replace(bucket, entries=lie))
    elsewhere = tree.show((factories.blob_id(), ShardIndex(0)))
    for bad in (elsewhere, replace(elsewhere, path=elsewhere.path[1:]), replace(bucket, count=0, entries=())):
        with pytest.raises(PeerFaultError, match="does not say this"):
            absent_from(tree, key_of(entries[2]), bad)


def test_what_is_not_in_a_commitment_is_not_shown_to_be_there(rng: random.Random) -> None:
    entries = [entry(rng, CROWD) for _ in range(4)]
    tree = tree_of(entries)
    key = key_of(entries[0])
    bucket = tree.show(key)
    (one,) = bucket.entries
    lies = [
        replace(one, lease_end=one.lease_end + 1),
        replace(one, pair_bytes=one.pair_bytes + 1),
        replace(one, index=one.index ^ 1),
        replace(one, path=()),
        replace(one, shard=(one.shard + 1) % 1000),
    ]
    for lie in lies:
        with pytest.raises(PeerFaultError, match="does not say this"):
            check_bucket(replace(bucket, entries=(lie,)), commitment(tree), (lie.blob_id, ShardIndex(lie.shard)))
    other = replace(commitment(tree), root=Digest(bytes(32)))
    with pytest.raises(PeerFaultError, match="does not say this"):
        check_bucket(bucket, other, key)
    with pytest.raises(PeerFaultError, match="does not say this"):
        check_bucket(replace(bucket, root=Digest(bytes(32))), commitment(tree), key)
